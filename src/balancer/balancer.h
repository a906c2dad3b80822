// Which member serves the next request of a balancer.
//
// WHAT    One Balancer per balancer and child process, used by all its threads at once. It settles who
//         is on offer and lets the method (policy.h) choose among them. In steady state a pick takes no
//         lock and allocates nothing: a look at the shared epoch, the method, and the counters of the
//         member. Who changes a member's state moves the epoch; a process that sees another epoch than
//         its own, or a rest that is over, looks at the members again under a mutex of its own.
// SHAPES  Indices are places in BalancerSpec::members. The spec and the slots outlive the Balancer.
//         Choice of the offer, as in mod_proxy: the sets (lbset) in their order, the first that gives anybody;
//         in a set the usable ordinary members and one hot spare (in file order) per ordinary member that
//         is not usable; hot standbys when that gives nobody. Never: disabled, stopped, draining, check
//         failed. A failed member rests for `retry`, then takes its regular share again (with slowstart,
//         a growing part of it); retry=0 and status=+I never rest. An ejected one rests as ejection.h says.
//         A further attempt of a request (tried not empty) never gets a tried member again and takes
//         its turn from a second ticket, so that first turns stay exact while a member fails.
//         When all members that could be used are failed (forcerecovery=On), they are offered
//         nevertheless; they stay marked until the first success, which clears all of them at once.
//         A disabled, stopped, draining or check-failed member does not prevent that.
//         A request of a session gets a usable member with its route, also a draining one, else one of the
//         routes that those redirect to; else any member, or nobody with nofailover=On. It takes no turn.
//         A member without a free slot is busy, not failed: it is passed over while another one that is on
//         offer has room. Nobody else comes on offer for that, neither the next set nor a standby.
//         A process that dies between changing a state and moving the epoch is healed within
//         kLongestView.
// ERRORS  pick gives no value when no member is left for this request: the answer is 503.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <vector>

#include "balancer/member_set.h"
#include "balancer/policy.h"
#include "balancer/slots.h"
#include "base/clock.h"
#include "config/spec.h"

namespace cxxproxy::balancer {

// Hears of the state changes that a pick makes. Each change is told once over all threads and
// processes, to the one that made it. Called under the balancer's mutex: do not pick inside.
class PickObserver {
 public:
  virtual void rest_is_over(std::size_t index) noexcept = 0;  // failed or ejected -> offered again
  virtual void all_failed() noexcept = 0;                     // nobody left: failed ones are tried
  virtual void panic() noexcept {}                            // too few left: ejections do not count
  virtual void panic_is_over() noexcept {}                    // enough are left: they count again

 protected:
  ~PickObserver() = default;
};

// How an attempt failed, as far as it matters for the member.
enum class Failure : std::uint8_t {
  NotItsFault,  // the client went away, a limit of ours
  Unusable,     // refused, reset, closed without an answer: rests for `retry`
  Slow,         // no answer in time: rests with failontimeout
  Bad,          // an answer that cannot be passed on
};

enum class RestReason : std::uint8_t { None, Failed, Timeout, Status, FailuresInARow, FailureRate };

// What an attempt has changed; told to the one that changed it.
struct Consequence {
  RestReason rest = RestReason::None;
  base::Duration rest_for{};
  bool recovered = false;  // the first success after all_failed()
};

class Balancer {
 public:
  static constexpr base::Duration kLongestView{std::chrono::seconds(1)};

  // Without a table of flights nothing is counted as in flight.
  Balancer(const config::BalancerSpec& spec, const Shared& shared);
  Balancer(const config::BalancerSpec& spec, BalancerSlot& slot, std::span<MemberSlot* const> members)
      : Balancer(spec, Shared{slot, members, {}, 0, 0}) {}
  ~Balancer();
  Balancer(const Balancer&) = delete;
  Balancer& operator=(const Balancer&) = delete;

  // Counts the member as chosen and the attempt as in flight until ended(). `tried` holds what this
  // request was given before.
  [[nodiscard]] std::optional<std::size_t> pick(const TriedSet& tried, base::Instant now, PickObserver* observer = nullptr,
                                                const PickHint& hint = {}) noexcept;
  void ended(std::size_t index) noexcept;
  // It was picked, has no free slot and gets nothing.
  void passed_over(std::size_t index) noexcept;
  // Whom pick() chooses among, busy or not; empty: it would give no value.
  MemberSet candidates(const TriedSet& tried, base::Instant now, PickObserver* observer, const PickHint& hint) noexcept;

  // The member answered with this status, `latency` after it was picked (unset: not measured).
  Consequence answered(std::size_t index, int status, std::optional<base::Duration> latency, base::Instant now) noexcept;
  Consequence attempt_failed(std::size_t index, Failure failure, base::Instant now) noexcept;

  // A further attempt of a request may be made: maxattempts and the account of retrybudget allow it,
  // which is charged.
  bool may_try_again(unsigned attempts_made) noexcept;

  // The member could not serve. True for the one caller that turned it from usable to failed.
  bool failed(std::size_t index, base::Instant now) noexcept;

  // The member answered. True for the one caller whose success ended an all_failed() time: all
  // failed members were cleared.
  bool succeeded(std::size_t index) noexcept;

  // Bodies and heads as they went over the wire.
  void add_bytes(std::size_t index, std::uint64_t to_member, std::uint64_t from_member) noexcept;

  bool is_failed(std::size_t index) const noexcept;
  bool is_ejected(std::size_t index) const noexcept;
  std::uint32_t in_flight(std::size_t index) const noexcept;
  unsigned max_attempts() const noexcept;  // of one request: the first one and the further ones
  std::size_t size() const noexcept { return members_.size(); }
  const config::BalancerSpec& spec() const noexcept { return spec_; }

 private:
  // Which members in a rest count as usable.
  enum class Grace : std::uint8_t { None, Ejected, All };

  std::uint32_t status_of(std::size_t index) const noexcept;
  bool can_serve(std::size_t index, std::uint32_t status, Grace grace) const noexcept;
  bool serves_sessions(std::size_t index) const noexcept;
  std::optional<std::size_t> member_of(std::size_t route, const TriedSet& tried) const noexcept;
  std::optional<std::size_t> member_for_session(std::size_t route, const TriedSet& tried) const noexcept;
  MemberSet usable(const MemberSet& tried, Grace grace) const noexcept;
  MemberSet usable_of(std::span<const std::uint16_t> set, const MemberSet& tried, Grace grace) const noexcept;
  bool too_few_left() const noexcept;
  bool view_is_valid(base::Instant now) const noexcept;
  void refresh(base::Instant now, PickObserver* observer) noexcept;
  MemberSet choose_offered(PickObserver* observer) noexcept;
  void note_presence(const MemberSet& offered, const Offer& offer, base::Instant now) noexcept;
  void end_rests(base::Instant now, PickObserver* observer) noexcept;
  std::int64_t next_rest_end(base::Instant now) const noexcept;
  MemberSet left_for(const TriedSet& tried) const noexcept;
  std::optional<std::size_t> pick_again(const TriedSet& tried, base::Instant now, const PickHint& hint) noexcept;
  std::optional<std::size_t> pick_from(const MemberSet& set, base::Instant now, const PickHint& hint) noexcept;
  std::optional<std::size_t> warm_one(std::size_t index, const TriedSet& tried, base::Instant now, const PickHint& hint) noexcept;
  double warmth(std::size_t index, base::Instant now) const noexcept;
  std::optional<std::size_t> chosen(std::size_t index) noexcept;
  Consequence mark(std::size_t index, RestReason reason, base::Instant now) noexcept;
  Consequence judge(std::size_t index, bool bad, base::Instant now) noexcept;
  Consequence eject(std::size_t index, RestReason reason, base::Instant now) noexcept;
  void state_moved() noexcept;

  const config::BalancerSpec& spec_;
  std::vector<MemberSlot*> members_;
  const std::vector<std::uint32_t> rows_;
  const Shared shared_;
  BalancerSlot& slot_;
  std::vector<std::uint32_t> weights_;
  std::vector<std::uint16_t> by_set_;       // members, those of the lowest lbset first, in file order
  std::vector<std::uint16_t> set_ends_;     // in by_set_
  std::unique_ptr<Policy> policy_;
  const bool needs_total_;

  std::mutex refreshing_;
  std::vector<Offer::Entry> entries_;  // of both offers
  std::array<Offer, 2> offers_;        // written under refreshing_

  // This process's view. Written in this order under refreshing_, read in the opposite order: who
  // sees an epoch sees an offer at least as new.
  std::atomic<const Offer*> offer_{nullptr};  // null = nobody is usable
  std::atomic<std::int64_t> warming_until_{0};  // somebody on offer is in its slow start
  std::atomic<std::int64_t> valid_until_{0};
  std::atomic<std::uint64_t> valid_epoch_{0};
};

}  // namespace cxxproxy::balancer
