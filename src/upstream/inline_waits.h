// Is it worth the thread to wait inside a read of this member, where the request could be parked?
//
// WHAT    Most backends answer within the short time that a read waits in the kernel; a request to one that
//         does not would hold its thread that long for nothing and be parked all the same. After some
//         waits in vain none is worth it, but for one in kProbe, until one has paid.
// SHAPES  One for each member and child, a guess by all its threads, without a lock; and one for each tunnel, whose
//         backend answers at once or does not.
#pragma once

#include <atomic>

namespace cxxproxy::upstream {

class InlineWaits {
 public:
  static constexpr unsigned kVain = 3;
  static constexpr unsigned kProbe = 32;

  // The same without a probe.
  bool pays() const noexcept { return vain_.load(std::memory_order_relaxed) < kVain; }
  bool worth_it() noexcept {
    return pays() || asked_.fetch_add(1, std::memory_order_relaxed) % kProbe == 0;
  }
  void came_in_time() noexcept {
    if (vain_.load(std::memory_order_relaxed) != 0) vain_.store(0, std::memory_order_relaxed);
  }
  void was_in_vain() noexcept {
    const unsigned vain = vain_.load(std::memory_order_relaxed);
    if (vain < kVain) vain_.store(vain + 1, std::memory_order_relaxed);
  }

 private:
  std::atomic<unsigned> vain_{0};
  std::atomic<unsigned> asked_{1};
};

}  // namespace cxxproxy::upstream
