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

void fill_period(std::span<const WeightedMember> members, std::span<std::uint16_t> turns) {
  const auto period = static_cast<std::int64_t>(turns.size());
  std::vector<std::int64_t> credit(members.size(), 0);
  for (std::uint16_t& turn : turns) {
    std::size_t winner = 0;
    for (std::size_t i = 0; i < members.size(); ++i) {
      credit[i] += members[i].weight;
      if (credit[i] > credit[winner]) winner = i;
    }
    credit[winner] -= period;
    turn = members[winner].index;
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
