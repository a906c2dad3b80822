#include "codec/http1/http1_codec.h"

#include <algorithm>

#include "base/ascii.h"

namespace cxxproxy::codec {

using base::ProxyErrc;
using Kind = Event::Kind;

Event Http1Codec::failed(http::Problem problem) {
  problem_ = problem;
  return {Kind::Failed, 0, {}};
}

Event Http1Codec::next(std::span<char> unread) { return in_head_ ? read_head(unread) : read_body(unread); }

Event Http1Codec::read_head(std::span<char> unread) {
  if (interim_pending_) {
    parser_.reset();
    interim_pending_ = false;
  }
  switch (parser_.parse(unread)) {
    case http::Progress::NeedMore: return {Kind::NeedMore, 0, {}};
    case http::Progress::Failed: return failed(parser_.problem());
    case http::Progress::Done: break;
  }
  const int status = parser_.head().status;
  if (status == 101 && upgrade_.empty()) return failed({ProxyErrc::UnexpectedSwitch, "101 without a request for it"});
  if (status == 101 && !is_wanted_switch()) return failed({ProxyErrc::UnexpectedSwitch, "101 for another protocol than the one asked for"});
  auto framing = http::response_framing(parser_.head(), request_was_head_);
  if (!framing) return failed(framing.error());
  if (status == 101) return {Kind::Switched, parser_.head_size(), {}};
  if (status < 200) {
    interim_pending_ = true;
    return {Kind::Interim, parser_.head_size(), {}};
  }
  framing_ = framing.value();
  left_ = framing_.length;
  in_head_ = false;
  return {Kind::Head, parser_.head_size(), {}};
}

// RFC 9110 7.8: one Upgrade field, the protocol that was asked for, and Connection naming it.
bool Http1Codec::is_wanted_switch() const noexcept {
  const http::Fields fields = parser_.head().fields;
  const http::FieldView* const upgrade = http::find_field(fields, "Upgrade");
  return upgrade != nullptr && http::count_fields(fields, "Upgrade") == 1 && base::iequals(base::trim(upgrade->value), upgrade_) &&
         http::fields_list(fields, "Connection", "upgrade");
}

Event Http1Codec::read_body(std::span<char> unread) {
  switch (framing_.kind) {
    case http::BodyKind::None:
      ended_ = true;
      return {Kind::End, 0, {}};
    case http::BodyKind::Length: {
      if (left_ == 0) {
        ended_ = true;
        return {Kind::End, 0, {}};
      }
      const auto size = static_cast<std::size_t>(std::min<std::uint64_t>(left_, unread.size()));
      if (size == 0) return {Kind::NeedMore, 0, {}};
      left_ -= size;
      return {Kind::Data, size, {unread.data(), size}};
    }
    case http::BodyKind::UntilClose:
      if (unread.empty()) return {Kind::NeedMore, 0, {}};
      return {Kind::Data, unread.size(), {unread.data(), unread.size()}};
    case http::BodyKind::Chunked: {
      const auto step = chunks_.next({unread.data(), unread.size()});
      switch (step.state) {
        case http::ChunkedDecoder::State::NeedMore: return {Kind::NeedMore, step.consumed, {}};
        case http::ChunkedDecoder::State::Data: return {Kind::Data, step.consumed, step.payload};
        case http::ChunkedDecoder::State::Done:
          ended_ = true;
          return {Kind::End, step.consumed, {}};
        case http::ChunkedDecoder::State::Failed: break;
      }
      return failed(chunks_.problem());
    }
  }
  return failed({ProxyErrc::Internal, "unknown framing"});
}

Event Http1Codec::end_of_stream(bool any_bytes) {
  if (in_head_) return failed({any_bytes ? ProxyErrc::HeadIncomplete : ProxyErrc::ClosedBeforeHead, {}});
  if (framing_.kind == http::BodyKind::UntilClose) {
    ended_ = true;
    framing_.persistent = false;
    return {Kind::End, 0, {}};
  }
  return failed({ProxyErrc::BodyTruncated, {}});
}

std::optional<std::uint64_t> Http1Codec::body_left() const {
  if (framing_.kind == http::BodyKind::Length) return left_;
  return std::nullopt;
}

}  // namespace cxxproxy::codec
