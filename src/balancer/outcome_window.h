// How many of the last attempts on a member have failed: the counters behind ejection.
//
// WHAT    One 64-bit word per member: the number of the window, attempts and failures in it. A window
//         begins anew with the first attempt after its end, so nothing has to tick.
// SHAPES  Window number modulo 2^24; counts stay at 2^20 - 1 when they are full.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>

#include "base/clock.h"

namespace cxxproxy::balancer {

struct Outcomes {
  std::uint32_t attempts = 0;
  std::uint32_t failures = 0;
};

inline Outcomes count_outcome(std::atomic<std::uint64_t>& slot, bool failed, base::Instant now, base::Duration window) noexcept {
  constexpr std::uint64_t kFull = (std::uint64_t{1} << 20) - 1;
  const std::uint64_t number =
      static_cast<std::uint64_t>(base::micros(now) / std::max<std::int64_t>(1, window.count())) & 0xffffff;
  std::uint64_t word = slot.load(std::memory_order_relaxed);
  for (;;) {
    const bool same = word >> 40 == number;
    std::uint64_t attempts = same ? word >> 20 & kFull : 0;
    std::uint64_t failures = same ? word & kFull : 0;
    if (attempts < kFull) {
      ++attempts;
      failures += failed ? 1 : 0;
    }
    if (slot.compare_exchange_weak(word, number << 40 | attempts << 20 | failures, std::memory_order_relaxed)) {
      return {static_cast<std::uint32_t>(attempts), static_cast<std::uint32_t>(failures)};
    }
  }
}

}  // namespace cxxproxy::balancer
