// HTTP/1.1 from the backend: heads, bodies, and whether the connection survives.
//
// WHAT    UpstreamCodec over the strict parsers of http/. Interim responses are events of their own;
//         101 is only taken from who was asked, and for the protocol that was asked for.
// SHAPES  One object per attempt; the response head's fields are its only memory.
// SOURCE  RFC 9112 4, 6, 7, 9.3; RFC 9110 15.2.
#pragma once

#include "codec/upstream_codec.h"
#include "http/chunked_decoder.h"
#include "http/framing.h"

namespace cxxproxy::codec {

class Http1Codec final : public UpstreamCodec {
 public:
  // `upgrade` is the protocol that the request asked for, empty for none; it outlives the codec.
  Http1Codec(bool request_was_head, const http::HeadLimits& limits, http::BadHeaderRule bad_header, std::string_view upgrade = {})
      : request_was_head_(request_was_head), upgrade_(upgrade), parser_(limits, bad_header) {}

  Event next(std::span<char> unread) override;
  Event end_of_stream(bool any_bytes) override;

  const http::ResponseHead& head() const override { return parser_.head(); }
  bool body_follows() const override { return framing_.kind != http::BodyKind::None; }
  std::optional<std::uint64_t> content_length() const override { return framing_.announced; }
  std::optional<std::uint64_t> body_left() const override;
  bool reusable() const override { return ended_ && framing_.persistent; }

  base::ProxyErrc error() const override { return problem_.code; }
  std::string_view detail() const override { return problem_.detail; }

 private:
  Event read_head(std::span<char> unread);
  Event read_body(std::span<char> unread);
  Event failed(http::Problem problem);
  bool is_wanted_switch() const noexcept;

  const bool request_was_head_;
  const std::string_view upgrade_;
  bool in_head_ = true;
  bool interim_pending_ = false;  // the last head was interim: the next bytes are a new head
  bool ended_ = false;
  http::ResponseHeadParser parser_;
  http::ResponseFraming framing_{};
  http::ChunkedDecoder chunks_;
  std::uint64_t left_ = 0;
  http::Problem problem_{};
};

}  // namespace cxxproxy::codec
