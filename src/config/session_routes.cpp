#include "config/session_routes.h"

#include <algorithm>

namespace cxxproxy::config {

std::size_t find_route(const BalancerSpec& balancer, std::string_view name) noexcept {
  if (name.empty() || name.size() > kLongestRoute) return kNoRoute;
  const auto& routes = balancer.routes;
  const auto found = std::lower_bound(routes.begin(), routes.end(), name,
                                      [](const SessionRoute& route, std::string_view wanted) { return route.name < wanted; });
  return found != routes.end() && found->name == name ? static_cast<std::size_t>(found - routes.begin()) : kNoRoute;
}

void index_routes(BalancerSpec& balancer) {
  auto& routes = balancer.routes;
  routes.clear();
  for (std::size_t i = 0; i < balancer.members.size(); ++i) {
    const MemberSpec& member = balancer.members[i];
    const std::string& name = member.route.empty() && balancer.sticky_cookie.is_on() ? member.name : member.route;
    if (!name.empty()) routes.push_back({name, {static_cast<std::uint16_t>(i)}});
  }
  std::stable_sort(routes.begin(), routes.end(), [](const SessionRoute& a, const SessionRoute& b) { return a.name < b.name; });
  std::vector<SessionRoute> joined;
  for (SessionRoute& route : routes) {
    if (!joined.empty() && joined.back().name == route.name) {
      joined.back().members.push_back(route.members.front());
    } else {
      joined.push_back(std::move(route));
    }
  }
  routes = std::move(joined);
  for (MemberSpec& member : balancer.members) member.redirect_route = find_route(balancer, member.redirect);
  for (std::size_t route = 0; route < routes.size(); ++route) {
    for (const std::size_t i : routes[route].members) balancer.members[i].own_route = route;
  }
}

}  // namespace cxxproxy::config
