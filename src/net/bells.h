// How child processes call each other: there is something for you.
//
// WHAT    A thread in each child waits for the bell of its place, a word in the shared segment
//         (balancer/limits.h), with the system's futex: no descriptor, no message, and a bell that rings
//         while nobody listens is heard later. Used for slots that a waiter of another child has waited
//         for longest; only where a limit counts over all children.
// SHAPES  The thread runs `rung` and nothing else. Several rings may be heard as one.
// ERRORS  start() answers false when the system gives no thread: waiters then look by themselves.
// SOURCE  futex(2); a private futex, as std::atomic::wait uses, does not work between processes.
#pragma once

#include <atomic>
#include <functional>
#include <thread>

#include "balancer/limits.h"
#include "balancer/waiting_line.h"

namespace cxxproxy::net {

class Bells final : public balancer::Ringer {
 public:
  Bells(const balancer::Limits& limits, std::uint32_t place) : limits_(limits), place_(place) {}
  Bells(const Bells&) = delete;
  Bells& operator=(const Bells&) = delete;
  ~Bells() { stop(); }

  bool start(std::function<void()> rung);
  // Where a signal ends the process in the middle of a request, the thread may be stuck in `rung`: it is
  // left behind then.
  void stop() noexcept;

  void ring(std::uint32_t place) noexcept override;

 private:
  void run();

  const balancer::Limits limits_;
  const std::uint32_t place_;
  std::function<void()> rung_;
  std::atomic<bool> stopping_{false};
  std::atomic<bool> ended_{false};
  std::thread thread_;
};

// In the parent: everybody looks.
void ring_all(const balancer::Limits& limits) noexcept;

}  // namespace cxxproxy::net
