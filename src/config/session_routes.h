// The routes of a balancer's members, ready to be looked up by requests.
//
// WHAT    index_routes() fills BalancerSpec::routes and the members' own_route and redirect_route from what the members
//         say; with stickycookie a member without a route is known by its URL. find_route() is the place of a name in them.
// SHAPES  Case matters. Members with the same route are one entry: any of them serves its sessions. A redirect
//         to a route that nobody has leads nowhere.
#pragma once

#include <cstddef>
#include <string_view>

#include "config/spec.h"

namespace cxxproxy::config {

void index_routes(BalancerSpec& balancer);

// kNoRoute when there is none, as for an empty name.
std::size_t find_route(const BalancerSpec& balancer, std::string_view name) noexcept;

}  // namespace cxxproxy::config
