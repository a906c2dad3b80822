// Time inside the pure rooms.
//
// WHAT    A monotonic instant in microseconds and a way to ask for it; tests pass a ManualClock.
// SHAPES  Instants only compare and subtract within one machine boot; they may be stored in shared
//         memory because CLOCK_MONOTONIC is the same for all processes.
#pragma once

#include <chrono>
#include <cstdint>

namespace cxxproxy::base {

using Duration = std::chrono::microseconds;
using Instant = std::chrono::time_point<std::chrono::steady_clock, Duration>;

// As numbers in shared memory and in files.
constexpr std::int64_t micros(Instant instant) noexcept { return instant.time_since_epoch().count(); }

class Clock {
 public:
  virtual Instant now() const noexcept = 0;

 protected:
  ~Clock() = default;
};

class SteadyClock final : public Clock {
 public:
  Instant now() const noexcept override {
    return std::chrono::time_point_cast<Duration>(std::chrono::steady_clock::now());
  }
};

class ManualClock final : public Clock {
 public:
  Instant now() const noexcept override { return now_; }
  void advance(Duration step) noexcept { now_ += step; }

 private:
  Instant now_{std::chrono::seconds(1000)};
};

}  // namespace cxxproxy::base
