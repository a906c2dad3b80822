// Backends whose requests have blocked the event loop: served by workers for a while.
//
// WHAT    A strike is a request during which the loop had to be taken from its thread. More than kStrikes
//         of one backend within kWindow bar it from the loop for kSpan, because each costs everybody else some milliseconds.
// SHAPES  A backend is told by an address in the configuration. A small table; two backends that meet
//         in it push each other out, which forgets strikes and bars nobody wrongly. Any thread, without a lock.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>

#include "base/clock.h"

namespace cxxproxy::net {

class Bans {
 public:
  static constexpr unsigned kStrikes = 2;
  static constexpr base::Duration kWindow = std::chrono::seconds(10);
  static constexpr base::Duration kSpan = std::chrono::seconds(60);

  // True when this strike bars it.
  bool strike(const void* backend, base::Instant now) noexcept {
    Entry& entry = entry_of(backend);
    if (entry.backend.exchange(backend) != backend || base::micros(now) - entry.first.load() > kWindow.count()) {
      entry.first.store(base::micros(now));
      entry.strikes.store(0);
      entry.until.store(0);
    }
    if (entry.strikes.fetch_add(1) + 1 != kStrikes + 1) return false;
    entry.until.store(base::micros(now + kSpan));
    return true;
  }

  bool is_barred(const void* backend, base::Instant now) const noexcept {
    const Entry& entry = entries_[index_of(backend)];
    return entry.until.load(std::memory_order_relaxed) != 0 && entry.backend.load(std::memory_order_relaxed) == backend &&
           base::micros(now) < entry.until.load(std::memory_order_relaxed);
  }

 private:
  struct Entry {
    std::atomic<const void*> backend{nullptr};
    std::atomic<std::int64_t> first{0};
    std::atomic<std::int64_t> until{0};
    std::atomic<unsigned> strikes{0};
  };
  static constexpr std::size_t kEntries = 64;

  static std::size_t index_of(const void* backend) noexcept { return (reinterpret_cast<std::uintptr_t>(backend) >> 4) % kEntries; }
  Entry& entry_of(const void* backend) noexcept { return entries_[index_of(backend)]; }

  std::array<Entry, kEntries> entries_{};
};

}  // namespace cxxproxy::net
