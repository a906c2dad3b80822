#include "balancer/flights.h"

namespace cxxproxy::balancer {

void Flights::use(std::uint32_t place) noexcept {
  std::uint32_t used = used_->load(std::memory_order_relaxed);
  while (used <= place && !used_->compare_exchange_weak(used, place + 1, std::memory_order_acq_rel)) {
  }
}

std::uint32_t Flights::claim(std::uint32_t process) noexcept {
  if (places_ == 0) return 0;
  for (std::uint32_t place = 0; place + 1 < places_; ++place) {
    std::uint32_t free = 0;
    if (!owners_[place].compare_exchange_strong(free, process, std::memory_order_acq_rel)) continue;
    use(place);
    return place;
  }
  owners_[places_ - 1].store(kShared, std::memory_order_release);
  use(places_ - 1);
  return places_ - 1;
}

std::optional<std::uint32_t> Flights::place_of(std::uint32_t process) const noexcept {
  const std::uint32_t used = places_used();
  for (std::uint32_t place = 0; place < used; ++place) {
    if (owners_[place].load(std::memory_order_acquire) == process) return place;
  }
  return std::nullopt;
}

std::uint32_t Flights::release(std::uint32_t process) noexcept {
  std::uint32_t taken_back = 0;
  const std::uint32_t used = places_used();
  for (std::uint32_t place = 0; place < used; ++place) {
    if (owners_[place].load(std::memory_order_acquire) != process) continue;
    for (std::uint32_t row = 0; row < rows_; ++row) {
      if (count(row, place).load(std::memory_order_relaxed) == 0) continue;
      taken_back += count(row, place).exchange(0, std::memory_order_relaxed);
    }
    owners_[place].store(0, std::memory_order_release);
  }
  return taken_back;
}

void Flights::forget(std::uint32_t row) noexcept {
  const std::uint32_t used = row < rows_ ? places_used() : 0;
  for (std::uint32_t place = 0; place < used; ++place) count(row, place).store(0, std::memory_order_relaxed);
}

}  // namespace cxxproxy::balancer
