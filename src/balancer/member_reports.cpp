// What attempts tell of a member, and what it means for its state.
#include <algorithm>

#include "balancer/balancer.h"
#include "balancer/outcome_window.h"

namespace cxxproxy::balancer {
namespace {

using base::micros;

constexpr auto kRelaxed = std::memory_order_relaxed;
constexpr auto kRelease = std::memory_order_release;

constexpr bool ignores_errors(std::uint32_t status) noexcept { return (status & bit(config::StatusFlag::IgnoreErrors)) != 0; }

}  // namespace

bool Balancer::failed(std::size_t index, base::Instant now) noexcept {
  if (index >= members_.size()) return false;
  members_[index]->failures.fetch_add(1, kRelaxed);
  return mark(index, RestReason::Failed, now).rest != RestReason::None;
}

Consequence Balancer::mark(std::size_t index, RestReason reason, base::Instant now) noexcept {
  MemberSlot& member = *members_[index];
  if (ignores_errors(status_of(index)) || spec_.members[index].retry.count() <= 0) return {};
  const std::int64_t at = std::max<std::int64_t>(1, micros(now));
  std::int64_t since = 0;
  if (member.failed_at.compare_exchange_strong(since, at)) {
    state_moved();
    return {reason, spec_.members[index].retry, false};
  }
  // Tried although it rested, and it still does not serve: the rest begins anew. Otherwise this is a
  // late word from before the rest and changes nothing.
  if (slot_.forced.load(kRelaxed) != 0) member.failed_at.compare_exchange_strong(since, at);
  return {};
}

bool Balancer::succeeded(std::size_t index) noexcept {
  if (index >= members_.size() || slot_.forced.load(kRelaxed) == 0) return false;
  std::uint32_t forced = 1;
  if (!slot_.forced.compare_exchange_strong(forced, 0)) return false;
  for (MemberSlot* member : members_) member->failed_at.store(0, kRelease);
  state_moved();
  return true;
}

Consequence Balancer::answered(std::size_t index, int status, std::optional<base::Duration> latency, base::Instant now) noexcept {
  if (index >= members_.size()) return {};
  MemberSlot& member = *members_[index];
  if (latency) add_latency(member.latency, *latency, now);
  if (status >= 500) member.errors.fetch_add(1, kRelaxed);
  const std::vector<std::uint16_t>& failing = spec_.fail_on_status;
  if (!failing.empty() && std::find(failing.begin(), failing.end(), status) != failing.end()) {
    member.failures.fetch_add(1, kRelaxed);
    return mark(index, RestReason::Status, now);
  }
  const bool recovered = succeeded(index);
  Consequence made = judge(index, status >= 500, now);
  made.recovered = recovered;
  return made;
}

Consequence Balancer::attempt_failed(std::size_t index, Failure failure, base::Instant now) noexcept {
  if (index >= members_.size() || failure == Failure::NotItsFault) return {};
  if (failure == Failure::Unusable || (failure == Failure::Slow && spec_.fail_on_timeout)) {
    members_[index]->failures.fetch_add(1, kRelaxed);
    const Consequence marked = mark(index, failure == Failure::Slow ? RestReason::Timeout : RestReason::Failed, now);
    if (marked.rest != RestReason::None) return marked;
  } else {
    members_[index]->failures.fetch_add(1, kRelaxed);
  }
  return judge(index, true, now);
}

// ---------------------------------------------------------------- ejection

Consequence Balancer::judge(std::size_t index, bool bad, base::Instant now) noexcept {
  const config::Ejection& rule = spec_.ejection;
  if (!rule.is_on()) return {};
  MemberSlot& member = *members_[index];
  if (!bad && rule.failures_in_a_row != 0 && member.failures_in_a_row.load(kRelaxed) != 0) member.failures_in_a_row.store(0, kRelaxed);
  if (rule.rate_percent != 0) {
    const Outcomes seen = count_outcome(member.outcomes, bad, now, rule.window);
    const bool enough = seen.attempts >= rule.least_attempts;
    if (bad && enough && std::uint64_t{seen.failures} * 100 >= std::uint64_t{seen.attempts} * rule.rate_percent) {
      return eject(index, RestReason::FailureRate, now);
    }
  }
  if (bad && rule.failures_in_a_row != 0 && member.failures_in_a_row.fetch_add(1, kRelaxed) + 1 >= rule.failures_in_a_row) {
    return eject(index, RestReason::FailuresInARow, now);
  }
  return {};
}

Consequence Balancer::eject(std::size_t index, RestReason reason, base::Instant now) noexcept {
  const config::Ejection& rule = spec_.ejection;
  MemberSlot& member = *members_[index];
  if (is_failed(index) || ignores_errors(status_of(index))) return {};
  // Quiet for the longest time: what was before is forgotten.
  const std::int64_t back = member.back_at.load(kRelaxed);
  const std::uint32_t before = back == 0 || micros(now) - back > rule.longest.count() ? 0 : member.ejections.load(kRelaxed);
  const std::int64_t length = std::min(rule.longest.count(), rule.first.count() * (std::int64_t{before} + 1));
  const auto too_many = [&](std::size_t more) {
    for (std::size_t i = 0; i < members_.size(); ++i) more += is_ejected(i) ? 1 : 0;
    return more * 100 > members_.size() * rule.most_percent;
  };
  // Looked at before, so that nobody sees an ejection that is not one, and after it for those that others began meanwhile.
  std::int64_t until = 0;
  if (is_ejected(index) || too_many(1) || !member.ejected_until.compare_exchange_strong(until, micros(now) + length)) return {};
  if (too_many(0)) {
    member.ejected_until.store(0, kRelease);
    state_moved();
    return {};
  }
  member.ejections.store(before + 1, kRelaxed);
  member.failures_in_a_row.store(0, kRelaxed);
  member.outcomes.store(0, kRelaxed);
  state_moved();
  return {reason, base::Duration(length), false};
}

void Balancer::add_bytes(std::size_t index, std::uint64_t to_member, std::uint64_t from_member) noexcept {
  if (index >= members_.size()) return;
  members_[index]->bytes_to_member.fetch_add(to_member, kRelaxed);
  members_[index]->bytes_from_member.fetch_add(from_member, kRelaxed);
  if (policy_->needs_traffic()) members_[index]->traffic.fetch_add(to_member + from_member, kRelaxed);
}

std::uint32_t Balancer::in_flight(std::size_t index) const noexcept {
  return index < members_.size() ? shared_.flights.in_all(rows_[index]) : 0;
}
}  // namespace cxxproxy::balancer
