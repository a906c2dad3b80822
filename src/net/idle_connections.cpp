#include "net/idle_connections.h"

#include <sys/socket.h>

#include "net/quiet_thread.h"

namespace cxxproxy::net {
namespace {

constexpr base::Duration kBetweenLooks = std::chrono::milliseconds(500);

}  // namespace

bool IdleConnections::start() { return start_quiet_thread(thread_, [this] { run(); }); }

void IdleConnections::stop() {
  if (!thread_.joinable()) return;
  {
    const std::lock_guard lock(mutex_);
    ends_ = true;
  }
  changed_.notify_one();
  thread_.join();
}

void IdleConnections::enter(Entry& entry) {
  bool first = false;
  {
    const std::lock_guard lock(mutex_);
    if (entry.entered) return;
    entry.entered = true;
    entry.before = nullptr;
    entry.after = first_;
    if (first_ != nullptr) first_->before = &entry;
    first_ = &entry;
    first = ++count_ == 1;
  }
  if (first) changed_.notify_one();
}

void IdleConnections::leave(Entry& entry) {
  const std::lock_guard lock(mutex_);
  if (!entry.entered) return;
  entry.entered = false;
  (entry.before != nullptr ? entry.before->after : first_) = entry.after;
  if (entry.after != nullptr) entry.after->before = entry.before;
  --count_;
}

unsigned IdleConnections::count() const {
  const std::lock_guard lock(mutex_);
  return count_;
}

// An entry stays until its connection is back on a thread; ending it twice does no harm.
void IdleConnections::look(bool all) {
  const base::Instant now = clock_.now();
  for (const Entry* entry = first_; entry != nullptr; entry = entry->after) {
    if (all || entry->until <= now) (void)::shutdown(entry->descriptor, SHUT_RD);
  }
}

void IdleConnections::run() {
  std::unique_lock lock(mutex_);
  while (!ends_) {
    if (first_ == nullptr) {
      changed_.wait(lock, [this] { return ends_ || first_ != nullptr; });
    } else if (!changed_.wait_for(lock, kBetweenLooks, [this] { return ends_; })) {
      look(stopping_());
    }
  }
}

}  // namespace cxxproxy::net
