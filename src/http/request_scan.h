// Can this request be read without waiting for its client?
//
// WHAT    Looks at the bytes that have come: is the whole head there, and the whole body if the head announces one? It
//         judges nothing else; who reads the request afterwards does. So that an event loop never begins what would wait.
//         And which host it names, if that is plain to see.
// SHAPES  Lines end with LF or CRLF; empty lines before the request line do not count (RFC 9112 2.2).
// ERRORS  What it does not understand, and what needs a dialogue with the client (chunked bodies, Expect, Upgrade), is Other.
// SOURCE  RFC 9112 2.1, 3.2, 6.
#pragma once

#include <cstdint>
#include <string_view>

namespace cxxproxy::http {

enum class RequestScan : std::uint8_t {
  Partial,  // more of the head is to come
  Whole,
  Other,
};

struct ScannedRequest {
  RequestScan scan = RequestScan::Other;
  // Within the bytes that were looked at: the value of the only Host field of a whole request in origin-form that has fields, else empty. Whoever
  // finds the same bytes here again would find the same virtual host (RFC 9112 3.2, 3.3).
  std::string_view host{};
};

ScannedRequest scan_request(std::string_view bytes) noexcept;

}  // namespace cxxproxy::http
