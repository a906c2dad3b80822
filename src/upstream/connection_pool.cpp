#include "upstream/connection_pool.h"

#include <utility>
#include <vector>

namespace cxxproxy::upstream {

namespace {
constexpr base::Duration kReapInterval = std::chrono::seconds(1);
constexpr std::size_t kReapAtMost = 8;  // looks per reap: a system call each, while the pool is locked
}  // namespace

Lease& Lease::operator=(Lease&& other) noexcept {
  if (this != &other) {
    discard();
    pool_ = std::exchange(other.pool_, nullptr);
    connection_ = std::move(other.connection_);
  }
  return *this;
}

void Lease::keep(base::Instant now) noexcept {
  if (pool_ == nullptr) return;
  ++connection_.exchanges;
  std::exchange(pool_, nullptr)->give_back(std::move(connection_), now);
  connection_ = Connection{};
}

void Lease::discard() noexcept {
  connection_ = Connection{};
  if (pool_ != nullptr) std::exchange(pool_, nullptr)->forget();
}

Lease ConnectionPool::acquire(base::Instant now, bool fresh) {
  std::vector<Connection> expired;  // closed after the lock is released
  const std::lock_guard lock(mutex_);
  if (limits_.max != 0 && in_use_ >= limits_.max) return {};
  ++in_use_;
  while (!fresh && !idle_.empty()) {
    Connection newest = std::move(idle_.back());
    idle_.pop_back();
    if (!limits_.ttl || now - newest.idle_since < *limits_.ttl) return {this, std::move(newest)};
    expired.push_back(std::move(newest));
  }
  return {this, Connection{}};
}

bool ConnectionPool::wait_for_slot(base::Duration at_most) {
  std::unique_lock lock(mutex_);
  ++waiting_;
  const bool free = slot_freed_.wait_for(lock, at_most, [this] { return limits_.max == 0 || in_use_ < limits_.max; });
  --waiting_;
  return free;
}

void ConnectionPool::give_back(Connection connection, base::Instant now) noexcept {
  bool due = false;
  {
    const std::lock_guard lock(mutex_);
    --in_use_;
    if (limits_.reuse && idle_.size() < limits_.max_idle) {
      connection.idle_since = now;
      idle_.push_back(std::move(connection));
    }
    if (waiting_ > 0) slot_freed_.notify_one();
    due = now >= next_reap_ && idle_.size() > 1;
    if (due) next_reap_ = now + kReapInterval;
  }
  if (due) reap(now);
}

void ConnectionPool::forget() noexcept {
  const std::lock_guard lock(mutex_);
  --in_use_;
  if (waiting_ > 0) slot_freed_.notify_one();
}

void ConnectionPool::reap(base::Instant now) {
  std::vector<Connection> closing;
  const std::lock_guard lock(mutex_);
  for (std::size_t looks = 0; looks < kReapAtMost && !idle_.empty(); ++looks) {
    Connection& oldest = idle_.front();
    const bool expired = limits_.ttl && now - oldest.idle_since >= *limits_.ttl;
    if (!expired && oldest.stream->looks_idle()) break;
    closing.push_back(std::move(oldest));
    idle_.pop_front();
  }
}

unsigned ConnectionPool::in_use() const {
  const std::lock_guard lock(mutex_);
  return in_use_;
}

std::size_t ConnectionPool::idle() const {
  const std::lock_guard lock(mutex_);
  return idle_.size();
}

}  // namespace cxxproxy::upstream
