#include "balancer/balancer.h"

#include <algorithm>
#include <cassert>
#include <limits>

namespace cxxproxy::balancer {

namespace {

using config::StatusFlag;

constexpr auto kRelaxed = std::memory_order_relaxed;
constexpr auto kAcquire = std::memory_order_acquire;
constexpr auto kRelease = std::memory_order_release;

// A first turn never goes there, whatever else is down. Sticky requests may reach a draining member.
constexpr std::uint32_t kNotOffered =
    bit(StatusFlag::Disabled) | bit(StatusFlag::Stopped) | bit(StatusFlag::Drain) | bit(StatusFlag::CheckFailed);
// Taken out by the administrator: a rest does not end by itself.
constexpr std::uint32_t kTakenOut = bit(StatusFlag::Disabled) | bit(StatusFlag::Stopped);

constexpr bool has(std::uint32_t status, StatusFlag flag) noexcept { return (status & bit(flag)) != 0; }

constexpr std::int64_t micros(base::Instant instant) noexcept { return instant.time_since_epoch().count(); }

std::vector<std::uint32_t> weights_of(const config::BalancerSpec& spec) {
  std::vector<std::uint32_t> weights;
  weights.reserve(spec.members.size());
  for (const config::MemberSpec& member : spec.members) weights.push_back(member.loadfactor);
  return weights;
}

}  // namespace

Balancer::Balancer(const config::BalancerSpec& spec, BalancerSlot& slot, std::span<MemberSlot* const> members)
    : spec_(spec), slot_(slot), members_(members.begin(), members.end()), policy_(weights_of(spec)) {
  assert(members_.size() == spec_.members.size());
}

std::optional<std::size_t> Balancer::pick(const TriedSet& tried, base::Instant now,
                                          PickObserver* observer) noexcept {
  if (!view_is_valid(now)) refresh(now, observer);
  if (!tried.empty()) return pick_again(tried);
  const Order* order = order_.load(kAcquire);
  if (order == nullptr) return std::nullopt;
  const std::uint64_t turn = slot_.ticket.fetch_add(1, kRelaxed);
  while (order != nullptr) {
    if (const std::optional<std::size_t> index = order->at(turn)) return chosen(*index);
    order = order_.load(kAcquire);  // its memory serves another set by now
  }
  return std::nullopt;
}

// Rare and therefore simple: looks at all members and takes the next point of a sequence that gives
// each of those that are left its weight's share.
std::optional<std::size_t> Balancer::pick_again(const TriedSet& tried) noexcept {
  MemberSet left = usable(tried, Failed::Excluded);
  if (left.empty()) left = usable(tried, Failed::Forgiven);
  std::uint64_t sum = 0;
  for (std::size_t i = 0; i < members_.size(); ++i) {
    if (left.contains(i)) sum += spec_.members[i].loadfactor;
  }
  if (sum == 0) return std::nullopt;
  std::uint64_t point = golden_point(slot_.retry_ticket.fetch_add(1, kRelaxed), sum);
  for (std::size_t i = 0; i < members_.size(); ++i) {
    if (!left.contains(i)) continue;
    if (point < spec_.members[i].loadfactor) return chosen(i);
    point -= spec_.members[i].loadfactor;
  }
  return std::nullopt;
}

std::optional<std::size_t> Balancer::chosen(std::size_t index) noexcept {
  members_[index]->chosen.fetch_add(1, kRelaxed);
  return index;
}

std::uint32_t Balancer::status_of(std::size_t index) const noexcept {
  return members_[index]->status.load(kAcquire);
}

bool Balancer::is_failed(std::size_t index) const noexcept {
  return members_[index]->failed_at.load(kAcquire) != 0 && !has(status_of(index), StatusFlag::IgnoreErrors);
}

// All members form one set here. Numbered sets (lbset) are an outer loop around this function: the
// first set that gives anybody wins.
MemberSet Balancer::usable(const MemberSet& tried, Failed failed) const noexcept {
  MemberSet found;
  std::size_t missing = 0;
  bool reserves = false;
  const auto can_serve = [&](std::size_t i, std::uint32_t status) {
    return (status & kNotOffered) == 0 && !tried.contains(i) && (failed == Failed::Forgiven || !is_failed(i));
  };
  const auto is_reserve = [](std::uint32_t status) {
    return has(status, StatusFlag::HotSpare) || has(status, StatusFlag::HotStandby);
  };
  for (std::size_t i = 0; i < members_.size(); ++i) {
    const std::uint32_t status = status_of(i);
    if (is_reserve(status)) {
      reserves = true;
      continue;
    }
    if (can_serve(i, status)) {
      found.insert(i);
    } else {
      ++missing;
    }
  }
  if (!reserves) return found;
  for (std::size_t i = 0; i < members_.size() && missing > 0; ++i) {
    const std::uint32_t status = status_of(i);
    if (!has(status, StatusFlag::HotSpare) || !can_serve(i, status)) continue;
    found.insert(i);
    --missing;
  }
  if (!found.empty()) return found;
  for (std::size_t i = 0; i < members_.size(); ++i) {
    const std::uint32_t status = status_of(i);
    if (has(status, StatusFlag::HotStandby) && can_serve(i, status)) found.insert(i);
  }
  return found;
}

bool Balancer::view_is_valid(base::Instant now) const noexcept {
  return valid_epoch_.load(kAcquire) == slot_.epoch.load(kAcquire) && micros(now) < valid_until_.load(kAcquire);
}

void Balancer::refresh(base::Instant now, PickObserver* observer) noexcept {
  const std::lock_guard<std::mutex> lock(refreshing_);
  if (view_is_valid(now)) return;  // another thread was faster
  end_rests(now, observer);
  // Before the states: a change that is not seen below has moved the epoch on.
  const std::uint64_t epoch = slot_.epoch.load(kAcquire);
  const std::int64_t until = next_rest_end(now);
  const MemberSet offered = choose_offered(observer);
  order_.store(offered.empty() ? nullptr : policy_.order_for(offered), kRelease);
  valid_until_.store(until, kRelease);
  valid_epoch_.store(epoch, kRelease);
}

MemberSet Balancer::choose_offered(PickObserver* observer) noexcept {
  const MemberSet good = usable(MemberSet{}, Failed::Excluded);
  if (!good.empty()) {
    slot_.forced.store(0, kRelease);
    return good;
  }
  const MemberSet forgiven = usable(MemberSet{}, Failed::Forgiven);
  if (!forgiven.empty() && slot_.forced.exchange(1) == 0 && observer != nullptr) observer->all_failed();
  return forgiven;
}

void Balancer::end_rests(base::Instant now, PickObserver* observer) noexcept {
  for (std::size_t i = 0; i < members_.size(); ++i) {
    std::int64_t since = members_[i]->failed_at.load(kAcquire);
    const std::uint32_t status = status_of(i);
    if (since == 0 || (status & kTakenOut) != 0) continue;
    const bool over = since + spec_.members[i].retry.count() <= micros(now);
    if (!over && !has(status, StatusFlag::IgnoreErrors)) continue;
    if (!members_[i]->failed_at.compare_exchange_strong(since, 0)) continue;
    state_moved();
    if (observer != nullptr) observer->rest_is_over(i);
  }
}

std::int64_t Balancer::next_rest_end(base::Instant now) const noexcept {
  std::int64_t next = micros(now) + kLongestView.count();
  for (std::size_t i = 0; i < members_.size(); ++i) {
    const std::int64_t since = members_[i]->failed_at.load(kAcquire);
    if (since == 0 || (status_of(i) & kTakenOut) != 0) continue;
    next = std::min(next, since + spec_.members[i].retry.count());
  }
  return next;
}

void Balancer::state_moved() noexcept { slot_.epoch.fetch_add(1, std::memory_order_acq_rel); }

bool Balancer::failed(std::size_t index, base::Instant now) noexcept {
  if (index >= members_.size()) return false;
  MemberSlot& member = *members_[index];
  member.failures.fetch_add(1, kRelaxed);
  if (has(status_of(index), StatusFlag::IgnoreErrors) || spec_.members[index].retry.count() <= 0) return false;
  const std::int64_t at = std::max<std::int64_t>(1, micros(now));
  std::int64_t since = 0;
  if (member.failed_at.compare_exchange_strong(since, at)) {
    state_moved();
    return true;
  }
  // Tried although it rested, and it still does not serve: the rest begins anew. Otherwise this is a
  // late word from before the rest and changes nothing.
  if (slot_.forced.load(kRelaxed) != 0) member.failed_at.compare_exchange_strong(since, at);
  return false;
}

bool Balancer::succeeded(std::size_t index) noexcept {
  if (index >= members_.size() || slot_.forced.load(kRelaxed) == 0) return false;
  std::uint32_t forced = 1;
  if (!slot_.forced.compare_exchange_strong(forced, 0)) return false;
  for (MemberSlot* member : members_) member->failed_at.store(0, kRelease);
  state_moved();
  return true;
}

void Balancer::add_bytes(std::size_t index, std::uint64_t to_member, std::uint64_t from_member) noexcept {
  if (index >= members_.size()) return;
  members_[index]->bytes_to_member.fetch_add(to_member, kRelaxed);
  members_[index]->bytes_from_member.fetch_add(from_member, kRelaxed);
}

}  // namespace cxxproxy::balancer
