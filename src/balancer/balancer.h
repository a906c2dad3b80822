// Which member serves the next request of a balancer.
//
// WHAT    One Balancer per balancer and child process, used by all its threads at once. In steady
//         state a pick is two loads and one fetch_add on the shared ticket, whose value and the set of
//         usable members decide the member: exact over all processes, without a lock. Who changes a
//         member's state moves the shared epoch; a process that sees another epoch than its own, or
//         a rest that is over, looks at the members again under a mutex of its own.
// SHAPES  Indices are places in BalancerSpec::members. The spec and the slots outlive the Balancer.
//         Choice of the set, as in mod_proxy: usable ordinary members; one hot spare (in file order)
//         per ordinary member that is not usable; hot standbys when that gives nobody. Never:
//         disabled, stopped, draining, check failed. A failed member rests for `retry`, then takes
//         its regular share again; retry=0 and status=+I never rest.
//         A further attempt of a request (tried not empty) never gets a tried member again and takes
//         its turn from a second ticket, so that first turns stay exact while a member fails.
//         When all members that could be used are failed (forcerecovery=On), they are offered
//         nevertheless; they stay marked until the first success, which clears all of them at once.
//         A disabled, stopped, draining or check-failed member does not prevent that.
//         A process that dies between changing a state and moving the epoch is healed within
//         kLongestView.
// ERRORS  pick gives no value when no member is left for this request: the answer is 503.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <optional>
#include <span>
#include <vector>

#include "balancer/by_requests.h"
#include "balancer/member_set.h"
#include "balancer/slots.h"
#include "base/clock.h"
#include "config/spec.h"

namespace cxxproxy::balancer {

// Hears of the state changes that a pick makes. Each change is told once over all threads and
// processes, to the one that made it. Called under the balancer's mutex: do not pick inside.
class PickObserver {
 public:
  virtual void rest_is_over(std::size_t index) noexcept = 0;  // failed -> offered again
  virtual void all_failed() noexcept = 0;                     // nobody left: failed ones are tried

 protected:
  ~PickObserver() = default;
};

class Balancer {
 public:
  static constexpr base::Duration kLongestView{std::chrono::seconds(1)};

  Balancer(const config::BalancerSpec& spec, BalancerSlot& slot, std::span<MemberSlot* const> members);
  Balancer(const Balancer&) = delete;
  Balancer& operator=(const Balancer&) = delete;

  // Counts the member as chosen. `tried` holds what this request was given before.
  [[nodiscard]] std::optional<std::size_t> pick(const TriedSet& tried, base::Instant now,
                                                PickObserver* observer = nullptr) noexcept;

  // The member could not serve. True for the one caller that turned it from usable to failed.
  bool failed(std::size_t index, base::Instant now) noexcept;

  // The member answered. True for the one caller whose success ended an all_failed() time: all
  // failed members were cleared.
  bool succeeded(std::size_t index) noexcept;

  // Bodies and heads as they went over the wire, both after an attempt.
  void add_bytes(std::size_t index, std::uint64_t to_member, std::uint64_t from_member) noexcept;

  bool is_failed(std::size_t index) const noexcept;
  std::size_t size() const noexcept { return members_.size(); }
  const config::BalancerSpec& spec() const noexcept { return spec_; }

 private:
  enum class Failed : std::uint8_t { Excluded, Forgiven };

  std::uint32_t status_of(std::size_t index) const noexcept;
  MemberSet usable(const MemberSet& tried, Failed failed) const noexcept;
  bool view_is_valid(base::Instant now) const noexcept;
  void refresh(base::Instant now, PickObserver* observer) noexcept;
  MemberSet choose_offered(PickObserver* observer) noexcept;
  void end_rests(base::Instant now, PickObserver* observer) noexcept;
  std::int64_t next_rest_end(base::Instant now) const noexcept;
  std::optional<std::size_t> pick_again(const TriedSet& tried) noexcept;
  std::optional<std::size_t> chosen(std::size_t index) noexcept;
  void state_moved() noexcept;

  const config::BalancerSpec& spec_;
  BalancerSlot& slot_;
  std::vector<MemberSlot*> members_;

  std::mutex refreshing_;
  ByRequests policy_;  // guarded by refreshing_

  // This process's view. Written in this order under refreshing_, read in the opposite order: who
  // sees an epoch sees an order at least as new.
  std::atomic<const Order*> order_{nullptr};  // null = nobody is usable
  std::atomic<std::int64_t> valid_until_{0};
  std::atomic<std::uint64_t> valid_epoch_{0};
};

}  // namespace cxxproxy::balancer
