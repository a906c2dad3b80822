#include "balancer/slot_places.h"

#include <algorithm>

namespace cxxproxy::balancer {

namespace {

struct Keyed {
  SlotKey key;
  std::uint32_t place;
};

bool before(const SlotKey& a, const SlotKey& b) noexcept { return a.hash != b.hash ? a.hash < b.hash : a.check < b.check; }

// Finds what has a key; of several with the same the first that was not asked for yet. A zero key is nobody's.
class KeyIndex {
 public:
  template <class Keepers>
  explicit KeyIndex(const Keepers& keepers) : taken_(keepers.size(), false) {
    std::uint32_t place = 0;
    for (const auto& keeper : keepers) {
      if (keeper.key != SlotKey{}) known_.push_back({keeper.key, place});
      ++place;
    }
    std::sort(known_.begin(), known_.end(),
              [](const Keyed& a, const Keyed& b) { return a.key == b.key ? a.place < b.place : before(a.key, b.key); });
  }

  std::optional<std::uint32_t> take(const SlotKey& key) {
    auto at = std::lower_bound(known_.begin(), known_.end(), key, [](const Keyed& a, const SlotKey& b) { return before(a.key, b); });
    for (; at != known_.end() && at->key == key; ++at) {
      if (taken_[at->place]) continue;
      taken_[at->place] = true;
      return at->place;
    }
    return std::nullopt;
  }
  bool is_taken(std::size_t place) const { return taken_[place]; }

 private:
  std::vector<Keyed> known_;
  std::vector<bool> taken_;
};

constexpr std::uint32_t kNowhere = ~std::uint32_t{0};

// False: not enough free slots. Nothing is changed yet.
template <class Slot, class Specs>
bool choose(std::span<const Slot> slots, const Specs& specs, const Turnover& turnover, std::vector<std::uint32_t>& chosen) {
  KeyIndex known(slots);
  for (const auto& spec : specs) chosen.push_back(known.take(slot_key(spec->key)).value_or(kNowhere));
  std::uint32_t next = 0;
  const auto is_free = [&](std::uint32_t slot) {
    return !known.is_taken(slot) && (slots[slot].key == SlotKey{} || slots[slot].generation < turnover.oldest_living);
  };
  for (std::uint32_t& place : chosen) {
    if (place != kNowhere) continue;
    while (next < slots.size() && !is_free(next)) ++next;
    if (next == slots.size()) return false;
    place = next++;
  }
  return true;
}

enum class Fate { GoesOn, StartsAnew, ChangesHands };

template <class Slot, class Spec>
Fate fate_of(const Slot& slot, const Spec& spec, const Turnover& turnover) noexcept {
  if (slot.key != slot_key(spec.key)) return Fate::ChangesHands;
  const bool was_there = slot.generation + 1 == turnover.generation;
  return was_there && (turnover.children_left() || spec.persist) ? Fate::GoesOn : Fate::StartsAnew;
}

}  // namespace

std::optional<SlotPlaces> place_slots(Slots& slots, const config::ResolvedConfig& config, const Turnover& turnover, base::Instant now) {
  SlotPlaces places;
  if (!choose(std::span<const MemberSlot>(slots.members), config.members, turnover, places.members)) return std::nullopt;
  if (!choose(std::span<const BalancerSlot>(slots.balancers), config.balancers, turnover, places.balancers)) return std::nullopt;

  for (std::size_t i = 0; i < places.members.size(); ++i) {
    MemberSlot& slot = slots.members[places.members[i]];
    const config::MemberSpec& spec = *config.members[i];
    const Fate fate = fate_of(slot, spec, turnover);
    if (fate == Fate::GoesOn) {
      apply_file(slot, spec, now);
      ++places.members_kept;
    } else {
      if (fate == Fate::ChangesHands) {
        slots.flights.forget(places.members[i]);
        slots.parked.forget(places.members[i]);
      }
      start_member(slot, spec, now);
    }
    slot.generation = turnover.generation;
  }
  const auto first_row = static_cast<std::uint32_t>(slots.members.size());
  for (std::size_t i = 0; i < places.balancers.size(); ++i) {
    BalancerSlot& slot = slots.balancers[places.balancers[i]];
    const config::BalancerSpec& spec = *config.balancers[i];
    const Fate fate = fate_of(slot, spec, turnover);
    if (fate == Fate::GoesOn) {
      ++places.balancers_kept;
    } else {
      if (fate == Fate::ChangesHands) slots.flights.forget(first_row + places.balancers[i]);
      start_balancer(slot, spec);
    }
    slot.generation = turnover.generation;
    // Children of the former configuration look at their members again.
    slot.epoch.fetch_add(1, std::memory_order_release);
  }
  return places;
}

Remembered remember(const Slots& slots, std::uint64_t generation) {
  Remembered known;
  const auto is_of = [generation](const auto& slot) { return slot.key != SlotKey{} && slot.generation == generation; };
  for (const BalancerSlot& slot : slots.balancers) {
    if (is_of(slot)) known.balancers.push_back({slot.key, state_of(slot)});
  }
  for (const MemberSlot& slot : slots.members) {
    if (is_of(slot)) known.members.push_back({slot.key, state_of(slot)});
  }
  return known;
}

namespace {

// How many slots got a state back.
template <class Record, class Slot, class Specs>
std::size_t recall_each(const std::vector<Record>& records, std::span<Slot> slots, const std::vector<std::uint32_t>& places, const Specs& specs, bool all) {
  KeyIndex known(records);
  std::size_t recalled = 0;
  for (std::size_t i = 0; i < places.size(); ++i) {
    Slot& slot = slots[places[i]];
    const auto found = known.take(slot.key);
    if (!found || !(all || specs[i]->persist)) continue;
    carry(records[*found].state, slot);
    ++recalled;
  }
  return recalled;
}

}  // namespace

void recall(const Remembered& known, Slots& slots, const config::ResolvedConfig& config, SlotPlaces& places, bool all) {
  places.members_kept += recall_each(known.members, slots.members, places.members, config.members, all);
  places.balancers_kept += recall_each(known.balancers, slots.balancers, places.balancers, config.balancers, all);
}

}  // namespace cxxproxy::balancer
