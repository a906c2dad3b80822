// How many descriptors this process may spend on its clients, and how many it does.
//
// WHAT    A client costs one, while it is the event loop's one more, a connection to a backend one, a parked request one
//         more. Each is counted when it is opened and closed, whoever waits for what: what is idle costs no more than it has.
//         The last quarter is not for clients that have spoken once, the last eighth for no client between two requests: it is kept
//         for requests, or those who speak would find no backend.
// SHAPES  Of the process, like the descriptors. Any thread, without a lock; some threads at once may overstep the
//         limit by one each. Before set_most() there is room for everything.
#pragma once

#include <unistd.h>

#include <atomic>
#include <climits>

namespace cxxproxy::net {

class DescriptorRoom {
 public:
  // Those that the rest of the server needs are not in it.
  void set_most(unsigned most) noexcept { most_.store(most, std::memory_order_relaxed); }

  void take() noexcept { used_.fetch_add(1, std::memory_order_relaxed); }
  void give_back() noexcept { used_.fetch_sub(1, std::memory_order_relaxed); }
  unsigned used() const noexcept { return used_.load(std::memory_order_relaxed); }

  // For one more.
  bool for_request() const noexcept { return used() < most(); }
  bool for_new_client() const noexcept { return used() < most() - most() / 4; }
  bool for_active_client() const noexcept { return used() < most() - most() / 8; }

 private:
  unsigned most() const noexcept { return most_.load(std::memory_order_relaxed); }

  std::atomic<unsigned> most_{UINT_MAX};
  std::atomic<unsigned> used_{0};
};

inline constinit DescriptorRoom g_descriptor_room;

// One that was counted.
inline void close_counted(int descriptor) noexcept {
  ::close(descriptor);
  g_descriptor_room.give_back();
}

}  // namespace cxxproxy::net
