// The members that are on offer at a moment, with their shares: what a method chooses from.
//
// WHAT    A list in file order that one writer replaces while any number of threads reads it.
// SHAPES  The storage belongs to the maker and has room for all members. The writer fills the list that is not
//         in use; a reader that was left behind may see its list change. What it sees then is mixed from two
//         lists, but every member in it was on offer at some moment since the reader began, which is all that
//         a pick promises.
// ERRORS  None.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>

#include "balancer/member_set.h"

namespace cxxproxy::balancer {

class Offer {
 public:
  struct Entry {
    std::atomic<std::uint32_t> member;
    std::atomic<std::uint32_t> share_end;  // weights of this one and all before it
  };

  Offer() noexcept = default;
  explicit Offer(std::span<Entry> storage) noexcept : entries_(storage) {}
  Offer(const Offer&) = delete;
  Offer& operator=(const Offer&) = delete;

  void use(std::span<Entry> storage) noexcept { entries_ = storage; }

  void assign(const MemberSet& set, std::span<const std::uint32_t> weights) noexcept {
    constexpr auto kRelease = std::memory_order_release;
    std::uint32_t count = 0;
    std::uint32_t sum = 0;
    for (std::size_t i = 0; i < weights.size() && i < entries_.size(); ++i) {
      if (!set.contains(i)) continue;
      sum += weights[i];
      entries_[count].member.store(static_cast<std::uint32_t>(i), kRelease);
      entries_[count].share_end.store(sum, kRelease);
      ++count;
    }
    count_.store(count, kRelease);
  }

  std::size_t size() const noexcept { return count_.load(std::memory_order_acquire); }
  // Of a place below size().
  std::size_t member(std::size_t place) const noexcept { return entries_[place].member.load(std::memory_order_acquire); }
  std::uint32_t share_end(std::size_t place) const noexcept { return entries_[place].share_end.load(std::memory_order_acquire); }
  std::uint32_t shares() const noexcept {
    const std::size_t count = size();
    return count == 0 ? 0 : share_end(count - 1);
  }
  // The place whose share contains `point`, which is below shares().
  std::size_t place_of(std::uint32_t point) const noexcept {
    std::size_t low = 0;
    std::size_t high = size();
    if (high > 0) --high;
    while (low < high) {
      const std::size_t middle = low + (high - low) / 2;
      if (share_end(middle) <= point) {
        low = middle + 1;
      } else {
        high = middle;
      }
    }
    return low;
  }
  bool contains(std::size_t wanted) const noexcept {
    std::size_t low = 0;
    std::size_t high = size();
    while (low < high) {
      const std::size_t middle = low + (high - low) / 2;
      if (member(middle) < wanted) {
        low = middle + 1;
      } else {
        high = middle;
      }
    }
    return low < size() && member(low) == wanted;
  }

 private:
  std::span<Entry> entries_;
  std::atomic<std::uint32_t> count_{0};
};

}  // namespace cxxproxy::balancer
