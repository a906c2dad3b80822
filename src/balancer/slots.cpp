#include "balancer/slots.h"

#include <algorithm>

#include "balancer/mix.h"

namespace cxxproxy::balancer {

namespace {

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
  made.hash = mix(fnv1a(key));
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
  slot.retry_account.store(kFirstRetries, kRelaxed);
}

void carry_member(const MemberSlot& former, MemberSlot& fresh) noexcept {
  const std::uint32_t former_file = former.file_status.load(kRelaxed);
  const std::uint32_t file = fresh.file_status.load(kRelaxed);
  if (former_file == file) fresh.status.store(former.status.load(kRelaxed), kRelaxed);
  constexpr std::uint32_t kError = bit(config::StatusFlag::InError);
  if ((former_file & kError) == (file & kError)) {
    fresh.failed_at.store(former.failed_at.load(kRelaxed), kRelaxed);
  }
  // The time of an ejection is a matter of what the file said then: it goes on.
  fresh.ejected_until.store(former.ejected_until.load(kRelaxed), kRelaxed);
  fresh.ejections.store(former.ejections.load(kRelaxed), kRelaxed);
  fresh.back_at.store(former.back_at.load(kRelaxed), kRelaxed);
  fresh.presence.store(former.presence.load(kRelaxed), kRelaxed);
  copy(former.chosen, fresh.chosen);
  copy(former.failures, fresh.failures);
  copy(former.errors, fresh.errors);
  copy(former.latency, fresh.latency);
  copy(former.traffic, fresh.traffic);
  copy(former.outcomes, fresh.outcomes);
  copy(former.bytes_to_member, fresh.bytes_to_member);
  copy(former.bytes_from_member, fresh.bytes_from_member);
}

void carry_balancer(const BalancerSlot& former, BalancerSlot& fresh) noexcept {
  fresh.forced.store(former.forced.load(kRelaxed), kRelaxed);
  fresh.panic.store(former.panic.load(kRelaxed), kRelaxed);
  fresh.aged_at.store(former.aged_at.load(kRelaxed), kRelaxed);
  fresh.retry_account.store(former.retry_account.load(kRelaxed), kRelaxed);
  copy(former.ticket, fresh.ticket);
  copy(former.retry_ticket, fresh.retry_ticket);
}

}  // namespace cxxproxy::balancer
