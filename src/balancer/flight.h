// One attempt's stay at a member of a balancer.
//
// WHAT    Holds what Balancer::pick has counted as in flight and gives it back exactly once, whatever
//         becomes of the attempt; carries bytes and the time of the answer to the member's counters.
// SHAPES  Lives in the exchange. Bytes are handed on in portions of kPortion and at the end, so that a long
//         transfer is seen while it lasts. An empty one (a backend without a balancer) ignores everything.
// ERRORS  None.
#pragma once

#include <utility>

#include "balancer/balancer.h"

namespace cxxproxy::balancer {

class Flight {
 public:
  static constexpr std::uint64_t kPortion = 256 * 1024;

  Flight() noexcept = default;
  ~Flight() { end(); }
  Flight(const Flight&) = delete;
  Flight& operator=(const Flight&) = delete;

  // Of the member that `balancer` has just picked.
  void begin(Balancer& balancer, std::size_t index, base::Instant now) noexcept {
    end();
    balancer_ = &balancer;
    index_ = index;
    since_ = now;
  }

  void sent(std::uint64_t bytes) noexcept {
    sent_ += bytes;
    if (sent_ >= kPortion) hand_on();
  }
  void received(std::uint64_t bytes) noexcept {
    received_ += bytes;
    if (received_ >= kPortion) hand_on();
  }

  // The head of the answer is there; the first byte of it is taken as now.
  Consequence answered(int status, base::Instant now) noexcept {
    return balancer_ != nullptr ? balancer_->answered(index_, status, now - since_, now) : Consequence{};
  }
  Consequence failed(Failure failure, base::Instant now) noexcept {
    return balancer_ != nullptr ? balancer_->attempt_failed(index_, failure, now) : Consequence{};
  }

  // The member had no room: the attempt is not made.
  void passed_over() noexcept {
    if (balancer_ != nullptr) std::exchange(balancer_, nullptr)->passed_over(index_);
  }

  void end() noexcept {
    if (balancer_ == nullptr) return;
    hand_on();
    balancer_->ended(index_);
    balancer_ = nullptr;
  }

 private:
  void hand_on() noexcept {
    if (balancer_ != nullptr && (sent_ | received_) != 0) balancer_->add_bytes(index_, sent_, received_);
    sent_ = received_ = 0;
  }

  Balancer* balancer_ = nullptr;
  std::size_t index_ = 0;
  base::Instant since_{};
  std::uint64_t sent_ = 0;
  std::uint64_t received_ = 0;
};

}  // namespace cxxproxy::balancer
