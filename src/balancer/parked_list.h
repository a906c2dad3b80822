// What is parked in this child, in the order in which it was parked.
//
// WHAT    Whoever waits without a thread enters with its first wait and leaves when its exchange has ended; the moments in between, in which a
//         thread does something for it, do not count out. Keeps this child's cells of ParkedCounts: so the numbers are exact at any moment, and
//         the head of a line is the oldest.
// SHAPES  An entry lies in its owner's memory, so that entering and leaving allocates nothing and takes one short lock; entering once more in
//         the same place takes none. An entry is its owner's, which is one thread at a time.
// ERRORS  None.
#pragma once

#include <cstdint>
#include <vector>

#include "balancer/parked_counts.h"
#include "base/clock.h"
#include "base/mutex.h"

namespace cxxproxy::balancer {

class ParkedList {
 public:
  struct Entry {
    bool entered = false;
    ParkedKind kind = ParkedKind::Request;
    std::uint32_t row = 0;
    base::Instant since{};
    Entry* before = nullptr;
    Entry* after = nullptr;
  };

  ParkedList(const ParkedCounts& counts, std::uint32_t place) : counts_(counts), place_(place), lines_(counts.rows() * kParkedKinds) {}
  ParkedList(const ParkedList&) = delete;
  ParkedList& operator=(const ParkedList&) = delete;

  // Parked at this member (ParkedCounts::no_member() for none) as this kind from `now` on, unless it already is.
  void enter(Entry& entry, std::uint32_t row, ParkedKind kind, base::Instant now) noexcept;
  void leave(Entry& entry) noexcept;

  const ParkedCounts& counts() const noexcept { return counts_; }
  // Of this child alone.
  ParkedBoth here() const noexcept { return counts_.of_child(place_); }

 private:
  struct Line {
    Entry* first = nullptr;
    Entry* last = nullptr;
  };

  Line& line_of(const Entry& entry) noexcept CXXPROXY_REQUIRES(mutex_) { return lines_[entry.row * kParkedKinds + static_cast<std::size_t>(entry.kind)]; }
  void publish(const Entry& entry) noexcept CXXPROXY_REQUIRES(mutex_);

  const ParkedCounts counts_;
  const std::uint32_t place_;
  base::Mutex mutex_;
  std::vector<Line> lines_ CXXPROXY_GUARDED_BY(mutex_);  // by row and kind
};

}  // namespace cxxproxy::balancer
