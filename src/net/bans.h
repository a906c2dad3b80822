// What has blocked the event loop, and is served by workers for a while.
//
// WHAT    A strike is a request during which the loop had to be taken from its thread. It costs all others some milliseconds.
//         Two of one client connection within kWindow bar that connection from the loop for kSpan: clients that ask again and
//         again for what blocks are few, and those who ask for something else stay. More than kMost of one backend bar the
//         backend: so many take the loop less than a hundredth of that time, and as many of its threads if they block for long.
// SHAPES  Strikes belong to whoever has the connection. In Bans a backend is told by an address in the configuration: a small table,
//         in which two backends that meet push each other out, which forgets strikes and bars nobody wrongly; any thread, without a lock.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>

#include "base/clock.h"

namespace cxxproxy::net {

class Strikes {
 public:
  static constexpr unsigned kMost = 1;
  static constexpr base::Duration kWindow = std::chrono::seconds(10);
  static constexpr base::Duration kSpan = std::chrono::seconds(60);

  void strike(base::Instant now) noexcept {
    if (number_ == 0 || now - first_ > kWindow) {
      first_ = now;
      number_ = 0;
    }
    if (++number_ == kMost + 1) until_ = now + kSpan;
  }
  bool is_barred(base::Instant now) const noexcept { return now < until_; }

 private:
  base::Instant first_{};
  base::Instant until_{};
  unsigned number_ = 0;
};

class Bans {
 public:
  static constexpr unsigned kMost = 16;
  static constexpr base::Duration kWindow = Strikes::kWindow;
  static constexpr base::Duration kSpan = Strikes::kSpan;

  // True when this strike bars it.
  bool strike(const void* backend, base::Instant now) noexcept {
    Entry& entry = entry_of(backend);
    if (entry.backend.exchange(backend) != backend || base::micros(now) - entry.first.load() > kWindow.count()) {
      entry.first.store(base::micros(now));
      entry.strikes.store(0);
      entry.until.store(0);
    }
    if (entry.strikes.fetch_add(1) + 1 != kMost + 1) return false;
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
