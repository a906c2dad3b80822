#include "balancer/by_requests.h"

#include <algorithm>
#include <cassert>

#include "balancer/methods.h"

namespace cxxproxy::balancer {

namespace {
constexpr auto kAcquire = std::memory_order_acquire;
constexpr auto kRelease = std::memory_order_release;
}  // namespace

// The values read here may come from two versions until the last line has compared them, so each of
// them is bounded by the memory that is there.
std::optional<std::size_t> Order::at(std::uint64_t turn) const noexcept {
  const std::uint64_t version = version_.load(kAcquire);
  const std::uint64_t period = period_.load(kAcquire);
  const std::uint64_t stride = stride_.load(kAcquire);
  if (version % 2 != 0 || period == 0) return std::nullopt;
  std::size_t found = 0;
  if (stride == 0) {
    if (period > turn_capacity_) return std::nullopt;
    found = turns_[turn % period].load(kAcquire);
  } else {
    const std::uint64_t point = turn % period * stride % period;
    std::size_t low = 0;
    std::size_t high = count_.load(kAcquire) - std::size_t{1};
    while (low < high) {
      const std::size_t middle = low + (high - low) / 2;
      if (shares_[middle].load(kAcquire) <= point) {
        low = middle + 1;
      } else {
        high = middle;
      }
    }
    found = turns_[low].load(kAcquire);
  }
  if (version_.load(std::memory_order_relaxed) != version) return std::nullopt;
  return found;
}

void Order::reserve(std::size_t turns, std::size_t members) {
  if (turns_ != nullptr) return;
  turns_ = std::make_unique<std::atomic<std::uint16_t>[]>(turns);
  shares_ = std::make_unique<std::atomic<std::uint32_t>[]>(members);
  turn_capacity_ = turns;
}

// Every store is a release: who reads one of the new values also sees the odd version before it.
void Order::assign_table(std::span<const std::uint16_t> turns) noexcept {
  assert(turns.size() <= turn_capacity_);
  const std::uint64_t version = version_.load(std::memory_order_relaxed);
  version_.store(version + 1, kRelease);
  stride_.store(0, kRelease);
  period_.store(turns.size(), kRelease);
  for (std::size_t i = 0; i < turns.size(); ++i) turns_[i].store(turns[i], kRelease);
  version_.store(version + 2, kRelease);
}

void Order::assign_stride(std::span<const WeightedMember> members, std::uint64_t period) noexcept {
  assert(members.size() <= turn_capacity_);
  const std::uint64_t version = version_.load(std::memory_order_relaxed);
  version_.store(version + 1, kRelease);
  count_.store(static_cast<std::uint32_t>(members.size()), kRelease);
  stride_.store(choose_stride(period), kRelease);
  period_.store(period, kRelease);
  std::uint32_t end = 0;
  for (std::size_t i = 0; i < members.size(); ++i) {
    end += members[i].weight;
    shares_[i].store(end, kRelease);
    turns_[i].store(members[i].index, kRelease);
  }
  version_.store(version + 2, kRelease);
}

ByRequests::ByRequests(std::span<const std::uint32_t> weights) : weights_(weights.begin(), weights.end()) {
  assert(weights_.size() <= config::kMaxMembers);
  for (std::uint32_t& weight : weights_) weight = std::max(weight, 1u);
  scratch_.reserve(weights_.size());
  MemberSet all;
  for (std::size_t i = 0; i < weights_.size(); ++i) all.insert(i);
  // No subset has a longer table than all together: its sum is smaller, its divisor not smaller.
  const std::uint64_t period = collect(all);
  turn_capacity_ = static_cast<std::size_t>(std::max<std::uint64_t>(std::min(period, kMaxTable), weights_.size()));
}

std::uint64_t ByRequests::collect(const MemberSet& usable) {
  scratch_.clear();
  for (std::size_t i = 0; i < weights_.size(); ++i) {
    if (usable.contains(i)) scratch_.push_back({static_cast<std::uint16_t>(i), weights_[i]});
  }
  return reduce_weights(scratch_);
}

const Order* ByRequests::order_for(const MemberSet& usable) {
  Kept* oldest = &kept_[0];
  ++uses_;
  for (Kept& kept : kept_) {
    if (kept.used != 0 && kept.set == usable) {
      kept.used = uses_;
      return &kept.order;
    }
    if (kept.used < oldest->used) oldest = &kept;
  }
  oldest->set = usable;
  oldest->used = uses_;
  build(oldest->order, usable);
  return &oldest->order;
}

void ByRequests::build(Order& order, const MemberSet& usable) {
  const std::uint64_t period = collect(usable);
  assert(!scratch_.empty());
  order.reserve(turn_capacity_, weights_.size());
  if (!fits_table(period, different_weights(scratch_))) {
    order.assign_stride(scratch_, period);
    return;
  }
  turns_scratch_.resize(static_cast<std::size_t>(period));
  fill_period(scratch_, turns_scratch_);
  order.assign_table(turns_scratch_);
}

namespace {

std::vector<std::uint32_t> weights_of(const config::BalancerSpec& spec) {
  std::vector<std::uint32_t> weights;
  weights.reserve(spec.members.size());
  for (const config::MemberSpec& member : spec.members) weights.push_back(member.loadfactor);
  return weights;
}

}  // namespace

TurnOrder::TurnOrder(const config::BalancerSpec& spec) : orders_(weights_of(spec)) {}

void TurnOrder::prepare(const MemberSet& offered) {
  order_.store(offered.empty() ? nullptr : orders_.order_for(offered), kRelease);
}

std::optional<std::size_t> TurnOrder::next(const View& view) const noexcept {
  const std::uint64_t turn = view.turn();
  if (!view.first_turn()) {
    const Offer& offer = view.offer();
    return offer.member(offer.place_of(static_cast<std::uint32_t>(golden_point(turn, offer.shares()))));
  }
  const Order* order = order_.load(kAcquire);
  while (order != nullptr) {
    if (const std::optional<std::size_t> index = order->at(turn)) return index;
    order = order_.load(kAcquire);  // its memory serves another set by now
  }
  return std::nullopt;
}

namespace {

class ByRequestsPolicy final : public Policy {
 public:
  explicit ByRequestsPolicy(const config::BalancerSpec& spec) : order_(spec) {}

  void prepare(const MemberSet& offered) override { order_.prepare(offered); }
  std::optional<std::size_t> pick(const View& view, const PickHint&) noexcept override { return order_.next(view); }

 private:
  TurnOrder order_;
};

}  // namespace

std::unique_ptr<Policy> make_by_requests(const config::BalancerSpec& spec) { return std::make_unique<ByRequestsPolicy>(spec); }

}  // namespace cxxproxy::balancer
