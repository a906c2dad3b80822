#include "balancer/slots.h"

#include <algorithm>

#include "balancer/mix.h"

namespace cxxproxy::balancer {

namespace {

constexpr auto kRelaxed = std::memory_order_relaxed;

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

MemberState state_of(const MemberSlot& slot) noexcept {
  MemberState state;
  state.status = slot.status.load(kRelaxed);
  state.file_status = slot.file_status.load(kRelaxed);
  state.failed_at = slot.failed_at.load(kRelaxed);
  state.ejected_until = slot.ejected_until.load(kRelaxed);
  state.back_at = slot.back_at.load(kRelaxed);
  state.presence = slot.presence.load(kRelaxed);
  state.ejections = slot.ejections.load(kRelaxed);
  state.chosen = slot.chosen.load(kRelaxed);
  state.failures = slot.failures.load(kRelaxed);
  state.errors = slot.errors.load(kRelaxed);
  state.bytes_to_member = slot.bytes_to_member.load(kRelaxed);
  state.bytes_from_member = slot.bytes_from_member.load(kRelaxed);
  state.latency = slot.latency.load(kRelaxed);
  state.traffic = slot.traffic.load(kRelaxed);
  state.outcomes = slot.outcomes.load(kRelaxed);
  state.failures_in_a_row = slot.failures_in_a_row.load(kRelaxed);
  return state;
}

BalancerState state_of(const BalancerSlot& slot) noexcept {
  BalancerState state;
  state.forced = slot.forced.load(kRelaxed);
  state.panic = slot.panic.load(kRelaxed);
  state.aged_at = slot.aged_at.load(kRelaxed);
  state.ticket = slot.ticket.load(kRelaxed);
  state.retry_ticket = slot.retry_ticket.load(kRelaxed);
  state.retry_account = slot.retry_account.load(kRelaxed);
  return state;
}

namespace {

void put(const MemberState& state, MemberSlot& slot) noexcept {
  slot.status.store(state.status, kRelaxed);
  slot.file_status.store(state.file_status, kRelaxed);
  slot.failed_at.store(state.failed_at, kRelaxed);
  slot.ejected_until.store(state.ejected_until, kRelaxed);
  slot.back_at.store(state.back_at, kRelaxed);
  slot.presence.store(state.presence, kRelaxed);
  slot.ejections.store(state.ejections, kRelaxed);
  slot.chosen.store(state.chosen, kRelaxed);
  slot.failures.store(state.failures, kRelaxed);
  slot.errors.store(state.errors, kRelaxed);
  slot.bytes_to_member.store(state.bytes_to_member, kRelaxed);
  slot.bytes_from_member.store(state.bytes_from_member, kRelaxed);
  slot.latency.store(state.latency, kRelaxed);
  slot.traffic.store(state.traffic, kRelaxed);
  slot.outcomes.store(state.outcomes, kRelaxed);
  slot.failures_in_a_row.store(static_cast<std::uint32_t>(state.failures_in_a_row), kRelaxed);
}

void put(const BalancerState& state, BalancerSlot& slot) noexcept {
  slot.forced.store(state.forced, kRelaxed);
  slot.panic.store(state.panic, kRelaxed);
  slot.aged_at.store(state.aged_at, kRelaxed);
  slot.ticket.store(state.ticket, kRelaxed);
  slot.retry_ticket.store(state.retry_ticket, kRelaxed);
  slot.retry_account.store(state.retry_account, kRelaxed);
}

std::int64_t failed_since(std::uint32_t status, base::Instant now) noexcept {
  return marks_failed(status) ? std::max<std::int64_t>(1, base::micros(now)) : 0;
}

}  // namespace

void start_member(MemberSlot& slot, const config::MemberSpec& spec, base::Instant now) noexcept {
  slot.key = slot_key(spec.key);
  MemberState state;
  state.status = spec.status;
  state.file_status = spec.status;
  state.failed_at = failed_since(spec.status, now);
  put(state, slot);
}

void start_balancer(BalancerSlot& slot, const config::BalancerSpec& spec) noexcept {
  slot.key = slot_key(spec.key);
  BalancerState state;
  state.retry_account = kFirstRetries;
  put(state, slot);
}

void carry(const MemberState& former, MemberSlot& fresh) noexcept {
  const std::uint32_t file = fresh.file_status.load(kRelaxed);
  MemberState state = former;
  state.file_status = file;
  if (former.file_status != file) state.status = file;
  constexpr std::uint32_t kError = bit(config::StatusFlag::InError);
  // The time of an ejection is a matter of what the file said then: it goes on.
  if ((former.file_status & kError) != (file & kError)) state.failed_at = fresh.failed_at.load(kRelaxed);
  put(state, fresh);
}

void carry(const BalancerState& former, BalancerSlot& fresh) noexcept { put(former, fresh); }

void apply_file(MemberSlot& slot, const config::MemberSpec& spec, base::Instant now) noexcept {
  const std::uint32_t changed = slot.file_status.load(kRelaxed) ^ spec.status;
  if (changed == 0) return;
  slot.file_status.store(spec.status, kRelaxed);
  slot.status.store(spec.status, kRelaxed);
  if ((changed & bit(config::StatusFlag::InError)) != 0) slot.failed_at.store(failed_since(spec.status, now), kRelaxed);
}

}  // namespace cxxproxy::balancer
