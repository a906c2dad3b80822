// A table in the shared segment with a row for each member (and more), and in it a cell for each child process.
//
// WHAT    A child writes its own cells only, so that the parent, which hears of every child that ends, can clear
//         exactly what a child that was killed has left. A row is marked before its first cell is written:
//         whoever sums up or clears looks at marked rows only.
// SHAPES  A view, owns nothing; rows() is 0 without a table. `Cell` has lock-free atomics only, all bytes zero is an empty one. Rows begin
//         on a cache line; those that nobody touched cost no memory.
// ERRORS  None. Rows and places are the caller's to check.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <new>
#include <type_traits>

namespace cxxproxy::balancer {

template <class Cell>
class ChildTable {
  static_assert(std::is_standard_layout_v<Cell> && std::is_trivially_destructible_v<Cell>);
  using Mark = std::atomic<std::uint32_t>;

 public:
  ChildTable() noexcept = default;
  // Of size(rows, places) bytes on a cache line, zero at first.
  ChildTable(char* memory, std::uint32_t rows, std::uint32_t places) noexcept : memory_(memory), rows_(rows), places_(places) {}

  static constexpr std::size_t size(std::uint32_t rows, std::uint32_t places) noexcept {
    return padded(rows * sizeof(Mark)) + std::size_t{rows} * padded(places * sizeof(Cell));
  }

  bool holds(std::uint32_t row, std::uint32_t place) const noexcept { return row < rows_ && place < places_; }
  bool is_marked(std::uint32_t row) const noexcept { return row < rows_ && mark(row).load() != 0; }
  Cell& cell(std::uint32_t row, std::uint32_t place) const noexcept {
    return at_offset<Cell>(padded(rows_ * sizeof(Mark)) + row * padded(places_ * sizeof(Cell)))[place];
  }
  // To be written to.
  Cell& marked_cell(std::uint32_t row, std::uint32_t place) const noexcept {
    if (mark(row).load(std::memory_order_relaxed) == 0) mark(row).store(1);
    return cell(row, place);
  }

  std::uint32_t places() const noexcept { return places_; }
  std::uint32_t rows() const noexcept { return rows_; }

 private:
  static constexpr std::size_t padded(std::size_t bytes) noexcept { return (bytes + 63) / 64 * 64; }

  template <class T>
  T* at_offset(std::size_t offset) const noexcept {
    return std::launder(reinterpret_cast<T*>(memory_ + offset));
  }
  Mark& mark(std::uint32_t row) const noexcept { return at_offset<Mark>(0)[row]; }

  char* memory_ = nullptr;
  std::uint32_t rows_ = 0;
  std::uint32_t places_ = 0;
};

}  // namespace cxxproxy::balancer
