#include "config/tried_rules.h"

#include <algorithm>
#include <array>

#include "base/ascii.h"
#include "config/lint_view.h"

namespace cxxproxy::config {
namespace {

bool is_literal(char c) noexcept { return std::string_view("\\^$.[]|()*+?{}").find(c) == std::string_view::npos; }

// An alternative outside of all groups: "^/a|/b".
bool has_alternatives(std::string_view expression) noexcept {
  if (expression.find("\\Q") != std::string_view::npos) return true;  // quoted text is not looked into
  int depth = 0;
  std::size_t class_begin = 0;  // where the first character of [...] is
  for (std::size_t i = 0; i < expression.size(); ++i) {
    const char c = expression[i];
    if (c == '\\') {
      ++i;
    } else if (class_begin != 0) {
      if (c == '^' && i == class_begin) ++class_begin;
      else if (c == ']' && i != class_begin) class_begin = 0;
    } else if (c == '[') {
      class_begin = i + 1;
    } else if (c == '|' && depth == 0) {
      return true;
    } else {
      depth += c == '(' ? 1 : c == ')' ? -1 : 0;
    }
  }
  return false;
}

struct Anchored {
  std::string text;       // literal characters behind "^"
  std::string_view rest;  // what follows them
};

// Nothing where the expression is not bound to the begin of the path.
std::optional<Anchored> read_anchored(std::string_view expression) {
  if (!expression.starts_with('^') || has_alternatives(expression)) return std::nullopt;
  Anchored found;
  std::size_t at = 1;
  while (at < expression.size()) {
    const bool escaped = expression[at] == '\\' && at + 1 < expression.size() && !base::is_alnum(expression[at + 1]);
    if (!escaped && !is_literal(expression[at])) break;
    const std::size_t next = at + (escaped ? 2 : 1);
    // "s?" and its like: the character may be missing, or come several times.
    if (next < expression.size() && std::string_view("?*+{").find(expression[next]) != std::string_view::npos) break;
    found.text += expression[next - 1];
    at = next;
  }
  found.rest = expression.substr(at);
  return found;
}

// A path for lookups of what every continuation of `begin` matches: no rule has this character.
std::string with_open_end(std::string begin) { return begin += '\0'; }

}  // namespace

std::string literal_begin(std::string_view expression) {
  const auto anchored = read_anchored(expression);
  return anchored && anchored->text.starts_with('/') ? anchored->text : "/";
}

std::optional<std::string> covered_begin(std::string_view expression) {
  constexpr std::array<std::string_view, 3> kAnything{"", ".*", "(.*)"};
  // A path begins with a slash in any case.
  constexpr std::array<std::string_view, 7> kEverything{"/", ".*", "(.*)", "/.*", "/(.*)", "(/.*)", "^(/.*)"};
  if (expression.ends_with(".*$") || expression.ends_with(".*)$")) expression.remove_suffix(1);
  if (std::ranges::find(kEverything, expression) != kEverything.end()) return "/";
  const auto anchored = read_anchored(expression);
  if (!anchored) return std::nullopt;
  std::string_view rest = anchored->rest;
  if (anchored->text.empty() && rest.starts_with("/?")) rest.remove_prefix(2);
  if (std::ranges::find(kAnything, rest) == kAnything.end()) return std::nullopt;
  return anchored->text.empty() ? "/" : anchored->text;
}

bool is_fixed_prefix(const SaidRoute& rule) noexcept {
  return rule.pattern == nullptr && !(rule.options.interpolate && rule.path.find("${") != std::string::npos);
}

TriedRules::TriedRules(std::vector<const SaidRoute*> rules) : rules_(std::move(rules)) {
  std::vector<Route> routes(rules_.size());
  for (std::size_t i = 0; i < rules_.size(); ++i) {
    const SaidRoute& rule = *rules_[i];
    all_plain_ = all_plain_ && is_plain_prefix(rule);
    if (is_fixed_prefix(rule)) {
      routes[i].path = rule.path;
      routes[i].options.mapping = rule.options.mapping;
    } else if (rule.pattern != nullptr) {
      if (auto begin = covered_begin(rule.path)) begins_.emplace(std::move(*begin), i);
    }
  }
  table_ = RouteTable(std::move(routes));
}

const SaidRoute* TriedRules::find(std::string_view path) const {
  const RouteMatch match = table_.find(path);
  return match ? rules_[static_cast<std::size_t>(match.route - table_.rules().data())] : nullptr;
}

std::optional<std::size_t> TriedRules::first_beginning(std::string_view text) const {
  std::optional<std::size_t> first;
  for (std::size_t size = begins_.empty() ? text.size() + 1 : 1; size <= text.size(); ++size) {
    const auto found = begins_.find(std::string(text.substr(0, size)));
    if (found != begins_.end() && (!first || found->second < *first)) first = found->second;
  }
  return first;
}

const SaidRoute* TriedRules::first_covering(const SaidRoute& rule, std::size_t among) const {
  const bool fixed = is_fixed_prefix(rule);
  if (!fixed && rule.pattern == nullptr) return nullptr;  // requests fill its path
  const std::string begin = fixed ? rule.path : literal_begin(rule.path);
  const RouteMatch match = table_.find(fixed ? begin : with_open_end(begin));
  const std::size_t none = rules_.size();
  const std::size_t by_path = match ? static_cast<std::size_t>(match.route - table_.rules().data()) : none;
  const std::size_t first = std::min(by_path, first_beginning(begin).value_or(none));
  return first < std::min(among, none) ? rules_[first] : nullptr;
}

}  // namespace cxxproxy::config
