// Where the body of an answer ends, and whether the connection can be used again afterwards.
//
// WHAT    One decision from status, version and fields; ambiguity is refused, never guessed.
// SHAPES  persistent is about the protocol only: the reader must still see the body end exactly and
//         no byte behind it before the connection is kept.
//         A tolerant reading with a price: Transfer-Encoding together with a valid Content-Length is
//         read as chunked and the connection is not kept; a 204 that announces a body likewise has
//         none and is not kept. A head that BadHeaderRule repaired has lost a line that may have told
//         the length: its connection is not kept either.
// ERRORS  BadFraming with a detail: odd or different Content-Length values, a transfer coding that
//         is not exactly one `chunked`, Transfer-Encoding in an HTTP/1.0 answer, a length on 1xx.
// SOURCE  RFC 9112 6.1-6.3, 9.3; RFC 9110 8.6.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "base/result.h"
#include "http/field.h"
#include "http/problem.h"
#include "http/response_head_parser.h"

namespace cxxproxy::http {

enum class BodyKind : std::uint8_t { None, Length, Chunked, UntilClose };

struct ResponseFraming {
  BodyKind kind = BodyKind::None;
  std::uint64_t length = 0;  // of kind Length; never above 2^63-1
  bool persistent = false;
  // What the client may be told as the length: also of a body that does not follow (HEAD, 304).
  std::optional<std::uint64_t> announced{};
};

base::Result<ResponseFraming, Problem> response_framing(const ResponseHead& head, bool request_was_head);

// Decimal digits only, at most 2^63-1; nothing for "", "+5", "0x5", "5 5" and the like.
std::optional<std::uint64_t> parse_length(std::string_view digits) noexcept;

// Content-Length over all fields: identical repetitions ("5", "5, 5") count once.
enum class LengthFields : std::uint8_t { Absent, Valid, Odd, Different };
struct ContentLength {
  LengthFields found = LengthFields::Absent;
  std::uint64_t value = 0;
};
ContentLength content_length(Fields fields) noexcept;

}  // namespace cxxproxy::http
