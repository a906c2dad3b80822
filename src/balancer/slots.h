// Layout of the shared segment: what all processes of one server generation know of a balancer and
// of a member.
//
// WHAT    SegmentHead, BalancerSlot and MemberSlot lie in a memory that several processes write at
//         once without a lock. They hold what changes at run time; what the file said stays in
//         config/spec.h, except the status letters, because they can be changed at run time.
// SHAPES  Standard layout, no pointer, no bool, lock-free atomics only, every slot on cache lines of
//         its own; all bytes zero = a free slot. Instants are CLOCK_MONOTONIC microseconds. A slot is
//         never copied as bytes: carry_member and carry_balancer read it atomic by atomic.
//         A change of any layout here needs a new kLayoutVersion.
// ERRORS  None. A segment with another head is refused by net/shared_segment.h.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <type_traits>

#include "base/clock.h"
#include "config/spec.h"

namespace cxxproxy::balancer {

inline constexpr std::size_t kCacheLine = 64;
inline constexpr std::uint64_t kSegmentMagic = 0x43585850524f5859;  // "CXXPROXY"
inline constexpr std::uint32_t kLayoutVersion = 1;

static_assert(std::atomic<std::uint32_t>::is_always_lock_free);
static_assert(std::atomic<std::uint64_t>::is_always_lock_free);
static_assert(std::atomic<std::int64_t>::is_always_lock_free);

// Finds a slot again after a reload: two independent hashes of MemberSpec::key or BalancerSpec::key.
// Never both zero, so a slot with a zero key is free.
struct SlotKey {
  std::uint64_t hash = 0;
  std::uint64_t check = 0;

  friend bool operator==(const SlotKey&, const SlotKey&) noexcept = default;
};
SlotKey slot_key(std::string_view key) noexcept;

struct alignas(kCacheLine) SegmentHead {
  std::uint64_t magic;
  std::uint32_t layout_version;
  std::uint32_t head_size;
  std::uint32_t balancer_slot_size;
  std::uint32_t member_slot_size;
  std::uint32_t balancer_count;
  std::uint32_t member_count;
  std::uint64_t generation;
  std::uint64_t total_size;
};

struct alignas(kCacheLine) MemberSlot {
  // Read when a process looks at the set of usable members anew.
  SlotKey key;
  std::atomic<std::uint32_t> status;       // config::StatusFlag bits in force
  std::atomic<std::uint32_t> file_status;  // the bits of the file when they were last applied
  std::atomic<std::int64_t> failed_at;     // microseconds; 0 = not failed
  std::uint64_t reserved_state[3];

  // Written by every request.
  alignas(kCacheLine) std::atomic<std::uint64_t> chosen;
  std::atomic<std::uint64_t> failures;
  std::atomic<std::uint64_t> bytes_to_member;
  std::atomic<std::uint64_t> bytes_from_member;
  std::uint64_t reserved_counters[12];  // room for requests in flight, kept per child
};

struct alignas(kCacheLine) BalancerSlot {
  SlotKey key;
  std::atomic<std::uint64_t> epoch;   // moves whenever a member's state moved
  std::atomic<std::uint32_t> forced;  // 1 = every member is failed and tried nevertheless
  std::uint32_t reserved_state[7];

  alignas(kCacheLine) std::atomic<std::uint64_t> ticket;  // one per request: its turn in the order
  std::atomic<std::uint64_t> retry_ticket;                // one per further attempt of a request
  std::uint64_t reserved_counters[6];
};

static_assert(std::is_standard_layout_v<SegmentHead> && std::is_trivially_destructible_v<SegmentHead>);
static_assert(std::is_standard_layout_v<MemberSlot> && std::is_trivially_destructible_v<MemberSlot>);
static_assert(std::is_standard_layout_v<BalancerSlot> && std::is_trivially_destructible_v<BalancerSlot>);
static_assert(sizeof(SegmentHead) == kCacheLine);
static_assert(sizeof(MemberSlot) == 3 * kCacheLine);
static_assert(sizeof(BalancerSlot) == 2 * kCacheLine);

// In the parent, before a child exists: makes a zeroed slot the slot of this member or balancer.
// A member whose file status has E starts failed at `now`.
void start_member(MemberSlot& slot, const config::MemberSpec& spec, base::Instant now) noexcept;
void start_balancer(BalancerSlot& slot, const config::BalancerSpec& spec) noexcept;

// Takes the run-time state of the former generation into a slot that was just started. Counters and
// the failed state are kept; the status letters are kept unless the file changed them, and an E that
// came or went in the file decides about the failed state.
void carry_member(const MemberSlot& former, MemberSlot& fresh) noexcept;
void carry_balancer(const BalancerSlot& former, BalancerSlot& fresh) noexcept;

}  // namespace cxxproxy::balancer
