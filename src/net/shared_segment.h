// The one shared memory of the server.
//
// WHAT    A head, the balancer slots and the member slots of balancer/slots.h, the tables of requests in
//         flight (balancer/flights.h), of what is parked (balancer/parked_counts.h) and of limits (balancer/limits.h) in one anonymous shared
//         mapping, made by the parent in post_config and inherited by the children. SharedSegment is
//         a view (address and size); it owns nothing.
//         apr_shm_create without a name is used rather than mmap itself: no file, no key and no name
//         that could stay behind or be opened by somebody else, the kernel frees it with the last
//         process, APR chooses the system's way, and its cleanup lies in libapr, not in this module.
// SHAPES  The module is unloaded and loaded again at every reload, so memory that is kept may hold no
//         pointer into it, and the pool of a segment gets no cleanup from this module. The caller
//         makes one subpool of the process pool (not of pconf, which is cleared first) for a segment and keeps
//         {pool, address, size} as plain data across reloads; attach() finds the segment again. All children
//         use the same one, of whichever configuration they are: slots are given out by
//         balancer/slot_places.h. When it is too small, the state is taken into a larger one; destroying the pool of the
//         former unmaps it in the parent only, and what its children change from then on stays with them.
// ERRORS  create: ProxyErrc::Internal with the system's errno. attach: no value when the memory was
//         written by another layout (an upgrade of the module): start with fresh state.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "balancer/flights.h"
#include "balancer/limits.h"
#include "balancer/parked_counts.h"
#include "balancer/slot_places.h"
#include "balancer/slots.h"
#include "base/result.h"

struct apr_pool_t;

namespace cxxproxy::net {

struct SegmentSize {
  std::uint32_t balancers = 0;
  std::uint32_t members = 0;
  std::uint32_t places = 1;  // child processes at a time
};

class SharedSegment {
 public:
  // Zeroed slots: all free.
  static base::Result<SharedSegment> create(apr_pool_t* pool, const SegmentSize& size);
  static std::optional<SharedSegment> attach(void* address, std::size_t size) noexcept;

  std::span<balancer::BalancerSlot> balancers() const noexcept;
  std::span<balancer::MemberSlot> members() const noexcept;
  // The row of a member is its slot's index, that of a balancer comes after all members', here and in limits().
  balancer::Flights flights() const noexcept;
  balancer::Limits limits() const noexcept;
  balancer::ParkedCounts parked() const noexcept;
  std::uint32_t balancer_row(std::uint32_t slot) const noexcept { return head_->member_count + slot; }
  balancer::Slots slots() const noexcept { return {balancers(), members(), flights(), parked()}; }
  void* address() const noexcept { return head_; }
  std::size_t size() const noexcept { return static_cast<std::size_t>(head_->total_size); }

 private:
  explicit SharedSegment(balancer::SegmentHead* head) noexcept : head_(head) {}

  balancer::SegmentHead* head_;
};

}  // namespace cxxproxy::net
