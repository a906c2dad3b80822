// lbmethod=byrequests: each member gets its weight's share of the requests, in an even order.
//
// WHAT    ByRequests makes the order of a set of usable members and keeps the last few, since sets
//         come back (a member fails, rests and returns). Order answers "whose turn is number t".
// SHAPES  One writer at a time (Balancer's mutex) calls order_for; any number of threads reads orders
//         without a lock and without counting themselves: an Order is never freed before ByRequests,
//         its memory is used again for another set. A reader notices that by the version (a sequence
//         lock whose data are atomics) and asks for the current order again. The order last returned
//         is not touched by the next order_for. Memory: at most kOrders x (2 bytes x period or 65536,
//         plus 6 bytes x members).
// ERRORS  Order::at gives no value when the order was overwritten meanwhile.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "balancer/member_set.h"
#include "balancer/policy.h"
#include "balancer/smooth_order.h"

namespace cxxproxy::balancer {

class Order {
 public:
  // Member of turn `turn`; the cost does not grow with the number of members for a table, and with
  // its logarithm for a stride order.
  std::optional<std::size_t> at(std::uint64_t turn) const noexcept;

 private:
  friend class ByRequests;
  void reserve(std::size_t turns, std::size_t members);
  void assign_table(std::span<const std::uint16_t> turns) noexcept;
  void assign_stride(std::span<const WeightedMember> members, std::uint64_t period) noexcept;

  std::atomic<std::uint64_t> version_{0};  // odd = being written
  std::atomic<std::uint64_t> period_{0};
  std::atomic<std::uint64_t> stride_{0};  // 0 = table
  std::atomic<std::uint32_t> count_{1};   // members of a stride order, never 0
  std::unique_ptr<std::atomic<std::uint16_t>[]> turns_;   // table: member per turn; stride: members
  std::unique_ptr<std::atomic<std::uint32_t>[]> shares_;  // stride: end of each member's share
  std::size_t turn_capacity_ = 0;
};

class ByRequests {
 public:
  // Weights in file order, at most kMaxMembers of them.
  explicit ByRequests(std::span<const std::uint32_t> weights);

  // The order of a set that is not empty. Valid as `current` until the call after the next one.
  const Order* order_for(const MemberSet& usable);

 private:
  struct Kept {
    MemberSet set;
    std::uint64_t used = 0;  // 0 = never
    Order order;
  };
  static constexpr std::size_t kOrders = 8;

  std::uint64_t collect(const MemberSet& usable);
  void build(Order& order, const MemberSet& usable);

  std::vector<std::uint32_t> weights_;
  std::vector<WeightedMember> scratch_;
  std::vector<std::uint16_t> turns_scratch_;
  std::size_t turn_capacity_ = 0;
  std::uint64_t uses_ = 0;
  std::array<Kept, kOrders> kept_;
};

// The order of the members on offer, as several methods use it.
class TurnOrder {
 public:
  explicit TurnOrder(const config::BalancerSpec& spec);

  void prepare(const MemberSet& offered);

  // Whose turn it is. A first turn follows the order; a further attempt takes the next point of a
  // sequence that gives each of those that are left its weight's share.
  std::optional<std::size_t> next(const View& view) const noexcept;

 private:
  ByRequests orders_;
  std::atomic<const Order*> order_{nullptr};
};

}  // namespace cxxproxy::balancer
