// What a failed attempt means: another one, or an answer to the client.
#include <cerrno>

#include "exchange/exchange.h"

namespace cxxproxy::exchange {

using base::Error;
using base::Phase;
using base::ProxyErrc;

namespace {

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
    case ProxyErrc::ContinueTimeout:
    case ProxyErrc::BodyTruncated:  // only counts while nothing was passed to the client
    case ProxyErrc::BodyReset: return true;
    default: return false;
  }
}

// How a kept connection dies that the backend had closed before our request came.
bool looks_stale(ProxyErrc code) noexcept {
  return code == ProxyErrc::ClosedBeforeHead || code == ProxyErrc::ResetBeforeHead || code == ProxyErrc::SendFailed;
}

// What this machine ran out of says nothing about the member.
bool is_local_shortage(int os_error) noexcept {
  return os_error == EMFILE || os_error == ENFILE || os_error == ENOBUFS || os_error == ENOMEM || os_error == EADDRNOTAVAIL;
}

}  // namespace

// What the exchange is at, for failures that can come at any time.
Phase Exchange::phase() const noexcept {
  switch (state_) {
    case State::Prefetch: return Phase::Send;
    case State::Pick:
    case State::Slot:
    case State::Connecting: return Phase::Connect;
    case State::Tunnel: return Phase::Tunnel;
    case State::Running:
    case State::Discarding:
    case State::Done: break;
  }
  if (!in_head_) return Phase::Body;
  return sending_ && !await_continue_ ? Phase::Send : Phase::Head;
}

Exchange::Flow Exchange::total_time_over() {
  limit_ = total_deadline_ - started_;
  if (state_ == State::Prefetch) return give_up({ProxyErrc::TotalTimeout, Phase::Send, true, 0});
  if (state_ == State::Pick) return give_up_pick(ProxyErrc::TotalTimeout);
  return attempt_failed(ProxyErrc::TotalTimeout, phase());
}

Exchange::Flow Exchange::deadline_passed() {
  armed_ = false;
  switch (state_) {
    case State::Prefetch: return give_up({ProxyErrc::ClientBodyTimeout, Phase::Send, true, 0});
    case State::Connecting:
      if (++address_index_ < addresses_->size()) return start_connect();
      return attempt_failed(ProxyErrc::ConnectTimeout, Phase::Connect, ETIMEDOUT);
    case State::Running: break;
    case State::Discarding: return end_discarding(false);
    case State::Tunnel: return tunnel_over(tunnel_end::kIdle);
    case State::Pick: return give_up_pick(wait_reason_);
    case State::Slot:
    case State::Done: return Flow::Progress;
  }
  if (!in_head_) return attempt_failed(client_is_slow_ ? ProxyErrc::ClientGone : ProxyErrc::BodyTimeout, Phase::Body);
  if (!sending_) return attempt_failed(ProxyErrc::HeadTimeout, Phase::Head);
  if (!out_->is_sent()) return attempt_failed(ProxyErrc::SendTimeout, Phase::Send);
  return attempt_failed(await_continue_ ? ProxyErrc::HeadTimeout : ProxyErrc::ClientBodyTimeout, Phase::Send);
}

void Exchange::client_gone() {
  if (state_ == State::Done) return;
  if (state_ == State::Tunnel) {
    if (up_ended_) (void)tunnel_over(tunnel_end::kClientGone);
    return;  // else its end is read
  }
  if (state_ == State::Prefetch || state_ == State::Pick) {
    (void)give_up({ProxyErrc::ClientGone, phase(), true, 0});
  } else {
    (void)attempt_failed(ProxyErrc::ClientGone, phase());
  }
}

bool Exchange::member_is_to_blame(const Error& error, bool reused) const {
  if (base::info(error.code).side != base::Side::Upstream) return false;
  if (error.phase == Phase::Resolve) return true;
  if (error.phase == Phase::Connect && error.code != ProxyErrc::TotalTimeout) {
    return !is_local_shortage(error.os_error);
  }
  if (error.code == ProxyErrc::ContinueTimeout) return true;
  // A dead kept connection says nothing about the member, and a slow answer may be the request's fault.
  return !reused && looks_stale(error.code);
}

balancer::Failure Exchange::failure_for_member(const Error& error, bool reused) const {
  using balancer::Failure;
  if (member_is_to_blame(error, reused)) return Failure::Unusable;
  if (base::info(error.code).side != base::Side::Upstream || error.phase == Phase::Connect) return Failure::NotItsFault;
  if (error.code == ProxyErrc::TotalTimeout || (reused && looks_stale(error.code))) return Failure::NotItsFault;
  return error.code == ProxyErrc::HeadTimeout || error.code == ProxyErrc::BodyTimeout ? Failure::Slow : Failure::Bad;
}

// A refused connection hurts nobody; all else is a matter of the request and of `replay`.
bool Exchange::may_be_sent_again(const Error& error) const {
  const RequestFacts& facts = downstream_.facts();
  if (error.code == ProxyErrc::ContinueTimeout) return true;  // the backend was asked first whether it will
  switch (member().spec.replay) {
    case config::Replay::Off: return error.nothing_sent && (error.phase == Phase::Connect || error.phase == Phase::Resolve);
    case config::Replay::Safe: return error.nothing_sent || facts.safe;
    case config::Replay::On: break;
  }
  return error.nothing_sent || facts.idempotent;
}

AttemptEnd Exchange::after_failure(const Error& error, bool reused) const {
  if (!another_member_may_help(error.code)) return AttemptEnd::GaveUp;
  if (body_beyond_kept_) return AttemptEnd::GaveUp;
  if (!error.nothing_sent && body_read_ > member().spec.replay_body) return AttemptEnd::GaveUp;
  if (!may_be_sent_again(error)) return AttemptEnd::GaveUp;
  if (reused && looks_stale(error.code) && !replayed_) return AttemptEnd::Replay;
  return destination_.balancer != nullptr ? AttemptEnd::NextMember : AttemptEnd::GaveUp;
}

// The attempt is over for its member, which may have to rest for it.
void Exchange::tell_balancer(AttemptReport& report) {
  const balancer::Consequence consequence = flight_.failed(failure_for_member(report.error, report.reused), services_.clock.now());
  report.rested = consequence.rest;
  report.rest = consequence.rest_for;
  flight_.end();
}

Exchange::Flow Exchange::attempt_failed(ProxyErrc code, Phase phase, int os_error, std::string_view detail) {
  const bool reused = lease_.reused();
  // With `ping` a head that asks first is no request yet.
  const bool only_asked = await_continue_ && member().spec.ping;
  const Error error{code, phase, sent_bytes_ == 0 || only_asked, os_error};
  AttemptReport report{.error = error, .member = &member().spec, .number = attempts_, .reused = reused, .detail = detail, .limit = limit_};
  lease_.close_stream();
  if (answer_started_) {
    leave_slot(false);
    failure_ = error;
    state_ = State::Done;
    report.answer_begun = true;
    tell_balancer(report);
    downstream_.report(report);
    downstream_.cut();
    return Flow::Progress;
  }
  report.end = received_any_ && !head_held_ ? AttemptEnd::GaveUp : after_failure(error, reused);
  head_held_ = false;
  // A replay is the same attempt: it keeps its slot.
  if (report.end != AttemptEnd::Replay) {
    leave_slot(false);
    tell_balancer(report);
  }
  if (report.end == AttemptEnd::NextMember) {
    if (!tried_) tried_.emplace();
    tried_->insert(member_index_);
    if (destination_.balancer->may_try_again(attempts_)) choose_member(downstream_.pick_hint());
    if (!next_member_) report.end = AttemptEnd::GaveUp;
  }
  downstream_.report(report);
  // Nothing of this attempt may colour what the next one meets before its own request begins.
  sent_bytes_ = 0;
  armed_ = received_any_ = await_continue_ = false;
  in_head_ = true;
  switch (report.end) {
    case AttemptEnd::Replay:
      replayed_ = true;
      state_ = State::Slot;
      break;
    case AttemptEnd::NextMember: state_ = State::Pick; break;
    default:
      failure_ = error;
      state_ = State::Done;
  }
  return Flow::Progress;
}

// Failures outside of an attempt.
Exchange::Flow Exchange::give_up(const Error& error) {
  leave_line();
  failure_ = error;
  const bool alone = destination_.balancer == nullptr && !destination_.members.empty();
  const config::MemberSpec* const only = state_ == State::Pick && alone ? &destination_.members[0]->spec : nullptr;
  downstream_.report({.error = error, .end = AttemptEnd::GaveUp, .member = only, .number = attempts_ + 1, .limit = limit_});
  state_ = State::Done;
  return Flow::Progress;
}

}  // namespace cxxproxy::exchange
