// What the request path sees of the configuration: defaults applied, names resolved, immutable.
//
// WHAT    ResolvedConfig is the whole process: every balancer and every member once, indexed by
//         balancer_id and member_id. ResolvedLists is what one server itself said. ResolvedVhost is one
//         server's view: a short list of those, so that many virtual hosts below a large main server
//         cost little. A virtual host without directives of ours shares the main server's view.
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

struct ResolvedLists {
  RouteTable rules;    // that see the decoded path
  RouteTable encoded;  // rules with mapping=, which see the path as it came
  std::vector<const BalancerSpec*> balancers;  // in file order
  std::vector<const MemberSpec*> plain;
  std::unordered_map<std::string, const BalancerSpec*> balancer_index;
  std::unordered_map<std::string, const MemberSpec*> member_index;               // by member_key()
  std::unordered_map<std::string, std::vector<const MemberSpec*>> origin_index;  // longest path first
};

struct ResolvedVhost {
  std::vector<const ResolvedLists*> rules;     // the main server's, then the vhost's: who matches first
  std::vector<const ResolvedLists*> backends;  // the vhost's, then the main server's: whose name counts
  std::optional<base::Duration> proxy_timeout;   // unset: httpd's Timeout
  BadHeader bad_header = BadHeader::Refuse;
  ShowStatus show_status = ShowStatus::Off;
  Via via = Via::Off;
  std::int64_t max_forwards = -1;
  std::size_t io_buffer_size = 0;   // 0: the default of the exchange
  int receive_buffer_size = 0;      // 0: the system's
  std::optional<base::IpAddress> source_address;
  std::string key;                               // "main" or the vhost's address and name

  bool has_encoded_rules = false;
  std::vector<const BalancerSpec*> balancers() const;  // the vhost's, then the main server's

  // The first rule that covers this path, which is r->uri. Rules with mapping= look at it in an earlier
  // phase than the others.
  RouteMatch find_route(std::string_view uri, const Variables* variables = nullptr) const;
  RouteMatch find_encoded_route(std::string_view uri, const Variables* variables = nullptr) const;

  // Where a rule leads in this server's view.
  Target target_of(const Route& route) const;
  Target target_of(const SaidRoute& route) const;

  // By the name in balancer://name, without the scheme.
  const BalancerSpec* find_balancer(std::string_view name) const;

  // The plain member that a ProxyPass line names, by member_key() of its URL.
  const MemberSpec* find_declared(const std::string& member_key) const noexcept;

  // The plain member whose URL is the longest prefix of `url` (for RewriteRule [P] and SetHandler). A
  // URL with a socket needs a member with that socket; one without prefers a member without.
  const MemberSpec* find_member(std::string_view url) const;

  // Either of both, by scheme: "balancer://name/…" or "http://host…".
  Target find_target(std::string_view url) const;
};

struct ResolvedConfig {
  std::vector<std::unique_ptr<BalancerSpec>> balancers;  // index = balancer_id
  std::vector<std::unique_ptr<MemberSpec>> plain;        // owned here, numbered with the others
  std::vector<const MemberSpec*> members;                // index = member_id: all of all balancers, and plain
  std::vector<std::unique_ptr<ResolvedLists>> lists;
  std::vector<std::unique_ptr<ResolvedVhost>> vhosts;
};

}  // namespace cxxproxy::config
