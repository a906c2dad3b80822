#include "net/shared_segment.h"

#include <apr_errno.h>
#include <apr_shm.h>

#include <new>

namespace cxxproxy::net {

using balancer::BalancerSlot;
using balancer::Flights;
using balancer::Limits;
using balancer::MemberSlot;
using balancer::ParkedCounts;
using balancer::SegmentHead;

namespace {

// Where the parts begin, in bytes from the head; each on a cache line.
struct Places {
  std::size_t members;
  std::size_t owners;
  std::size_t counts;
  std::size_t parked;
  std::size_t limits;
  std::size_t end;
};

constexpr Places places_for(const SegmentSize& size) noexcept {
  constexpr std::size_t kLine = balancer::kCacheLine;
  Places at{};
  at.members = sizeof(SegmentHead) + size.balancers * sizeof(BalancerSlot);
  at.owners = at.members + size.members * sizeof(MemberSlot);
  // In front of the owners: how many places were ever in use.
  at.counts = at.owners + ((size.places + std::size_t{1}) * sizeof(Flights::Owner) + kLine - 1) / kLine * kLine;
  const std::size_t rows = std::size_t{size.members} + size.balancers;
  at.parked = at.counts + rows * Flights::row_size(size.places);
  at.limits = at.parked + ParkedCounts::size(size.members, size.places);
  at.end = at.limits + Limits::size(static_cast<std::uint32_t>(rows), size.places);
  return at;
}

static_assert(std::is_same_v<Flights::Owner, Flights::Count> && sizeof(Flights::Owner) == 4);

SegmentSize size_of(const SegmentHead& head) noexcept { return {head.balancer_count, head.member_count, head.places}; }

template <class T>
T* at_offset(SegmentHead* head, std::size_t offset) noexcept {
  return std::launder(reinterpret_cast<T*>(reinterpret_cast<char*>(head) + offset));
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

}  // namespace

base::Result<SharedSegment> SharedSegment::create(apr_pool_t* pool, const SegmentSize& wanted) {
  const Places at = places_for(wanted);
  apr_shm_t* memory = nullptr;
  const apr_status_t status = apr_shm_create(&memory, at.end + balancer::kCacheLine, nullptr, pool);
  if (status != APR_SUCCESS) return failure(status);
  char* const begin = aligned(apr_shm_baseaddr_get(memory));
  auto* const head = new (begin) SegmentHead{};
  head->magic = balancer::kSegmentMagic;
  head->layout_version = balancer::kLayoutVersion;
  head->head_size = sizeof(SegmentHead);
  head->balancer_slot_size = sizeof(BalancerSlot);
  head->member_slot_size = sizeof(MemberSlot);
  head->balancer_count = wanted.balancers;
  head->member_count = wanted.members;
  head->places = wanted.places;
  head->total_size = at.end;
  for (std::size_t i = 0; i < wanted.balancers; ++i) {
    new (begin + sizeof(SegmentHead) + i * sizeof(BalancerSlot)) BalancerSlot{};
  }
  for (std::size_t i = 0; i < wanted.members; ++i) new (begin + at.members + i * sizeof(MemberSlot)) MemberSlot{};
  for (std::size_t i = 0; i <= wanted.places; ++i) new (begin + at.owners + i * sizeof(Flights::Owner)) Flights::Owner{};
  // Counts, what is parked and limits are left as the kernel gave them, all zero: rows that no request touches cost no memory.
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
  if (places_for(size_of(*head)).end != size) return std::nullopt;
  return SharedSegment(head);
}

std::span<BalancerSlot> SharedSegment::balancers() const noexcept {
  return {at_offset<BalancerSlot>(head_, sizeof(SegmentHead)), head_->balancer_count};
}

std::span<MemberSlot> SharedSegment::members() const noexcept {
  return {at_offset<MemberSlot>(head_, places_for(size_of(*head_)).members), head_->member_count};
}

Flights SharedSegment::flights() const noexcept {
  const Places at = places_for(size_of(*head_));
  auto* const used = at_offset<Flights::Owner>(head_, at.owners);
  return {used + 1, *used, head_->places, at_offset<Flights::Count>(head_, at.counts), head_->member_count + head_->balancer_count};
}

ParkedCounts SharedSegment::parked() const noexcept {
  return {reinterpret_cast<char*>(head_) + places_for(size_of(*head_)).parked, head_->member_count, head_->places};
}

Limits SharedSegment::limits() const noexcept {
  return {reinterpret_cast<char*>(head_) + places_for(size_of(*head_)).limits, head_->member_count + head_->balancer_count, head_->places};
}

}  // namespace cxxproxy::net
