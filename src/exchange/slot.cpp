// Which member serves, and the right to a connection to it: at once, or after a wait in the line.
#include <algorithm>
#include <utility>

#include "exchange/exchange.h"

namespace cxxproxy::exchange {

using balancer::MemberSet;
using balancer::WaitingLine;
using base::Duration;
using base::Phase;
using base::ProxyErrc;

namespace {

// What a client is told to wait before it asks again.
constexpr std::chrono::seconds kShortestRetryAfter{1};
constexpr std::chrono::seconds kLongestRetryAfter{30};

bool has_limit(const config::MemberSpec& member) noexcept { return member.max != 0 || member.max_total != 0; }

}  // namespace

// What a look for a slot has found: a slot (error None), or why there is none and what to wait for.
struct Exchange::Search {
  ProxyErrc error = ProxyErrc::None;
  MemberSet wants{};
  bool for_permit = false;
};

const balancer::TriedSet& Exchange::tried() const noexcept {
  static constexpr balancer::TriedSet kNone{};
  return tried_ ? *tried_ : kNone;
}

void Exchange::choose_member(const balancer::PickHint& hint) {
  const auto now = step_time();
  next_member_ = destination_.balancer->pick(tried(), now, downstream_.pick_observer(), hint);
  if (next_member_) flight_.begin(*destination_.balancer, *next_member_, now);
}

balancer::PickHint Exchange::pick_hint() {
  const balancer::PickHint hint = downstream_.pick_hint();
  const auto& routes = destination_.balancer->spec().routes;
  lane_ = hint.route < routes.size() ? WaitingLine::lane_of_member(routes[hint.route].members.front())
          : !tried_                  ? WaitingLine::kAnyMember
                                     : WaitingLine::kFurtherAttempt;
  return hint;
}

Exchange::Flow Exchange::pick(unsigned& needs) {
  const Search search = find_slot();
  if (search.error != ProxyErrc::None) return wait_in_line(search, needs);
  leave_line();
  return begin_attempt();
}

Exchange::Search Exchange::find_slot() {
  WaitingLine* const line = destination_.line;
  const bool others = line != nullptr && line->waiting() > 0;
  if (destination_.balancer == nullptr) {
    const bool may_try = !others || line->may_try(waiter(), lane_);
    if (may_try && take_slot(0, others ? line->barred_for(waiter()) : MemberSet{})) return {};
    Search search{.error = ProxyErrc::PoolExhausted};
    search.wants.insert(0);
    search.for_permit = line != nullptr && line->has_total(0) && destination_.members[0]->pool.has_room();
    return search;
  }
  balancer::PickHint hint = pick_hint();
  MemberSet barred;
  MemberSet busy;
  if (others && !line->may_try(waiter(), lane_)) {
    for (std::size_t i = 0; i < destination_.members.size(); ++i) busy.insert(i);
    hint.busy = &busy;
  } else if (others) {
    barred = line->barred_for(waiter());
  }
  if (waits() && hint.busy == nullptr) {
    busy = members_without_slot(barred);
    hint.busy = &busy;
  }
  // Each turn makes another member busy, or is the last.
  for (;;) {
    if (!next_member_ && (hint.busy == nullptr || busy.size() < destination_.members.size())) choose_member(hint);
    const auto chosen = std::exchange(next_member_, std::nullopt);
    if (!chosen) break;
    if (!busy.contains(*chosen) && take_slot(*chosen, barred)) {
      member_index_ = *chosen;
      return {};
    }
    flight_.passed_over();
    if (busy.contains(*chosen)) break;  // a session waits for its own
    if (hint.busy == nullptr) busy = members_without_slot(barred);
    busy.insert(*chosen);
    hint.busy = &busy;
  }
  hint.busy = nullptr;
  const MemberSet wants = destination_.balancer->candidates(tried(), services_.clock.now(), downstream_.pick_observer(), hint);
  Search search{.error = ProxyErrc::PoolExhausted, .wants = wants};
  if (search.wants.empty()) return {.error = ProxyErrc::NoUsableMember};
  for (std::size_t i = 0; line != nullptr && line->has_totals() && i < destination_.members.size(); ++i) {
    if (search.wants.contains(i) && line->has_total(i) && destination_.members[i]->pool.has_room()) search.for_permit = true;
  }
  return search;
}

bool Exchange::has_room(std::size_t index) const {
  return destination_.members[index]->pool.has_room() && (destination_.line == nullptr || destination_.line->has_permit(index));
}

MemberSet Exchange::members_without_slot(const MemberSet& barred) {
  MemberSet without = barred;
  const auto now = step_time();
  for (std::size_t i = 0; i < destination_.members.size(); ++i) {
    if (without.contains(i) || !has_limit(destination_.members[i]->spec)) continue;
    const bool free = has_room(i) && (destination_.line == nullptr || !destination_.line->belongs_elsewhere(waiter(), i, now));
    if (!free) without.insert(i);
  }
  return without;
}

bool Exchange::take_slot(std::size_t index, const MemberSet& barred) {
  const RequestFacts& facts = downstream_.facts();
  upstream::ConnectionPool& pool = destination_.members[index]->pool;
  WaitingLine* const line = destination_.line;
  const auto now = step_time();
  if (line != nullptr && has_limit(destination_.members[index]->spec)) {
    if (barred.contains(index) || !has_room(index) || line->belongs_elsewhere(waiter(), index, now)) return false;
    if (line->has_total(index)) {
      permit_ = line->take_permit(index);
      if (!permit_) return false;
    }
  }
  lease_ = pool.acquire(now, facts.fresh_connection || !facts.keep_alive || facts.http10, told_);
  if (lease_) return true;
  if (permit_) {
    permit_.give_back();
    line->slot_freed(index);  // somebody may have missed it meanwhile
  }
  return false;
}

void Exchange::leave_slot(bool keep) noexcept {
  if (!lease_) return;
  if (keep) {
    lease_.keep(step_time());
  } else {
    lease_.discard();
  }
  permit_.give_back();
  if (destination_.line != nullptr && has_limit(member().spec)) destination_.line->slot_freed(member_index_);
}

// ---------------------------------------------------------------- waiting

Duration Exchange::longest_wait(ProxyErrc reason) const {
  const config::BalancerSpec* const group = destination_.balancer != nullptr ? &destination_.balancer->spec() : nullptr;
  if (reason == ProxyErrc::NoUsableMember) return group->wait_for_member;
  if (group != nullptr && group->queue_timeout) return *group->queue_timeout;
  Duration longest = Duration::zero();
  for (const upstream::MemberUpstream* member : destination_.members) {
    const config::MemberSpec& spec = member->spec;
    longest = std::max(longest, spec.acquire.value_or(spec.timeout.value_or(services_.default_timeout)));
  }
  return longest;
}

std::chrono::seconds Exchange::retry_after() const noexcept {
  return std::clamp(std::chrono::ceil<std::chrono::seconds>(limit_), kShortestRetryAfter, kLongestRetryAfter);
}

Exchange::Flow Exchange::give_up_pick(ProxyErrc reason) {
  return give_up({reason, reason == ProxyErrc::NoUsableMember ? Phase::Route : Phase::Connect, true, 0});
}

Exchange::Flow Exchange::wait_in_line(const Search& search, unsigned& needs) {
  const auto now = services_.clock.now();
  WaitingLine* const line = destination_.line;
  limit_ = longest_wait(search.error);
  if (line == nullptr || limit_ <= Duration::zero()) return give_up_pick(search.error);
  if (!waits()) {
    wait_began_ = now;
    if (attempts_ == 0) total_deadline_ = longest_total_deadline();
  }
  if (!line->stay(waiter(), lane_, search.wants, search.for_permit, now)) return give_up_pick(ProxyErrc::QueueFull);
  wait_reason_ = search.error;
  deadline_ = wait_began_ + limit_;
  armed_ = true;
  look_again_ = base::Instant::max();
  if (line->is_first(waiter())) look_again_ = now + (search.for_permit ? WaitingLine::kGrace : WaitingLine::kLook);
  needs |= kPoolSlot;
  return Flow::Waiting;
}

}  // namespace cxxproxy::exchange
