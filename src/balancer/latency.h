// The time to the first byte of a member's answers, as one number that rises at once and falls slowly.
//
// WHAT    A peak-sensitive moving average in one 64-bit word, so that a change is one compare-and-swap:
//         a slower answer than the average counts at once, faster ones pull it down with a time
//         constant of kLatencyMemory. Without answers it falls as well, so that a member that was slow
//         once is tried again.
// SHAPES  Low half: microseconds (at most 71 minutes). High half: milliseconds of the clock, which may
//         wrap. 0 = never measured.
// SOURCE  Peak EWMA as in Finagle's and linkerd's load balancers.
#pragma once

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdint>

#include "base/clock.h"

namespace cxxproxy::balancer {

inline constexpr base::Duration kLatencyMemory = std::chrono::seconds(10);

namespace latency_detail {
inline std::uint32_t stamp(base::Instant now) noexcept {
  return static_cast<std::uint32_t>(static_cast<std::uint64_t>(base::micros(now) / 1000));
}
inline double share_left(std::uint32_t from, base::Instant now) noexcept {
  const double age = static_cast<double>(static_cast<std::int32_t>(stamp(now) - from)) * 1000.0;  // wraps rightly
  return age <= 0.0 ? 1.0 : std::exp(-age / static_cast<double>(kLatencyMemory.count()));
}
}  // namespace latency_detail

// Microseconds, 0 = never measured.
inline std::uint32_t latency_last(std::uint64_t word) noexcept { return static_cast<std::uint32_t>(word); }

inline double latency_now(std::uint64_t word, base::Instant now) noexcept {
  return static_cast<double>(latency_last(word)) * latency_detail::share_left(static_cast<std::uint32_t>(word >> 32), now);
}

inline void add_latency(std::atomic<std::uint64_t>& slot, base::Duration sample, base::Instant now) noexcept {
  const double measured = static_cast<double>(std::clamp<std::int64_t>(sample.count(), 1, 0xffffffff));
  std::uint64_t word = slot.load(std::memory_order_relaxed);
  for (;;) {
    const double left = latency_detail::share_left(static_cast<std::uint32_t>(word >> 32), now);
    const double former = static_cast<double>(latency_last(word));
    const bool rises = word == 0 || measured >= former * left;
    const double value = rises ? measured : former * left + measured * (1.0 - left);
    const auto low = static_cast<std::uint64_t>(std::clamp(value, 1.0, 4294967295.0));
    const std::uint64_t fresh = static_cast<std::uint64_t>(latency_detail::stamp(now)) << 32 | low;
    if (slot.compare_exchange_weak(word, fresh, std::memory_order_relaxed)) return;
  }
}

}  // namespace cxxproxy::balancer
