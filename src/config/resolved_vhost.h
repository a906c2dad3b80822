// What the request path sees of the configuration: defaults applied, names resolved, immutable.
//
// WHAT    ResolvedConfig is the whole process: every balancer and every member once, indexed by
//         balancer_id and member_id. ResolvedVhost is one server's view: its rules and what it may
//         reach (its own objects, then the main server's). A virtual host without directives of ours
//         shares the main server's object.
// SHAPES  Built once when the configuration was read, lives in the configuration pool, read by all threads without a
//         lock. All pointers point into the ResolvedConfig that owns the vhost.
//         Lookups by name or URL fold the case of names, schemes and hosts.
// ERRORS  A lookup that finds nothing answers nullptr; nothing here can fail otherwise.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "config/route_table.h"
#include "config/spec.h"
#include "config/vhost_config.h"

namespace cxxproxy::config {

// Where a request goes: a balancer, one member, or nowhere (both nullptr).
struct Target {
  const BalancerSpec* balancer = nullptr;
  const MemberSpec* member = nullptr;

  explicit operator bool() const noexcept { return balancer != nullptr || member != nullptr; }
};

struct ResolvedVhost {
  std::vector<const RouteTable*> tables;         // the main server's rules, then the vhost's
  std::vector<const BalancerSpec*> balancers;    // the vhost's own, then the main server's
  std::vector<const MemberSpec*> plain_members;  // the same order
  std::optional<base::Duration> proxy_timeout;   // unset: httpd's Timeout
  BadHeader bad_header = BadHeader::Refuse;
  ShowStatus show_status = ShowStatus::Off;
  Via via = Via::Off;
  std::int64_t max_forwards = -1;
  std::string key;                               // "main" or the vhost's address and name

  // The first rule that covers this path, as text equal to r->uri.
  RouteMatch find_route(std::string_view uri) const noexcept;

  // Where a rule leads in this server's view.
  Target target_of(const Route& route) const;
  Target target_of(const SaidRoute& route) const;

  // By the name in balancer://name, without the scheme.
  const BalancerSpec* find_balancer(std::string_view name) const;

  // The plain member that a ProxyPass line names, by member_key() of its URL.
  const MemberSpec* find_declared(const std::string& member_key) const noexcept;

  // The plain member whose URL is the longest prefix of `url` (for RewriteRule [P] and SetHandler).
  const MemberSpec* find_member(std::string_view url) const;

  // Either of both, by scheme: "balancer://name/…" or "http://host…".
  Target find_target(std::string_view url) const;

  std::unordered_map<std::string, const BalancerSpec*> balancer_index;
  std::unordered_map<std::string, const MemberSpec*> member_index;  // by member_key()
  std::unordered_map<std::string, std::vector<const MemberSpec*>> origin_index;  // longest path first
};

struct ResolvedConfig {
  std::vector<std::unique_ptr<BalancerSpec>> balancers;  // index = balancer_id
  std::vector<std::unique_ptr<MemberSpec>> plain;        // owned here, numbered with the others
  std::vector<const MemberSpec*> members;                // index = member_id: all of all balancers, and plain
  std::vector<std::unique_ptr<RouteTable>> tables;
  std::vector<std::unique_ptr<ResolvedVhost>> vhosts;
};

}  // namespace cxxproxy::config
