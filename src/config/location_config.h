// What the directives of one per-directory scope said: server level, <Location> or <Proxy>.
//
// WHAT    The values that httpd merges for each request, inner scope over outer: flags, the rule of a
//         <Location>, and the chain of ProxyPassReverse rules (outer rules are tried first).
// SHAPES  Trivially copyable apart from what it points to; merging allocates one chain node at most,
//         so it is cheap enough for every request. Pointees live in the configuration pool, chain
//         nodes in the pool of the merge.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "config/setting.h"
#include "config/vhost_config.h"
#include "http/reverse_map.h"

namespace cxxproxy::config {

struct ResolvedVhost;

// One ProxyPassReverse line. A balancer:// rule stands for one rule for each of its members.
struct SaidReverse {
  http::ReverseRule rule;
  std::string balancer;       // lower case, empty for a plain URL
  std::string balancer_path;  // what followed balancer://name
  SourceLine where;
};

// Rules of `before`, then `rules`, then of `after`.
struct ReverseChain {
  const ReverseChain* before = nullptr;
  const std::vector<SaidReverse>* rules = nullptr;
  const ReverseChain* after = nullptr;
};

struct LocationConfig {
  Setting<bool> preserve_host;
  Setting<bool> add_headers;
  Setting<bool> continue_from_backend;    // Proxy100Continue
  Setting<base::Duration> proxy_timeout;  // comes before the virtual host's
  const SaidRoute* route = nullptr;       // owned by the server's Declarations
  const ReverseChain* reverse = nullptr;
  const char* section_url = nullptr;      // the pattern, inside <Proxy> while it is read
  std::vector<SaidReverse>* own_rules = nullptr;  // where a directive adds one; not in a merged object
};

// `joined` is filled and used when both sides have rules; it must live as long as the result.
LocationConfig merge(const LocationConfig& outer, const LocationConfig& inner, ReverseChain& joined) noexcept;

// The public path for a Location value, by the first rule that matches.
std::optional<std::string> map_back(const ReverseChain* chain, const ResolvedVhost& vhost, std::string_view location);

}  // namespace cxxproxy::config
