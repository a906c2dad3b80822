#include "balancer/balancer.h"

#include <algorithm>
#include <cassert>
#include <limits>

#include "balancer/methods.h"

namespace cxxproxy::balancer {

namespace {

using base::micros;
using config::StatusFlag;

constexpr auto kRelaxed = std::memory_order_relaxed;
constexpr auto kAcquire = std::memory_order_acquire;
constexpr auto kRelease = std::memory_order_release;

// A first turn never goes there, whatever else is down. Sticky requests may reach a draining member.
constexpr std::uint32_t kNotOffered =
    bit(StatusFlag::Disabled) | bit(StatusFlag::Stopped) | bit(StatusFlag::Drain) | bit(StatusFlag::CheckFailed);
// Taken out by the administrator: a rest does not end by itself.
constexpr std::uint32_t kTakenOut = bit(StatusFlag::Disabled) | bit(StatusFlag::Stopped);
constexpr std::uint32_t kReserve = bit(StatusFlag::HotSpare) | bit(StatusFlag::HotStandby);

// What retrybudget saves up at most, in hundredths of a further attempt.
constexpr std::int64_t kMostRetries = 100 * 100;
// A member that came back begins with this part of its share.
constexpr double kColdest = 0.05;

constexpr bool has(std::uint32_t status, StatusFlag flag) noexcept { return (status & bit(flag)) != 0; }

// Where nothing is counted any row will do.
std::vector<std::uint32_t> rows_of(const Shared& shared) {
  if (shared.flights.rows() == 0) return std::vector<std::uint32_t>(shared.members.size());
  return {shared.rows.begin(), shared.rows.end()};
}

}  // namespace

Balancer::Balancer(const config::BalancerSpec& spec, const Shared& shared)
    : spec_(spec),
      members_(shared.members.begin(), shared.members.end()),
      rows_(rows_of(shared)),
      shared_{shared.slot, members_, shared.flights, shared.place, shared.balancer_row, rows_},
      slot_(shared.slot),
      policy_(make_policy(spec)),
      needs_total_(policy_->needs_total()),
      entries_(2 * members_.size()) {
  assert(members_.size() == spec_.members.size() && rows_.size() == members_.size());
  for (const config::MemberSpec& member : spec_.members) weights_.push_back(std::max(member.loadfactor, 1u));
  for (std::size_t i = 0; i < members_.size(); ++i) by_set_.push_back(static_cast<std::uint16_t>(i));
  const auto set_of = [this](std::uint16_t i) { return spec_.members[i].lbset; };
  std::stable_sort(by_set_.begin(), by_set_.end(), [&](std::uint16_t a, std::uint16_t b) { return set_of(a) < set_of(b); });
  for (std::size_t i = 1; i <= by_set_.size(); ++i) {
    if (i == by_set_.size() || set_of(by_set_[i]) != set_of(by_set_[i - 1])) set_ends_.push_back(static_cast<std::uint16_t>(i));
  }
  offers_[0].use(std::span(entries_).first(members_.size()));
  offers_[1].use(std::span(entries_).subspan(members_.size()));
}

Balancer::~Balancer() = default;

// ---------------------------------------------------------------- picking

std::optional<std::size_t> Balancer::pick(const TriedSet& tried, base::Instant now, PickObserver* observer,
                                          const PickHint& hint) noexcept {
  if (!view_is_valid(now)) refresh(now, observer);
  const bool first_turn = tried.empty() && hint.busy == nullptr;
  if (first_turn && spec_.retry_budget != 0 && slot_.retry_account.load(kRelaxed) < kMostRetries) {
    slot_.retry_account.fetch_add(spec_.retry_budget, kRelaxed);
  }
  if (hint.route < spec_.routes.size()) {
    if (const auto own = member_for_session(hint.route, tried)) return chosen(*own);
    if (spec_.no_failover) return std::nullopt;
  }
  if (!first_turn) return pick_again(tried, now, hint);
  const Offer* offer = offer_.load(kAcquire);
  if (offer == nullptr) return std::nullopt;
  const std::optional<std::size_t> index = policy_->pick(View(spec_, shared_, *offer, now, true), hint);
  if (!index) return std::nullopt;
  if (micros(now) < warming_until_.load(kAcquire)) return warm_one(*index, tried, now, hint);
  return chosen(*index);
}

// Rare and therefore simple: looks at all members.
MemberSet Balancer::left_for(const TriedSet& tried) const noexcept {
  MemberSet left;
  if (tried.empty()) {
    const Offer* offer = offer_.load(kAcquire);
    for (std::size_t place = 0; offer != nullptr && place < offer->size(); ++place) left.insert(offer->member(place));
    return left;
  }
  left = usable(tried, Grace::None);
  if (left.empty()) left = usable(tried, Grace::Ejected);
  if (left.empty() && spec_.force_recovery) left = usable(tried, Grace::All);
  return left;
}

std::optional<std::size_t> Balancer::pick_again(const TriedSet& tried, base::Instant now, const PickHint& hint) noexcept {
  MemberSet left = left_for(tried);
  if (hint.busy != nullptr) left.remove_all(*hint.busy);
  if (left.empty()) return std::nullopt;
  const std::optional<std::size_t> index = pick_from(left, now, hint);
  return index ? chosen(*index) : std::nullopt;
}

MemberSet Balancer::candidates(const TriedSet& tried, base::Instant now, PickObserver* observer, const PickHint& hint) noexcept {
  if (!view_is_valid(now)) refresh(now, observer);
  if (hint.route < spec_.routes.size()) {
    MemberSet own;
    if (const auto member = member_for_session(hint.route, tried)) own.insert(*member);
    if (!own.empty() || spec_.no_failover) return own;
  }
  return left_for(tried);
}

std::optional<std::size_t> Balancer::pick_from(const MemberSet& set, base::Instant now, const PickHint& hint) noexcept {
  std::array<Offer::Entry, config::kMaxMembers> room{};
  Offer offer(room);
  offer.assign(set, weights_);
  return policy_->pick(View(spec_, shared_, offer, now, false), hint);
}

// A member in its slow start takes a growing part of its turns; the others serve the rest.
std::optional<std::size_t> Balancer::warm_one(std::size_t index, const TriedSet& tried, base::Instant now, const PickHint& hint) noexcept {
  const double warm = warmth(index, now);
  if (warm >= 1.0) return chosen(index);
  const std::uint64_t draw = mix(slot_.retry_ticket.fetch_add(1, kRelaxed));
  if (static_cast<double>(draw >> 11) * 0x1p-53 < warm) return chosen(index);
  MemberSet others = usable(tried, Grace::None);
  MemberSet warm_ones;
  for (std::size_t i = 0; i < members_.size(); ++i) {
    if (others.contains(i) && warmth(i, now) >= 1.0) warm_ones.insert(i);
  }
  if (warm_ones.empty()) return chosen(index);
  return chosen(pick_from(warm_ones, now, hint).value_or(index));
}

// 1 = its full share.
double Balancer::warmth(std::size_t index, base::Instant now) const noexcept {
  const std::int64_t whole = spec_.members[index].slow_start.count();
  const std::int64_t since = members_[index]->back_at.load(kRelaxed);
  if (whole <= 0 || since == 0) return 1.0;
  return std::max(kColdest, static_cast<double>(micros(now) - since) / static_cast<double>(whole));
}

std::optional<std::size_t> Balancer::chosen(std::size_t index) noexcept {
  members_[index]->chosen.fetch_add(1, kRelaxed);
  shared_.flights.begin(rows_[index], shared_.place);
  if (needs_total_) shared_.flights.begin(shared_.balancer_row, shared_.place);
  return index;
}

void Balancer::passed_over(std::size_t index) noexcept {
  if (index >= members_.size()) return;
  members_[index]->chosen.fetch_sub(1, kRelaxed);
  ended(index);
}

void Balancer::ended(std::size_t index) noexcept {
  if (index >= members_.size()) return;
  shared_.flights.end(rows_[index], shared_.place);
  if (needs_total_) shared_.flights.end(shared_.balancer_row, shared_.place);
}

unsigned Balancer::max_attempts() const noexcept {
  const auto others = static_cast<unsigned>(members_.empty() ? 0 : members_.size() - 1);
  return 1 + std::min(spec_.max_attempts.value_or(others), others);
}

bool Balancer::may_try_again(unsigned attempts_made) noexcept {
  if (attempts_made >= max_attempts()) return false;
  if (spec_.retry_budget == 0) return true;
  std::int64_t left = slot_.retry_account.load(kRelaxed);
  while (left >= 100 && !slot_.retry_account.compare_exchange_weak(left, left - 100, kRelaxed)) {
  }
  return left >= 100;
}

// ---------------------------------------------------------------- who is on offer

std::uint32_t Balancer::status_of(std::size_t index) const noexcept {
  return members_[index]->status.load(kAcquire);
}

bool Balancer::is_failed(std::size_t index) const noexcept {
  return members_[index]->failed_at.load(kAcquire) != 0 && !has(status_of(index), StatusFlag::IgnoreErrors);
}

bool Balancer::is_ejected(std::size_t index) const noexcept { return members_[index]->ejected_until.load(kAcquire) != 0; }

bool Balancer::can_serve(std::size_t index, std::uint32_t status, Grace grace) const noexcept {
  if ((status & kNotOffered) != 0) return false;
  if (grace == Grace::All) return true;
  return !is_failed(index) && (grace == Grace::Ejected || !is_ejected(index));
}

// A member that drains still serves those who belong to it, one in a rest only if it is on offer nevertheless.
bool Balancer::serves_sessions(std::size_t index) const noexcept {
  if (can_serve(index, status_of(index) & ~bit(StatusFlag::Drain), Grace::None)) return true;
  const Offer* offer = offer_.load(kAcquire);
  return offer != nullptr && offer->contains(index) && can_serve(index, status_of(index), Grace::All);
}

// Of several with one route the first usable one, standbys last.
std::optional<std::size_t> Balancer::member_of(std::size_t route, const TriedSet& tried) const noexcept {
  std::optional<std::size_t> standby;
  for (const std::size_t i : spec_.routes[route].members) {
    if (tried.contains(i) || !serves_sessions(i)) continue;
    if (!has(status_of(i), StatusFlag::HotStandby)) return i;
    if (!standby) standby = i;
  }
  return standby;
}

std::optional<std::size_t> Balancer::member_for_session(std::size_t route, const TriedSet& tried) const noexcept {
  if (const auto own = member_of(route, tried)) return own;
  // Redirects may lead in a circle: no route is looked at twice. There are at most as many as members.
  std::array<std::uint16_t, config::kMaxMembers> queue{};
  MemberSet seen;
  std::size_t count = 0;
  const auto follow = [&](std::size_t from) {
    for (const std::size_t i : spec_.routes[from].members) {
      const std::size_t next = spec_.members[i].redirect_route;
      if (next == config::kNoRoute || seen.contains(next)) continue;
      seen.insert(next);
      queue[count++] = static_cast<std::uint16_t>(next);
    }
  };
  seen.insert(route);
  follow(route);
  for (std::size_t at = 0; at < count; ++at) {
    if (const auto heir = member_of(queue[at], tried)) return heir;
    follow(queue[at]);
  }
  return std::nullopt;
}

// The first set that gives anybody wins.
MemberSet Balancer::usable(const MemberSet& tried, Grace grace) const noexcept {
  std::size_t begin = 0;
  for (const std::uint16_t end : set_ends_) {
    const MemberSet found = usable_of(std::span(by_set_).subspan(begin, end - begin), tried, grace);
    if (!found.empty()) return found;
    begin = end;
  }
  return {};
}

MemberSet Balancer::usable_of(std::span<const std::uint16_t> set, const MemberSet& tried, Grace grace) const noexcept {
  MemberSet found;
  std::size_t missing = 0;
  bool reserves = false;
  const auto may = [&](std::size_t i, std::uint32_t status) { return !tried.contains(i) && can_serve(i, status, grace); };
  for (const std::size_t i : set) {
    const std::uint32_t status = status_of(i);
    if ((status & kReserve) != 0) {
      reserves = true;
    } else if (may(i, status)) {
      found.insert(i);
    } else {
      ++missing;
    }
  }
  if (!reserves) return found;
  for (const std::size_t i : set) {
    if (missing == 0) break;
    const std::uint32_t status = status_of(i);
    if (!has(status, StatusFlag::HotSpare) || !may(i, status)) continue;
    found.insert(i);
    --missing;
  }
  if (!found.empty()) return found;
  for (const std::size_t i : set) {
    const std::uint32_t status = status_of(i);
    if (has(status, StatusFlag::HotStandby) && may(i, status)) found.insert(i);
  }
  return found;
}

// Of the members that the administrator left in, fewer are neither failed nor ejected than ejectpanic says.
bool Balancer::too_few_left() const noexcept {
  std::size_t all = 0;
  std::size_t good = 0;
  bool ejected = false;
  for (std::size_t i = 0; i < members_.size(); ++i) {
    const std::uint32_t status = status_of(i);
    if ((status & (kNotOffered | kReserve)) != 0) continue;
    ++all;
    ejected = ejected || is_ejected(i);
    if (!is_failed(i) && !is_ejected(i)) ++good;
  }
  return ejected && good * 100 < all * spec_.ejection.panic_percent;
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
  Offer& fresh = offer_.load(kRelaxed) == &offers_[0] ? offers_[1] : offers_[0];
  fresh.assign(offered, weights_);
  policy_->prepare(offered);
  note_presence(offered, fresh, now);
  offer_.store(offered.empty() ? nullptr : &fresh, kRelease);
  valid_until_.store(until, kRelease);
  valid_epoch_.store(epoch, kRelease);
}

MemberSet Balancer::choose_offered(PickObserver* observer) noexcept {
  if (spec_.ejection.is_on() && too_few_left()) {
    const MemberSet all = usable(MemberSet{}, Grace::Ejected);
    if (!all.empty()) {
      slot_.forced.store(0, kRelease);
      if (slot_.panic.exchange(1) == 0 && observer != nullptr) observer->panic();
      return all;
    }
  }
  const bool was_panic = slot_.panic.load(kRelaxed) != 0 && slot_.panic.exchange(0) != 0;
  if (was_panic && observer != nullptr) observer->panic_is_over();
  MemberSet good = usable(MemberSet{}, Grace::None);
  if (good.empty()) good = usable(MemberSet{}, Grace::Ejected);
  if (!good.empty()) {
    slot_.forced.store(0, kRelease);
    return good;
  }
  if (!spec_.force_recovery) return {};
  const MemberSet forgiven = usable(MemberSet{}, Grace::All);
  if (!forgiven.empty() && slot_.forced.exchange(1) == 0 && observer != nullptr) observer->all_failed();
  return forgiven;
}

// A return is noticed by one thread of all processes; that is when its slow start begins.
void Balancer::note_presence(const MemberSet& offered, const Offer& offer, base::Instant now) noexcept {
  std::int64_t warming = 0;
  for (std::size_t i = 0; i < members_.size(); ++i) {
    MemberSlot& member = *members_[i];
    std::uint32_t was = member.presence.load(kRelaxed);
    const auto in = static_cast<std::uint32_t>(Presence::In);
    if (!offered.contains(i)) {
      if (was == in) member.presence.compare_exchange_strong(was, static_cast<std::uint32_t>(Presence::Out), kRelaxed);
      continue;
    }
    if (was != in && member.presence.compare_exchange_strong(was, in, kRelaxed)) {
      if (was == static_cast<std::uint32_t>(Presence::Out)) member.back_at.store(micros(now), kRelaxed);
      policy_->came_back(View(spec_, shared_, offer, now, true), i);
    }
    const std::int64_t since = member.back_at.load(kRelaxed);
    if (since != 0 && spec_.members[i].slow_start.count() > 0) warming = std::max(warming, since + spec_.members[i].slow_start.count());
  }
  warming_until_.store(warming, kRelease);
}

void Balancer::end_rests(base::Instant now, PickObserver* observer) noexcept {
  for (std::size_t i = 0; i < members_.size(); ++i) {
    const std::uint32_t status = status_of(i);
    if ((status & kTakenOut) != 0) continue;
    bool over = false;
    if (std::int64_t since = members_[i]->failed_at.load(kAcquire); since != 0) {
      const bool rested = since + spec_.members[i].retry.count() <= micros(now) || has(status, StatusFlag::IgnoreErrors);
      over = rested && members_[i]->failed_at.compare_exchange_strong(since, 0);
    }
    if (std::int64_t until = members_[i]->ejected_until.load(kAcquire); until != 0 && until <= micros(now)) {
      over = members_[i]->ejected_until.compare_exchange_strong(until, 0) || over;
    }
    if (!over) continue;
    state_moved();
    if (observer != nullptr) observer->rest_is_over(i);
  }
}

std::int64_t Balancer::next_rest_end(base::Instant now) const noexcept {
  std::int64_t next = micros(now) + kLongestView.count();
  for (std::size_t i = 0; i < members_.size(); ++i) {
    if ((status_of(i) & kTakenOut) != 0) continue;
    if (const std::int64_t since = members_[i]->failed_at.load(kAcquire); since != 0) {
      next = std::min(next, since + spec_.members[i].retry.count());
    }
    if (const std::int64_t until = members_[i]->ejected_until.load(kAcquire); until != 0) next = std::min(next, until);
  }
  return next;
}

void Balancer::state_moved() noexcept { slot_.epoch.fetch_add(1, std::memory_order_acq_rel); }

}  // namespace cxxproxy::balancer
