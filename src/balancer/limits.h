// Limits over all child processes, exact although processes die: permits, and who has waited longest.
//
// WHAT    A table in the shared segment with a row for each member (its `maxtotal`) and each balancer (its
//         `queue`). A permit is a word of the row that holds the place of the child that has it: one
//         compare-and-swap from 0 takes it and names its owner at once, so that nothing is lost when
//         the child is killed at any instruction. The parent gives back what a dead child held.
//         Beside them each child writes since when its first waiter waits in that row, so that the children
//         serve each other's waiters in the order of their arrival, and each place has a bell: a word that
//         the others move when there is something for it (net/bell.h waits for it).
// SHAPES  Limits is a view and owns nothing; a view without a table has no permits and no elders. The memory
//         is zero at first. A row has room for kMost permits, 16 KiB, of which only the pages are real that
//         somebody touched. Taking one looks at the words of the row until one is free.
// ERRORS  take() answers kNone when the limit is reached.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <utility>

#include "balancer/child_table.h"
#include "config/spec.h"

namespace cxxproxy::balancer {

class Limits {
 public:
  using Word = std::atomic<std::uint32_t>;
  using Since = std::atomic<std::int64_t>;
  static constexpr std::uint32_t kMost = config::kLargestTotal;  // the largest limit
  static constexpr std::uint32_t kNone = ~std::uint32_t{0};

  Limits() noexcept = default;
  // Of size(rows, places) bytes on a cache line.
  Limits(char* memory, std::uint32_t rows, std::uint32_t places) noexcept : memory_(memory), rows_(rows), places_(places) {}

  static constexpr std::size_t size(std::uint32_t rows, std::uint32_t places) noexcept {
    return permits_at(rows, places) + std::size_t{rows} * kMost * sizeof(Word);
  }

  std::uint32_t take(std::uint32_t row, std::uint32_t limit, std::uint32_t place) const noexcept;
  void give_back(std::uint32_t row, std::uint32_t permit) const noexcept;
  bool has_room(std::uint32_t row, std::uint32_t limit) const noexcept;
  std::uint32_t taken(std::uint32_t row) const noexcept;

  // The instant (microseconds) since which the first one waits in this child; 0: nobody does.
  void wait_since(std::uint32_t row, std::uint32_t place, std::int64_t since) const noexcept;
  std::int64_t waits_since(std::uint32_t row, std::uint32_t place) const noexcept;
  // How many wait, in this child and in all.
  void set_waiting(std::uint32_t row, std::uint32_t place, std::uint32_t count) const noexcept;
  std::uint32_t waiting(std::uint32_t row) const noexcept;
  // Whether anybody has ever waited in the row.
  bool was_waited_in(std::uint32_t row) const noexcept;

  Word& bell(std::uint32_t place) const noexcept;

  // In the parent, after it has waited for the child of this place: how many permits were taken back.
  std::uint32_t release(std::uint32_t place) const noexcept;

  std::uint32_t places() const noexcept { return places_; }
  std::uint32_t rows() const noexcept { return rows_; }

 private:
  // Of one child in one row.
  struct Line {
    Since since;
    Word count;
  };
  static_assert(sizeof(Word) == 4 && sizeof(Line) == 16);

  static constexpr std::size_t padded(std::size_t bytes) noexcept { return (bytes + 63) / 64 * 64; }
  static constexpr std::size_t reaches_at(std::uint32_t places) noexcept { return padded(places * sizeof(Word)); }
  static constexpr std::size_t lines_at(std::uint32_t rows, std::uint32_t places) noexcept {
    return reaches_at(places) + padded(std::size_t{rows} * sizeof(Word));
  }
  static constexpr std::size_t permits_at(std::uint32_t rows, std::uint32_t places) noexcept {
    return lines_at(rows, places) + ChildTable<Line>::size(rows, places);
  }

  Word& reach(std::uint32_t row) const noexcept;  // permits above this were never taken
  ChildTable<Line> lines() const noexcept { return {memory_ + lines_at(rows_, places_), rows_, places_}; }
  Word* permits(std::uint32_t row) const noexcept;

  char* memory_ = nullptr;
  std::uint32_t rows_ = 0;
  std::uint32_t places_ = 0;
};

// Move-only holder of one permit.
class Permit {
 public:
  Permit() noexcept = default;
  Permit(const Limits& limits, std::uint32_t row, std::uint32_t index) noexcept : limits_(limits), row_(row), index_(index) {}
  Permit(Permit&& other) noexcept : limits_(other.limits_), row_(other.row_), index_(std::exchange(other.index_, Limits::kNone)) {}
  Permit& operator=(Permit&& other) noexcept {
    give_back();
    limits_ = other.limits_;
    row_ = other.row_;
    index_ = std::exchange(other.index_, Limits::kNone);
    return *this;
  }
  ~Permit() { give_back(); }

  explicit operator bool() const noexcept { return index_ != Limits::kNone; }
  void give_back() noexcept {
    if (index_ != Limits::kNone) limits_.give_back(row_, std::exchange(index_, Limits::kNone));
  }

 private:
  Limits limits_;
  std::uint32_t row_ = 0;
  std::uint32_t index_ = Limits::kNone;
};

}  // namespace cxxproxy::balancer
