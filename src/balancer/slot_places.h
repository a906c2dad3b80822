// Which slot of the shared segment each member and balancer of a configuration has.
//
// WHAT    place_slots() runs in the parent for each configuration. A member that the former configuration had
//         goes on in its slot, in which the children of that configuration still count: all that changes is
//         what the file changed. Any other gets a free slot, or the one that it had before it was away, with a state that
//         knows nothing. A slot that no member has any more is free again when no child is left that may use it.
// SHAPES  A generation is one configuration, numbered without gaps; the slot remembers the last one that has it.
//         All or nothing: without room for everybody no slot is touched. O(n log n) in members and slots.
// ERRORS  No value: there is not room enough, make a larger segment.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "balancer/flights.h"
#include "balancer/parked_counts.h"
#include "balancer/slots.h"
#include "base/clock.h"
#include "config/resolved_vhost.h"

namespace cxxproxy::balancer {

// All slots of a segment. Rows of flights: one for each member, then one for each balancer.
struct Slots {
  std::span<BalancerSlot> balancers;
  std::span<MemberSlot> members;
  Flights flights;
  ParkedCounts parked{};
};

struct Turnover {
  std::uint64_t generation = 1;     // of the configuration that is placed
  std::uint64_t oldest_living = 1;  // the oldest that a child serves; `generation` when no child is left

  // Otherwise the server starts anew, and only what is to survive a restart goes on.
  bool children_left() const noexcept { return oldest_living < generation; }
};

struct SlotPlaces {
  std::vector<std::uint32_t> balancers;  // index = balancer_id
  std::vector<std::uint32_t> members;    // index = member_id
  std::size_t balancers_kept = 0;
  std::size_t members_kept = 0;
};

// What the slots of one configuration know, to be taken elsewhere: into a larger segment, or into a file.
struct Remembered {
  struct Member {
    SlotKey key;
    MemberState state;
  };
  struct Balancer {
    SlotKey key;
    BalancerState state;
  };
  std::vector<Balancer> balancers;
  std::vector<Member> members;
};

std::optional<SlotPlaces> place_slots(Slots& slots, const config::ResolvedConfig& config, const Turnover& turnover, base::Instant now);

// Of the slots that the configuration of this generation has.
Remembered remember(const Slots& slots, std::uint64_t generation);

// Into slots that place_slots() has just started; the file wins as in carry. `all`: also into those that are
// not to survive a restart.
void recall(const Remembered& known, Slots& slots, const config::ResolvedConfig& config, SlotPlaces& places, bool all);

}  // namespace cxxproxy::balancer
