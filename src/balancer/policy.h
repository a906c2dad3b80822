// A balancing method: which of the members on offer serves a request.
//
// WHAT    Policy is what Balancer asks after it has settled who is on offer (status, rests, sets, spares,
//         standbys: the same for all methods). View is all that a method may look at. One file per method
//         (by_requests.cpp, least_load.cpp ...), its maker in methods.h.
// SHAPES  prepare() is called by one thread at a time (Balancer's mutex) before a changed offer is seen;
//         pick() by any number of threads meanwhile, without lock or allocation.
//         A further attempt of a request (first_turn() false) gets an offer without the tried members.
// ERRORS  pick gives no value when nobody is on offer any more.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "balancer/flights.h"
#include "balancer/latency.h"
#include "balancer/mix.h"
#include "balancer/offer.h"
#include "balancer/slots.h"
#include "base/clock.h"
#include "config/spec.h"

namespace cxxproxy::balancer {

inline constexpr std::size_t kNoMember = ~std::size_t{0};

// What is known of the request, beyond its being one.
struct PickHint {
  std::uint64_t key = 0;  // lbmethod=hash: text_hash() of the request's key
  bool has_key = false;
  std::size_t route = config::kNoRoute;  // in BalancerSpec::routes: a session belongs to its members
  // Members without a free slot: they are passed over, and the request has had its turn. A session's member
  // is given all the same.
  const MemberSet* busy = nullptr;
};

// A balancer's part of the shared segment, as one child sees it.
struct Shared {
  BalancerSlot& slot;
  std::span<MemberSlot* const> members;
  Flights flights;
  std::uint32_t place = 0;  // of this child
  std::uint32_t balancer_row = 0;
  std::span<const std::uint32_t> rows{};  // of the members, in flights
};

class View {
 public:
  View(const config::BalancerSpec& spec, const Shared& shared, const Offer& offer, base::Instant now, bool first_turn) noexcept
      : spec_(spec), shared_(shared), offer_(offer), now_(now), first_turn_(first_turn) {}

  const Offer& offer() const noexcept { return offer_; }  // never empty at the start of a pick
  bool first_turn() const noexcept { return first_turn_; }
  base::Instant now() const noexcept { return now_; }

  // Of members, by their place in file order.
  std::uint32_t weight(std::size_t member) const noexcept { return spec_.members[member].loadfactor; }
  std::uint32_t in_flight(std::size_t member) const noexcept { return shared_.flights.in_all(shared_.rows[member]); }
  std::uint32_t in_flight_here(std::size_t member) const noexcept {
    return shared_.flights.in_child(shared_.rows[member], shared_.place);
  }
  // All connections that `max` allows are in use in this child.
  bool is_full(std::size_t member) const noexcept {
    return spec_.members[member].max != 0 && in_flight_here(member) >= spec_.members[member].max;
  }
  double latency(std::size_t member) const noexcept { return latency_now(slot(member).latency.load(std::memory_order_relaxed), now_); }
  MemberSlot& slot(std::size_t member) const noexcept { return *shared_.members[member]; }
  std::size_t members() const noexcept { return shared_.members.size(); }

  // Of the balancer.
  std::uint32_t in_flight() const noexcept { return shared_.flights.in_all(shared_.balancer_row); }
  BalancerSlot& balancer() const noexcept { return shared_.slot; }

  // The next turn of the shared order; further attempts have their own.
  std::uint64_t turn() const noexcept {
    return (first_turn_ ? shared_.slot.ticket : shared_.slot.retry_ticket).fetch_add(1, std::memory_order_relaxed);
  }
  // A number without order.
  std::uint64_t draw() const noexcept { return mix(turn() + 0x9e3779b97f4a7c15); }

 private:
  const config::BalancerSpec& spec_;
  const Shared& shared_;
  const Offer& offer_;
  base::Instant now_;
  bool first_turn_;
};

// `point` of [0, 2^32) scaled to [0, range).
constexpr std::uint32_t scaled(std::uint64_t point, std::uint32_t range) noexcept {
  return static_cast<std::uint32_t>((point & 0xffffffff) * range >> 32);
}

// A member with the probability of its share.
inline std::size_t draw_by_share(const View& view, std::uint64_t draw) noexcept {
  const Offer& offer = view.offer();
  return offer.member(offer.place_of(scaled(draw, offer.shares())));
}

// Two different members, each with the probability of its share; the same one twice if there is no other.
struct Pair {
  std::size_t first;
  std::size_t second;
};
Pair draw_two(const View& view) noexcept;

class Policy {
 public:
  virtual ~Policy() = default;

  virtual void prepare(const MemberSet&) {}
  virtual std::optional<std::size_t> pick(const View& view, const PickHint& hint) noexcept = 0;
  // `member` is offered again after it was away, or for the first time.
  virtual void came_back(const View&, std::size_t) noexcept {}

  // Whether in_flight() of the balancer as a whole and the traffic of members have to be counted.
  virtual bool needs_total() const noexcept { return false; }
  virtual bool needs_traffic() const noexcept { return false; }
};

}  // namespace cxxproxy::balancer
