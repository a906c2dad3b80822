#include "net/idle_connections.h"

#include <sys/socket.h>

namespace cxxproxy::net {

bool IdleConnections::start() {
  return thread_.start([this] { return look(stopping_()); });
}

void IdleConnections::enter(Entry& entry) {
  bool first = false;
  {
    const base::MutexLock lock(mutex_);
    if (entry.entered) return;
    entry.entered = true;
    entry.before = nullptr;
    entry.after = first_;
    if (first_ != nullptr) first_->before = &entry;
    first_ = &entry;
    first = ++count_ == 1;
  }
  if (first) thread_.resume();
}

void IdleConnections::leave(Entry& entry) {
  const base::MutexLock lock(mutex_);
  if (!entry.entered) return;
  entry.entered = false;
  (entry.before != nullptr ? entry.before->after : first_) = entry.after;
  if (entry.after != nullptr) entry.after->before = entry.before;
  --count_;
}

unsigned IdleConnections::count() const {
  const base::MutexLock lock(mutex_);
  return count_;
}

// An entry stays until its connection is back on a thread; ending it twice does no harm.
bool IdleConnections::look(bool all) {
  const base::Instant now = clock_.now();
  const base::MutexLock lock(mutex_);
  for (const Entry* entry = first_; entry != nullptr; entry = entry->after) {
    if (all || entry->until <= now) (void)::shutdown(entry->descriptor, SHUT_RD);
  }
  return first_ != nullptr;
}

}  // namespace cxxproxy::net
