#include "balancer/slots.h"

#include <algorithm>

namespace cxxproxy::balancer {

namespace {

constexpr std::uint64_t kFnvPrime = 0x100000001b3;

std::uint64_t fnv1a(std::string_view text, std::uint64_t state) noexcept {
  for (const char c : text) {
    state ^= static_cast<unsigned char>(c);
    state *= kFnvPrime;
  }
  return state;
}

// Spreads every input bit over the word (finalizer of splitmix64).
std::uint64_t mix(std::uint64_t word) noexcept {
  word = (word ^ (word >> 30)) * 0xbf58476d1ce4e5b9;
  word = (word ^ (word >> 27)) * 0x94d049bb133111eb;
  return word ^ (word >> 31);
}

constexpr auto kRelaxed = std::memory_order_relaxed;

void copy(const std::atomic<std::uint64_t>& from, std::atomic<std::uint64_t>& to) noexcept {
  to.store(from.load(kRelaxed), kRelaxed);
}

constexpr bool marks_failed(std::uint32_t status) noexcept {
  using config::StatusFlag;
  return (status & bit(StatusFlag::InError)) != 0 && (status & bit(StatusFlag::IgnoreErrors)) == 0;
}

}  // namespace

SlotKey slot_key(std::string_view key) noexcept {
  SlotKey made;
  made.hash = mix(fnv1a(key, 0xcbf29ce484222325));
  made.check = mix(fnv1a(key, 0x9ae16a3b2f90404f) + key.size());
  if (made.hash == 0) made.hash = 1;
  return made;
}

void start_member(MemberSlot& slot, const config::MemberSpec& spec, base::Instant now) noexcept {
  slot.key = slot_key(spec.key);
  slot.status.store(spec.status, kRelaxed);
  slot.file_status.store(spec.status, kRelaxed);
  const std::int64_t since = std::max<std::int64_t>(1, now.time_since_epoch().count());
  slot.failed_at.store(marks_failed(spec.status) ? since : 0, kRelaxed);
}

void start_balancer(BalancerSlot& slot, const config::BalancerSpec& spec) noexcept {
  slot.key = slot_key(spec.key);
}

void carry_member(const MemberSlot& former, MemberSlot& fresh) noexcept {
  const std::uint32_t former_file = former.file_status.load(kRelaxed);
  const std::uint32_t file = fresh.file_status.load(kRelaxed);
  if (former_file == file) fresh.status.store(former.status.load(kRelaxed), kRelaxed);
  constexpr std::uint32_t kError = bit(config::StatusFlag::InError);
  if ((former_file & kError) == (file & kError)) {
    fresh.failed_at.store(former.failed_at.load(kRelaxed), kRelaxed);
  }
  copy(former.chosen, fresh.chosen);
  copy(former.failures, fresh.failures);
  copy(former.bytes_to_member, fresh.bytes_to_member);
  copy(former.bytes_from_member, fresh.bytes_from_member);
}

void carry_balancer(const BalancerSlot& former, BalancerSlot& fresh) noexcept {
  fresh.forced.store(former.forced.load(kRelaxed), kRelaxed);
  copy(former.ticket, fresh.ticket);
  copy(former.retry_ticket, fresh.retry_ticket);
}

}  // namespace cxxproxy::balancer
