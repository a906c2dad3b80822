// Framing of an answer against a second, plainer reading of RFC 9112 6: no message may be longer or
// shorter for us than for a reader that takes the rules word by word, and nothing odd is kept.
//
// Input: one byte of options (version, HEAD), one for the status, then fields "name:value" with 0xff
// behind each; a name of one letter stands for one of kNames.
#include <optional>
#include <string>
#include <vector>

#include "base/ascii.h"
#include "fuzz_input.h"
#include "http/framing.h"

namespace {

using namespace cxxproxy;
using fuzz::require;

constexpr std::string_view kNames[] = {"Content-Length", "Transfer-Encoding", "Connection", "content-length", "X-Other"};
constexpr int kStatuses[] = {100, 101, 103, 199, 200, 201, 204, 205, 206, 304, 404, 500, 999};

std::vector<std::string> elements(const std::vector<http::FieldView>& fields, std::string_view name, bool& present) {
  std::vector<std::string> found;
  for (const auto& field : fields) {
    if (!base::iequals(field.name, name)) continue;
    present = true;
    std::string element;
    for (const char c : std::string(field.value) + ",") {
      if (c != ',') element += c;
      else found.emplace_back(base::trim(element)), element.clear();
    }
  }
  return found;
}

std::optional<unsigned long long> plain_number(const std::string& text) {
  if (text.empty() || text.find_first_not_of("0123456789") != std::string::npos) return std::nullopt;
  const auto digits = text.find_first_not_of('0');
  const std::string significant = digits == std::string::npos ? "0" : text.substr(digits);
  if (significant.size() > 19 || (significant.size() == 19 && significant > "9223372036854775807")) return std::nullopt;
  return std::stoull(significant);
}

void check(const http::ResponseHead& head, bool request_was_head) {
  bool has_coding = false;
  bool has_length = false;
  bool has_connection = false;
  std::vector<std::string> codings;
  for (const auto& coding : elements(head.fields, "Transfer-Encoding", has_coding)) {
    if (!coding.empty()) codings.push_back(coding);
  }
  const auto lengths = elements(head.fields, "Content-Length", has_length);
  const auto options = elements(head.fields, "Connection", has_connection);

  bool refused = has_coding && (head.minor_version == 0 || codings.size() != 1 || !base::iequals(codings[0], "chunked"));
  unsigned long long length = 0;
  for (const auto& text : lengths) {
    const auto number = plain_number(text);
    refused = refused || !number || *number != plain_number(lengths[0]);
    length = number.value_or(0);
  }
  refused = refused || (head.status < 200 && (has_coding || length > 0));

  const auto framing = http::response_framing(head, request_was_head);
  require(static_cast<bool>(framing) == !refused);
  if (!framing) return;
  const bool none = request_was_head || head.status < 200 || head.status == 204 || head.status == 304;
  using Kind = http::BodyKind;
  require(framing->kind == (none ? Kind::None : has_coding ? Kind::Chunked : has_length ? Kind::Length : Kind::UntilClose));
  if (framing->kind == Kind::Length) require(framing->length == length);
  if (!framing->persistent) return;
  require(framing->kind != Kind::UntilClose && head.status != 101 && !(has_coding && has_length && head.status >= 200));
  require(head.status != 204 || (!has_coding && length == 0));
  bool keep_alive = false;
  for (const auto& option : options) {
    require(!base::iequals(option, "close"));
    keep_alive = keep_alive || base::iequals(option, "keep-alive");
  }
  require(head.minor_version >= 1 || keep_alive);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::Input input(data, size);
  const unsigned options = input.byte();
  http::ResponseHead head;
  head.minor_version = (options & 2u) != 0 ? 0 : 1;
  head.status = kStatuses[input.byte() % std::size(kStatuses)];
  while (!input.empty()) {
    const std::string_view field = input.piece();
    const auto colon = field.find(':');
    if (colon == std::string_view::npos) continue;
    std::string_view name = field.substr(0, colon);
    if (name.size() == 1) name = kNames[static_cast<unsigned char>(name[0]) % std::size(kNames)];
    const std::string_view value = base::trim(field.substr(colon + 1));
    if (base::is_token(name) && base::is_field_value(value)) head.fields.push_back({name, value});
  }
  check(head, (options & 1u) != 0);
  return 0;
}
