// Which rule hides another one: rules of one kind in the order in which requests meet them.
//
// WHAT    first_covering() finds the first rule that matches every path that a given rule matches.
//         Prefixes are compared as paths. Of a regular expression it is known with which text every
//         match begins ("^/app/(.*)": "/app/"), and, where the expression says no more than that
//         ("^/app", "^/app/(.*)$"), that every path with this beginning matches.
// SHAPES  Views: the rules must live on. The cost of a look does not depend on the number of rules.
//         What cannot be told for certain counts as "does not cover".
// SOURCE  The syntax of PCRE, as far as literal text goes.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "config/route_table.h"
#include "config/vhost_config.h"

namespace cxxproxy::config {

// The text that every path begins with that this expression matches: "/" if nothing more is known.
std::string literal_begin(std::string_view expression);
// Every path that begins with this text matches; nothing where more is asked of a path.
std::optional<std::string> covered_begin(std::string_view expression);

// A prefix that is the same for every request: no expression, no variables in the path.
bool is_fixed_prefix(const SaidRoute& rule) noexcept;

class TriedRules {
 public:
  TriedRules() = default;
  explicit TriedRules(std::vector<const SaidRoute*> rules);

  const std::vector<const SaidRoute*>& rules() const noexcept { return rules_; }
  // All of them are prefixes that lead to a backend that is known here.
  bool all_plain() const noexcept { return all_plain_; }

  // The first prefix rule for this path.
  const SaidRoute* find(std::string_view path) const;
  // The first rule that covers all of `rule`'s paths, among so many that are tried first.
  const SaidRoute* first_covering(const SaidRoute& rule, std::size_t among) const;
  const SaidRoute* first_covering(const SaidRoute& rule) const { return first_covering(rule, rules_.size()); }

 private:
  std::optional<std::size_t> first_beginning(std::string_view text) const;

  std::vector<const SaidRoute*> rules_;
  RouteTable table_;  // of the prefixes; other rules have no path in it, so that the numbers are the same
  std::unordered_map<std::string, std::size_t> begins_;  // of expressions: the first rule for each covered beginning
  bool all_plain_ = true;
};

}  // namespace cxxproxy::config
