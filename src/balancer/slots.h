// Layout of the shared segment: what all processes of the server know of a balancer and
// of a member.
//
// WHAT    SegmentHead, BalancerSlot and MemberSlot lie in a memory that several processes write at
//         once without a lock. They hold what changes at run time; what the file said stays in
//         config/spec.h, except the status letters, because they can be changed at run time.
//         Requests in flight are counted beside them, in a row for each member (flights.h); limits over all
//         processes (limits.h) and what is parked (parked_counts.h) have tables of their own.
// SHAPES  Standard layout, no pointer, no bool, lock-free atomics only, every slot on cache lines of
//         its own; all bytes zero = a free slot. Instants are CLOCK_MONOTONIC microseconds. A slot is
//         never copied as bytes: state_of reads it atomic by atomic.
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
inline constexpr std::uint32_t kLayoutVersion = 5;

static_assert(std::atomic<std::uint32_t>::is_always_lock_free);
static_assert(std::atomic<std::uint64_t>::is_always_lock_free);
static_assert(std::atomic<std::int64_t>::is_always_lock_free);

// Further attempts that retrybudget grants before any request has paid in, in hundredths.
inline constexpr std::int64_t kFirstRetries = 10 * 100;

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
  std::uint64_t total_size;
  std::uint32_t places;  // children that can be told apart (flights.h)
  std::uint32_t reserved[3];
};

// Whether a member took part when somebody last looked.
enum class Presence : std::uint32_t { Unknown, In, Out };

struct alignas(kCacheLine) MemberSlot {
  // Read when a process looks at the set of usable members anew.
  SlotKey key;
  std::atomic<std::uint32_t> status;        // config::StatusFlag bits in force
  std::atomic<std::uint32_t> file_status;   // the bits of the file when they were last applied
  std::atomic<std::int64_t> failed_at;      // microseconds; 0 = not failed
  std::atomic<std::int64_t> ejected_until;  // microseconds; 0 = not ejected
  std::atomic<std::int64_t> back_at;        // when it last came back, 0 = it was never away
  std::atomic<std::uint32_t> presence;      // Presence
  std::atomic<std::uint32_t> ejections;     // in a row; decides how long the next one lasts
  std::uint64_t generation;                 // the last one whose configuration has it; the parent's

  // Written by every request.
  alignas(kCacheLine) std::atomic<std::uint64_t> chosen;
  std::atomic<std::uint64_t> failures;  // attempts that failed
  std::atomic<std::uint64_t> errors;    // answers with a 5xx status
  std::atomic<std::uint64_t> bytes_to_member;
  std::atomic<std::uint64_t> bytes_from_member;
  std::atomic<std::uint64_t> latency;  // latency.h: time to the first byte, and when it was written
  std::uint64_t reserved_counters[2];

  // Written by every request of a balancer that asks for it (bytraffic, ejection).
  alignas(kCacheLine) std::atomic<std::uint64_t> traffic;  // bytes both ways, ageing
  std::atomic<std::uint64_t> outcomes;                     // ejection.h: attempts and failures of this window
  std::atomic<std::uint32_t> failures_in_a_row;
  std::uint32_t reserved_word;
  std::uint64_t reserved_method[5];
};

struct alignas(kCacheLine) BalancerSlot {
  SlotKey key;
  std::atomic<std::uint64_t> epoch;   // moves whenever a member's state moved
  std::atomic<std::uint32_t> forced;  // 1 = every member is failed and tried nevertheless
  std::atomic<std::uint32_t> panic;   // 1 = so few are left that ejections do not count
  std::atomic<std::int64_t> aged_at;  // microseconds: when `traffic` of the members was last aged
  std::uint64_t generation;           // as in MemberSlot
  std::uint64_t reserved_state[2];

  alignas(kCacheLine) std::atomic<std::uint64_t> ticket;  // one per request: its turn in the order
  std::atomic<std::uint64_t> retry_ticket;                // one per further attempt of a request
  std::atomic<std::int64_t> retry_account;                // hundredths of further attempts that are left
  std::uint64_t reserved_counters[5];
};

static_assert(std::is_standard_layout_v<SegmentHead> && std::is_trivially_destructible_v<SegmentHead>);
static_assert(std::is_standard_layout_v<MemberSlot> && std::is_trivially_destructible_v<MemberSlot>);
static_assert(std::is_standard_layout_v<BalancerSlot> && std::is_trivially_destructible_v<BalancerSlot>);
static_assert(sizeof(SegmentHead) == kCacheLine);
static_assert(sizeof(MemberSlot) == 3 * kCacheLine);
static_assert(sizeof(BalancerSlot) == 2 * kCacheLine);

// The state of a slot as plain values: what a reload keeps, and what a file can keep.
struct MemberState {
  std::uint32_t status = 0;
  std::uint32_t file_status = 0;
  std::int64_t failed_at = 0;
  std::int64_t ejected_until = 0;
  std::int64_t back_at = 0;
  std::uint32_t presence = 0;
  std::uint32_t ejections = 0;
  std::uint64_t chosen = 0;
  std::uint64_t failures = 0;
  std::uint64_t errors = 0;
  std::uint64_t bytes_to_member = 0;
  std::uint64_t bytes_from_member = 0;
  std::uint64_t latency = 0;
  std::uint64_t traffic = 0;
  std::uint64_t outcomes = 0;
  std::uint64_t failures_in_a_row = 0;
};

struct BalancerState {
  std::uint32_t forced = 0;
  std::uint32_t panic = 0;
  std::int64_t aged_at = 0;
  std::uint64_t ticket = 0;
  std::uint64_t retry_ticket = 0;
  std::int64_t retry_account = 0;
};

static_assert(std::has_unique_object_representations_v<MemberState> && std::has_unique_object_representations_v<BalancerState>);

MemberState state_of(const MemberSlot& slot) noexcept;
BalancerState state_of(const BalancerSlot& slot) noexcept;

// In the parent: makes any slot the slot of this member or balancer, with a state that knows nothing. A
// member whose file status has E starts failed at `now`. Whoever still uses the slot sees it as it changes.
void start_member(MemberSlot& slot, const config::MemberSpec& spec, base::Instant now) noexcept;
void start_balancer(BalancerSlot& slot, const config::BalancerSpec& spec) noexcept;

// Puts what was known into a slot that was just started. Counters and the failed state are kept; the status
// letters are kept unless the file changed them, and an E that came or went in the file decides about the failed state.
void carry(const MemberState& former, MemberSlot& fresh) noexcept;
void carry(const BalancerState& former, BalancerSlot& fresh) noexcept;

// The same for a slot that goes on: all that happens to it is what the file changed.
void apply_file(MemberSlot& slot, const config::MemberSpec& spec, base::Instant now) noexcept;

}  // namespace cxxproxy::balancer
