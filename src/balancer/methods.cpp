#include "balancer/methods.h"

namespace cxxproxy::balancer {

std::unique_ptr<Policy> make_policy(const config::BalancerSpec& spec) {
  using config::Method;
  switch (spec.method) {
    case Method::ByRequests: break;
    case Method::ByTraffic: return make_by_traffic();
    case Method::ByBusyness: return make_by_busyness(spec);
    case Method::LeastLoad: return make_least_load();
    case Method::Ewma: return make_ewma();
    case Method::Hash: return make_consistent_hash(spec);
    case Method::Random: return make_random();
    case Method::First: return make_first();
  }
  return make_by_requests(spec);
}

Pair draw_two(const View& view) noexcept {
  const Offer& offer = view.offer();
  const std::uint64_t draw = view.draw();
  const std::uint32_t all = offer.shares();
  const std::size_t one = offer.place_of(scaled(draw, all));
  if (offer.size() < 2) return {offer.member(one), offer.member(one)};
  // The second among what is left without the first one's share.
  const std::uint32_t begin = one == 0 ? 0 : offer.share_end(one - 1);
  const std::uint32_t own = offer.share_end(one) - begin;
  std::uint32_t point = scaled(draw >> 32, all - own);
  if (point >= begin) point += own;
  return {offer.member(one), offer.member(offer.place_of(point))};
}

}  // namespace cxxproxy::balancer
