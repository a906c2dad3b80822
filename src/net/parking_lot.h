// Where exchanges wait without a thread.
//
// WHAT    A spot is an epoll set of its own with the backend's and the client's descriptors in it. Whoever
//         polls the set's descriptor, the MPM, is woken by them directly, then gives the connection to a
//         worker, which leaves the spot and is told what happened. One thread per child watches the
//         deadlines; it wakes a spot by putting something into the set that is always ready.
// SHAPES  The thread touches nothing but its own spots: no pool, no connection, no log. A spot costs its
//         descriptor and about 100 bytes, and is reused. What it watched stays in the set between two waits
//         of one request, which saves most calls of the second. Nobody may poll the descriptor
//         between leave() and enter().
//         enter() and leave() may be called by any thread, for one spot by one at a time.
// ERRORS  rent() answers no spot when the lot is full or descriptors have run out: the caller then waits
//         on its own thread.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "base/mutex.h"
#include "net/wake.h"

namespace cxxproxy::net {

struct Watch {
  int upstream = -1;
  bool upstream_readable = false;
  bool upstream_writable = false;
  int client = -1;
  bool client_readable = false;
  bool client_writable = false;
  bool client_closing = false;  // wake when it closes its sending side
  base::Instant until{};
};

class ParkingLot {
 public:
  using Spot = std::uint32_t;
  static constexpr Spot kNone = UINT32_MAX;

  ParkingLot(const base::Clock& clock, unsigned capacity) : clock_(clock), capacity_(capacity) {}
  ~ParkingLot();
  ParkingLot(const ParkingLot&) = delete;
  ParkingLot& operator=(const ParkingLot&) = delete;

  // False: the system refused a descriptor or a thread; nothing can be parked.
  bool start();
  void stop();

  Spot rent();
  // How many could be rented.
  unsigned room() const;
  void give_back(Spot spot);
  int descriptor(Spot spot) const;

  void enter(Spot spot, const Watch& watch);
  // Wake bits of what happened since enter().
  unsigned leave(Spot spot);
  void wake(Spot spot, unsigned why);
  void wake_all(unsigned why);

  unsigned entered() const;  // and not left

 private:
  struct Place {
    int set = -1;  // an epoll set; the spot's descriptor
    bool entered = false;
    bool fired = false;
    unsigned why = 0;
    // What is in the set; only for who has rented the spot.
    int upstream = -1;
    int client = -1;
    unsigned client_events = 0;
    std::uint32_t heap_index = UINT32_MAX;
    base::Instant until{};
  };

  void run();
  void fire(Spot spot, unsigned why) CXXPROXY_REQUIRES(mutex_);
  Spot bare_spot() CXXPROXY_REQUIRES(mutex_);
  int ready_for(Spot spot) CXXPROXY_REQUIRES(mutex_);
  int next_timeout() CXXPROXY_REQUIRES(mutex_);
  void fire_expired() CXXPROXY_REQUIRES(mutex_);

  void heap_insert(Spot spot) CXXPROXY_REQUIRES(mutex_);
  void heap_remove(Spot spot) CXXPROXY_REQUIRES(mutex_);
  void heap_place(std::uint32_t index, Spot spot) CXXPROXY_REQUIRES(mutex_);
  void heap_up(std::uint32_t index) CXXPROXY_REQUIRES(mutex_);
  void heap_down(std::uint32_t index) CXXPROXY_REQUIRES(mutex_);

  const base::Clock& clock_;
  const unsigned capacity_;
  int nudge_ = -1;  // an eventfd that makes the thread look at its deadlines again
  std::atomic<bool> stopping_{false};
  std::thread thread_;

  mutable base::Mutex mutex_;
  std::deque<Place> places_ CXXPROXY_GUARDED_BY(mutex_);  // a deque: places never move
  std::vector<Spot> free_ CXXPROXY_GUARDED_BY(mutex_);    // with their set, which is empty
  std::vector<Spot> bare_ CXXPROXY_GUARDED_BY(mutex_);    // without
  std::vector<int> ready_ CXXPROXY_GUARDED_BY(mutex_);    // eventfds that are always readable, one for kSharing spots
  std::vector<Spot> heap_ CXXPROXY_GUARDED_BY(mutex_);    // by deadline, earliest first
  base::Instant sleeping_until_ CXXPROXY_GUARDED_BY(mutex_){};
  unsigned entered_ CXXPROXY_GUARDED_BY(mutex_) = 0;
};

}  // namespace cxxproxy::net
