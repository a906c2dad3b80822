#include "exchange/exchange.h"

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <utility>

namespace cxxproxy::exchange {

using base::Error;
using base::Phase;
using base::ProxyErrc;
using upstream::ConstBuffer;
using upstream::IoResult;
using upstream::IoStatus;
using upstream::Wait;

namespace {

ProxyErrc connect_errc(int os_error) noexcept {
  return os_error == ECONNREFUSED ? ProxyErrc::ConnectRefused
         : os_error == ETIMEDOUT  ? ProxyErrc::ConnectTimeout
                                  : ProxyErrc::ConnectFailed;
}

// The backend gave no usable sign of life: another member may do better.
bool another_member_may_help(ProxyErrc code) noexcept {
  switch (code) {
    case ProxyErrc::NameNotResolved:
    case ProxyErrc::ConnectRefused:
    case ProxyErrc::ConnectTimeout:
    case ProxyErrc::ConnectFailed:
    case ProxyErrc::SendFailed:
    case ProxyErrc::SendTimeout:
    case ProxyErrc::ClosedBeforeHead:
    case ProxyErrc::ResetBeforeHead:
    case ProxyErrc::HeadTimeout:
    case ProxyErrc::BodyTruncated:  // only counts while nothing was passed to the client
    case ProxyErrc::BodyReset: return true;
    default: return false;
  }
}

// How a kept connection dies that the backend had closed before our request came.
bool looks_stale(ProxyErrc code) noexcept {
  return code == ProxyErrc::ClosedBeforeHead || code == ProxyErrc::ResetBeforeHead || code == ProxyErrc::SendFailed;
}

}  // namespace

Exchange::Exchange(const Destination& destination, Downstream& downstream, const Services& services)
    : destination_(destination), downstream_(downstream), services_(services) {}

Step Exchange::step() {
  for (;;) {
    unsigned needs = 0;
    Flow flow = Flow::Progress;
    switch (state_) {
      case State::Prefetch: flow = prefetch(needs); break;
      case State::Pick: flow = pick(); break;
      case State::Slot: flow = take_slot(needs); break;
      case State::Connecting: flow = connect(needs); break;
      case State::Running: flow = run(needs); break;
      case State::Done: return {.done = true};
    }
    if (flow == Flow::Progress) continue;
    const auto now = services_.clock.now();
    if (!armed_) arm(limit_);
    if (now >= deadline_) {
      (void)deadline_passed();
      continue;
    }
    Step step{.needs = needs, .deadline = deadline_};
    if (await_continue_) step.deadline = std::min(step.deadline, continue_deadline_);
    if (head_held_) step.deadline = std::min(step.deadline, held_until_);
    if (lease_ && lease_.stream() != nullptr) step.upstream_descriptor = lease_.stream()->descriptor();
    if ((needs & kPoolSlot) != 0) step.pool = &member().pool;
    return step;
  }
}

void Exchange::arm(base::Duration limit) {
  limit_ = limit;
  deadline_ = services_.clock.now() + limit;
  armed_ = true;
}

base::Duration Exchange::timeout() const { return member().spec.timeout.value_or(services_.default_timeout); }

// A read may sit in the kernel only when nothing else could happen meanwhile and the deadline is
// further away than the kernel's own limit.
Wait Exchange::wait_mode() {
  if (!services_.may_wait || sending_) return Wait::No;
  if (!armed_) arm(limit_);
  return deadline_ - services_.clock.now() > lease_.stream()->patience() ? Wait::Patience : Wait::No;
}

// ---------------------------------------------------------------- request body

// The first bytes are read before a member is chosen: a short body is then complete and can be sent
// with its length, and again to another member.
Exchange::Flow Exchange::prefetch(unsigned& needs) {
  limit_ = services_.default_timeout;
  const RequestFacts& facts = downstream_.facts();
  if (facts.body == BodyKind::None) body_complete_ = true;
  while (!body_complete_ && !facts.expects_continue && kept_.size() < kPrefetch) {
    const BodyPart part = downstream_.read_body(kPrefetch - kept_.size());
    if (part.kind == BodyPart::Kind::WouldBlock) {
      needs |= kClientReadable;
      return Flow::Waiting;
    }
    if (part.kind == BodyPart::Kind::Failed) return give_up({part.error, Phase::Send, true, 0});
    armed_ = false;
    if (!count_body(part.bytes)) return give_up({ProxyErrc::ClientBodyIncomplete, Phase::Send, true, 0});
    keep_body(part.parts, part.bytes);
    if (part.kind == BodyPart::Kind::End || part.last) body_complete_ = true;
  }
  if (body_complete_ && facts.body == BodyKind::Length && facts.length_is_exact && body_read_ != facts.length) {
    return give_up({ProxyErrc::ClientBodyIncomplete, Phase::Send, true, 0});
  }
  state_ = State::Pick;
  return Flow::Progress;
}

bool Exchange::count_body(std::size_t bytes) {
  const RequestFacts& facts = downstream_.facts();
  body_read_ += bytes;
  return facts.body != BodyKind::Length || !facts.length_is_exact || body_read_ <= facts.length;
}

void Exchange::keep_body(std::span<const ConstBuffer> parts, std::size_t bytes) {
  if (body_beyond_kept_ || kept_.size() + bytes > kKeptBody) {
    body_beyond_kept_ = body_beyond_kept_ || bytes > 0;
    return;
  }
  for (const ConstBuffer& part : parts) kept_.append(part.data, part.size);
}

// ---------------------------------------------------------------- where to

Exchange::Flow Exchange::pick() {
  armed_ = false;
  if (destination_.balancer != nullptr) {
    const auto chosen = destination_.balancer->pick(tried_, services_.clock.now(), downstream_.pick_observer());
    if (!chosen) {
      if (last_error_) return give_up(last_error_);
      failure_ = {ProxyErrc::NoUsableMember, Phase::Route, true, 0};
      downstream_.report({.error = failure_, .end = AttemptEnd::GaveUp, .number = attempts_ + 1});
      state_ = State::Done;
      return Flow::Progress;
    }
    member_index_ = *chosen;
    tried_.insert(member_index_);
  }
  replayed_ = false;
  fresh_ = false;
  ++attempts_;
  downstream_.member_chosen(member().spec, member_index_);
  state_ = State::Slot;
  return Flow::Progress;
}

Exchange::Flow Exchange::take_slot(unsigned& needs) {
  lease_ = member().pool.acquire(services_.clock.now(), fresh_);
  if (!lease_) {
    if (!armed_) arm(timeout());
    needs |= kPoolSlot;
    return Flow::Waiting;
  }
  armed_ = false;
  // One look before a kept connection is used: closed by the backend means a replay saved, and bytes
  // that nobody asked for would be taken for the answer (response queue poisoning).
  if (lease_.stream() != nullptr && !lease_.stream()->looks_idle()) lease_.close_stream();
  if (lease_.stream() != nullptr) return begin_request();
  resolver_error_.clear();
  addresses_ = member().addresses.addresses(services_.clock.now(), resolver_error_);
  if (!addresses_) return attempt_failed(ProxyErrc::NameNotResolved, Phase::Resolve, 0, resolver_error_);
  address_index_ = 0;
  return start_connect();
}

Exchange::Flow Exchange::start_connect() {
  const upstream::ConnectOptions options{.tcp_keepalive = member().spec.tcp_keepalive};
  auto stream = services_.connector.connect((*addresses_)[address_index_], options);
  state_ = State::Connecting;
  arm(member().spec.connect_timeout.value_or(timeout()));
  if (!stream) {
    if (++address_index_ < addresses_->size()) return start_connect();
    return attempt_failed(connect_errc(stream.error()), Phase::Connect, stream.error());
  }
  lease_.attach(std::move(stream.value()));
  return Flow::Progress;
}

Exchange::Flow Exchange::connect(unsigned& needs) {
  const IoResult result = lease_.stream()->finish_connect();
  if (result.status == IoStatus::WouldBlock) {
    needs |= kUpstreamWritable;
    return Flow::Waiting;
  }
  if (result.status == IoStatus::Ok) return begin_request();
  if (++address_index_ < addresses_->size()) return start_connect();
  return attempt_failed(connect_errc(result.os_error), Phase::Connect, result.os_error);
}

Exchange::Flow Exchange::begin_request() {
  const RequestFacts& facts = downstream_.facts();
  plan_ = HeadPlan{.keep_alive = member().spec.reuse};
  if (body_complete_) {
    const bool none = facts.body == BodyKind::None || (body_read_ == 0 && !facts.declared);
    plan_.body = none ? BodyKind::None : BodyKind::Length;
    plan_.length = body_read_;
  } else if (facts.body == BodyKind::Length && facts.length_is_exact) {
    plan_.body = BodyKind::Length;
    plan_.length = facts.length;
  } else {
    plan_.body = BodyKind::Chunked;
  }
  plan_.expect_continue = facts.expects_continue && body_read_ == 0 && !body_complete_;

  const ProxyErrc refused = downstream_.write_request_head(member().spec, plan_, head_);
  if (refused != ProxyErrc::None) return attempt_failed(refused, Phase::Send);

  queue_.clear();
  queue_at_ = 0;
  queue_.push_back({head_.data(), head_.size()});
  kept_queued_ = end_queued_ = send_broken_ = false;
  sent_bytes_ = 0;
  sending_ = true;
  await_continue_ = plan_.expect_continue;
  if (await_continue_) continue_deadline_ = services_.clock.now() + kContinueWait;
  codec_.emplace(facts.head_request);
  begin_ = end_ = 0;
  in_head_ = true;
  received_any_ = false;
  interims_ = 0;
  limit_ = timeout();
  armed_ = false;
  state_ = State::Running;
  return Flow::Progress;
}

// ---------------------------------------------------------------- sending

Exchange::Flow Exchange::run(unsigned& needs) {
  Flow flow = Flow::Waiting;
  if (sending_) flow = send(needs);
  if (state_ != State::Running) return Flow::Progress;
  if (receive(needs) == Flow::Progress) flow = Flow::Progress;
  return flow;
}

// One piece of the request a time: between two pieces the caller looks for an early answer.
Exchange::Flow Exchange::send(unsigned& needs) {
  if (!queue_more_body(needs)) return state_ == State::Running ? Flow::Waiting : Flow::Progress;
  Flow flow = Flow::Waiting;
  while (sending_ && queue_at_ < queue_.size()) {
    if (write_queue(needs) == Flow::Waiting) return flow;
    flow = Flow::Progress;
  }
  if (sending_ && queue_at_ == queue_.size() && (end_queued_ || plan_.body == BodyKind::None)) {
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
    if (queue_at_ < queue_.size()) return true;
    if (services_.clock.now() < continue_deadline_) return false;
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
  if (queue_at_ < queue_.size()) return true;
  const BodyPart part = downstream_.read_body(kBodyBuffer);
  switch (part.kind) {
    case BodyPart::Kind::WouldBlock: needs |= kClientReadable; return false;
    case BodyPart::Kind::Failed: (void)attempt_failed(part.error, Phase::Send); return false;
    case BodyPart::Kind::Data:
    case BodyPart::Kind::End: break;
  }
  armed_ = false;
  const bool last = part.kind == BodyPart::Kind::End || part.last;
  const RequestFacts& facts = downstream_.facts();
  const bool exact = facts.body == BodyKind::Length && facts.length_is_exact;
  if (!count_body(part.bytes) || (last && exact && body_read_ != facts.length)) {
    (void)attempt_failed(ProxyErrc::ClientBodyIncomplete, Phase::Send);
    return false;
  }
  if (facts.idempotent) {
    keep_body(part.parts, part.bytes);
  } else {
    body_beyond_kept_ = body_beyond_kept_ || part.bytes > 0;
  }
  queue_frame(part.parts, part.bytes);
  if (last) {
    body_complete_ = true;
    queue_body_end();
  }
  return true;
}

void Exchange::queue_frame(std::span<const ConstBuffer> parts, std::size_t bytes) {
  if (bytes == 0) return;
  if (queue_at_ == queue_.size()) {
    queue_.clear();
    queue_at_ = 0;
  }
  const bool chunked = plan_.body == BodyKind::Chunked;
  if (chunked) {
    char* const last = std::to_chars(frame_head_, frame_head_ + sizeof frame_head_ - 2, bytes, 16).ptr;
    std::memcpy(last, "\r\n", 2);
    queue_.push_back({frame_head_, static_cast<std::size_t>(last + 2 - frame_head_)});
  }
  queue_.insert(queue_.end(), parts.begin(), parts.end());
  if (chunked) queue_.push_back({"\r\n", 2});
}

void Exchange::queue_body_end() {
  end_queued_ = true;
  if (plan_.body == BodyKind::Chunked) queue_.push_back({"0\r\n\r\n", 5});
}

Exchange::Flow Exchange::write_queue(unsigned& needs) {
  const std::span<const ConstBuffer> pending{queue_.data() + queue_at_, queue_.size() - queue_at_};
  const IoResult result = lease_.stream()->write(pending, Wait::No);
  if (result.status == IoStatus::WouldBlock) {
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
  std::size_t left = result.bytes;
  while (queue_at_ < queue_.size() && left >= queue_[queue_at_].size) left -= queue_[queue_at_++].size;
  if (left > 0) {
    queue_[queue_at_].data += left;
    queue_[queue_at_].size -= left;
  }
  return Flow::Progress;
}

// ---------------------------------------------------------------- receiving

Exchange::Flow Exchange::receive(unsigned& needs) { return in_head_ ? receive_head(needs) : receive_body(needs); }

Exchange::Flow Exchange::receive_head(unsigned& needs) {
  if (!buffer_) {
    buffer_ = std::make_unique_for_overwrite<char[]>(kHeadBuffer);
    capacity_ = kHeadBuffer;
  }
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
  const IoResult result = lease_.stream()->read({buffer_.get() + end_, capacity_ - end_}, wait_mode());
  if (result.status == IoStatus::WouldBlock) {
    needs |= kUpstreamReadable;
    return Flow::Waiting;
  }
  if (result.status != IoStatus::Ok) return on_stream_end(result);
  armed_ = received_any_ && armed_;  // the head as a whole has one deadline, from its first byte on
  received_any_ = true;
  end_ += result.bytes;
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
  const bool wanted = !continues || await_continue_;
  if (continues) await_continue_ = false;
  if (wanted && !downstream_.send_interim(codec_->head())) return attempt_failed(ProxyErrc::ClientGone, Phase::Head);
  return Flow::Progress;
}

Exchange::Flow Exchange::on_head() {
  in_head_ = false;
  armed_ = false;
  if (await_continue_) {
    await_continue_ = false;  // the final answer came instead: the body is not sent at all
    sending_ = false;
    send_broken_ = true;
  }
  downstream_.send_head({.head = codec_->head(),
                         .body_follows = codec_->body_follows(),
                         .length = codec_->content_length(),
                         .request_taken = body_complete_});
  head_held_ = true;
  held_until_ = services_.clock.now() + kHeadHold;
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
  std::size_t want = kBodyBuffer;
  if (const auto left = codec_->body_left()) want = static_cast<std::size_t>(std::min<std::uint64_t>(want, *left));
  const std::span<char> into = downstream_.lend_buffer(want);
  // Look without waiting first: what the client has not seen yet must be flushed before a wait.
  const IoResult result = lease_.stream()->read(into, unflushed_ || head_held_ ? Wait::No : wait_mode());
  if (result.status == IoStatus::WouldBlock) {
    needs |= kUpstreamReadable;
    if (head_held_ && services_.clock.now() < held_until_) return Flow::Waiting;
    if (!unflushed_ && !head_held_) return Flow::Waiting;
    return pass(true) ? Flow::Progress : attempt_failed(ProxyErrc::ClientGone, Phase::Body);
  }
  if (result.status != IoStatus::Ok) return on_stream_end(result);
  armed_ = false;
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
  if (ended) {
    if (!bytes.empty()) lease_.discard();  // nobody asked for what follows: the connection is not clean
    return complete();
  }
  if (head_held_ && run_size == 0 && !borrowed) return Flow::Progress;
  return pass(false) ? Flow::Progress : attempt_failed(ProxyErrc::ClientGone, Phase::Body);
}

Exchange::Flow Exchange::on_stream_end(const IoResult& result) {
  const Phase phase = in_head_ ? Phase::Head : Phase::Body;
  if (result.status == IoStatus::Failed) {
    if (!in_head_) return attempt_failed(ProxyErrc::BodyReset, phase, result.os_error);
    return attempt_failed(received_any_ ? ProxyErrc::HeadIncomplete : ProxyErrc::ResetBeforeHead, phase, result.os_error);
  }
  const codec::Event event = codec_->end_of_stream(begin_ < end_);
  if (event.kind == codec::Event::Kind::End) return complete();
  return attempt_failed(codec_->error(), phase, 0, codec_->detail());
}

Exchange::Flow Exchange::complete() {
  // Back to the pool before the client has everything: a slow client must not hold a connection.
  const auto now = services_.clock.now();
  if (lease_ && codec_->reusable() && member().spec.reuse && !sending_ && !send_broken_) {
    lease_.keep(now);
  } else {
    lease_.discard();
  }
  if (destination_.balancer != nullptr) (void)destination_.balancer->succeeded(member_index_);
  state_ = State::Done;
  answer_started_ = true;
  if (!downstream_.finish()) {
    failure_ = {ProxyErrc::ClientGone, Phase::Body, false, 0};
    downstream_.report({.error = failure_, .end = AttemptEnd::GaveUp, .member = &member().spec, .number = attempts_});
  }
  return Flow::Progress;
}

// ---------------------------------------------------------------- failure

Exchange::Flow Exchange::deadline_passed() {
  armed_ = false;
  switch (state_) {
    case State::Prefetch: return give_up({ProxyErrc::ClientBodyTimeout, Phase::Send, true, 0});
    case State::Slot: return attempt_failed(ProxyErrc::PoolExhausted, Phase::Connect);
    case State::Connecting:
      if (++address_index_ < addresses_->size()) return start_connect();
      return attempt_failed(ProxyErrc::ConnectTimeout, Phase::Connect, ETIMEDOUT);
    case State::Running: break;
    case State::Pick:
    case State::Done: return Flow::Progress;
  }
  if (!in_head_) return attempt_failed(ProxyErrc::BodyTimeout, Phase::Body);
  if (!sending_) return attempt_failed(ProxyErrc::HeadTimeout, Phase::Head);
  if (queue_at_ < queue_.size()) return attempt_failed(ProxyErrc::SendTimeout, Phase::Send);
  return attempt_failed(await_continue_ ? ProxyErrc::HeadTimeout : ProxyErrc::ClientBodyTimeout, Phase::Send);
}

void Exchange::client_gone() {
  if (state_ == State::Done) return;
  (void)attempt_failed(ProxyErrc::ClientGone, in_head_ ? Phase::Head : Phase::Body);
}

bool Exchange::member_is_to_blame(const Error& error, bool reused) const {
  if (base::info(error.code).side != base::Side::Upstream) return false;
  if (error.phase == Phase::Resolve) return true;
  if (error.phase == Phase::Connect) return error.code != ProxyErrc::PoolExhausted;
  // A dead kept connection says nothing about the member, and a slow answer may be the request's fault.
  return !reused && looks_stale(error.code);
}

AttemptEnd Exchange::after_failure(const Error& error, bool reused) const {
  if (!another_member_may_help(error.code)) return AttemptEnd::GaveUp;
  if (body_beyond_kept_) return AttemptEnd::GaveUp;
  if (!error.nothing_sent && !downstream_.facts().idempotent) return AttemptEnd::GaveUp;
  if (reused && looks_stale(error.code) && !replayed_) return AttemptEnd::Replay;
  return destination_.balancer != nullptr ? AttemptEnd::NextMember : AttemptEnd::GaveUp;
}

Exchange::Flow Exchange::attempt_failed(ProxyErrc code, Phase phase, int os_error, std::string_view detail) {
  const bool reused = lease_.reused();
  const Error error{code, phase, sent_bytes_ == 0, os_error};
  AttemptReport report{.error = error, .member = &member().spec, .number = attempts_, .reused = reused, .detail = detail, .limit = limit_};
  lease_.discard();
  last_error_ = error;
  if (answer_started_) {
    failure_ = error;
    state_ = State::Done;
    downstream_.report(report);
    downstream_.cut();
    return Flow::Progress;
  }
  report.end = received_any_ && !head_held_ ? AttemptEnd::GaveUp : after_failure(error, reused);
  head_held_ = false;
  if (report.end != AttemptEnd::Replay && destination_.balancer != nullptr && member_is_to_blame(error, reused)) {
    report.marked_failed = destination_.balancer->failed(member_index_, services_.clock.now());
  }
  if (report.end == AttemptEnd::NextMember && destination_.members.size() <= attempts_) report.end = AttemptEnd::GaveUp;
  downstream_.report(report);
  sent_bytes_ = 0;
  armed_ = false;
  switch (report.end) {
    case AttemptEnd::Replay:
      replayed_ = fresh_ = true;
      state_ = State::Slot;
      break;
    case AttemptEnd::NextMember: state_ = State::Pick; break;
    default:
      failure_ = error;
      state_ = State::Done;
  }
  return Flow::Progress;
}

// Failures before any attempt, or when no attempt is left to make.
Exchange::Flow Exchange::give_up(const Error& error) {
  failure_ = error;
  if (attempts_ == 0) downstream_.report({.error = error, .end = AttemptEnd::GaveUp, .number = 1});
  state_ = State::Done;
  return Flow::Progress;
}

}  // namespace cxxproxy::exchange
