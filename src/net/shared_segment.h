// The one shared memory of a server generation.
//
// WHAT    A head, the balancer slots and the member slots of balancer/slots.h and the table of requests in
//         flight of balancer/flights.h (a row for each member, then one for each balancer) in one anonymous shared
//         mapping, made by the parent in post_config and inherited by the children. SharedSegment is
//         a view (address and size); it owns nothing.
//         apr_shm_create without a name is used rather than mmap itself: no file, no key and no name
//         that could stay behind or be opened by somebody else, the kernel frees it with the last
//         process, APR chooses the system's way, and its cleanup lies in libapr, not in this module.
// SHAPES  The module is unloaded and loaded again at every reload, so memory that is kept may hold no
//         pointer into it, and the pool of a segment gets no cleanup from this module. The caller
//         makes one subpool of the process pool (not of pconf, which is cleared first) per
//         generation and keeps {pool, address, size} as plain data across reloads. At the next
//         post_config: create the new segment in a new subpool, start its slots, attach() the old
//         address, carry_over(), then destroy the old subpool: that unmaps it in the parent only,
//         children of the old generation go on with their own mapping. What they change after
//         carry_over stays with them.
// ERRORS  create: ProxyErrc::Internal with the system's errno. attach: no value when the memory was
//         written by another layout (an upgrade of the module): start with fresh state.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "balancer/flights.h"
#include "balancer/slots.h"
#include "base/result.h"

struct apr_pool_t;

namespace cxxproxy::net {

// A checked view of an array of slots.
template <class T>
class SlotTable {
 public:
  SlotTable() noexcept = default;
  explicit SlotTable(std::span<T> slots) noexcept : slots_(slots) {}

  std::size_t size() const noexcept { return slots_.size(); }
  // Null beyond the end.
  T* at(std::size_t index) const noexcept { return index < slots_.size() ? &slots_[index] : nullptr; }
  auto begin() const noexcept { return slots_.begin(); }
  auto end() const noexcept { return slots_.end(); }

 private:
  std::span<T> slots_;
};

struct SegmentSize {
  std::uint32_t balancers = 0;
  std::uint32_t members = 0;
  std::uint32_t places = 1;  // child processes at a time
};

class SharedSegment {
 public:
  // Zeroed slots: all free.
  static base::Result<SharedSegment> create(apr_pool_t* pool, const SegmentSize& size, std::uint64_t generation);
  static std::optional<SharedSegment> attach(void* address, std::size_t size) noexcept;

  SlotTable<balancer::BalancerSlot> balancers() const noexcept;
  SlotTable<balancer::MemberSlot> members() const noexcept;
  balancer::Flights flights() const noexcept;
  // The row of a balancer in flights(); a member's is its member_id.
  std::uint32_t balancer_row(std::uint32_t balancer_id) const noexcept { return head_->member_count + balancer_id; }
  std::uint64_t generation() const noexcept { return head_->generation; }
  void* address() const noexcept { return head_; }
  std::size_t size() const noexcept { return static_cast<std::size_t>(head_->total_size); }

 private:
  explicit SharedSegment(balancer::SegmentHead* head) noexcept : head_(head) {}

  balancer::SegmentHead* head_;
};

struct CarriedOver {
  std::size_t balancers = 0;
  std::size_t members = 0;
};

// Takes the state of every slot of `former` whose key a started slot of `fresh` has. In the parent,
// after the slots of `fresh` were started and before a child has it.
CarriedOver carry_over(const SharedSegment& former, const SharedSegment& fresh);

}  // namespace cxxproxy::net
