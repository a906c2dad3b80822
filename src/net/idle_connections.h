// Client connections between two requests whose time limit is ours to keep.
//
// WHAT    The MPM polls them, as it does otherwise, but gives each to a thread when the client speaks however
//         busy it is, where it would close a connection in its own keep-alive state. In return it knows
//         no keep-alive timeout for them and does not close them when it stops: one thread here ends
//         the receiving side of the socket then, and the connection comes back to a worker as if its client
//         had closed it. A request that has reached the socket before is still read.
// SHAPES  An entry lies in the connection's memory, so that entering and leaving allocates nothing and
//         takes one short lock. The thread looks twice a second while somebody is there.
// ERRORS  start() is false without a thread: then nobody may enter.
#pragma once

#include "base/clock.h"
#include "base/mutex.h"
#include "net/periodic_thread.h"

namespace cxxproxy::net {

class IdleConnections {
 public:
  struct Entry {
    int descriptor = -1;
    base::Instant until{};
    Entry* before = nullptr;
    Entry* after = nullptr;
    bool entered = false;
  };
  using Stopping = bool (*)() noexcept;

  // `stopping` tells whether the server wants to get rid of idle connections.
  IdleConnections(const base::Clock& clock, Stopping stopping) : clock_(clock), stopping_(stopping) {}
  IdleConnections(const IdleConnections&) = delete;
  IdleConnections& operator=(const IdleConnections&) = delete;

  bool start();
  void stop() { thread_.stop(); }

  void enter(Entry& entry);
  void leave(Entry& entry);
  unsigned count() const;

 private:
  // Ends those whose time is over, or all; false when nobody is left.
  bool look(bool all);

  const base::Clock& clock_;
  const Stopping stopping_;
  mutable base::Mutex mutex_;
  Entry* first_ CXXPROXY_GUARDED_BY(mutex_) = nullptr;
  unsigned count_ CXXPROXY_GUARDED_BY(mutex_) = 0;
  PeriodicThread thread_;  // last: it ends first
};

}  // namespace cxxproxy::net
