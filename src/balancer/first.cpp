// lbmethod=first: the first member in file order that is on offer; the next one when `max` connections
// of the child are in use there. Fills one member before it wakes another.
#include "balancer/methods.h"

namespace cxxproxy::balancer {
namespace {

class First final : public Policy {
 public:
  std::optional<std::size_t> pick(const View& view, const PickHint&) noexcept override {
    if (view.first_turn()) (void)view.turn();
    const std::size_t size = view.offer().size();
    for (std::size_t place = 0; place < size; ++place) {
      const std::size_t member = view.offer().member(place);
      if (!view.is_full(member)) return member;
    }
    return view.offer().member(0);
  }
};

}  // namespace

std::unique_ptr<Policy> make_first() { return std::make_unique<First>(); }

}  // namespace cxxproxy::balancer
