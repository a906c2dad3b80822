#include "http/framing.h"

#include <limits>

#include "base/ascii.h"
#include "http/hop_by_hop.h"

namespace cxxproxy::http {
namespace {

using base::ProxyErrc;

constexpr std::uint64_t kMaxLength = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());

Problem bad(std::string_view detail) noexcept { return {ProxyErrc::BadFraming, detail}; }

enum class Coding : std::uint8_t { Absent, Chunked, Other };

Coding transfer_coding(Fields fields) noexcept {
  bool present = false;
  unsigned chunked = 0;
  unsigned others = 0;
  for (const FieldView& field : fields) {
    if (!base::iequals(field.name, "Transfer-Encoding")) continue;
    present = true;
    TokenList codings(field.value);
    for (std::string_view coding = codings.next(); !coding.empty(); coding = codings.next()) {
      ++(base::iequals(coding, "chunked") ? chunked : others);
    }
  }
  if (!present) return Coding::Absent;
  return chunked == 1 && others == 0 ? Coding::Chunked : Coding::Other;
}

bool connection_persists(const ResponseHead& head) noexcept {
  const HopByHop connection(head.fields);
  if (connection.says_close()) return false;
  return head.minor_version >= 1 || connection.says_keep_alive();
}

}  // namespace

std::optional<std::uint64_t> parse_length(std::string_view digits) noexcept {
  if (digits.empty()) return std::nullopt;
  std::uint64_t value = 0;
  for (const char c : digits) {
    if (!base::is_digit(c)) return std::nullopt;
    const auto digit = static_cast<std::uint64_t>(c - '0');
    if (value > (kMaxLength - digit) / 10) return std::nullopt;
    value = value * 10 + digit;
  }
  return value;
}

ContentLength content_length(Fields fields) noexcept {
  ContentLength result;
  for (const FieldView& field : fields) {
    if (field.name.size() != 14 || !base::iequals(field.name, "Content-Length")) continue;
    // Not TokenList: an empty element is odd here.
    std::string_view rest = field.value;
    for (;;) {
      const std::size_t comma = rest.find(',');
      const auto value = parse_length(base::trim(rest.substr(0, comma)));
      if (!value) return {LengthFields::Odd, 0};
      if (result.found == LengthFields::Valid && result.value != *value) return {LengthFields::Different, 0};
      result = {LengthFields::Valid, *value};
      if (comma == std::string_view::npos) break;
      rest.remove_prefix(comma + 1);
    }
  }
  return result;
}

base::Result<ResponseFraming, Problem> response_framing(const ResponseHead& head, bool request_was_head) {
  const Coding coding = transfer_coding(head.fields);
  const ContentLength length = content_length(head.fields);
  if (coding == Coding::Other) return bad("the transfer coding is not exactly 'chunked'");
  if (coding == Coding::Chunked && head.minor_version == 0) return bad("Transfer-Encoding in an HTTP/1.0 answer");
  if (length.found == LengthFields::Odd) return bad("a Content-Length is not a plain number");
  if (length.found == LengthFields::Different) return bad("several different Content-Length values");

  const bool announces_body = coding == Coding::Chunked || length.value > 0;
  ResponseFraming framing;
  framing.persistent = connection_persists(head);
  if (head.lines_left_out || head.ended_by_bad_line) framing.persistent = false;
  if (head.status < 200) {
    if (announces_body || head.ended_by_bad_line) return bad("an interim answer announces a body");
    if (head.status == 101) framing.persistent = false;
    return framing;
  }
  // RFC 9112 6.3: with a transfer coding the length means nothing, and nobody after us may believe it.
  if (coding == Coding::Chunked && length.found == LengthFields::Valid) framing.persistent = false;
  if (coding == Coding::Absent && length.found == LengthFields::Valid && head.status != 204) framing.announced = length.value;
  if (head.status == 204 && announces_body) framing.persistent = false;
  if (head.status == 204 || head.status == 304 || request_was_head) return framing;

  if (coding == Coding::Chunked) {
    framing.kind = BodyKind::Chunked;
  } else if (length.found == LengthFields::Valid) {
    framing.kind = BodyKind::Length;
    framing.length = length.value;
  } else {
    framing.kind = BodyKind::UntilClose;
    framing.persistent = false;
  }
  return framing;
}

}  // namespace cxxproxy::http
