// Path to backend: the first ProxyPass rule in file order that matches, at a cost that does not
// depend on the number of rules.
//
// WHAT    RouteTable indexes its rules by their path with runs of '/' collapsed. A lookup hashes the
//         prefixes of the request path that end at a segment boundary (at most two for each segment,
//         none longer than the longest rule) and takes the smallest rule number it finds. Rules that
//         no index can hold (regular expressions, servlet paths, paths with variables) are tried one
//         by one, in file order, as far as that number.
// SHAPES  Immutable once made; any thread may look up. `rule_matches` is the matching of one rule by
//         itself, used for the single rule of a <Location> and as the oracle of the tests.
//         Prefixes: a run of '/' in the rule matches a run of '/' in the path; "/seg" matches "/seg"
//         and "/seg/x" but not "/segment"; "/seg/" needs the slash; letters compare exactly.
//         A server has two tables: rules with mapping= see the path before it is decoded, in an
//         earlier phase of the request; all others see the decoded path.
// SOURCE  The same answers as httpd's modules/proxy/mod_proxy.c gives for ProxyPass.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "config/pattern.h"
#include "config/setting.h"
#include "config/spec.h"

namespace cxxproxy::config {

// What mapping= says: which form of the path a rule is compared with.
enum class Mapping : std::uint8_t { Decoded, Encoded, Servlet };

// Words of a ProxyPass line that are about the rule, not about its backend.
struct RuleOptions {
  bool nocanon = false;      // the path goes to the backend as it came
  bool noquery = false;      // the query string stays here
  bool interpolate = false;  // ${VARIABLE} in path and URL, while ProxyPassInterpolateEnv is on
  Mapping mapping = Mapping::Decoded;
};

// One ProxyPass line. Exactly one of balancer and member is set unless the rule excludes its path, or
// its URL is only known when a request has filled it.
struct Route {
  std::string path;  // as written; an expression if there is a pattern
  std::string url;   // "http://h:8080/" or "balancer://name/", without a socket: the unmatched rest is appended to it
  std::size_t origin_end = 0;  // of url, as it is written
  std::shared_ptr<const Pattern> pattern;  // ProxyPassMatch
  RuleOptions options;
  bool exclude = false;                    // ProxyPass path !
  const BalancerSpec* balancer = nullptr;  // owned by ResolvedConfig
  const MemberSpec* member = nullptr;      // owned by ResolvedConfig
  SourceLine where;
};

struct RouteMatch {
  const Route* route = nullptr;
  std::size_t matched = 0;  // characters of the request path that a prefix covers
  Groups groups{};          // of a pattern
  std::string clean;        // of mapping=servlet: the path without parameters

  explicit operator bool() const noexcept { return route != nullptr; }
};

// Variables of a request, for rules with `interpolate`; a name that has none gives an empty text.
class Variables {
 public:
  virtual std::string value(std::string_view name) const = 0;

 protected:
  ~Variables() = default;
};

// `text` with every ${name} replaced, once; text without variables if `variables` is null.
std::string interpolated(std::string_view text, const Variables* variables);

// Number of characters of `uri` that `rule` covers, 0 when it does not match.
std::size_t path_matches(std::string_view rule, std::string_view uri) noexcept;

// Does this rule cover `uri`? `variables` is null unless they are switched on for the request.
RouteMatch rule_matches(const Route& rule, std::string_view uri, const Variables* variables);

class RouteTable {
 public:
  RouteTable() = default;
  explicit RouteTable(std::vector<Route> rules);

  RouteMatch find(std::string_view uri, const Variables* variables = nullptr) const;
  // The same into `match`, which is left alone where no rule matches: for who looks through several tables.
  bool find(std::string_view uri, const Variables* variables, RouteMatch& match) const;
  const std::vector<Route>& rules() const noexcept { return rules_; }
  bool empty() const noexcept { return rules_.empty(); }

 private:
  struct Bucket {
    std::uint64_t hash = 0;
    std::uint32_t rule_plus_one = 0;  // 0 = empty bucket
  };

  static constexpr std::uint32_t kNoRule = ~std::uint32_t{0};  // behind all others
  struct Indexed {
    std::uint32_t rule = kNoRule;
    std::size_t end = 0;
  };

  Indexed find_indexed(std::string_view uri) const noexcept;
  std::uint32_t lookup(std::uint64_t hash, std::string_view uri, std::size_t end) const noexcept;
  void insert(std::uint64_t hash, std::uint32_t rule);

  std::vector<Route> rules_;
  std::vector<std::string> keys_;  // path of each rule with runs of '/' collapsed
  std::vector<Bucket> buckets_;    // power of two, at most half full
  std::size_t longest_key_ = 0;
  std::vector<std::uint32_t> one_by_one_;  // rules that are not in the index
};

}  // namespace cxxproxy::config
