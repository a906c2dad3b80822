// Why somebody who waits without a thread is woken, and the means for it.
//
// WHAT    The reasons, as bits; what epoll says of a client's descriptor as such bits; eventfds that wake; and how long a
//         thread sleeps that looks after deadlines.
#pragma once

#include <sys/epoll.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>

#include "base/clock.h"

namespace cxxproxy::net {

enum Wake : unsigned {
  kWakeUpstream = 1u << 0,      // the backend's descriptor is ready
  kWakeClient = 1u << 1,        // the client's is
  kWakeClientClosed = 1u << 2,  // the client closed its sending side, or altogether
  kWakeClientGone = 1u << 3,    // reset, or closed in both directions
  kWakeTime = 1u << 4,
  kWakeSlot = 1u << 5,          // woken by wake()
  kWakeStop = 1u << 6,          // the server is being stopped
  kWakeAgain = 1u << 7,         // on an event loop: it asked for another turn
  kWakeRoom = 1u << 8,          // on an event loop: its place is wanted for another client
};

inline unsigned client_wake_bits(unsigned events) noexcept {
  unsigned why = 0;
  if ((events & (EPOLLHUP | EPOLLERR)) != 0) why |= kWakeClientGone;
  if ((events & EPOLLRDHUP) != 0) why |= kWakeClientClosed;
  if ((events & (EPOLLIN | EPOLLOUT)) != 0) why |= kWakeClient;
  return why;
}

// Makes an eventfd readable, and quiet again.
inline void signal_event(int event) noexcept {
  const std::uint64_t one = 1;
  (void)!::write(event, &one, sizeof one);
}
inline void clear_event(int event) noexcept {
  std::uint64_t count = 0;
  (void)!::read(event, &count, sizeof count);
}

// Of a thread whose first deadline is this one; Instant::max() for none.
struct Sleep {
  static constexpr base::Duration kLongest = std::chrono::seconds(60);

  Sleep(base::Instant now, base::Instant deadline) : until(std::clamp(deadline, now, now + kLongest)), span(until - now) {}
  int milliseconds() const noexcept { return static_cast<int>(std::chrono::ceil<std::chrono::milliseconds>(span).count()); }

  base::Instant until;
  base::Duration span;
};

}  // namespace cxxproxy::net
