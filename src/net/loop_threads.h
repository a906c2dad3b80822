// The threads of an event loop: one leads, the others are there for the moment in which it blocks.
//
// WHAT    The leader fetches tasks and runs them, one after the other. A task that blocks must not hold those behind it: the
//         leader gives its place up before it (let_others_go_on), or the watchman takes it away when a task has lasted for
//         two of his looks while its thread was blocked or burnt its processor's time. Another thread then goes on with the
//         tasks that were fetched already; who lost its place finishes its task and waits until it is needed again.
//         Whoever the task was run for is told at once, not when it is over.
//         A leader that merely waits for a processor keeps its place: another thread would have to wait as well.
// SHAPES  Two threads to begin with, more when all are blocked, up to a limit, and the watchman, who alone makes threads.
//         While nothing happens he sleeps. Losing a leader costs one wake-up and moves no task.
// ERRORS  start() is false without threads. When all threads are blocked, the next one that comes back leads.
// SOURCE  Leader/followers: Schmidt et al., "Leader/Followers", 2000.
#pragma once

#include <pthread.h>

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

#include "base/clock.h"

namespace cxxproxy::net {

struct LoopTask {
  std::uint64_t tag = 0;
  unsigned what = 0;
};

class LoopWork {
 public:
  // On the leader: waits for the next task. False: there was none, ask again.
  virtual bool next_task(LoopTask& task) noexcept = 0;
  // May block. The thread is the leader when this begins.
  virtual void run_task(const LoopTask& task) noexcept = 0;
  // Ends a wait inside next_task().
  virtual void nudge() noexcept = 0;
  // On the watchman's thread: a task that was run for `cause` has lost the lead, and still blocks.
  virtual void has_blocked(const void* cause) noexcept = 0;

 protected:
  ~LoopWork() = default;
};

class LoopThreads {
 public:
  // `look` is the time between two looks of the watchman.
  LoopThreads(LoopWork& work, base::Duration look, unsigned most_threads) : work_(work), look_(look), most_threads_(most_threads) {}
  ~LoopThreads() { stop(); }
  LoopThreads(const LoopThreads&) = delete;
  LoopThreads& operator=(const LoopThreads&) = delete;

  // `begin` and `end` are called on each thread.
  bool start(std::function<void()> begin = {}, std::function<void()> end = {});
  void stop();

  // For whoever is about to block: on the leader another thread leads from here on, elsewhere nothing happens.
  static void let_others_go_on() noexcept;
  // For whom the leader runs its task, from here on: whatever LoopWork::has_blocked() can use at any time. Elsewhere nothing happens.
  // Answers was_taken().
  static bool runs_for(const void* cause) noexcept;
  // This thread still has the lead that its task began with.
  static bool leads() noexcept;
  // The watchman took the lead from this thread during the task that it runs.
  static bool was_taken() noexcept;
  // This thread is one of a loop's, whether it leads or not.
  static bool is_one() noexcept;

  struct Counts {
    unsigned threads = 0;
    std::uint64_t taken = 0;  // by the watchman
    std::uint64_t given = 0;  // by let_others_go_on()
  };
  Counts counts() const;

 private:
  // Of the lead: how often it changed hands (32 bits), tasks begun (31 bits), whether one runs.
  using Word = std::uint64_t;
  static constexpr Word kBusy = 1;
  static constexpr Word kTask = 2;
  static constexpr Word kLead = Word{1} << 32;
  static constexpr std::uint32_t lead_of(Word word) noexcept { return static_cast<std::uint32_t>(word >> 32); }

  void serve();
  void lead(std::uint32_t mine);
  bool take_lead(Word busy);
  bool spawn();
  void watch();
  bool must_look();
  bool is_stuck(Word word);
  void tell_watchman();

  LoopWork& work_;
  const base::Duration look_;
  const unsigned most_threads_;
  std::function<void()> begin_;
  std::function<void()> end_;
  std::atomic<Word> word_{0};
  std::atomic<bool> watchman_sleeps_{false};
  std::atomic<bool> stopping_{false};
  std::atomic<clockid_t> leader_clock_{CLOCK_THREAD_CPUTIME_ID};
  std::atomic<pid_t> leader_{0};
  std::atomic<const void*> cause_{nullptr};  // the leader's

  mutable std::mutex mutex_;  // std::mutex: the condition variables need it
  std::condition_variable vacancy_;
  std::condition_variable watchman_called_;
  bool vacant_ = true;
  bool called_ = false;
  unsigned waiting_ = 0;  // threads without work
  unsigned lacking_ = 0;  // threads to be made
  std::vector<std::thread> threads_;
  std::thread watchman_;
  std::atomic<std::uint64_t> taken_{0};
  std::atomic<std::uint64_t> given_{0};

  // The watchman's own.
  Word seen_ = 0;
  base::Duration burnt_{};
  base::Instant seen_at_{};
};

}  // namespace cxxproxy::net
