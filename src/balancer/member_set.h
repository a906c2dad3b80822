// A set of a balancer's members, by their place in file order.
//
// WHAT    A fixed bit set: no allocation, copied by value. A request carries one to remember which
//         members it has tried (TriedSet); the balancer keeps one per order it has made.
// SHAPES  Indices 0..kMaxMembers-1; an index beyond is never contained and inserting it is ignored.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

#include "config/spec.h"

namespace cxxproxy::balancer {

class MemberSet {
 public:
  constexpr void insert(std::size_t index) noexcept {
    if (index < config::kMaxMembers) words_[index / 64] |= std::uint64_t{1} << (index % 64);
  }
  constexpr bool contains(std::size_t index) const noexcept {
    return index < config::kMaxMembers && ((words_[index / 64] >> (index % 64)) & 1u) != 0;
  }
  constexpr bool empty() const noexcept {
    for (const std::uint64_t word : words_) {
      if (word != 0) return false;
    }
    return true;
  }
  constexpr std::size_t size() const noexcept {
    std::size_t count = 0;
    for (const std::uint64_t word : words_) count += static_cast<std::size_t>(std::popcount(word));
    return count;
  }
  constexpr void insert_all(const MemberSet& others) noexcept {
    for (std::size_t i = 0; i < words_.size(); ++i) words_[i] |= others.words_[i];
  }
  constexpr void remove_all(const MemberSet& others) noexcept {
    for (std::size_t i = 0; i < words_.size(); ++i) words_[i] &= ~others.words_[i];
  }
  constexpr void clear() noexcept { words_.fill(0); }

  friend constexpr bool operator==(const MemberSet&, const MemberSet&) noexcept = default;

 private:
  static_assert(config::kMaxMembers % 64 == 0);
  std::array<std::uint64_t, config::kMaxMembers / 64> words_{};
};

using TriedSet = MemberSet;

}  // namespace cxxproxy::balancer
