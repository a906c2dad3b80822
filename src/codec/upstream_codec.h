// The seam that every protocol to the backend fills: bytes in, events out.
//
// WHAT    One codec serves one attempt: it turns what the backend sent into events. It owns no socket and no buffer; the exchange feeds it.
// SHAPES  While a head is being read (interim or final) `unread` must start at the head's first byte
//         and be contiguous; NeedMore then consumes nothing. After Head, payloads are views into
//         the bytes given. Interim, Switched and Head leave head() valid until the next call. After
//         Switched the connection speaks another protocol: next() is not called again.
// ERRORS  Failed carries the reason in error() and a static sentence in detail().
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "base/error.h"
#include "http/response_head_parser.h"

namespace cxxproxy::codec {

struct Event {
  enum class Kind : std::uint8_t { NeedMore, Interim, Switched, Head, Data, End, Failed };
  Kind kind = Kind::NeedMore;
  std::size_t consumed = 0;
  std::string_view payload{};
};

class UpstreamCodec {
 public:
  virtual ~UpstreamCodec() = default;

  virtual Event next(std::span<char> unread) = 0;
  // The backend closed its side; `unread` bytes of an unfinished head may be left.
  virtual Event end_of_stream(bool any_bytes) = 0;

  virtual const http::ResponseHead& head() const = 0;
  virtual bool body_follows() const = 0;
  // What the client may be told, also when no body follows (HEAD, 304).
  virtual std::optional<std::uint64_t> content_length() const = 0;
  // Bytes of the body still to come where that is known: how much is worth reading at once.
  virtual std::optional<std::uint64_t> body_left() const = 0;
  // After End: the connection may carry another request.
  virtual bool reusable() const = 0;

  virtual base::ProxyErrc error() const = 0;
  virtual std::string_view detail() const = 0;
};

}  // namespace cxxproxy::codec
