#include "balancer/parked_list.h"

#include <algorithm>

namespace cxxproxy::balancer {

void ParkedList::publish(const Entry& entry) noexcept {
  const Entry* const first = line_of(entry).first;
  counts_.set_oldest(entry.row, place_, entry.kind, first != nullptr ? std::max<std::int64_t>(1, base::micros(first->since)) : 0);
}

void ParkedList::enter(Entry& entry, std::uint32_t row, ParkedKind kind, base::Instant now) noexcept {
  if (row >= counts_.rows()) return;
  if (entry.entered && entry.row == row && entry.kind == kind) return;
  leave(entry);
  entry = {.entered = true, .kind = kind, .row = row, .since = now};
  const base::MutexLock lock(mutex_);
  Line& line = line_of(entry);
  entry.before = line.last;
  (line.last != nullptr ? line.last->after : line.first) = &entry;
  line.last = &entry;
  counts_.add(row, place_, kind);
  if (entry.before == nullptr) publish(entry);
}

void ParkedList::leave(Entry& entry) noexcept {
  if (!entry.entered) return;
  entry.entered = false;
  const base::MutexLock lock(mutex_);
  Line& line = line_of(entry);
  (entry.before != nullptr ? entry.before->after : line.first) = entry.after;
  (entry.after != nullptr ? entry.after->before : line.last) = entry.before;
  counts_.take_away(entry.row, place_, entry.kind);
  if (entry.before == nullptr) publish(entry);
}

}  // namespace cxxproxy::balancer
