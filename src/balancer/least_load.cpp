// lbmethod=leastload: two members are drawn by weight, the one with fewer requests in flight for its
// weight serves. Costs the same for two members and for a thousand, and does not send all processes to
// the same member at once, as looking for the least busy of all does.
// SOURCE  Mitzenmacher, The Power of Two Choices in Randomized Load Balancing, 2001.
#include "balancer/methods.h"

namespace cxxproxy::balancer {
namespace {

class LeastLoad final : public Policy {
 public:
  std::optional<std::size_t> pick(const View& view, const PickHint&) noexcept override {
    const Pair pair = draw_two(view);
    const std::uint64_t first = std::uint64_t{view.in_flight(pair.first)} * view.weight(pair.second);
    const std::uint64_t second = std::uint64_t{view.in_flight(pair.second)} * view.weight(pair.first);
    return second < first ? pair.second : pair.first;  // on a tie the draw by weight counts
  }
};

}  // namespace

std::unique_ptr<Policy> make_least_load() { return std::make_unique<LeastLoad>(); }

}  // namespace cxxproxy::balancer
