// Path to backend: the first ProxyPass rule in file order that matches, at a cost that does not
// depend on the number of rules.
//
// WHAT    RouteTable indexes its rules by their path with runs of '/' collapsed. A lookup hashes the
//         prefixes of the request path that end at a segment boundary (at most two for each segment,
//         none longer than the longest rule) and takes the smallest rule number it finds.
// SHAPES  Immutable after build(); any thread may look up. `path_matches` is the matching rule by
//         itself, used for the single rule of a <Location> and as the oracle of the tests.
//         Matching: a run of '/' in the rule matches a run of '/' in the path; "/seg" matches "/seg"
//         and "/seg/x" but not "/segment"; "/seg/" needs the slash; letters compare exactly.
// SOURCE  The same answers as httpd's modules/proxy/mod_proxy.c gives for ProxyPass.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "config/setting.h"
#include "config/spec.h"

namespace cxxproxy::config {

// One ProxyPass line. Exactly one of balancer and member is set unless the rule excludes its path.
struct Route {
  std::string path;  // as written
  std::string url;   // "http://h:8080/" or "balancer://name/": the unmatched rest is appended to it
  bool exclude = false;                    // ProxyPass path !
  const BalancerSpec* balancer = nullptr;  // owned by ResolvedConfig
  const MemberSpec* member = nullptr;      // owned by ResolvedConfig
  SourceLine where;
};

struct RouteMatch {
  const Route* route = nullptr;
  std::size_t matched = 0;  // characters of the request path that the rule covers

  explicit operator bool() const noexcept { return route != nullptr; }
};

// Number of characters of `uri` that `rule` covers, 0 when it does not match.
std::size_t path_matches(std::string_view rule, std::string_view uri) noexcept;

class RouteTable {
 public:
  RouteTable() = default;
  explicit RouteTable(std::vector<Route> rules);

  RouteMatch find(std::string_view uri) const noexcept;
  const std::vector<Route>& rules() const noexcept { return rules_; }
  bool empty() const noexcept { return rules_.empty(); }

 private:
  struct Bucket {
    std::uint64_t hash = 0;
    std::uint32_t rule_plus_one = 0;  // 0 = empty bucket
  };

  std::optional<std::uint32_t> lookup(std::uint64_t hash, std::string_view uri, std::size_t end) const noexcept;
  void insert(std::uint64_t hash, std::uint32_t rule);

  std::vector<Route> rules_;
  std::vector<std::string> keys_;  // path of each rule with runs of '/' collapsed
  std::vector<Bucket> buckets_;    // power of two, at most half full
  std::size_t longest_key_ = 0;
};

}  // namespace cxxproxy::config
