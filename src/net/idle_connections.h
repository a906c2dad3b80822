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

#include <condition_variable>
#include <mutex>
#include <thread>

#include "base/clock.h"

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
  ~IdleConnections() { stop(); }
  IdleConnections(const IdleConnections&) = delete;
  IdleConnections& operator=(const IdleConnections&) = delete;

  bool start();
  void stop();

  void enter(Entry& entry);
  void leave(Entry& entry);
  unsigned count() const;

 private:
  void run();
  void look(bool all);

  const base::Clock& clock_;
  const Stopping stopping_;
  mutable std::mutex mutex_;  // std::mutex: the condition variable needs it
  std::condition_variable changed_;
  Entry* first_ = nullptr;
  unsigned count_ = 0;
  bool ends_ = false;
  std::thread thread_;
};

}  // namespace cxxproxy::net
