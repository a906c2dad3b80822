// The half of the exchange that writes: request head, kept body, streamed body.
#include <algorithm>
#include <charconv>
#include <cstring>
#include <utility>

#include "exchange/exchange.h"

namespace cxxproxy::exchange {

using base::Phase;
using base::ProxyErrc;
using upstream::ConstBuffer;
using upstream::IoResult;
using upstream::IoStatus;
using upstream::Wait;

namespace {

// One for each thread, as with the buffer for answers.
thread_local Outgoing* t_spare_outgoing = nullptr;
// A larger one is not kept.
constexpr std::size_t kSpareHead = 16 * 1024;
constexpr std::size_t kSparePieces = 256;

}  // namespace

void Exchange::provide_outgoing() {
  if (out_) return;
  out_.reset(std::exchange(t_spare_outgoing, nullptr));
  if (!out_) out_ = std::make_unique<Outgoing>();
}

void Exchange::drop_outgoing() noexcept {
  const bool fits = out_ && out_->head.capacity() <= kSpareHead && out_->queue.capacity() <= kSparePieces;
  if (fits && t_spare_outgoing == nullptr) t_spare_outgoing = out_.release();
  out_.reset();
}

Exchange::Flow Exchange::run(unsigned& needs) {
  Flow flow = Flow::Waiting;
  if (sending_) flow = send(needs);
  if (state_ != State::Running) return Flow::Progress;
  if (receive(needs) == Flow::Progress) return Flow::Progress;
  return waited_ ? Flow::Waiting : flow;  // the request is out, and nothing came for as long as a read may take
}

// One piece of the request a time: between two pieces the caller looks for an early answer.
Exchange::Flow Exchange::send(unsigned& needs) {
  if (!queue_more_body(needs)) return state_ == State::Running ? Flow::Waiting : Flow::Progress;
  Flow flow = Flow::Waiting;
  while (sending_ && !out_->is_sent()) {
    if (write_queue(needs) == Flow::Waiting) return flow;
    flow = Flow::Progress;
  }
  if (sending_ && out_->is_sent() && (end_queued_ || plan_.body == BodyKind::None)) {
    sending_ = false;
    flow = Flow::Progress;
  }
  return flow;
}

// Puts what is at hand behind the queue: the kept bytes, the end, or one more piece from the client.
// False when the exchange must wait for the client or has failed.
bool Exchange::queue_more_body(unsigned& needs) {
  if (plan_.body == BodyKind::None || end_queued_) return true;
  if (await_continue_) {
    if (!out_->is_sent()) return true;
    if (services_.clock.now() < continue_deadline_) return false;
    if (member().spec.ping) {
      limit_ = *member().spec.ping;
      (void)attempt_failed(ProxyErrc::ContinueTimeout, Phase::Head);
      return false;
    }
    await_continue_ = false;  // a backend that ignores the expectation gets the body all the same
  }
  if (!kept_queued_) {
    kept_queued_ = true;
    if (!kept_.empty()) {
      const ConstBuffer part{kept_.data(), kept_.size()};
      queue_frame({&part, 1}, kept_.size());
    }
    if (body_complete_) queue_body_end();
    if (end_queued_ || !kept_.empty()) return true;
  }
  if (!out_->is_sent()) return true;
  const BodyPart part = downstream_.read_body(body_buffer(up_piece_));
  switch (part.kind) {
    case BodyPart::Kind::WouldBlock:
      up_piece_ = kBodyBuffer;
      needs |= kClientReadable;
      return false;
    case BodyPart::Kind::Failed: (void)attempt_failed(part.error, Phase::Send); return false;
    case BodyPart::Kind::Data:
    case BodyPart::Kind::End: break;
  }
  armed_ = false;
  if (part.bytes >= up_piece_) up_piece_ = std::min(2 * up_piece_, kLargestPiece);
  const RequestFacts& facts = downstream_.facts();
  const bool exact = facts.body == BodyKind::Length && facts.length_is_exact;
  const bool counted = count_body(part.bytes);
  const bool last = is_last(part);
  if (!counted || (last && exact && body_read_ != facts.length)) {
    (void)attempt_failed(ProxyErrc::ClientBodyIncomplete, Phase::Send);
    return false;
  }
  keep_body(part.parts, part.bytes);
  queue_frame(part.parts, part.bytes);
  if (last) {
    body_complete_ = true;
    queue_body_end();
  }
  return true;
}

void Exchange::queue_frame(std::span<const ConstBuffer> parts, std::size_t bytes) {
  if (bytes == 0) return;
  Outgoing& out = *out_;
  if (out.is_sent()) {
    out.queue.clear();
    out.at = 0;
  }
  const bool chunked = plan_.body == BodyKind::Chunked;
  if (chunked) {
    char* const last = std::to_chars(out.frame_head, out.frame_head + sizeof out.frame_head - 2, bytes, 16).ptr;
    std::memcpy(last, "\r\n", 2);
    out.queue.push_back({out.frame_head, static_cast<std::size_t>(last + 2 - out.frame_head)});
  }
  out.queue.insert(out.queue.end(), parts.begin(), parts.end());
  if (chunked) out.queue.push_back({"\r\n", 2});
}

void Exchange::queue_body_end() {
  end_queued_ = true;
  if (plan_.body == BodyKind::Chunked) out_->queue.push_back({"0\r\n\r\n", 5});
}

Exchange::Flow Exchange::write_queue(unsigned& needs) {
  Outgoing& out = *out_;
  const IoResult result = lease_.stream()->write(std::span<const ConstBuffer>(out.queue).subspan(out.at), Wait::No);
  if (result.status == IoStatus::WouldBlock) {
    up_piece_ = kBodyBuffer;
    needs |= kUpstreamWritable;
    return Flow::Waiting;
  }
  if (result.status != IoStatus::Ok) {
    // The backend may have answered before it closed (413): look at that first.
    send_broken_ = true;
    sending_ = false;
    return Flow::Progress;
  }
  armed_ = false;
  sent_bytes_ += result.bytes;
  count_sent(result.bytes);
  std::size_t left = result.bytes;
  while (!out.is_sent() && left >= out.queue[out.at].size) left -= out.queue[out.at++].size;
  if (left > 0) {
    out.queue[out.at].data += left;
    out.queue[out.at].size -= left;
  }
  // The wait for a 100 begins when the backend can have seen the expectation.
  if (await_continue_ && out.is_sent()) continue_deadline_ = services_.clock.now() + member().spec.ping.value_or(kContinueWait);
  return Flow::Progress;
}

}  // namespace cxxproxy::exchange
