#include "net/shared_segment.h"

#include <apr_errno.h>
#include <apr_shm.h>

#include <algorithm>
#include <new>
#include <vector>

namespace cxxproxy::net {

using balancer::BalancerSlot;
using balancer::MemberSlot;
using balancer::SegmentHead;
using balancer::SlotKey;

namespace {

constexpr std::size_t size_for(std::uint32_t balancers, std::uint32_t members) noexcept {
  return sizeof(SegmentHead) + balancers * sizeof(BalancerSlot) + members * sizeof(MemberSlot);
}

BalancerSlot* balancers_of(SegmentHead* head) noexcept {
  return std::launder(reinterpret_cast<BalancerSlot*>(reinterpret_cast<char*>(head) + sizeof(SegmentHead)));
}

MemberSlot* members_of(SegmentHead* head) noexcept {
  char* const begin = reinterpret_cast<char*>(head) + size_for(head->balancer_count, 0);
  return std::launder(reinterpret_cast<MemberSlot*>(begin));
}

// APR puts its own word in front of the memory, so what it returns is not on a cache line.
char* aligned(void* address) noexcept {
  auto* const bytes = static_cast<char*>(address);
  const auto off = reinterpret_cast<std::uintptr_t>(address) % balancer::kCacheLine;
  return off == 0 ? bytes : bytes + (balancer::kCacheLine - off);
}

base::Error failure(apr_status_t status) noexcept {
  base::Error error;
  error.code = base::ProxyErrc::Internal;
  error.os_error = APR_TO_OS_ERROR(status);
  return error;
}

template <class Slot>
struct Keyed {
  SlotKey key;
  const Slot* slot;

  friend bool operator<(const Keyed& a, const Keyed& b) noexcept {
    return a.key.hash != b.key.hash ? a.key.hash < b.key.hash : a.key.check < b.key.check;
  }
};

template <class Slot>
std::size_t carry_slots(const SlotTable<Slot>& former, const SlotTable<Slot>& fresh,
                        void (*carry)(const Slot&, Slot&) noexcept) {
  std::vector<Keyed<Slot>> known;
  known.reserve(former.size());
  for (const Slot& slot : former) {
    if (slot.key != SlotKey{}) known.push_back({slot.key, &slot});
  }
  std::sort(known.begin(), known.end());
  std::size_t carried = 0;
  for (Slot& slot : fresh) {
    if (slot.key == SlotKey{}) continue;
    const Keyed<Slot> wanted{slot.key, nullptr};
    const auto found = std::lower_bound(known.begin(), known.end(), wanted);
    if (found == known.end() || found->key != slot.key) continue;
    carry(*found->slot, slot);
    ++carried;
  }
  return carried;
}

}  // namespace

base::Result<SharedSegment> SharedSegment::create(apr_pool_t* pool, std::uint32_t balancers,
                                                  std::uint32_t members, std::uint64_t generation) {
  const std::size_t size = size_for(balancers, members);
  apr_shm_t* memory = nullptr;
  const apr_status_t status = apr_shm_create(&memory, size + balancer::kCacheLine, nullptr, pool);
  if (status != APR_SUCCESS) return failure(status);
  char* const begin = aligned(apr_shm_baseaddr_get(memory));
  auto* const head = new (begin) SegmentHead{};
  head->magic = balancer::kSegmentMagic;
  head->layout_version = balancer::kLayoutVersion;
  head->head_size = sizeof(SegmentHead);
  head->balancer_slot_size = sizeof(BalancerSlot);
  head->member_slot_size = sizeof(MemberSlot);
  head->balancer_count = balancers;
  head->member_count = members;
  head->generation = generation;
  head->total_size = size;
  for (std::size_t i = 0; i < balancers; ++i) {
    new (begin + sizeof(SegmentHead) + i * sizeof(BalancerSlot)) BalancerSlot{};
  }
  for (std::size_t i = 0; i < members; ++i) {
    new (begin + size_for(balancers, 0) + i * sizeof(MemberSlot)) MemberSlot{};
  }
  return SharedSegment(head);
}

std::optional<SharedSegment> SharedSegment::attach(void* address, std::size_t size) noexcept {
  if (address == nullptr || size < sizeof(SegmentHead)) return std::nullopt;
  if (reinterpret_cast<std::uintptr_t>(address) % alignof(SegmentHead) != 0) return std::nullopt;
  auto* const head = static_cast<SegmentHead*>(address);
  const bool same_layout = head->magic == balancer::kSegmentMagic &&
                           head->layout_version == balancer::kLayoutVersion &&
                           head->head_size == sizeof(SegmentHead) &&
                           head->balancer_slot_size == sizeof(BalancerSlot) &&
                           head->member_slot_size == sizeof(MemberSlot);
  if (!same_layout || head->total_size != size) return std::nullopt;
  if (size_for(head->balancer_count, head->member_count) != size) return std::nullopt;
  return SharedSegment(head);
}

SlotTable<BalancerSlot> SharedSegment::balancers() const noexcept {
  return SlotTable<BalancerSlot>(std::span<BalancerSlot>(balancers_of(head_), head_->balancer_count));
}

SlotTable<MemberSlot> SharedSegment::members() const noexcept {
  return SlotTable<MemberSlot>(std::span<MemberSlot>(members_of(head_), head_->member_count));
}

CarriedOver carry_over(const SharedSegment& former, const SharedSegment& fresh) {
  CarriedOver carried;
  carried.balancers = carry_slots(former.balancers(), fresh.balancers(), &balancer::carry_balancer);
  carried.members = carry_slots(former.members(), fresh.members(), &balancer::carry_member);
  return carried;
}

}  // namespace cxxproxy::net
