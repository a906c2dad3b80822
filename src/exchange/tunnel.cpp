// The part of the exchange that begins with a 101: bytes of another protocol, both ways, as they are.
#include <algorithm>
#include <utility>

#include "exchange/exchange.h"

namespace cxxproxy::exchange {

using base::Phase;
using base::ProxyErrc;
using upstream::ConstBuffer;
using upstream::IoResult;
using upstream::IoStatus;
using upstream::Wait;

Exchange::Flow Exchange::start_tunnel() {
  in_head_ = false;
  answer_started_ = true;
  sending_ = false;
  armed_ = false;
  total_deadline_ = base::Instant::max();  // that is for requests
  limit_ = services_.tunnel_timeout.value_or(timeout());
  if (flight_.answered(codec_->head().status, services_.clock.now()).recovered) downstream_.balancer_recovered();
  if (!downstream_.start_tunnel(codec_->head())) return attempt_failed(ProxyErrc::ClientGone, Phase::Tunnel);
  state_ = State::Tunnel;
  // Bytes of the new protocol may have come in the packet that brought the 101.
  if (begin_ < end_) {
    bytes_down_ += end_ - begin_;
    downstream_.send_borrowed({buffer_.get() + begin_, end_ - begin_});
    begin_ = end_;
    if (!downstream_.pass(true)) return tunnel_over(tunnel_end::kClientGone);
  }
  // It may last for hours: what was for the request is not kept.
  drop_buffer();
  codec_.reset();
  drop_outgoing();
  kept_ = std::string();
  return Flow::Progress;
}

Exchange::Flow Exchange::tunnel(unsigned& needs) {
  if (tunnel_deadline_ != base::Instant::max() && services_.clock.now() >= tunnel_deadline_) return tunnel_over(tunnel_end::kStopped);
  Flow flow = Flow::Waiting;
  if (relay_down(needs) == Flow::Progress) flow = Flow::Progress;
  if (state_ == State::Tunnel && relay_up(needs) == Flow::Progress) flow = Flow::Progress;
  if (state_ != State::Tunnel) return Flow::Progress;
  if (down_ended_ && up_ended_ && up_pending_.empty()) return tunnel_over(tunnel_end::kBothClosed);
  if (flow == Flow::Progress) armed_ = false;
  return flow;
}

Exchange::Flow Exchange::relay_down(unsigned& needs) {
  if (down_ended_) return Flow::Waiting;
  if (!downstream_.drained()) {
    needs |= kClientWritable;
    return Flow::Waiting;
  }
  if (down_dry_) {
    needs |= kUpstreamReadable;
    return Flow::Waiting;
  }
  const std::span<char> into = downstream_.lend_buffer(kTunnelBuffer);
  const IoResult result = lease_.stream()->read(into, no_wait());
  switch (result.status) {
    case IoStatus::WouldBlock: needs |= kUpstreamReadable; return Flow::Waiting;
    case IoStatus::Failed: return tunnel_over(tunnel_end::kBackendReset);
    case IoStatus::Eof:
      down_ended_ = true;
      return downstream_.end_sending() ? Flow::Progress : tunnel_over(tunnel_end::kBackendClosed);
    case IoStatus::Ok: break;
  }
  down_dry_ = !told_ && result.bytes < into.size();
  if (std::exchange(hopes_, false)) hope_.came_in_time();
  bytes_down_ += result.bytes;
  count_received(result.bytes);
  downstream_.send_lent(0, result.bytes);
  return downstream_.pass(true) ? Flow::Progress : tunnel_over(tunnel_end::kClientGone);
}

Exchange::Flow Exchange::relay_up(unsigned& needs) {
  if (!up_pending_.empty()) {
    const ConstBuffer part{up_pending_.data(), up_pending_.size()};
    const IoResult result = lease_.stream()->write({&part, 1}, Wait::No);
    if (result.status == IoStatus::WouldBlock) {
      needs |= kUpstreamWritable;
      return Flow::Waiting;
    }
    if (result.status != IoStatus::Ok) return tunnel_over(tunnel_end::kBackendFull);
    up_pending_.erase(0, result.bytes);
    if (up_pending_.empty() && up_ended_) lease_.stream()->end_writing();
    return Flow::Progress;
  }
  if (up_ended_) return Flow::Waiting;
  if (up_dry_) {
    needs |= kClientReadable;
    return Flow::Waiting;
  }
  const BodyPart part = downstream_.read_tunnel(kTunnelBuffer);
  up_dry_ = part.dry;
  switch (part.kind) {
    case BodyPart::Kind::WouldBlock: needs |= kClientReadable; return Flow::Waiting;
    case BodyPart::Kind::Failed: return tunnel_over(tunnel_end::kClientReset);
    case BodyPart::Kind::End:
    case BodyPart::Kind::Data: break;
  }
  hopes_ = part.bytes > 0;
  bytes_up_ += part.bytes;
  count_sent(part.bytes);
  std::size_t sent = 0;
  if (part.bytes > 0) {
    const IoResult result = lease_.stream()->write(part.parts, Wait::No);
    if (result.status != IoStatus::Ok && result.status != IoStatus::WouldBlock) return tunnel_over(tunnel_end::kBackendFull);
    if (result.status == IoStatus::Ok) sent = result.bytes;
  }
  // What is left is kept here: the client side's bytes are gone with the next read.
  for (const ConstBuffer& piece : part.parts) {
    const std::size_t taken = std::min(sent, piece.size);
    sent -= taken;
    up_pending_.append(piece.data + taken, piece.size - taken);
  }
  if (part.kind == BodyPart::Kind::End || part.last) {
    up_ended_ = true;
    if (up_pending_.empty()) lease_.stream()->end_writing();
  }
  return Flow::Progress;
}

Exchange::Flow Exchange::tunnel_over(const TunnelEnd& end) {
  state_ = State::Done;
  leave_slot(false);
  flight_.end();
  downstream_.tunnel_ended({.member = &member().spec, .protocol = plan_.upgrade, .bytes_up = bytes_up_, .bytes_down = bytes_down_, .end = end});
  return Flow::Progress;
}

}  // namespace cxxproxy::exchange
