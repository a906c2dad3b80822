// lbmethod=bybusyness: the member with the fewest requests in flight for its weight; among equals the
// one whose turn it is in the order of byrequests. Looks at all members on offer.
//
// mod_proxy compares the requests in flight without the weights, and its count drifts.
#include "balancer/by_requests.h"
#include "balancer/methods.h"

namespace cxxproxy::balancer {
namespace {

class ByBusyness final : public Policy {
 public:
  explicit ByBusyness(const config::BalancerSpec& spec) : order_(spec) {}

  void prepare(const MemberSet& offered) override { order_.prepare(offered); }

  std::optional<std::size_t> pick(const View& view, const PickHint&) noexcept override {
    const std::optional<std::size_t> next = order_.next(view);
    if (!next) return std::nullopt;
    const std::size_t size = view.offer().size();
    std::size_t best = *next;
    std::uint64_t best_in_flight = view.in_flight(best);
    if (best_in_flight == 0) return best;  // nobody has fewer
    std::size_t start = 0;
    while (start < size && view.offer().member(start) <= best) ++start;
    // From the next one in file order around, so that equals take turns.
    for (std::size_t step = 0; step < size; ++step) {
      const std::size_t member = view.offer().member((start + step) % size);
      const std::uint64_t in_flight = view.in_flight(member);
      if (in_flight * view.weight(best) >= best_in_flight * view.weight(member)) continue;
      best = member;
      best_in_flight = in_flight;
    }
    return best;
  }

 private:
  TurnOrder order_;
};

}  // namespace

std::unique_ptr<Policy> make_by_busyness(const config::BalancerSpec& spec) { return std::make_unique<ByBusyness>(spec); }

}  // namespace cxxproxy::balancer
