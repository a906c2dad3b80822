// Request heads: whatever goes in, what comes out is exactly one request head with one framing.
// Input: one byte of options, one for the framing, then pieces that end with 0xff: method, target, host,
// client address, client host, server name, protocol, Via, Upgrade, and names and values in turn.
#include <optional>
#include <string>
#include <vector>

#include "base/ascii.h"
#include "fuzz_input.h"
#include "http/framing.h"
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
      for (const auto& field : fields) require(!base::iequals(field.name, name) || field.value == head.forwarded.port);
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
  return 0;
}
