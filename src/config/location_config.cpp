#include "config/location_config.h"

#include <span>

#include "config/resolved_vhost.h"

namespace cxxproxy::config {
namespace {

std::optional<std::string> map_back_from_balancer(const SaidReverse& said, const BalancerSpec& balancer, std::string_view location) {
  for (const MemberSpec& member : balancer.members) {
    http::ReverseRule rule = said.rule;
    rule.real = member.url;
    if (!rule.real.path.empty() && rule.real.path.back() == '/' && !said.balancer_path.empty()) rule.real.path.pop_back();
    rule.real.path += said.balancer_path;
    if (auto mapped = http::map_back(location, std::span(&rule, 1))) return mapped;
  }
  return std::nullopt;
}

}  // namespace

LocationConfig merge(const LocationConfig& outer, const LocationConfig& inner, ReverseChain& joined) noexcept {
  LocationConfig result;
  result.preserve_host = merged(outer.preserve_host, inner.preserve_host);
  result.add_headers = merged(outer.add_headers, inner.add_headers);
  result.continue_from_backend = merged(outer.continue_from_backend, inner.continue_from_backend);
  result.proxy_timeout = merged(outer.proxy_timeout, inner.proxy_timeout);
  result.route = inner.route != nullptr ? inner.route : outer.route;
  if (outer.reverse == nullptr || inner.reverse == nullptr) {
    result.reverse = inner.reverse != nullptr ? inner.reverse : outer.reverse;
  } else {
    joined = {outer.reverse, nullptr, inner.reverse};
    result.reverse = &joined;
  }
  return result;
}

std::optional<std::string> map_back(const ReverseChain* chain, const ResolvedVhost& vhost, std::string_view location) {
  if (chain == nullptr) return std::nullopt;
  if (auto mapped = map_back(chain->before, vhost, location)) return mapped;
  if (chain->rules != nullptr) {
    for (const SaidReverse& said : *chain->rules) {
      std::optional<std::string> mapped;
      if (said.balancer.empty()) {
        mapped = http::map_back(location, std::span(&said.rule, 1));
      } else if (const BalancerSpec* balancer = vhost.find_balancer(said.balancer)) {
        mapped = map_back_from_balancer(said, *balancer, location);
      }
      if (mapped) return mapped;
    }
  }
  return map_back(chain->after, vhost, location);
}

}  // namespace cxxproxy::config
