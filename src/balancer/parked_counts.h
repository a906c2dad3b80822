// How many requests and tunnels are parked, and since when the oldest is: for each member, over all processes.
//
// WHAT    A table in the shared segment with a row for each member and one for what has no member: a request that waits for its body or for a
//         slot, and backends that only a rewrite rule names. A child writes its own cells (parked_list.h keeps them), any
//         process reads all, and the parent clears those of a child that has ended.
// SHAPES  A view, owns nothing; without a table it counts nothing. The number is exact. Since when the oldest is is one word for each child,
//         written by that child with each change. Children that share the last place (flights.h) overwrite each other's.
// ERRORS  None.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "balancer/child_table.h"
#include "base/clock.h"

namespace cxxproxy::balancer {

enum class ParkedKind : std::uint8_t { Request, Tunnel };
inline constexpr std::size_t kParkedKinds = 2;

struct Parked {
  std::uint32_t count = 0;
  std::int64_t since = 0;  // microseconds of the monotonic clock; 0: nothing is parked

  void add(const Parked& other) noexcept {
    count += other.count;
    if (other.since != 0 && (since == 0 || other.since < since)) since = other.since;
  }
  // How long the oldest has been parked.
  base::Duration age(base::Instant now) const noexcept {
    return base::Duration(count != 0 && since != 0 && since < base::micros(now) ? base::micros(now) - since : 0);
  }
};

struct ParkedBoth {
  Parked requests;
  Parked tunnels;
  bool is_empty() const noexcept { return requests.count == 0 && tunnels.count == 0; }
};

class ParkedCounts {
 public:
  ParkedCounts() noexcept = default;
  // Of size(members, places) bytes on a cache line, zero at first.
  ParkedCounts(char* memory, std::uint32_t members, std::uint32_t places) noexcept : table_(memory, members + 1, places) {}

  static constexpr std::size_t size(std::uint32_t members, std::uint32_t places) noexcept {
    return ChildTable<Cell>::size(members + 1, places);
  }

  // The row of what has no member.
  std::uint32_t no_member() const noexcept { return table_.rows() - 1; }

  void add(std::uint32_t row, std::uint32_t place, ParkedKind kind) const noexcept;
  void take_away(std::uint32_t row, std::uint32_t place, ParkedKind kind) const noexcept;
  // Of this child's; 0: it has none.
  void set_oldest(std::uint32_t row, std::uint32_t place, ParkedKind kind, std::int64_t since) const noexcept;

  ParkedBoth of_row(std::uint32_t row) const noexcept;
  ParkedBoth of_child(std::uint32_t place) const noexcept;
  ParkedBoth all() const noexcept;

  // In the parent, after it has waited for the child of this place.
  void release(std::uint32_t place) const noexcept;
  // In the parent, when no child uses the row: it counts for another member from now on.
  void forget(std::uint32_t row) const noexcept;

  std::uint32_t rows() const noexcept { return table_.rows(); }

 private:
  // Of one child in one row, by kind.
  struct Cell {
    std::array<std::atomic<std::int64_t>, kParkedKinds> since;
    std::array<std::atomic<std::uint32_t>, kParkedKinds> count;
  };
  static_assert(sizeof(Cell) == 24);

  void add_cell(std::uint32_t row, std::uint32_t place, ParkedBoth& sum) const noexcept;
  void clear(std::uint32_t row, std::uint32_t place) const noexcept;

  ChildTable<Cell> table_;
};

}  // namespace cxxproxy::balancer
