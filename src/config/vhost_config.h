// What the directives of one server said: rules, balancers, members, before anything is resolved.
//
// WHAT    Declarations are one server's own lists. VhostConfig is those plus the single values; after
//         merging it names the main server's Declarations too (they stay one object, seen by all).
// SHAPES  Written while the configuration is read, by one thread; not changed after it was checked as a whole.
//         Lives in the configuration pool. Balancer names are lower case; members are found by
//         member_key(), in which "http://h" and "http://h/" are the same backend.
// ERRORS  The functions that add something are in config/statements.h.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/clock.h"
#include "config/field_settings.h"
#include "config/parameter_rows.h"
#include "config/route_table.h"
#include "config/setting.h"
#include "config/spec.h"
#include "http/url.h"

namespace cxxproxy::config {

struct ResolvedVhost;
struct ResolvedConfig;

struct DeclaredMember {
  http::Url url;
  ParameterSet parameters;
  SourceLine where;
  std::string template_url{};  // the URL as written, when requests fill a part of it
  bool any_host = false;       // they fill a part of its host or port
};

struct DeclaredBalancer {
  std::string name;
  ParameterSet parameters;
  std::vector<DeclaredMember> members;
  std::unordered_map<std::string, std::size_t> member_index;  // by member_key()
  SourceLine where;
};

// One ProxyPass line; its target is a balancer name, a member key, or nothing for "!" and for a balancer
// whose name requests fill.
struct SaidRoute : Route {
  std::string balancer_name;
  std::string member_key;
};

// One <Proxy> section; `directives` is httpd's per-directory vector of what stands inside, `expression`
// the compiled pattern of <ProxyMatch>.
struct ProxySection {
  std::string pattern;
  bool wildcard = false;
  const void* expression = nullptr;
  void* directives = nullptr;
  SourceLine where;
};

// A parameter that had no effect because its backend was declared before.
struct IgnoredParameter {
  std::string text;
  SourceLine where;
  SourceLine declared;
};

// A second BalancerMember line for one URL: one member, with the parameters of both.
struct RepeatedMember {
  std::string url;
  std::string balancer;
  SourceLine where;
  SourceLine first;
};

// What a ProxyPassReverse line said, for the check of the whole configuration (requests use SaidReverse).
struct ReverseLine {
  std::string path;
  http::Url real;        // scheme empty: a path only
  std::string balancer;  // lower case, empty for a plain URL
  SourceLine where;
};

// Something about the configuration as a whole that its author should know.
struct Finding {
  bool is_error = false;  // stops configtest and start
  SourceLine where;
  std::string text;
};

struct Declarations {
  std::vector<SaidRoute> routes;
  std::vector<std::unique_ptr<SaidRoute>> location_routes;
  std::vector<std::unique_ptr<DeclaredBalancer>> balancers;
  std::vector<std::unique_ptr<DeclaredMember>> plain;
  std::vector<ProxySection> sections;
  std::vector<IgnoredParameter> ignored;
  std::vector<RepeatedMember> repeated;
  std::vector<ReverseLine> reverses;
  std::vector<std::unique_ptr<ForwardedTrust>> trusts;
  std::unordered_map<std::string, DeclaredBalancer*> balancer_index;
  std::unordered_map<std::string, DeclaredMember*> plain_index;  // by member_key()

  DeclaredBalancer* find_balancer(const std::string& lower_case_name) const noexcept;
  DeclaredMember* find_plain(const std::string& member_key) const noexcept;
};

struct VhostConfig {
  Setting<base::Duration> proxy_timeout;
  Setting<BadHeader> bad_header;
  Setting<ShowStatus> show_status;
  Setting<bool> check_names;         // main server only: may configtest ask the resolver?
  std::vector<std::string> explain;  // main server only: URLs of ProxyExplain
  Setting<Via> via;
  Setting<std::int64_t> io_buffer_size;       // 0: the default
  Setting<std::int64_t> receive_buffer_size;  // 0: the system's
  Setting<base::IpAddress> source_address;
  Setting<std::int64_t> max_forwards;  // below 0: requests get no Max-Forwards
  Setting<bool> balancer_inherit;
  Setting<bool> persist;
  Setting<bool> rule_inherit;  // ProxyPassInherit
  Setting<base::Duration> park_after;  // these six are the main server's only
  Setting<unsigned> park_max;
  Setting<bool> keep_alive_guard;
  Setting<base::Duration> keep_alive_stay;
  Setting<Reactor> reactor;
  Setting<base::Duration> tunnel_drain;
  std::unique_ptr<Declarations> own = std::make_unique<Declarations>();
  std::vector<const Declarations*> inherited;  // outermost first; only after a merge
  const Declarations* merged_own = nullptr;    // the child's lists, which the child still owns
  const ResolvedVhost* resolved = nullptr;     // set by the check of the whole configuration
  std::unique_ptr<ResolvedConfig> whole;       // main server only, as is the next
  std::vector<Finding> findings;

  VhostConfig();
  ~VhostConfig();

  // The lists that this server sees, outermost first, and the ones that are its own.
  std::vector<const Declarations*> layers() const;
  const Declarations& own_lists() const noexcept { return merged_own != nullptr ? *merged_own : *own; }
  // Does this server see the main server's balancers and backends? As with mod_proxy, two switches
  // must be off to say no, and neither keeps the main server's rules out.
  bool inherits_backends() const noexcept { return balancer_inherit.value_or(true) || rule_inherit.value_or(true); }
};

// `child` is a virtual host's, `parent` the main server's; both outlive the result.
std::unique_ptr<VhostConfig> merge(const VhostConfig& parent, const VhostConfig& child);

// Two spellings of one backend have one key.
std::string member_key(const http::Url& url);
std::string member_key(const DeclaredMember& member);

}  // namespace cxxproxy::config
