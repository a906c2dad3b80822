#include "balancer/smooth_order.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <utility>
#include <vector>

namespace cxxproxy::balancer {

std::uint64_t reduce_weights(std::span<WeightedMember> members) noexcept {
  std::uint32_t divisor = 0;
  for (const WeightedMember& member : members) divisor = std::gcd(divisor, member.weight);
  std::uint64_t period = 0;
  for (WeightedMember& member : members) {
    member.weight /= divisor;
    period += member.weight;
  }
  return period;
}

std::size_t different_weights(std::span<const WeightedMember> members) {
  std::vector<std::uint32_t> weights;
  weights.reserve(members.size());
  for (const WeightedMember& member : members) weights.push_back(member.weight);
  std::sort(weights.begin(), weights.end());
  return static_cast<std::size_t>(std::unique(weights.begin(), weights.end()) - weights.begin());
}

namespace {

// Members of one weight: a member's credit is turns x weight - wins x W, so the next one of them is
// the one with the fewest wins that is first in the file.
struct Peers {
  std::int64_t weight;
  std::int64_t credit;  // of the next one
  std::size_t begin;    // in the list that is sorted by weight
  std::size_t size;
  std::size_t next;
};

}  // namespace

void fill_period(std::span<const WeightedMember> members, std::span<std::uint16_t> turns) {
  const auto period = static_cast<std::int64_t>(turns.size());
  std::vector<WeightedMember> sorted(members.begin(), members.end());
  std::stable_sort(sorted.begin(), sorted.end(),
                   [](const WeightedMember& a, const WeightedMember& b) { return a.weight < b.weight; });
  std::vector<Peers> groups;
  for (std::size_t i = 0; i < sorted.size(); ++i) {
    if (i == 0 || sorted[i].weight != sorted[i - 1].weight) groups.push_back({sorted[i].weight, 0, i, 0, 0});
    ++groups.back().size;
  }
  const auto next_of = [&](const Peers& peers) { return sorted[peers.begin + peers.next].index; };
  for (std::uint16_t& turn : turns) {
    Peers* winner = nullptr;
    for (Peers& peers : groups) {
      peers.credit += peers.weight;
      const bool wins = winner == nullptr || peers.credit > winner->credit ||
                        (peers.credit == winner->credit && next_of(peers) < next_of(*winner));
      if (wins) winner = &peers;
    }
    turn = next_of(*winner);
    if (++winner->next == winner->size) {
      winner->next = 0;
      winner->credit -= period;  // all of them have won once more
    }
  }
}

namespace {

// Greatest partial quotient of the continued fraction of numerator / denominator.
std::uint64_t greatest_quotient(std::uint64_t numerator, std::uint64_t denominator) noexcept {
  std::uint64_t greatest = 0;
  std::uint64_t a = denominator;
  std::uint64_t b = numerator;
  while (b != 0) {
    greatest = std::max(greatest, a / b);
    a = std::exchange(b, a % b);
  }
  return greatest;
}

}  // namespace

std::uint64_t choose_stride(std::uint64_t period) noexcept {
  constexpr std::uint64_t kTries = 256;
  constexpr std::uint64_t kGoodQuotient = 4;
  if (period < 3) return 1;
  const auto golden = static_cast<std::uint64_t>(std::llround(static_cast<double>(period) * 0.6180339887498949));
  std::uint64_t best = 1;
  std::uint64_t best_quotient = std::numeric_limits<std::uint64_t>::max();
  for (std::uint64_t step = 0; step < kTries && best_quotient > kGoodQuotient; ++step) {
    const std::uint64_t half = (step + 1) / 2;
    const std::uint64_t candidate = step % 2 == 0 ? golden + half : golden - half;
    if (candidate == 0 || candidate >= period) break;
    if (std::gcd(candidate, period) != 1) continue;
    const std::uint64_t quotient = greatest_quotient(candidate, period);
    if (quotient < best_quotient) {
      best = candidate;
      best_quotient = quotient;
    }
  }
  return best;
}

}  // namespace cxxproxy::balancer
