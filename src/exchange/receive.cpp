// The half of the exchange that reads: interim responses, head, body, end.
#include <algorithm>
#include <cstring>
#include <utility>

#include "exchange/exchange.h"

namespace cxxproxy::exchange {

using base::Phase;
using base::ProxyErrc;
using upstream::IoResult;
using upstream::IoStatus;
using upstream::Wait;

namespace {

// One for each thread: the allocator would join and cut a piece of this size again and again. Threads end with the process.
thread_local char* t_spare_buffer = nullptr;

}  // namespace

Exchange::Flow Exchange::receive(unsigned& needs) { return in_head_ ? receive_head(needs) : receive_body(needs); }

// There is none before the first read, nor after a wait without a thread.
void Exchange::provide_buffer() {
  if (buffer_) return;
  buffer_.reset(std::exchange(t_spare_buffer, nullptr));
  if (!buffer_) buffer_ = std::make_unique_for_overwrite<char[]>(kHeadBuffer);
  capacity_ = kHeadBuffer;
}

void Exchange::drop_buffer() noexcept {
  if (buffer_ && capacity_ == kHeadBuffer && t_spare_buffer == nullptr) t_spare_buffer = buffer_.release();
  buffer_.reset();
  capacity_ = begin_ = end_ = 0;
}

// What is in it besides a part of a head was used.
void Exchange::shrink_buffer() {
  const std::size_t held = in_head_ ? end_ - begin_ : 0;
  if (held == 0) return drop_buffer();
  if (capacity_ != kHeadBuffer || held > kWaitingHead) return;
  auto smaller = std::make_unique_for_overwrite<char[]>(kWaitingHead);
  std::memcpy(smaller.get(), buffer_.get() + begin_, held);
  drop_buffer();
  buffer_ = std::move(smaller);
  capacity_ = kWaitingHead;
  end_ = held;
}

std::size_t Exchange::head_read() {
  if (const std::size_t set = body_buffer(0); set != 0) return std::clamp(set, kHeadRead, kUsualHeadRead);
  const bool large = member().answers_are_large.load(std::memory_order_relaxed);
  return large && downstream_.has_room(kHeadBuffer) ? kHeadBuffer : kUsualHeadRead;
}

Exchange::Flow Exchange::receive_head(unsigned& needs) {
  if (told_ && lease_.stream()->known_idle()) {
    needs |= kUpstreamReadable;
    return Flow::Waiting;
  }
  provide_buffer();
  if (end_ == capacity_) {
    if (begin_ > 0) {
      std::memmove(buffer_.get(), buffer_.get() + begin_, end_ - begin_);
    } else {
      auto larger = std::make_unique_for_overwrite<char[]>(capacity_ * 2);  // the parser's limit ends this
      std::memcpy(larger.get(), buffer_.get(), end_);
      buffer_ = std::move(larger);
      capacity_ *= 2;
    }
    end_ -= begin_;
    begin_ = 0;
  }
  const IoResult result = read_upstream({buffer_.get() + end_, std::min(capacity_ - end_, head_read())});
  if (result.status == IoStatus::WouldBlock) {
    needs |= kUpstreamReadable;
    return Flow::Waiting;
  }
  if (result.status != IoStatus::Ok) return on_stream_end(result);
  armed_ = received_any_ && armed_;  // the head as a whole has one deadline, from its first byte on
  if (!received_any_) {
    facts_.first_byte = std::chrono::duration_cast<base::Duration>(step_time() - started_);
    if (const bool large = result.bytes >= kUsualHeadRead; large != member().answers_are_large.load(std::memory_order_relaxed)) {
      member().answers_are_large.store(large, std::memory_order_relaxed);
    }
  }
  received_any_ = true;
  end_ += result.bytes;
  count_received(result.bytes);
  return digest_head();
}

Exchange::Flow Exchange::digest_head() {
  while (begin_ < end_) {
    const codec::Event event = codec_->next({buffer_.get() + begin_, end_ - begin_});
    begin_ += event.consumed;
    switch (event.kind) {
      case codec::Event::Kind::NeedMore: return Flow::Progress;
      case codec::Event::Kind::Interim:
        if (on_interim(); state_ != State::Running) return Flow::Progress;
        break;
      case codec::Event::Kind::Switched: return start_tunnel();
      case codec::Event::Kind::Head: return on_head();
      default: return attempt_failed(codec_->error(), Phase::Head, 0, codec_->detail());
    }
  }
  begin_ = end_ = 0;
  return Flow::Progress;
}

Exchange::Flow Exchange::on_interim() {
  if (++interims_ > kMaxInterim) return attempt_failed(ProxyErrc::TooManyInterim, Phase::Head);
  armed_ = false;
  const bool continues = codec_->head().status == 100;
  const RequestFacts& facts = downstream_.facts();
  const bool wanted = (!continues || (await_continue_ && facts.expects_continue && body_read_ == 0)) && !facts.suppress_interim;
  if (continues) await_continue_ = false;
  if (wanted && !downstream_.send_interim(codec_->head())) return attempt_failed(ProxyErrc::ClientGone, Phase::Head);
  return Flow::Progress;
}

Exchange::Flow Exchange::on_head() {
  in_head_ = false;
  armed_ = false;
  const int status = codec_->head().status;
  const base::Instant now = step_time();
  const balancer::Consequence consequence = flight_.answered(status, now);
  if (consequence.recovered) downstream_.balancer_recovered();
  if (consequence.rest != balancer::RestReason::None) downstream_.member_rests(member().spec, status, consequence);
  if (await_continue_) {
    await_continue_ = false;  // the final answer came instead: the body is not sent at all
    sending_ = false;
    send_broken_ = true;
  }
  downstream_.send_head({.head = codec_->head(),
                         .body_follows = codec_->body_follows(),
                         .length = codec_->content_length(),
                         .request_taken = body_complete_});
  if (downstream_.replaces_answer()) return start_discarding();
  head_held_ = true;
  held_until_ = now + kHeadHold;
  return digest_body({buffer_.get() + begin_, end_ - begin_}, false);
}

// From here on the client may have seen a part of this answer: there is no other attempt.
bool Exchange::pass(bool flush) {
  head_held_ = false;
  answer_started_ = true;
  unflushed_ = !flush;
  return downstream_.pass(flush);
}

Exchange::Flow Exchange::receive_body(unsigned& needs) {
  client_is_slow_ = !downstream_.drained();
  pauses_ = can_park_ && moved_ >= kOneGo && !client_is_slow_;
  if (client_is_slow_ || pauses_) {
    hopes_ = client_is_slow_;
    waited_ = pauses_;
    needs |= kClientWritable;
    return Flow::Waiting;
  }
  if (std::exchange(hopes_, false)) hope_.came_in_time();
  // One more than is left: a read that was not filled has taken everything, which saves the look at the connection before its
  // next request.
  std::size_t want = body_buffer(down_piece_);
  if (const auto left = codec_->body_left(); left && *left < want) want = static_cast<std::size_t>(*left) + 1;
  const std::span<char> into = downstream_.lend_buffer(want);
  // Look without waiting first: what the client has not seen yet must be flushed before a wait.
  const IoResult result = unflushed_ || head_held_ ? lease_.stream()->read(into, no_wait()) : read_upstream(into);
  if (result.status == IoStatus::WouldBlock) {
    needs |= kUpstreamReadable;
    if (head_held_ && services_.clock.now() < held_until_) return Flow::Waiting;
    if (!unflushed_ && !head_held_) return Flow::Waiting;
    if (!pass(true)) return attempt_failed(ProxyErrc::ClientGone, Phase::Body);
    // Another look would be in vain as well: more wakes who waits without a thread.
    waited_ = can_park_ && !sending_ && !member().inline_waits.pays() && downstream_.drained();
    return waited_ ? Flow::Waiting : Flow::Progress;
  }
  if (result.status != IoStatus::Ok) return on_stream_end(result);
  armed_ = false;
  down_piece_ = result.bytes == into.size() ? std::min(2 * down_piece_, kLargestAnswerPiece) : kBodyBuffer;
  moved_ += result.bytes;
  count_received(result.bytes);
  return digest_body(into.first(result.bytes), true);
}

// Lent bytes are handed over as one run: payloads of several chunks are moved together first.
Exchange::Flow Exchange::digest_body(std::span<char> bytes, bool lent) {
  char* const first = bytes.data();
  std::size_t run_start = 0;
  std::size_t run_size = 0;
  bool ended = false;
  bool borrowed = false;
  while (!ended) {
    const codec::Event event = codec_->next(bytes);
    if (event.kind == codec::Event::Kind::Failed) {
      if (lent && run_size > 0) downstream_.send_lent(run_start, run_size);
      return attempt_failed(codec_->error(), Phase::Body, 0, codec_->detail());
    }
    ended = event.kind == codec::Event::Kind::End;
    if (!event.payload.empty()) {
      if (!lent) {
        downstream_.send_borrowed(event.payload);
        borrowed = true;
      } else if (run_size == 0) {
        run_start = static_cast<std::size_t>(event.payload.data() - first);
        run_size = event.payload.size();
      } else {
        std::memmove(first + run_start + run_size, event.payload.data(), event.payload.size());
        run_size += event.payload.size();
      }
    }
    bytes = bytes.subspan(event.consumed);
    if (event.kind == codec::Event::Kind::NeedMore) break;
  }
  if (lent && run_size > 0) downstream_.send_lent(run_start, run_size);
  if (ended) return complete(bytes.empty());  // nobody asked for what follows
  if (head_held_ && run_size == 0 && !borrowed) return Flow::Progress;
  return pass(false) ? Flow::Progress : attempt_failed(ProxyErrc::ClientGone, Phase::Body);
}

Exchange::Flow Exchange::on_stream_end(const IoResult& result) {
  const Phase phase = in_head_ ? Phase::Head : Phase::Body;
  if (in_head_ && !received_any_ && send_broken_) return attempt_failed(ProxyErrc::SendFailed, Phase::Send, result.os_error);
  if (result.status == IoStatus::Failed) {
    if (!in_head_) return attempt_failed(ProxyErrc::BodyReset, phase, result.os_error);
    return attempt_failed(received_any_ ? ProxyErrc::HeadIncomplete : ProxyErrc::ResetBeforeHead, phase, result.os_error);
  }
  const codec::Event event = codec_->end_of_stream(begin_ < end_);
  if (event.kind == codec::Event::Kind::End) return complete(true);
  return attempt_failed(codec_->error(), phase, 0, codec_->detail());
}

Exchange::Flow Exchange::start_discarding() {
  state_ = State::Discarding;
  discarded_ = 0;
  arm(kDiscardWait);
  return sending_ ? end_discarding(false) : Flow::Progress;
}

Exchange::Flow Exchange::discard(unsigned& needs) {
  for (;;) {
    const codec::Event event = codec_->next({buffer_.get() + begin_, end_ - begin_});
    begin_ += event.consumed;
    if (event.kind == codec::Event::Kind::End) return end_discarding(begin_ == end_);
    if (event.kind == codec::Event::Kind::Failed) return end_discarding(false);
    if (event.kind == codec::Event::Kind::NeedMore) break;
  }
  discarded_ += end_;
  begin_ = end_ = 0;
  if (discarded_ > kDiscardedBody) return end_discarding(false);
  provide_buffer();
  const IoResult result = lease_.stream()->read({buffer_.get(), capacity_}, no_wait());
  if (result.status == IoStatus::WouldBlock) {
    needs |= kUpstreamReadable;
    return Flow::Waiting;
  }
  if (result.status != IoStatus::Ok) return end_discarding(false);
  count_received(result.bytes);
  end_ = result.bytes;
  return Flow::Progress;
}

// Nothing was passed to the client: the answer that it gets is not this one.
Exchange::Flow Exchange::end_discarding(bool clean) {
  give_back(clean);
  flight_.end();
  state_ = State::Done;
  return Flow::Progress;
}

// `clean`: no byte is left that belongs to nobody.
void Exchange::give_back(bool clean) {
  leave_slot(clean && codec_->reusable() && plan_.keep_alive && !sending_ && !send_broken_);
}

Exchange::Flow Exchange::complete(bool clean) {
  // Back to the pool before the client has everything: a slow client must not hold a connection.
  give_back(clean);
  flight_.end();
  state_ = State::Done;
  answer_started_ = true;
  if (!downstream_.finish()) {
    failure_ = {ProxyErrc::ClientGone, Phase::Body, false, 0};
    downstream_.report({.error = failure_, .end = AttemptEnd::GaveUp, .member = &member().spec, .number = attempts_, .answer_begun = true});
  }
  return Flow::Progress;
}

}  // namespace cxxproxy::exchange
