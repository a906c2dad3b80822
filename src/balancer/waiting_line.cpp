#include "balancer/waiting_line.h"

#include <algorithm>
#include <utility>

namespace cxxproxy::balancer {

namespace {

using base::micros;

bool any_total(const LineSetup& setup) noexcept {
  return std::any_of(setup.members.begin(), setup.members.end(), [](const LineSetup::Member& member) { return member.max_total != 0; });
}

}  // namespace

Waiter::~Waiter() { leave(); }

void Waiter::leave() noexcept {
  if (line_ != nullptr) line_->leave(*this);
}

WaitingLine::WaitingLine(LineSetup setup)
    : setup_(std::move(setup)), has_totals_(any_total(setup_)), lanes_(2 + setup_.members.size()) {}

// ---------------------------------------------------------------- whose turn it is

bool WaitingLine::may_try(Waiter& who, std::size_t lane) noexcept {
  if (!who.waits() && waiting_.load() == 0) return true;
  const std::lock_guard lock(mutex_);
  if (!who.waits()) return lanes_[lane].first == nullptr;
  who.called_ = false;
  return lanes_[who.lane_].first == &who;
}

bool WaitingLine::is_first(const Waiter& who) const noexcept {
  const std::lock_guard lock(mutex_);
  return who.waits() && lanes_[who.lane_].first == &who;
}

MemberSet WaitingLine::barred_for(const Waiter& who) const noexcept {
  MemberSet barred;
  if (waiting_.load() == 0) return barred;
  const std::lock_guard lock(mutex_);
  for (const Lane& lane : lanes_) {
    const Waiter* const first = lane.first;
    if (first == nullptr || first == &who || (who.waits() && first->number_ > who.number_)) continue;
    barred.insert_all(first->wants_);
  }
  return barred;
}

Waiter* WaitingLine::oldest_for(std::size_t member) const noexcept {
  Waiter* oldest = nullptr;
  for (const Lane& lane : lanes_) {
    if (lane.first == nullptr || !lane.first->wants_.contains(member)) continue;
    if (oldest == nullptr || lane.first->number_ < oldest->number_) oldest = lane.first;
  }
  return oldest;
}

void WaitingLine::call(Waiter& who) noexcept {
  if (std::exchange(who.called_, true)) return;
  who.wakes_.notify_one();
  if (who.waker_ != nullptr) std::exchange(who.waker_, nullptr)->wake();
}

// ---------------------------------------------------------------- coming and going

void WaitingLine::insert(Waiter& who, std::size_t lane) noexcept {
  Lane& line = lanes_[lane];
  who.lane_ = lane;
  Waiter* ahead = line.last;  // nearly always: only who changes its lane goes further to the front
  while (ahead != nullptr && ahead->number_ > who.number_) ahead = ahead->ahead_;
  who.ahead_ = ahead;
  who.behind_ = ahead != nullptr ? ahead->behind_ : line.first;
  (ahead != nullptr ? ahead->behind_ : line.first) = &who;
  (who.behind_ != nullptr ? who.behind_->ahead_ : line.last) = &who;
}

// Who is the first now has to look: it may have been barred, and looks again every kLook.
void WaitingLine::remove(Waiter& who) noexcept {
  Lane& line = lanes_[who.lane_];
  const bool was_first = line.first == &who;
  (who.ahead_ != nullptr ? who.ahead_->behind_ : line.first) = who.behind_;
  (who.behind_ != nullptr ? who.behind_->ahead_ : line.last) = who.ahead_;
  who.ahead_ = who.behind_ = nullptr;
  if (!was_first) return;
  if (line.first != nullptr) call(*line.first);
  (void)publish(who.lane_);
  // A call that it did not follow, and what is left over of what it barred to the others.
  for (std::size_t member = 0; member < setup_.members.size(); ++member) {
    if (freed_.contains(member) || (who.called_ && who.wants_.contains(member))) offer(member);
  }
}

bool WaitingLine::stay(Waiter& who, std::size_t lane, const MemberSet& wants, bool for_permit, base::Instant now) noexcept {
  Permit seat;
  if (!who.waits() && setup_.bound) {
    const std::uint32_t index = setup_.limits.take(setup_.row, *setup_.bound, setup_.place);
    if (index == Limits::kNone) return false;
    seat = Permit(setup_.limits, setup_.row, index);
  }
  const std::lock_guard lock(mutex_);
  const bool is_new = !who.waits();
  if (is_new) {
    who.line_ = this;
    who.number_ = ++arrivals_;
    who.since_ = now;
    who.seat_ = std::move(seat);
    setup_.limits.set_waiting(setup_.row, setup_.place, waiting_.fetch_add(1) + 1);
    insert(who, lane);
  }
  who.wants_ = wants;
  who.for_permit_ = for_permit;
  freed_.remove_all(wants);
  const bool news = publish(who.lane_);
  if (is_new || news) call(who);
  return true;
}

void WaitingLine::leave(Waiter& who) noexcept {
  Permit seat;
  {
    const std::lock_guard lock(mutex_);
    if (!who.waits()) return;
    remove(who);
    who.line_ = nullptr;
    who.called_ = false;
    who.waker_ = nullptr;
    seat = std::move(who.seat_);
    setup_.limits.set_waiting(setup_.row, setup_.place, waiting_.fetch_sub(1) - 1);
  }
}

// ---------------------------------------------------------------- slots

bool WaitingLine::has_permit(std::size_t member) const noexcept {
  const LineSetup::Member& limit = setup_.members[member];
  return limit.max_total == 0 || setup_.limits.has_room(limit.row, limit.max_total);
}

Permit WaitingLine::take_permit(std::size_t member) noexcept {
  const LineSetup::Member& limit = setup_.members[member];
  const std::uint32_t index = setup_.limits.take(limit.row, limit.max_total, setup_.place);
  return index == Limits::kNone ? Permit() : Permit(setup_.limits, limit.row, index);
}

void WaitingLine::slot_freed(std::size_t member) noexcept {
  if (waiting_.load() == 0 && !has_total(member)) return;
  const std::lock_guard lock(mutex_);
  freed_.insert(member);
  offer(member);
}

// To whoever has waited longest, here or in another child.
void WaitingLine::offer(std::size_t member) noexcept {
  Waiter* const own = oldest_for(member);
  if (has_total(member)) {
    const auto elder = elder_before(own != nullptr ? micros(own->since_) : INT64_MAX, member);
    if (elder) setup_.ringer->ring(elder->origin.place);
  }
  if (own != nullptr) call(*own);
}

void WaitingLine::call_firsts() noexcept {
  if (waiting_.load() == 0) return;
  const std::lock_guard lock(mutex_);
  for (const Lane& lane : lanes_) {
    if (lane.first != nullptr) call(*lane.first);
  }
}

// ---------------------------------------------------------------- the other children

// Sessions of a member wait in its row, all others in the row of the line.
std::uint32_t WaitingLine::row_of(std::size_t lane) const noexcept {
  return lane < lane_of_member(0) ? setup_.row : setup_.members[lane - lane_of_member(0)].row;
}

// True: the other children see something new.
bool WaitingLine::publish(std::size_t lane) noexcept {
  if (!has_totals_) return false;
  std::int64_t since = 0;
  const auto consider = [&](const Waiter* first) {
    if (first == nullptr || !first->for_permit_) return;
    if (since == 0 || micros(first->since_) < since) since = micros(first->since_);
  };
  if (lane < lane_of_member(0)) {
    consider(lanes_[kAnyMember].first);
    consider(lanes_[kFurtherAttempt].first);
  } else {
    consider(lanes_[lane].first);
  }
  const std::uint32_t row = row_of(lane);
  if (setup_.limits.waits_since(row, setup_.place) == since) return false;
  setup_.limits.wait_since(row, setup_.place, since);
  return since != 0;
}

// The child with the oldest waiter of those before `since`, unless it was passed.
std::optional<WaitingLine::Rival> WaitingLine::elder_before(std::int64_t since, std::size_t member) const noexcept {
  std::optional<Rival> found;
  for (const std::uint32_t row : {setup_.members[member].row, setup_.row}) {
    if (!setup_.limits.was_waited_in(row)) continue;
    for (std::uint32_t place = 0; place < setup_.limits.places(); ++place) {
      if (place == setup_.place) continue;
      const std::int64_t theirs = setup_.limits.waits_since(row, place);
      if (theirs == 0 || theirs >= since) continue;
      const auto known = elders_.find(Origin{row, place});
      if (known != elders_.end() && known->second.passed && known->second.since == theirs) continue;
      since = theirs;
      found = Rival{{row, place}, theirs};
    }
  }
  return found;
}

bool WaitingLine::belongs_elsewhere(const Waiter& who, std::size_t member, base::Instant now) noexcept {
  if (!has_total(member)) return false;
  const std::lock_guard lock(mutex_);
  while (const auto elder = elder_before(micros(who.waits() ? who.since_ : now), member)) {
    Elder& known = elders_[elder->origin];
    if (known.since != elder->since) {
      known = {elder->since, now, false};
      setup_.ringer->ring(elder->origin.place);
      return true;
    }
    if (now - known.seen < kGrace) return true;
    known.passed = true;
  }
  return false;
}

// ---------------------------------------------------------------- drivers

bool WaitingLine::watch(Waiter& who, Waker& waker) noexcept {
  const std::lock_guard lock(mutex_);
  if (!who.waits() || who.called_) return false;
  who.waker_ = &waker;
  return true;
}

void WaitingLine::unwatch(Waiter& who) noexcept {
  const std::lock_guard lock(mutex_);
  who.waker_ = nullptr;
}

bool WaitingLine::wait(Waiter& who, base::Duration at_most) noexcept {
  std::unique_lock lock(mutex_);
  return who.wakes_.wait_for(lock, at_most, [&who] { return who.called_; });
}

}  // namespace cxxproxy::balancer
