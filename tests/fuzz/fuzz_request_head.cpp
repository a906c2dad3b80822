// Request heads: whatever goes in, what comes out is exactly one request head with one framing.
// Input: one byte of options, one for the framing, then pieces that end with 0xff: method, target, host,
// client address, client host, server name, protocol, Via, Upgrade, and names and values in turn.
#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include "base/ascii.h"
#include "fuzz_input.h"
#include "http/framing.h"
#include "http/hop_by_hop.h"
#include "http/request_head.h"

namespace {

using namespace cxxproxy;
using fuzz::require;

struct Lines {
  std::string_view request_line;
  std::vector<http::FieldView> fields;
};

// Reads the head as a strict server would; every deviation traps.
Lines read_back(std::string_view text) {
  Lines lines;
  require(text.ends_with("\r\n\r\n"));
  require(text.find("\r\n\r\n") == text.size() - 4);
  text.remove_suffix(2);
  while (!text.empty()) {
    const std::size_t end = text.find("\r\n");
    const std::string_view line = text.substr(0, end);
    text.remove_prefix(end + 2);
    require(base::is_field_value(line) && !line.empty());
    if (lines.request_line.empty()) {
      lines.request_line = line;
      continue;
    }
    const std::size_t colon = line.find(": ");
    require(colon != std::string_view::npos && base::is_token(line.substr(0, colon)));
    lines.fields.push_back({line.substr(0, colon), line.substr(colon + 2)});
  }
  return lines;
}

void check_request_line(std::string_view line, const http::RequestHead& head) {
  const std::size_t first = line.find(' ');
  const std::size_t second = line.find(' ', first + 1);
  require(second != std::string_view::npos && line.find(' ', second + 1) == std::string_view::npos);
  require(line.substr(0, first) == head.method);
  require(line.substr(first + 1, second - first - 1) == head.target);
  require(line.substr(second + 1) == (head.http10 ? "HTTP/1.0" : "HTTP/1.1"));
}

void check_fields(const http::Fields fields, const http::RequestHead& head) {
  require(!fields.empty() && fields.front().name == "Host" && fields.front().value == head.host);
  require(http::count_fields(fields, "Host") == 1);
  require(http::count_fields(fields, "Connection") == (head.http10 && head.upgrade.empty() ? 0u : 1u));
  require(http::count_fields(fields, "Upgrade") == (head.upgrade.empty() ? 0u : 1u));
  require(http::count_fields(fields, "Expect") <= (head.expect_continue ? 1u : 0u));
  require(http::count_fields(fields, "TE") + http::count_fields(fields, "Trailer") +
              http::count_fields(fields, "Keep-Alive") ==
          0);

  const auto kind = head.framing.kind;
  require(http::count_fields(fields, "Content-Length") == (kind == http::RequestBody::Length ? 1u : 0u));
  require(http::count_fields(fields, "Transfer-Encoding") == (kind == http::RequestBody::Chunked ? 1u : 0u));
  if (kind == http::RequestBody::Length) require(http::content_length(fields).value == head.framing.length);
  if (kind == http::RequestBody::Chunked) require(http::find_field(fields, "Transfer-Encoding")->value == "chunked");

  if (!head.forwarded.trust_client) {
    for (const std::string_view name : {"X-Forwarded-Port", "Forwarded"}) {
      for (const auto& field : fields) {
        require(!base::iequals(field.name, name) || field.value == head.forwarded.port || field.value == head.forwarded.element);
      }
    }
  }
  if (!head.forwarded.add) return;
  const auto ends_with_ours = [&fields](std::string_view name, std::string_view own) {
    if (own.empty()) return;
    require(http::count_fields(fields, name) == 1);
    require(http::find_field(fields, name)->value.ends_with(own));
  };
  ends_with_ours("X-Forwarded-For", head.forwarded.client_ip);
  ends_with_ours("X-Forwarded-Host", head.forwarded.client_host);
  ends_with_ours("X-Forwarded-Server", head.forwarded.server_name);
  if (!head.forwarded.proto.empty())
    require(http::find_field(fields, "X-Forwarded-Proto") != nullptr);
}

struct Own {
  std::string_view name, text;
  bool grows = true, there = false;
};

std::vector<Own> our_fields(const http::RequestHead& head) {
  const auto& facts = head.forwarded;
  const auto own = [&facts](unsigned bit, std::string_view text) { return facts.add && (facts.fields & bit) != 0 ? text : std::string_view{}; };
  return {{"Via", head.via},
          {"X-Forwarded-For", own(http::kForwardedFor, facts.client_ip)},
          {"X-Forwarded-Host", own(http::kForwardedHost, facts.client_host)},
          {"X-Forwarded-Server", own(http::kForwardedServer, facts.server_name)},
          {"X-Forwarded-Proto", own(http::kForwardedProto, facts.proto), false},
          {"X-Forwarded-Port", own(http::kForwardedPort, facts.port), false},
          {"Forwarded", own(http::kForwardedElement, facts.element)}};
}

std::string line(std::string_view name, std::string_view value) { return std::string(name) + ": " + std::string(value) + "\r\n"; }

std::string last_lines(const http::RequestHead& head) {
  std::string text;
  if (head.framing.kind == http::RequestBody::Chunked) text = line("Transfer-Encoding", "chunked");
  if (head.framing.kind == http::RequestBody::Length) text = line("Content-Length", std::to_string(head.framing.length));
  if (!head.upgrade.empty()) return text + line("Connection", "Upgrade") + line("Upgrade", head.upgrade) + "\r\n";
  return text + (head.http10 ? "" : line("Connection", head.keep_alive ? "Keep-Alive" : "close")) + "\r\n";
}

// What the client said in all its fields of this name.
std::string client_elements(const http::RequestHead& head, std::string_view name) {
  std::string all;
  for (const auto& field : head.fields) {
    if (base::iequals(field.name, name) && !field.value.empty()) all += std::string(field.value) + ", ";
  }
  return all;
}

// The head once more, one field after the other.
std::string write_plainly(const http::RequestHead& head) {
  const http::HopByHop connection(head.fields);
  std::vector<Own> ours = our_fields(head);
  bool expects = head.expect_continue && !head.http10 && head.framing.kind != http::RequestBody::None;
  std::string text = std::string(head.method) + " " + std::string(head.target) + (head.http10 ? " HTTP/1.0\r\n" : " HTTP/1.1\r\n") + line("Host", head.host);
  for (const auto& field : head.fields) {
    const auto [name, value] = field;
    if (base::iequals(name, "Host") || base::iequals(name, "Content-Length") || connection.drops(name)) continue;
    if (base::iequals(name, "Expect")) {
      if (expects && http::list_has(value, "100-continue")) expects = false, text += line(name, value);
      continue;
    }
    const auto mine = std::ranges::find_if(ours, [&field](const Own& own) { return base::iequals(own.name, field.name); });
    if (mine == ours.end()) {
      text += line(name, value);
      continue;
    }
    if (mine->name == "Via" ? head.drop_via : !head.forwarded.trust_client) continue;
    const bool grows = mine->grows && !mine->text.empty();
    if (!grows) text += line(name, value);
    if (grows && !mine->there) text += line(name, client_elements(head, name) + std::string(mine->text));
    mine->there = true;
  }
  for (const Own& own : ours) {
    if (!own.text.empty() && !own.there) text += line(own.name, own.text);
    if (own.name == "Via" && expects) text += line("Expect", "100-Continue");
  }
  return text + last_lines(head);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::Input input(data, size);
  const unsigned options = input.byte();
  const unsigned framing = input.byte();
  http::RequestHead head;
  head.forwarded.add = (options & 1u) != 0;
  head.http10 = (options & 2u) != 0;
  head.keep_alive = (options & 4u) != 0;
  head.expect_continue = (options & 8u) != 0;
  head.forwarded.trust_client = (options & 16u) == 0;
  if ((options & 32u) != 0) {
    head.forwarded.fields |= http::kForwardedPort;
    head.forwarded.port = "8443";
  }
  head.drop_via = (options & 64u) != 0;
  if ((options & 128u) != 0) {
    head.forwarded.fields |= http::kForwardedElement;
    head.forwarded.element = "for=1";
  }
  head.framing = {static_cast<http::RequestBody>(framing % 3u), framing * std::uint64_t{0x123456789}};
  head.method = input.piece();
  head.target = input.piece();
  head.host = input.piece();
  head.forwarded.client_ip = input.piece();
  head.forwarded.client_host = input.piece();
  head.forwarded.server_name = input.piece();
  head.forwarded.proto = input.piece();
  head.via = input.piece();
  head.upgrade = input.piece();
  std::vector<http::FieldView> fields;
  while (!input.empty()) {
    const std::string_view name = input.piece();
    fields.push_back({name, input.piece()});
  }
  head.fields = fields;

  std::string out = "left over";
  const http::Problem problem = http::write_request_head(head, out);
  if (problem) {
    require(out.empty() && !problem.detail.empty());
    return 0;
  }
  const Lines lines = read_back(out);
  check_request_line(lines.request_line, head);
  check_fields(lines.fields, head);
  require(out == write_plainly(head));
  return 0;
}
