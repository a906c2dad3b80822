#include "net/loop_threads.h"

#include <fcntl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstring>

#include "net/quiet_thread.h"

namespace cxxproxy::net {
namespace {

// Of the thread itself.
struct Self {
  LoopThreads* threads = nullptr;
  std::uint32_t lead = 0;
  bool leads = false;
};

thread_local Self t_self;

// Looks of the watchman without a task after which he sleeps until there is one.
constexpr unsigned kQuietLooks = 20;

base::Duration time_of(clockid_t clock) noexcept {
  timespec time{};
  (void)::clock_gettime(clock, &time);
  return std::chrono::duration_cast<base::Duration>(std::chrono::seconds(time.tv_sec) + std::chrono::nanoseconds(time.tv_nsec));
}

base::Instant now() noexcept { return base::Instant(time_of(CLOCK_MONOTONIC)); }

// The third word of /proc/self/task/TID/stat; the second is a name in brackets. 'R' where it cannot be told.
char state_of(pid_t thread) noexcept {
  char path[64];
  (void)std::snprintf(path, sizeof path, "/proc/self/task/%d/stat", static_cast<int>(thread));
  const int file = ::open(path, O_RDONLY | O_CLOEXEC);
  if (file < 0) return 'R';
  char text[256];
  const ssize_t size = ::read(file, text, sizeof text - 1);
  ::close(file);
  if (size <= 0) return 'R';
  text[size] = '\0';
  const char* const bracket = std::strrchr(text, ')');
  return bracket != nullptr && bracket[1] == ' ' ? bracket[2] : 'R';
}

}  // namespace

bool LoopThreads::start(std::function<void()> begin, std::function<void()> end) {
  begin_ = std::move(begin);
  end_ = std::move(end);
  bool started = false;
  {
    const std::lock_guard lock(mutex_);
    started = spawn() && spawn();
  }
  started = started && start_quiet_thread(watchman_, [this] { watch(); });
  if (!started) stop();
  return started;
}

// With the mutex.
bool LoopThreads::spawn() {
  if (threads_.size() >= most_threads_) return false;
  std::thread thread;
  if (!start_quiet_thread(thread, [this] { serve(); })) return false;
  threads_.push_back(std::move(thread));
  return true;
}

void LoopThreads::stop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_.store(true);
    called_ = true;
  }
  vacancy_.notify_all();
  watchman_called_.notify_all();
  work_.nudge();
  // The watchman first: he makes threads.
  if (watchman_.joinable()) watchman_.join();
  for (std::thread& thread : threads_) {
    if (thread.joinable()) thread.join();
  }
}

void LoopThreads::serve() {
  t_self.threads = this;
  if (begin_) begin_();
  for (;;) {
    {
      std::unique_lock lock(mutex_);
      ++waiting_;
      vacancy_.wait(lock, [this] { return vacant_ || stopping_.load(); });
      --waiting_;
      if (stopping_.load()) break;
      vacant_ = false;
      clockid_t clock{};
      if (::pthread_getcpuclockid(::pthread_self(), &clock) == 0) leader_clock_.store(clock);
      leader_.store(static_cast<pid_t>(::syscall(SYS_gettid)));
      t_self.lead = lead_of(word_.load());
    }
    t_self.leads = true;
    lead(t_self.lead);
    t_self.leads = false;
  }
  if (end_) end_();
}

void LoopThreads::lead(std::uint32_t mine) {
  LoopTask task;
  while (!stopping_.load(std::memory_order_relaxed)) {
    if (!work_.next_task(task)) continue;
    // Only the leader changes the word while it is not busy. The order between this and the look at the watchman
    // is what keeps him from sleeping through a task that blocks.
    Word word = (word_.load(std::memory_order_relaxed) + kTask) | kBusy;
    if (lead_of(word) != mine) word -= kLead;  // the count of tasks has come round
    cause_.store(nullptr, std::memory_order_relaxed);
    word_.store(word);
    if (watchman_sleeps_.load()) tell_watchman();
    work_.run_task(task);
    if (!word_.compare_exchange_strong(word, word & ~kBusy)) return;
  }
}

// From a leader that is busy: the word says with what.
bool LoopThreads::take_lead(Word busy) {
  if (!word_.compare_exchange_strong(busy, (busy & ~kBusy) + kLead)) return false;
  bool lacks = false;
  {
    const std::lock_guard lock(mutex_);
    vacant_ = true;
    lacks = waiting_ == 0;
    if (lacks) ++lacking_;
  }
  vacancy_.notify_one();
  if (lacks) tell_watchman();
  return true;
}

void LoopThreads::let_others_go_on() noexcept {
  Self& self = t_self;
  if (self.threads == nullptr || !self.leads || was_taken()) return;
  self.leads = false;
  const Word word = self.threads->word_.load();
  if (lead_of(word) != self.lead || (word & kBusy) == 0) return;
  if (self.threads->take_lead(word)) self.threads->given_.fetch_add(1, std::memory_order_relaxed);
}

bool LoopThreads::runs_for(const void* cause) noexcept {
  const Self& self = t_self;
  if (!self.leads) return false;
  if (lead_of(self.threads->word_.load(std::memory_order_relaxed)) != self.lead) return true;
  self.threads->cause_.store(cause, std::memory_order_relaxed);
  return false;
}

bool LoopThreads::leads() noexcept {
  const Self& self = t_self;
  return self.leads && lead_of(self.threads->word_.load(std::memory_order_relaxed)) == self.lead;
}

bool LoopThreads::was_taken() noexcept { return t_self.leads && !leads(); }

bool LoopThreads::is_one() noexcept { return t_self.threads != nullptr; }

LoopThreads::Counts LoopThreads::counts() const {
  const std::lock_guard lock(mutex_);
  return {static_cast<unsigned>(threads_.size()), taken_.load(), given_.load()};
}

// ---------------------------------------------------------------- the watchman

void LoopThreads::tell_watchman() {
  {
    const std::lock_guard lock(mutex_);
    called_ = true;
  }
  watchman_called_.notify_one();
}

// Waits for the next look, for as long as the loop is quiet; makes threads. False: it is over.
bool LoopThreads::must_look() {
  std::unique_lock lock(mutex_);
  if (watchman_sleeps_.load()) {
    watchman_called_.wait(lock, [this] { return called_; });
    watchman_sleeps_.store(false);
  } else {
    (void)watchman_called_.wait_for(lock, look_, [this] { return called_; });
  }
  called_ = false;
  for (; lacking_ > 0 && !stopping_.load(); --lacking_) {
    if (!spawn()) break;
  }
  lacking_ = 0;
  return !stopping_.load();
}

void LoopThreads::watch() {
  unsigned quiet = 0;
  Word last = 0;
  while (must_look()) {
    const Word word = word_.load();
    if ((word & kBusy) == 0) {
      quiet = word == last ? quiet + 1 : 0;
      if (quiet >= kQuietLooks) {
        quiet = 0;
        watchman_sleeps_.store(true);
        // A task that began before its leader could see that.
        if (word_.load() != word) watchman_sleeps_.store(false);
      }
    } else {
      quiet = 0;
      const void* const cause = cause_.load(std::memory_order_relaxed);
      if (is_stuck(word) && take_lead(word)) {
        taken_.fetch_add(1, std::memory_order_relaxed);
        if (cause != nullptr) work_.has_blocked(cause);
      }
    }
    last = word;
  }
}

// The same task at a second look: is its thread blocked, does it work, or does it merely wait for a processor?
bool LoopThreads::is_stuck(Word word) {
  const base::Duration burnt = time_of(leader_clock_.load());
  if (word != seen_) {
    seen_ = word;
    burnt_ = burnt;
    seen_at_ = now();
    return false;
  }
  const base::Duration lasted = std::chrono::duration_cast<base::Duration>(now() - seen_at_);
  if (lasted < look_ / 2) return false;
  if (state_of(leader_.load()) != 'R') return true;
  // On a machine where many want a processor, it may have had little of the time.
  return lasted >= 2 * look_ && burnt - burnt_ >= std::min(lasted / 2, 2 * look_);
}

}  // namespace cxxproxy::net
