// Numbered objects that never move and are used again.
//
// WHAT    rent() gives the number of a free object, give_back() makes it free; at() finds one by its number without a
//         lock, also while others rent.
// SHAPES  Chunks of kChunk objects, made when they are needed and never freed before the whole. An object is
//         constructed once: what it holds survives give_back(), for instance a generation.
// ERRORS  rent() answers kNone when kChunk * kChunks objects are rented.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

#include "base/mutex.h"

namespace cxxproxy::net {

template <class T>
class StableSlots {
 public:
  static constexpr std::uint32_t kNone = UINT32_MAX;
  static constexpr std::size_t kChunk = 512;
  static constexpr std::size_t kChunks = 512;

  std::uint32_t rent() {
    const base::MutexLock lock(mutex_);
    if (!free_.empty()) {
      const std::uint32_t number = free_.back();
      free_.pop_back();
      return number;
    }
    if (made_ == kChunk * kChunks) return kNone;
    if (made_ % kChunk == 0) {
      owned_.push_back(std::make_unique<T[]>(kChunk));
      free_.reserve(made_ + kChunk);
      chunks_[made_ / kChunk].store(owned_.back().get(), std::memory_order_release);
    }
    return made_++;
  }

  // Never asks for memory.
  void give_back(std::uint32_t number) noexcept {
    const base::MutexLock lock(mutex_);
    free_.push_back(number);
  }

  T& at(std::uint32_t number) noexcept { return chunks_[number / kChunk].load(std::memory_order_acquire)[number % kChunk]; }

  // How many were ever made; all numbers below it may be asked for.
  std::uint32_t made() {
    const base::MutexLock lock(mutex_);
    return made_;
  }

 private:
  std::atomic<T*> chunks_[kChunks]{};
  base::Mutex mutex_;
  std::vector<std::unique_ptr<T[]>> owned_ CXXPROXY_GUARDED_BY(mutex_);
  std::vector<std::uint32_t> free_ CXXPROXY_GUARDED_BY(mutex_);
  std::uint32_t made_ CXXPROXY_GUARDED_BY(mutex_) = 0;
};

}  // namespace cxxproxy::net
