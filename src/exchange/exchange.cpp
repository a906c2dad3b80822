#include "exchange/exchange.h"

#include <algorithm>
#include <cerrno>
#include <utility>

#include "http/upgrade.h"

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

}  // namespace

Exchange::Exchange(const Destination& destination, Downstream& downstream, const Services& services)
    : destination_(destination),
      downstream_(downstream),
      services_(services),
      may_wait_(services.may_wait),
      started_(services.clock.now()),
      step_time_(started_),
      total_deadline_(downstream.facts().body == BodyKind::None ? base::Instant::max() : longest_total_deadline()) {}

// Until a member is chosen the request has the longest of the members' total timeouts; one member
// without a limit means none.
base::Instant Exchange::longest_total_deadline() const {
  base::Duration longest = base::Duration::zero();
  for (const upstream::MemberUpstream* member : destination_.members) {
    if (!member->spec.total_timeout) return base::Instant::max();
    longest = std::max(longest, *member->spec.total_timeout);
  }
  return destination_.members.empty() ? base::Instant::max() : started_ + longest;
}

Step Exchange::step() {
  down_dry_ = up_dry_ = pauses_ = false;
  moved_ = 0;
  for (;;) {
    const bool limited = total_deadline_ != base::Instant::max() && (state_ != State::Pick || waits()) && state_ < State::Discarding;
    if (limited && services_.clock.now() >= total_deadline_) {
      (void)total_time_over();
      continue;
    }
    unsigned needs = 0;
    waited_ = false;
    Flow flow = Flow::Progress;
    switch (state_) {
      case State::Prefetch: flow = prefetch(needs); break;
      case State::Pick: flow = pick(needs); break;
      case State::Slot: flow = use_slot(); break;
      case State::Connecting: flow = connect(needs); break;
      case State::Running: flow = run(needs); break;
      case State::Discarding: flow = discard(needs); break;
      case State::Tunnel: flow = tunnel(needs); break;
      case State::Done: return {.done = true};
    }
    if (flow == Flow::Progress) continue;
    const auto now = step_time();
    step_time_.reset();
    if (!armed_) arm(limit_, now);
    if (now >= deadline_) {
      (void)deadline_passed();
      continue;
    }
    Step step{.needs = needs, .deadline = std::min(deadline_, total_deadline_), .waited = waited_, .pause = pauses_};
    if (hopes_ || state_ == State::Tunnel) step.waited = !hopes_ || !hope_.worth_it();
    // Not while the head itself is stuck: nothing could be done about the 100 then.
    if (sending_ && await_continue_ && out_->is_sent()) step.deadline = std::min(step.deadline, continue_deadline_);
    if (state_ > State::Pick) step.member = &member().spec;
    step.tunnel = state_ == State::Tunnel;
    if (step.tunnel) step.deadline = std::min(step.deadline, tunnel_deadline_);
    if (head_held_) step.deadline = std::min(step.deadline, held_until_);
    if (lease_) step.upstream = lease_.stream();
    if ((needs & kPoolSlot) != 0) {
      step.line = destination_.line;
      step.waiter = &*waiter_;
      step.deadline = std::min(step.deadline, look_again_);
    }
    return step;
  }
}

// A step on a loop waits for nothing, so all of it happens at one time: looks at the clock are a part of what it costs.
base::Instant Exchange::step_time() noexcept {
  if (!told_) return services_.clock.now();
  if (!step_time_) step_time_ = services_.clock.now();
  return *step_time_;
}

void Exchange::arm(base::Duration limit, base::Instant now) {
  limit_ = limit;
  deadline_ = now + limit;
  armed_ = true;
}

base::Duration Exchange::timeout() const { return member().spec.timeout.value_or(services_.default_timeout); }

std::size_t Exchange::body_buffer(std::size_t unless_set) const {
  if (member().spec.io_buffer_size != 0) return member().spec.io_buffer_size;
  return services_.body_buffer != 0 ? services_.body_buffer : unless_set;
}

// A read may sit in the kernel only when nothing else could happen meanwhile and the deadline is
// further away than the kernel's own limit.
Wait Exchange::wait_mode() {
  if (!may_wait_ || sending_) return no_wait();
  if (!armed_) arm(limit_);
  waited_ = std::min(deadline_, total_deadline_) - services_.clock.now() > lease_.stream()->patience();
  return waited_ && (!can_park_ || member().inline_waits.worth_it()) ? Wait::Patience : no_wait();
}

IoResult Exchange::read_upstream(std::span<char> into) {
  const Wait wait = wait_mode();
  const IoResult result = lease_.stream()->read(into, wait);
  if (wait == Wait::Patience && can_park_) {
    if (result.status == IoStatus::WouldBlock) member().inline_waits.was_in_vain();
    else member().inline_waits.came_in_time();
  }
  return result;
}

void Exchange::about_to_wait() {
  if (!head_held_) shrink_buffer();
  if (!sending_) drop_outgoing();
  if (std::exchange(hopes_, false)) hope_.was_in_vain();
  downstream_.about_to_wait();
}

// ---------------------------------------------------------------- request body

// The first bytes are read before a member is chosen: a short body is then complete and can be sent
// with its length, and again to another member.
Exchange::Flow Exchange::prefetch(unsigned& needs) {
  limit_ = services_.default_timeout;
  const RequestFacts& facts = downstream_.facts();
  if (facts.body == BodyKind::None) body_complete_ = true;
  while (!body_complete_ && !facts.expects_continue && kept_.size() < kPrefetchEnough) {
    const BodyPart part = downstream_.read_body(kPrefetch - kept_.size());
    if (part.kind == BodyPart::Kind::WouldBlock) {
      needs |= kClientReadable;
      return Flow::Waiting;
    }
    if (part.kind == BodyPart::Kind::Failed) return give_up({part.error, Phase::Send, true, 0});
    armed_ = false;
    if (!count_body(part.bytes)) return give_up({ProxyErrc::ClientBodyIncomplete, Phase::Send, true, 0});
    for (const ConstBuffer& piece : part.parts) kept_.append(piece.data, piece.size);
    if (is_last(part)) body_complete_ = true;
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

// A length that is certain ends the body by itself: the answer may come before the client side says so,
// and would otherwise look early.
bool Exchange::is_last(const BodyPart& part) const {
  const RequestFacts& facts = downstream_.facts();
  const bool exact = facts.body == BodyKind::Length && facts.length_is_exact;
  return part.kind == BodyPart::Kind::End || part.last || (exact && body_read_ == facts.length);
}

// Called while nothing that was kept waits to be sent. A body that cannot be kept whole is not kept.
void Exchange::keep_body(std::span<const ConstBuffer> parts, std::size_t bytes) {
  if (bytes == 0 || body_beyond_kept_) return;
  const RequestFacts& facts = downstream_.facts();
  const std::size_t limit = member().spec.replay_body;
  const bool too_long = facts.body == BodyKind::Length && facts.length_is_exact && facts.length > limit;
  if (!facts.idempotent || too_long || kept_.size() + bytes > limit) {
    body_beyond_kept_ = true;
    kept_ = std::string();
    return;
  }
  for (const ConstBuffer& part : parts) kept_.append(part.data, part.size);
}

// ---------------------------------------------------------------- where to

Exchange::Flow Exchange::begin_attempt() {
  replayed_ = false;
  armed_ = false;
  ++attempts_;
  total_deadline_ = member().spec.total_timeout ? started_ + *member().spec.total_timeout : base::Instant::max();
  downstream_.member_chosen(member().spec, member_index_);
  state_ = State::Slot;
  return Flow::Progress;
}

// With a slot.
Exchange::Flow Exchange::use_slot() {
  armed_ = false;
  // One look before a kept connection is used: closed by the backend means a replay saved, and bytes
  // that nobody asked for would be taken for the answer (response queue poisoning). A loop may know already;
  // its word is a moment old, which is not enough for what cannot be sent again.
  if (lease_.stream() != nullptr && !(downstream_.facts().idempotent && lease_.stream()->known_idle()) && !lease_.stream()->looks_idle()) {
    lease_.close_stream();
  }
  if (lease_.stream() != nullptr) return begin_request();
  resolver_error_.clear();
  addresses_ = member().addresses.addresses(services_.clock.now(), resolver_error_);
  if (!addresses_) return attempt_failed(ProxyErrc::NameNotResolved, Phase::Resolve, 0, resolver_error_);
  address_index_ = 0;
  return start_connect();
}

Exchange::Flow Exchange::start_connect() {
  const config::MemberSpec& spec = member().spec;
  const upstream::ConnectOptions options{.tcp_keepalive = spec.tcp_keepalive,
                                         .receive_buffer = spec.receive_buffer_size != 0 ? spec.receive_buffer_size : services_.receive_buffer,
                                         .source = services_.source};
  auto stream = services_.connector.connect((*addresses_)[address_index_], options);
  state_ = State::Connecting;
  arm(member().spec.connect_timeout.value_or(timeout()));
  if (address_index_ == 0) connect_began_ = deadline_ - limit_;
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
  if (result.status == IoStatus::Ok) {
    facts_.connect = std::chrono::duration_cast<base::Duration>(services_.clock.now() - connect_began_);
    return begin_request();
  }
  if (++address_index_ < addresses_->size()) return start_connect();
  return attempt_failed(connect_errc(result.os_error), Phase::Connect, result.os_error);
}

void Exchange::count_sent(std::uint64_t bytes) noexcept {
  flight_.sent(bytes);
  facts_.bytes_up += bytes;
}

void Exchange::count_received(std::uint64_t bytes) noexcept {
  flight_.received(bytes);
  facts_.bytes_down += bytes;
}

Exchange::Flow Exchange::begin_request() {
  const RequestFacts& facts = downstream_.facts();
  facts_.reused = lease_.reused();
  facts_.address = lease_.stream()->peer();
  facts_.local_port = lease_.stream()->local_port();
  plan_ = HeadPlan{.keep_alive = member().spec.reuse && facts.keep_alive && !facts.http10, .http10 = facts.http10};
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
  const bool client_waits = facts.expects_continue && body_read_ == 0 && !body_complete_;
  const bool has_content = plan_.body == BodyKind::Chunked || (plan_.body == BodyKind::Length && plan_.length > 0);
  plan_.expect_continue = !facts.http10 && (client_waits || (member().spec.ping && has_content));

  // Only a request without a body can switch: its end would not be known to the new protocol.
  if (body_complete_ && body_read_ == 0 && !facts.http10) plan_.upgrade = http::choose_upgrade(facts.upgrade, member().spec.upgrade);

  provide_outgoing();
  const ProxyErrc refused = downstream_.write_request_head(member().spec, plan_, out_->head);
  if (refused != ProxyErrc::None) return attempt_failed(refused, Phase::Send);

  out_->queue.assign(1, {out_->head.data(), out_->head.size()});
  out_->at = 0;
  kept_queued_ = end_queued_ = send_broken_ = false;
  sent_bytes_ = 0;
  sending_ = true;
  await_continue_ = plan_.expect_continue;
  http::HeadLimits limits;
  limits.field = member().spec.response_field_size;
  limits.head = std::max(limits.head, 2 * limits.field);
  codec_.emplace(facts.head_request, limits, facts.bad_header, plan_.upgrade);
  begin_ = end_ = 0;
  in_head_ = true;
  received_any_ = false;
  interims_ = 0;
  limit_ = timeout();
  armed_ = false;
  state_ = State::Running;
  return Flow::Progress;
}

}  // namespace cxxproxy::exchange
