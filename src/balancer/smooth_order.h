// The smooth weighted round robin order as a function of the position.
//
// WHAT    Which member has turn number t, for given weights, without any state between turns. Short
//         periods are a table with exactly the order that mod_proxy's byrequests makes; long ones are
//         a stride order that is exact over its period and even in between.
// SHAPES  Weights are loadfactor x 100 (100..10000), reduced by their greatest common divisor; the
//         period W is their sum. Table: W <= kMaxTable and W x different weights <= kMaxTableWork (it
//         costs that many steps to fill, below a millisecond), which holds for equal weights, for sixty
//         members with the weights 1 to 60 and for five members with any decimals. Stride: turn t
//         belongs to the member whose share of [0, W) contains t x stride mod W, with the stride
//         coprime to W (each point exactly once a period) and near W / golden ratio (neighbouring
//         turns fall far apart).
//         At no moment a member is more than kMaxStrideDeviation turns away from its share (4.6 was
//         the worst seen over full periods of random weights).
// SOURCE  mod_lbmethod_byrequests' documented behaviour; golden ratio sequences: Knuth, TAOCP 6.4.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace cxxproxy::balancer {

inline constexpr std::uint64_t kMaxTable = std::uint64_t{1} << 16;
inline constexpr std::uint64_t kMaxTableWork = std::uint64_t{1} << 18;
inline constexpr double kMaxStrideDeviation = 6.0;

struct WeightedMember {
  std::uint16_t index;   // place in file order
  std::uint32_t weight;  // at least 1
};

// Divides the weights by their greatest common divisor and returns their sum, the period W.
std::uint64_t reduce_weights(std::span<WeightedMember> members) noexcept;

std::size_t different_weights(std::span<const WeightedMember> members);

constexpr bool fits_table(std::uint64_t period, std::size_t different) noexcept {
  return period <= kMaxTable && period * different <= kMaxTableWork;
}

// Writes the index of the member of each turn; `turns` has W elements. At every turn each member
// gains its weight, the greatest wins (the earlier one on a tie) and pays W. Members are in file
// order. Those of equal weight simply take turns in file order, so only one per weight is compared.
void fill_period(std::span<const WeightedMember> members, std::span<std::uint16_t> turns);

// A stride for the period W > 0: coprime to it and with small partial quotients in the continued
// fraction of stride / W, which is what keeps the sequence even.
std::uint64_t choose_stride(std::uint64_t period) noexcept;

// Point number n of the golden ratio sequence, scaled to [0, range). For turns that need no period.
constexpr std::uint64_t golden_point(std::uint64_t n, std::uint64_t range) noexcept {
  const std::uint64_t fraction = (n * 0x9e3779b97f4a7c15u) >> 32;  // upper half of frac(n x phi)
  return (fraction * range) >> 32;                                 // range < 2^32: no overflow
}

}  // namespace cxxproxy::balancer
