// Notices that the server is to end while clients still hold it open.
//
// WHAT    Asks twice a second, from a thread of its own, and calls once.
// ERRORS  start() is false without a thread.
#pragma once

#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>

#include "net/quiet_thread.h"

namespace cxxproxy::net {

class StopWatch {
 public:
  using Stopping = bool (*)() noexcept;

  StopWatch(Stopping stopping, std::function<void()> then) : stopping_(stopping), then_(std::move(then)) {}
  ~StopWatch() { stop(); }
  StopWatch(const StopWatch&) = delete;
  StopWatch& operator=(const StopWatch&) = delete;

  bool start() {
    return start_quiet_thread(thread_, [this] { run(); });
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
    while (!changed_.wait_for(lock, std::chrono::milliseconds(500), [this] { return ends_; })) {
      if (!stopping_()) continue;
      then_();
      return;
    }
  }

  const Stopping stopping_;
  const std::function<void()> then_;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool ends_ = false;
  std::thread thread_;
};

}  // namespace cxxproxy::net
