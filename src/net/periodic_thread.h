// A thread that looks at something twice a second, for as long as there is something to look at.
//
// SHAPES  start() and stop() are its owner's; any thread may call resume().
// ERRORS  start() is false without a thread.
#pragma once

#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>
#include <utility>

#include "net/quiet_thread.h"

namespace cxxproxy::net {

class PeriodicThread {
 public:
  static constexpr std::chrono::milliseconds kPeriod{500};
  // False: there is nothing to look at until somebody resumes.
  using Look = std::function<bool()>;

  PeriodicThread() = default;
  ~PeriodicThread() { stop(); }
  PeriodicThread(const PeriodicThread&) = delete;
  PeriodicThread& operator=(const PeriodicThread&) = delete;

  // It looks for the first time after a period.
  bool start(Look look) {
    look_ = std::move(look);
    return start_quiet_thread(thread_, [this] { run(); });
  }
  void resume() {
    {
      const std::lock_guard lock(mutex_);
      if (std::exchange(wanted_, true)) return;
    }
    changed_.notify_one();
  }
  void stop() {
    if (!thread_.joinable()) return;
    {
      const std::lock_guard lock(mutex_);
      ends_ = true;
    }
    changed_.notify_one();
    thread_.join();
  }

 private:
  void run() {
    std::unique_lock lock(mutex_);
    while (!ends_) {
      if (!wanted_) {
        changed_.wait(lock, [this] { return ends_ || wanted_; });
      } else if (!changed_.wait_for(lock, kPeriod, [this] { return ends_; })) {
        wanted_ = false;
        lock.unlock();
        const bool more = look_();
        lock.lock();
        wanted_ = wanted_ || more;
      }
    }
  }

  Look look_;
  std::mutex mutex_;  // std::mutex: the condition variable needs it
  std::condition_variable changed_;
  bool wanted_ = true;
  bool ends_ = false;
  std::thread thread_;
};

}  // namespace cxxproxy::net
