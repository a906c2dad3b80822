#include "balancer/limits.h"

#include <algorithm>
#include <new>

namespace cxxproxy::balancer {

// Whoever gives back and then looks for waiters, and whoever says that it waits and then looks for a free
// permit, must not both miss the other: these are sequentially consistent.
namespace {

constexpr auto kOrdered = std::memory_order_seq_cst;
constexpr auto kRelaxed = std::memory_order_relaxed;

template <class T>
T* at_offset(char* memory, std::size_t offset) noexcept {
  return std::launder(reinterpret_cast<T*>(memory + offset));
}

}  // namespace

Limits::Word& Limits::reach(std::uint32_t row) const noexcept { return at_offset<Word>(memory_, reaches_at(places_))[row]; }

Limits::Word* Limits::permits(std::uint32_t row) const noexcept {
  return at_offset<Word>(memory_, permits_at(rows_, places_) + std::size_t{row} * kMost * sizeof(Word));
}

Limits::Word& Limits::bell(std::uint32_t place) const noexcept { return at_offset<Word>(memory_, 0)[place]; }

std::uint32_t Limits::take(std::uint32_t row, std::uint32_t limit, std::uint32_t place) const noexcept {
  if (row >= rows_) return kNone;
  limit = std::min(limit, kMost);
  // First, so that release() looks far enough whenever this process dies.
  std::uint32_t reached = reach(row).load(kRelaxed);
  while (reached < limit && !reach(row).compare_exchange_weak(reached, limit, kOrdered)) {
  }
  Word* const words = permits(row);
  for (std::uint32_t i = 0; i < limit; ++i) {
    std::uint32_t free = words[i].load(kOrdered);
    if (free == 0 && words[i].compare_exchange_strong(free, place + 1, kOrdered)) return i;
  }
  return kNone;
}

void Limits::give_back(std::uint32_t row, std::uint32_t permit) const noexcept {
  if (row < rows_ && permit < kMost) permits(row)[permit].store(0, kOrdered);
}

bool Limits::has_room(std::uint32_t row, std::uint32_t limit) const noexcept {
  if (row >= rows_) return false;
  limit = std::min(limit, kMost);
  const Word* const words = permits(row);
  return std::any_of(words, words + limit, [](const Word& word) { return word.load(kOrdered) == 0; });
}

std::uint32_t Limits::taken(std::uint32_t row) const noexcept {
  if (row >= rows_) return 0;
  const Word* const words = permits(row);
  const auto held = std::count_if(words, words + reach(row).load(kOrdered), [](const Word& word) { return word.load(kOrdered) != 0; });
  return static_cast<std::uint32_t>(held);
}

void Limits::wait_since(std::uint32_t row, std::uint32_t place, std::int64_t instant) const noexcept {
  if (lines().holds(row, place)) lines().marked_cell(row, place).since.store(instant, kOrdered);
}

std::int64_t Limits::waits_since(std::uint32_t row, std::uint32_t place) const noexcept {
  return lines().holds(row, place) ? lines().cell(row, place).since.load(kOrdered) : 0;
}

void Limits::set_waiting(std::uint32_t row, std::uint32_t place, std::uint32_t count) const noexcept {
  if (lines().holds(row, place)) lines().marked_cell(row, place).count.store(count, kRelaxed);
}

std::uint32_t Limits::waiting(std::uint32_t row) const noexcept {
  if (!was_waited_in(row)) return 0;
  std::uint32_t sum = 0;
  for (std::uint32_t place = 0; place < places_; ++place) sum += lines().cell(row, place).count.load(kRelaxed);
  return sum;
}

bool Limits::was_waited_in(std::uint32_t row) const noexcept { return lines().is_marked(row); }

std::uint32_t Limits::release(std::uint32_t place) const noexcept {
  std::uint32_t taken_back = 0;
  for (std::uint32_t row = 0; row < rows_; ++row) {
    if (was_waited_in(row) && place < places_) {
      lines().cell(row, place).since.store(0, kOrdered);
      lines().cell(row, place).count.store(0, kRelaxed);
    }
    const std::uint32_t reached = reach(row).load(kOrdered);
    if (reached == 0) continue;
    Word* const words = permits(row);
    for (std::uint32_t i = 0; i < reached; ++i) {
      std::uint32_t owner = place + 1;
      if (words[i].load(kOrdered) == owner && words[i].compare_exchange_strong(owner, 0, kOrdered)) ++taken_back;
    }
  }
  return taken_back;
}

}  // namespace cxxproxy::balancer
