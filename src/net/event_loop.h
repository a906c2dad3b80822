// An event loop for client connections and the backend connections that serve them.
//
// WHAT    Each actor, a client connection that is the loop's, has a place. What happens to its client, to the backend
//         connection that it uses or to its time makes a thread of the loop run it, with the Wake bits that say why.
//         Client and backend descriptors are in one epoll set, edge-triggered, for as long as they are the loop's: a
//         wait costs no system call of its own. Kept backend connections stay in it, and what happens to them
//         meanwhile is noted, so that an idle one need not be tested before it is used.
// SHAPES  One thread runs a place at a time: it holds the place. attach() gives a held place, release() lets it go; an actor
//         may detach() its own place while it runs. From outside, seize() waits for it. A place has a
//         generation, so that an event on its way to an actor that has left is dropped.
//         A run may be in vain, also because of a stream that the actor has given away. Deadlines are kept
//         lazily: one that is later than the one before it costs nothing until then.
// ERRORS  start() is false without descriptors or threads; attach() answers kNone when there are too many. Whose client cannot
//         be watched is run with kWakeStop.
#pragma once

#include <sys/epoll.h>

#include <atomic>
#include <deque>
#include <functional>
#include <queue>
#include <vector>

#include "base/clock.h"
#include "base/mutex.h"
#include "net/loop_threads.h"
#include "net/stable_slots.h"
#include "net/wake.h"
#include "upstream/byte_stream.h"

namespace cxxproxy::net {

class LoopActor {
 public:
  virtual void run(unsigned why) noexcept = 0;

 protected:
  ~LoopActor() = default;
};

class EventLoop final : private LoopWork, private upstream::StreamWatcher {
 public:
  using Place = std::uint32_t;
  static constexpr Place kNone = UINT32_MAX;

  static constexpr unsigned kMostThreads = 32;  // by far more than a backend can hold before it is barred

  EventLoop(const base::Clock& clock, base::Duration look, unsigned most_threads = kMostThreads)
      : clock_(clock), threads_(*this, look, most_threads) {}
  ~EventLoop();
  EventLoop(const EventLoop&) = delete;
  EventLoop& operator=(const EventLoop&) = delete;

  // `begin` and `end` are called on each thread; `blocked` tells for whom a run was that has lost the lead
  // (LoopThreads::runs_for), on a thread of its own and without waiting for it to come to an end.
  bool start(std::function<void()> begin = {}, std::function<void()> end = {}, std::function<void(const void*)> blocked = {});
  void stop();

  // Held by the caller. The client is watched from release() on.
  Place attach(LoopActor& actor, int client);
  // The holder lets go; `why` are reasons to run at once.
  void release(Place place, unsigned why);
  // The holder, for good.
  void detach(Place place);
  // From outside: waits until nobody runs `actor`, and holds its place then. False: it has no place any more.
  bool seize(Place place, const LoopActor& actor);

  // Any thread.
  void wake(Place place, unsigned why);
  void wake_all(unsigned why);
  // Wakes one whose client was last idle(), or attached, before that, if a few looks find any; each time others are looked at.
  bool wake_idle(base::Instant before, unsigned why);
  // When the events came that are being handled: the time, as far as milliseconds do, without asking the system for it.
  base::Instant round_at() const noexcept { return base::Instant(base::Duration(round_at_.load(std::memory_order_relaxed))); }

  // The holder: run at this time at the latest. Instant::max(): never.
  void set_until(Place place, base::Instant until);
  // The holder: nothing is to be done for its client from now on.
  void idle(Place place, base::Instant since) noexcept { places_.at(place).idle_since.store(base::micros(since), std::memory_order_relaxed); }
  // The holder: run with kWakeClient when the client takes more.
  void await_writable(Place place);
  // The holder: what happens to the stream is this actor's business from here on; that it takes more, once `writable` was
  // asked for. False: it cannot be watched.
  bool use_stream(Place place, upstream::ByteStream& stream, bool writable);

  unsigned count() const noexcept { return count_.load(std::memory_order_relaxed); }
  LoopThreads::Counts threads() const { return threads_.counts(); }

 private:
  // generation (32 bits), held, attached, Wake bits
  using Word = std::uint64_t;
  static constexpr Word kHeld = Word{1} << 31;
  static constexpr Word kAttached = Word{1} << 30;
  static constexpr Word kWhy = kAttached - 1;

  struct PlaceState {
    std::atomic<Word> word{0};
    std::atomic<LoopActor*> actor{nullptr};
    int client = -1;       // the holder's, as the next one
    bool watched = false;
    std::atomic<base::Duration::rep> idle_since{0};
    std::atomic<base::Instant> until{base::Instant::max()};   // the holder's
    std::atomic<base::Instant> queued{base::Instant::max()};  // of the timer that is in the queue for it; written with timers_mutex_
  };
  struct Stream final : upstream::StreamNotes {
    std::atomic<std::uint64_t> user{0};  // generation and place of who uses it
    std::atomic<std::uint32_t> generation{0};
    std::uint32_t number = 0;
    bool writable = false;  // is told of; the holder's
  };
  struct Timer {
    base::Instant at;
    Place place;
    bool operator>(const Timer& other) const noexcept { return at > other.at; }
  };

  bool next_task(LoopTask& task) noexcept override;
  void run_task(const LoopTask& task) noexcept override;
  void nudge() noexcept override;
  void has_blocked(const void* cause) noexcept override {
    if (blocked_) blocked_(cause);
  }
  void stream_ends(upstream::StreamNotes& notes) noexcept override;

  bool watch(int operation, int descriptor, unsigned events, std::uint64_t tag) noexcept;
  bool watch_stream(Stream& stream, int descriptor, int operation) noexcept;
  void wait_for_events() noexcept;
  void run_stream(std::uint32_t number, std::uint32_t generation, unsigned events) noexcept;
  void run_posted(Place place) noexcept;
  void run_held(Place place, std::uint32_t generation, unsigned why) noexcept;
  void deliver(Place place, std::uint32_t generation, unsigned why) noexcept;
  bool note(Place place, unsigned why) noexcept;
  void let_go(Place place, std::uint32_t generation, unsigned why) noexcept;
  void post(Place place) noexcept;
  void take_posted() noexcept;
  int next_timeout() noexcept;
  void fire_timers(base::Instant now) noexcept;

  const base::Clock& clock_;
  std::function<void(const void*)> blocked_;
  int epoll_ = -1;
  int nudge_ = -1;
  std::atomic<unsigned> count_{0};
  std::atomic<Place> looked_at_{0};  // of wake_idle()
  StableSlots<PlaceState> places_;
  StableSlots<Stream> streams_;

  // The leader's.
  static constexpr int kBatch = 128;
  epoll_event events_[kBatch];
  int fetched_ = 0;
  int next_event_ = 0;
  std::deque<Place> round_;  // places that were posted, or whose time has come

  base::Mutex posted_mutex_;
  std::vector<Place> posted_ CXXPROXY_GUARDED_BY(posted_mutex_);
  std::atomic<bool> any_posted_{false};
  std::atomic<bool> sleeps_{false};

  base::Mutex timers_mutex_;
  std::priority_queue<Timer, std::vector<Timer>, std::greater<>> timers_ CXXPROXY_GUARDED_BY(timers_mutex_);
  std::atomic<base::Duration::rep> sleeping_until_{0};
  std::atomic<base::Duration::rep> round_at_{0};

  LoopThreads threads_;  // last: its threads use all of the above
};

}  // namespace cxxproxy::net
