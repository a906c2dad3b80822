// Requests that wait for a member with a free slot, in one child process: first come, first served.
//
// WHAT    A line per balancer, and per backend without one. It has lanes: one for the requests that any
//         member may serve, one for further attempts of such requests, one per member for the sessions that
//         belong to it. In each lane only the first one tries; what it wants is barred to everybody who
//         came later, in whichever lane, and to newcomers. So nobody overtakes, and a session that waits
//         for its member stops no one who may use another.
//         Who is to try is woken: when a slot is free, when it becomes the first of its lane. The driver says
//         how to wake a waiter that has no thread (Waker); one with a thread waits inside wait().
//         Members with a limit over all children (maxtotal) are also barred while another child has an older
//         waiter for them; that child is rung. One that does not come within kGrace is passed.
// SHAPES  Thread-safe; a line without waiters costs one look at a counter. A Waiter lives in its request and
//         leaves when it is destroyed. Instants are CLOCK_MONOTONIC, the same in all processes.
//         Whoever waits first must look again every kLook: a member that becomes usable wakes nobody.
// ERRORS  stay() answers false when as many wait already as the balancer's `queue` allows.
#pragma once

#include <atomic>
#include <compare>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <vector>

#include "balancer/limits.h"
#include "balancer/member_set.h"
#include "base/clock.h"

namespace cxxproxy::balancer {

// Wakes a request that waits without a thread.
class Waker {
 public:
  virtual void wake() noexcept = 0;

 protected:
  ~Waker() = default;
};

// Tells another child that there is something for it.
class Ringer {
 public:
  virtual void ring(std::uint32_t place) noexcept = 0;

 protected:
  ~Ringer() = default;
};

struct LineSetup {
  struct Member {
    std::uint32_t row = 0;       // in Limits
    std::uint32_t max_total = 0;  // 0: no limit over all children
  };
  std::vector<Member> members{};
  std::optional<std::uint32_t> bound{};  // waiting at once over all children; unset: no bound
  Limits limits{};
  std::uint32_t row = 0;    // of the line itself
  std::uint32_t place = 0;  // of this child
  Ringer* ringer = nullptr;
};

class WaitingLine;

class Waiter {
 public:
  Waiter() = default;
  ~Waiter();
  Waiter(const Waiter&) = delete;
  Waiter& operator=(const Waiter&) = delete;

  // Asked by its own thread.
  bool waits() const noexcept { return line_ != nullptr; }
  void leave() noexcept;

 private:
  friend class WaitingLine;

  WaitingLine* line_ = nullptr;
  Waiter* ahead_ = nullptr;
  Waiter* behind_ = nullptr;
  std::size_t lane_ = 0;
  std::uint64_t number_ = 0;  // in the order of arrival
  base::Instant since_{};
  MemberSet wants_;
  bool for_permit_ = false;  // what it lacks is a permit: other children have to know
  bool called_ = false;      // it is to try (again)
  Waker* waker_ = nullptr;
  Permit seat_;              // counts for `queue`
  std::condition_variable wakes_;
};

class WaitingLine {
 public:
  static constexpr std::size_t kAnyMember = 0;
  static constexpr std::size_t kFurtherAttempt = 1;
  static constexpr std::size_t lane_of_member(std::size_t member) noexcept { return 2 + member; }

  static constexpr base::Duration kLook{std::chrono::milliseconds(100)};
  static constexpr base::Duration kGrace{std::chrono::milliseconds(20)};

  explicit WaitingLine(LineSetup setup);
  WaitingLine(const WaitingLine&) = delete;
  WaitingLine& operator=(const WaitingLine&) = delete;

  // Whether this one may look for a slot: nobody is ahead of it in its lane.
  bool may_try(Waiter& who, std::size_t lane) noexcept;
  // What belongs to others who wait longer in this child.
  MemberSet barred_for(const Waiter& who) const noexcept;
  // A member with a free slot that belongs to somebody in another child, who is told.
  bool belongs_elsewhere(const Waiter& who, std::size_t member, base::Instant now) noexcept;

  bool has_total(std::size_t member) const noexcept { return setup_.members[member].max_total != 0; }
  bool has_permit(std::size_t member) const noexcept;
  Permit take_permit(std::size_t member) noexcept;

  // It found nothing and waits (on) for one of these. Then it is called once more at once: a slot may have
  // become free before it stood in the line.
  bool stay(Waiter& who, std::size_t lane, const MemberSet& wants, bool for_permit, base::Instant now) noexcept;
  bool is_first(const Waiter& who) const noexcept;
  void leave(Waiter& who) noexcept;

  // A connection to the member, or a permit for it, was given back.
  void slot_freed(std::size_t member) noexcept;
  // Somebody rang.
  void call_firsts() noexcept;
  std::uint32_t waiting() const noexcept { return waiting_.load(); }
  bool has_totals() const noexcept { return has_totals_; }

  // For drivers. watch: false when it was called meanwhile (the waker is not kept then). No wake() runs any more
  // once unwatch() has returned.
  bool watch(Waiter& who, Waker& waker) noexcept;
  void unwatch(Waiter& who) noexcept;
  // On the calling thread: whether it was called in this time.
  bool wait(Waiter& who, base::Duration at_most) noexcept;

 private:
  struct Lane {
    Waiter* first = nullptr;
    Waiter* last = nullptr;
  };
  // What another child's first waiter was when a free slot was left to it.
  struct Elder {
    std::int64_t since = 0;
    base::Instant seen{};
    bool passed = false;
  };
  struct Origin {
    std::uint32_t row;
    std::uint32_t place;
    friend auto operator<=>(const Origin&, const Origin&) noexcept = default;
  };
  struct Rival {
    Origin origin;
    std::int64_t since;
  };

  void insert(Waiter& who, std::size_t lane) noexcept;
  void remove(Waiter& who) noexcept;
  void call(Waiter& who) noexcept;
  Waiter* oldest_for(std::size_t member) const noexcept;
  std::uint32_t row_of(std::size_t lane) const noexcept;
  bool publish(std::size_t lane) noexcept;
  void offer(std::size_t member) noexcept;
  std::optional<Rival> elder_before(std::int64_t since, std::size_t member) const noexcept;

  const LineSetup setup_;
  const bool has_totals_;
  std::atomic<std::uint32_t> waiting_{0};
  mutable std::mutex mutex_;  // std::mutex: condition variables need it
  std::vector<Lane> lanes_;
  std::map<Origin, Elder> elders_;  // to whom a free slot was left
  MemberSet freed_;            // since somebody last looked
  std::uint64_t arrivals_ = 0;
};

}  // namespace cxxproxy::balancer
