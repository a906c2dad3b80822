// Requests in flight: how many attempts each member serves at this moment, exact although processes die.
//
// WHAT    A table in the shared segment with a row for each member and each balancer, and in it one
//         count for each child process (its place). A child changes its own count only, so that the
//         parent, which hears of every child that ends, can take back exactly what a child that was
//         killed has left. The number of a member is the sum of its row.
// SHAPES  Flights is a view and owns nothing; a view without a table counts nothing and answers 0. A row
//         is `places` counts of 4 bytes, padded to a cache line: with up to 16 processes a member costs
//         64 bytes, and a sum reads one line. A page that no request touched costs nothing.
//         A place is taken by a compare-and-swap of its owner, the child's process id, and free again when the child has
//         ended. More children than places (the module makes several times as many as the MPM allows processes) share
//         the last one, which is never repaired.
// ERRORS  None.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>

namespace cxxproxy::balancer {

class Flights {
 public:
  using Owner = std::atomic<std::uint32_t>;  // process id, 0 = free
  using Count = std::atomic<std::uint32_t>;

  Flights() noexcept = default;
  Flights(Owner* owners, std::atomic<std::uint32_t>& used, std::uint32_t places, Count* counts, std::uint32_t rows) noexcept
      : owners_(owners), used_(&used), counts_(counts), places_(places), rows_(rows) {}

  static constexpr std::size_t row_size(std::uint32_t places) noexcept {
    return (places * sizeof(Count) + 63) / 64 * 64;
  }

  // In a child that starts: its place from now on.
  [[nodiscard]] std::uint32_t claim(std::uint32_t process) noexcept;

  // The place of a living child.
  std::optional<std::uint32_t> place_of(std::uint32_t process) const noexcept;

  // In the parent, after it has waited for a child: the counts of the child are taken back and its place
  // is free. Returns how many attempts it had left. One caller at a time.
  std::uint32_t release(std::uint32_t process) noexcept;

  // In the parent, when no child uses the row: it counts for somebody else from now on.
  void forget(std::uint32_t row) noexcept;

  void begin(std::uint32_t row, std::uint32_t place) const noexcept {
    if (row < rows_ && place < places_) count(row, place).fetch_add(1, std::memory_order_relaxed);
  }
  void end(std::uint32_t row, std::uint32_t place) const noexcept {
    if (row < rows_ && place < places_) count(row, place).fetch_sub(1, std::memory_order_relaxed);
  }
  std::uint32_t in_child(std::uint32_t row, std::uint32_t place) const noexcept {
    return row < rows_ && place < places_ ? count(row, place).load(std::memory_order_relaxed) : 0;
  }
  std::uint32_t in_all(std::uint32_t row) const noexcept {
    if (row >= rows_) return 0;
    std::uint32_t sum = 0;
    const std::uint32_t used = places_used();
    for (std::uint32_t place = 0; place < used; ++place) sum += count(row, place).load(std::memory_order_relaxed);
    return sum;
  }

  std::uint32_t places() const noexcept { return places_; }
  std::uint32_t rows() const noexcept { return rows_; }

 private:
  static constexpr std::uint32_t kShared = ~std::uint32_t{0};

  Count& count(std::uint32_t row, std::uint32_t place) const noexcept {
    return counts_[row * (row_size(places_) / sizeof(Count)) + place];
  }
  std::uint32_t places_used() const noexcept { return used_ != nullptr ? used_->load(std::memory_order_acquire) : 0; }
  void use(std::uint32_t place) noexcept;

  Owner* owners_ = nullptr;
  std::atomic<std::uint32_t>* used_ = nullptr;
  Count* counts_ = nullptr;
  std::uint32_t places_ = 0;
  std::uint32_t rows_ = 0;
};

}  // namespace cxxproxy::balancer
