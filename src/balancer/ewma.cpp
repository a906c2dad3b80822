// lbmethod=ewma: two members are drawn by weight, the one that is expected to answer sooner serves: time
// to the first byte (latency.h) times requests in flight, for its weight. A member that was not measured
// yet is asked at once, but by one request at a time.
// SOURCE  Peak EWMA with power of two choices, as in Finagle and linkerd.
#include "balancer/methods.h"

namespace cxxproxy::balancer {
namespace {

class Ewma final : public Policy {
 public:
  std::optional<std::size_t> pick(const View& view, const PickHint&) noexcept override {
    const Pair pair = draw_two(view);
    return cost(view, pair.second) < cost(view, pair.first) ? pair.second : pair.first;
  }

 private:
  static double cost(const View& view, std::size_t member) noexcept {
    constexpr double kUnknown = 1e12;  // more than any latency in microseconds
    const double latency = view.latency(member);
    const double in_flight = view.in_flight(member);
    if (latency == 0.0) return in_flight == 0.0 ? 0.0 : kUnknown * in_flight;
    return latency * (in_flight + 1.0) / view.weight(member);
  }
};

}  // namespace

std::unique_ptr<Policy> make_ewma() { return std::make_unique<Ewma>(); }

}  // namespace cxxproxy::balancer
