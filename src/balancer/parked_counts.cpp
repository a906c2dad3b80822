#include "balancer/parked_counts.h"

namespace cxxproxy::balancer {

namespace {

constexpr auto kRelaxed = std::memory_order_relaxed;

constexpr std::size_t index(ParkedKind kind) noexcept { return static_cast<std::size_t>(kind); }

}  // namespace

void ParkedCounts::add(std::uint32_t row, std::uint32_t place, ParkedKind kind) const noexcept {
  if (table_.holds(row, place)) table_.marked_cell(row, place).count[index(kind)].fetch_add(1, kRelaxed);
}

void ParkedCounts::take_away(std::uint32_t row, std::uint32_t place, ParkedKind kind) const noexcept {
  if (table_.holds(row, place)) table_.marked_cell(row, place).count[index(kind)].fetch_sub(1, kRelaxed);
}

void ParkedCounts::set_oldest(std::uint32_t row, std::uint32_t place, ParkedKind kind, std::int64_t since) const noexcept {
  if (table_.holds(row, place)) table_.marked_cell(row, place).since[index(kind)].store(since, kRelaxed);
}

void ParkedCounts::add_cell(std::uint32_t row, std::uint32_t place, ParkedBoth& sum) const noexcept {
  const Cell& cell = table_.cell(row, place);
  const auto of = [&cell](ParkedKind kind) { return Parked{cell.count[index(kind)].load(kRelaxed), cell.since[index(kind)].load(kRelaxed)}; };
  sum.requests.add(of(ParkedKind::Request));
  sum.tunnels.add(of(ParkedKind::Tunnel));
}

ParkedBoth ParkedCounts::of_row(std::uint32_t row) const noexcept {
  ParkedBoth sum;
  if (!table_.is_marked(row)) return sum;
  for (std::uint32_t place = 0; place < table_.places(); ++place) add_cell(row, place, sum);
  return sum;
}

ParkedBoth ParkedCounts::of_child(std::uint32_t place) const noexcept {
  ParkedBoth sum;
  for (std::uint32_t row = 0; row < table_.rows(); ++row) {
    if (table_.holds(row, place) && table_.is_marked(row)) add_cell(row, place, sum);
  }
  return sum;
}

ParkedBoth ParkedCounts::all() const noexcept {
  ParkedBoth sum;
  for (std::uint32_t row = 0; row < table_.rows(); ++row) {
    const ParkedBoth part = of_row(row);
    sum.requests.add(part.requests);
    sum.tunnels.add(part.tunnels);
  }
  return sum;
}

void ParkedCounts::clear(std::uint32_t row, std::uint32_t place) const noexcept {
  Cell& cell = table_.cell(row, place);
  for (auto& count : cell.count) count.store(0, kRelaxed);
  for (auto& since : cell.since) since.store(0, kRelaxed);
}

void ParkedCounts::release(std::uint32_t place) const noexcept {
  for (std::uint32_t row = 0; row < table_.rows(); ++row) {
    if (table_.holds(row, place) && table_.is_marked(row)) clear(row, place);
  }
}

void ParkedCounts::forget(std::uint32_t row) const noexcept {
  if (!table_.is_marked(row)) return;
  for (std::uint32_t place = 0; place < table_.places(); ++place) clear(row, place);
}

}  // namespace cxxproxy::balancer
