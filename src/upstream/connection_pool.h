// Kept connections to one member, in one child process.
//
// WHAT    Hands out leases: a kept connection (last in, first out: the warmest one) or the right to
//         open a new one, never more than `max` at once. A lease gives its connection back only
//         when told that it is clean; otherwise the connection is closed with the lease.
// SHAPES  Thread-safe; one short critical section per acquire and per release. An idle connection
//         costs its socket and about 100 bytes here; it holds no buffer.
// ERRORS  acquire() answers an empty lease when the limit is reached; balancer/waiting_line.h is where requests wait.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "upstream/byte_stream.h"

namespace cxxproxy::upstream {

struct PoolLimits {
  unsigned max = 0;  // connections in use at once, 0 = no limit
  bool reuse = true;
  std::size_t max_idle = SIZE_MAX;      // kept connections; more are closed when they come back
  std::optional<base::Duration> ttl{};  // idle connections older than this are closed instead of used
  std::size_t keep_idle = 0;            // but not the last so many
};

struct Connection {
  std::unique_ptr<ByteStream> stream;
  base::Instant idle_since{};
  std::uint32_t exchanges = 0;  // answers received on it so far
};

class ConnectionPool;

// Move-only right to one connection slot. Destroying it closes the connection unless keep() was called.
class Lease {
 public:
  Lease() = default;
  Lease(Lease&& other) noexcept : pool_(std::exchange(other.pool_, nullptr)), connection_(std::move(other.connection_)) {}
  Lease& operator=(Lease&& other) noexcept;
  ~Lease() { discard(); }

  explicit operator bool() const noexcept { return pool_ != nullptr; }
  bool reused() const noexcept { return connection_.exchanges > 0; }
  ByteStream* stream() const noexcept { return connection_.stream.get(); }
  void attach(std::unique_ptr<ByteStream> stream) noexcept { connection_ = Connection{std::move(stream), {}, 0}; }
  void close_stream() noexcept { connection_ = Connection{}; }

  void keep(base::Instant now) noexcept;
  void discard() noexcept;

 private:
  friend class ConnectionPool;
  Lease(ConnectionPool* pool, Connection connection) noexcept : pool_(pool), connection_(std::move(connection)) {}

  ConnectionPool* pool_ = nullptr;
  Connection connection_;
};

class ConnectionPool {
 public:
  explicit ConnectionPool(PoolLimits limits) : limits_(limits) {}
  ~ConnectionPool() = default;
  ConnectionPool(const ConnectionPool&) = delete;
  ConnectionPool& operator=(const ConnectionPool&) = delete;

  // `fresh` asks for a slot without a kept connection (a replay must not meet a second stale one).
  // `watched` prefers a connection that an event loop watches, else one that none does.
  Lease acquire(base::Instant now, bool fresh, bool watched = false);

  // Whether acquire() would give a lease at this moment.
  bool has_room() const;

  // Called from time to time by anyone: closes idle connections that expired or that the peer closed.
  void reap(base::Instant now);

  unsigned in_use() const;
  std::size_t idle() const;

 private:
  friend class Lease;
  void give_back(Connection connection, base::Instant now) noexcept;
  void forget() noexcept;
  Connection take_newest(bool watched);
  bool oldest_expired(base::Instant now) const noexcept;
  void take_expired(base::Instant now, std::vector<Connection>& expired);

  const PoolLimits limits_;
  mutable std::mutex mutex_;
  std::deque<Connection> idle_;  // oldest first
  unsigned in_use_ = 0;
  base::Instant next_reap_{};
};

}  // namespace cxxproxy::upstream
