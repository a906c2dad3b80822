// lbmethod=random: each request draws a member, with the probability of its weight's share.
#include "balancer/methods.h"

namespace cxxproxy::balancer {
namespace {

class Random final : public Policy {
 public:
  std::optional<std::size_t> pick(const View& view, const PickHint&) noexcept override { return draw_by_share(view, view.draw()); }
};

}  // namespace

std::unique_ptr<Policy> make_random() { return std::make_unique<Random>(); }

}  // namespace cxxproxy::balancer
