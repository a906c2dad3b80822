// The makers of all balancing methods; what each does is said at the head of its file.
#pragma once

#include <memory>

#include "balancer/policy.h"

namespace cxxproxy::balancer {

std::unique_ptr<Policy> make_by_requests(const config::BalancerSpec& spec);
std::unique_ptr<Policy> make_by_traffic();
std::unique_ptr<Policy> make_by_busyness(const config::BalancerSpec& spec);
std::unique_ptr<Policy> make_least_load();
std::unique_ptr<Policy> make_ewma();
std::unique_ptr<Policy> make_consistent_hash(const config::BalancerSpec& spec);
std::unique_ptr<Policy> make_random();
std::unique_ptr<Policy> make_first();

// The one that lbmethod names.
std::unique_ptr<Policy> make_policy(const config::BalancerSpec& spec);

}  // namespace cxxproxy::balancer
