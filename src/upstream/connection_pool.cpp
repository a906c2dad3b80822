#include "upstream/connection_pool.h"

#include <algorithm>
#include <iterator>
#include <utility>
#include <vector>

namespace cxxproxy::upstream {

namespace {
constexpr base::Duration kReapInterval = std::chrono::seconds(1);
constexpr std::size_t kLooksForKind = 16;
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

Lease ConnectionPool::acquire(base::Instant now, bool fresh, bool watched) {
  std::vector<Connection> expired;  // closed after the lock is released
  const std::lock_guard lock(mutex_);
  if (limits_.max != 0 && in_use_ >= limits_.max) return {};
  ++in_use_;
  if (fresh) return {this, Connection{}};
  take_expired(now, expired);
  if (idle_.empty()) return {this, Connection{}};
  return {this, take_newest(watched)};
}

// The other kind is better than none, and than a long search.
Connection ConnectionPool::take_newest(bool watched) {
  if ((idle_.back().stream->notes() != nullptr) == watched) {
    Connection newest = std::move(idle_.back());
    idle_.pop_back();
    return newest;
  }
  const std::size_t few = std::min(idle_.size(), kLooksForKind);
  auto chosen = std::prev(idle_.end());
  for (std::size_t i = 1; i < few; ++i) {
    const auto candidate = std::prev(idle_.end(), static_cast<std::ptrdiff_t>(i) + 1);
    if ((candidate->stream->notes() != nullptr) != watched) continue;
    chosen = candidate;
    break;
  }
  Connection taken = std::move(*chosen);
  std::move(std::next(chosen), idle_.end(), chosen);
  idle_.pop_back();
  return taken;
}

bool ConnectionPool::has_room() const {
  const std::lock_guard lock(mutex_);
  return limits_.max == 0 || in_use_ < limits_.max;
}

bool ConnectionPool::oldest_expired(base::Instant now) const noexcept {
  return limits_.ttl && idle_.size() > limits_.keep_idle && now - idle_.front().idle_since >= *limits_.ttl;
}

void ConnectionPool::take_expired(base::Instant now, std::vector<Connection>& expired) {
  while (oldest_expired(now)) {
    expired.push_back(std::move(idle_.front()));
    idle_.pop_front();
  }
}

void ConnectionPool::give_back(Connection connection, base::Instant now) noexcept {
  bool due = false;
  {
    std::vector<Connection> expired;
    const std::lock_guard lock(mutex_);
    --in_use_;
    if (limits_.reuse && idle_.size() < limits_.max_idle) {
      connection.idle_since = now;
      idle_.push_back(std::move(connection));
      take_expired(now, expired);
    }
    due = now >= next_reap_ && idle_.size() > 1;
    if (due) next_reap_ = now + kReapInterval;
  }
  if (due) reap(now);
}

void ConnectionPool::forget() noexcept {
  const std::lock_guard lock(mutex_);
  --in_use_;
}

void ConnectionPool::reap(base::Instant now) {
  std::vector<Connection> closing;
  const std::lock_guard lock(mutex_);
  take_expired(now, closing);
  for (std::size_t looks = 0; looks < kReapAtMost && !idle_.empty() && !idle_.front().stream->looks_idle(); ++looks) {
    closing.push_back(std::move(idle_.front()));
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
