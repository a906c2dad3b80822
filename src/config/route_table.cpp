#include "config/route_table.h"

#include <algorithm>
#include <bit>

#include "config/servlet_path.h"

namespace cxxproxy::config {
namespace {

constexpr std::uint64_t kHashStart = 14695981039346656037ULL;

// FNV-1a, one character at a time, so that all prefixes of a path cost one pass.
constexpr std::uint64_t hash_step(std::uint64_t hash, char c) noexcept {
  return (hash ^ static_cast<unsigned char>(c)) * 1099511628211ULL;
}

std::string collapse_slashes(std::string_view path) {
  std::string collapsed;
  collapsed.reserve(path.size());
  for (const char c : path) {
    if (c == '/' && !collapsed.empty() && collapsed.back() == '/') continue;
    collapsed.push_back(c);
  }
  return collapsed;
}

// Does `key`, which has no runs of '/', read like uri[0, end) with its runs collapsed?
bool spells(std::string_view key, std::string_view uri, std::size_t end) noexcept {
  std::size_t k = 0;
  for (std::size_t u = 0; u < end; ++u) {
    if (uri[u] == '/' && u > 0 && uri[u - 1] == '/') continue;
    if (k == key.size() || key[k] != uri[u]) return false;
    ++k;
  }
  return k == key.size();
}

bool fits_the_index(const Route& rule) noexcept {
  const bool variable_path = rule.options.interpolate && rule.path.find("${") != std::string::npos;
  return rule.pattern == nullptr && rule.options.mapping != Mapping::Servlet && !variable_path;
}

}  // namespace

std::string interpolated(std::string_view text, const Variables* variables) {
  std::string out;
  for (std::size_t start = 0; variables != nullptr && (start = text.find("${")) != std::string_view::npos;) {
    const std::size_t end = text.find('}', start + 2);
    if (end == std::string_view::npos) break;
    out.append(text.substr(0, start)).append(variables->value(text.substr(start + 2, end - start - 2)));
    text.remove_prefix(end + 1);
  }
  return out.append(text);
}

RouteMatch rule_matches(const Route& rule, std::string_view uri, const Variables* variables) {
  RouteMatch match;
  if (rule.pattern != nullptr) {
    if (rule.pattern->match(uri, match.groups)) match.route = &rule;
    return match;
  }
  const bool variable = rule.options.interpolate && variables != nullptr;
  const std::string filled = variable ? interpolated(rule.path, variables) : std::string();
  const std::string_view path = variable ? std::string_view(filled) : std::string_view(rule.path);
  if (rule.options.mapping == Mapping::Servlet) {
    ServletMatch found = servlet_match(path, uri);
    match.matched = found.matched;
    match.clean = std::move(found.clean);
  } else {
    match.matched = path_matches(path, uri);
  }
  if (match.matched != 0) match.route = &rule;
  return match;
}

std::size_t path_matches(std::string_view rule, std::string_view uri) noexcept {
  if (rule.empty()) return 0;
  std::size_t r = 0;
  std::size_t u = 0;
  while (r < rule.size()) {
    if (u == uri.size() || uri[u] != rule[r]) return 0;
    if (rule[r] != '/') {
      ++r;
      ++u;
      continue;
    }
    while (r < rule.size() && rule[r] == '/') ++r;
    while (u < uri.size() && uri[u] == '/') ++u;
  }
  const bool at_boundary = rule.back() == '/' || u == uri.size() || uri[u] == '/';
  return at_boundary ? u : 0;
}

RouteTable::RouteTable(std::vector<Route> rules) : rules_(std::move(rules)) {
  keys_.reserve(rules_.size());
  buckets_.resize(std::bit_ceil(rules_.size() * 2 + 1));
  for (std::size_t i = 0; i < rules_.size(); ++i) {
    const bool indexed = fits_the_index(rules_[i]);
    keys_.push_back(indexed ? collapse_slashes(rules_[i].path) : std::string());
    if (!indexed) one_by_one_.push_back(static_cast<std::uint32_t>(i));
    if (keys_.back().empty()) continue;
    std::uint64_t hash = kHashStart;
    for (const char c : keys_.back()) hash = hash_step(hash, c);
    insert(hash, static_cast<std::uint32_t>(i));
    longest_key_ = std::max(longest_key_, keys_.back().size());
  }
}

void RouteTable::insert(std::uint64_t hash, std::uint32_t rule) {
  const std::size_t mask = buckets_.size() - 1;
  for (std::size_t at = hash & mask;; at = (at + 1) & mask) {
    Bucket& bucket = buckets_[at];
    if (bucket.rule_plus_one == 0) {
      bucket = {hash, rule + 1};
      return;
    }
    // Rules come in file order: the first one of a path shadows the later ones.
    if (bucket.hash == hash && keys_[bucket.rule_plus_one - 1] == keys_[rule]) return;
  }
}

std::uint32_t RouteTable::lookup(std::uint64_t hash, std::string_view uri, std::size_t end) const noexcept {
  const std::size_t mask = buckets_.size() - 1;
  for (std::size_t at = hash & mask; buckets_[at].rule_plus_one != 0; at = (at + 1) & mask) {
    const Bucket& bucket = buckets_[at];
    if (bucket.hash == hash && spells(keys_[bucket.rule_plus_one - 1], uri, end)) return bucket.rule_plus_one - 1;
  }
  return kNoRule;
}

RouteMatch RouteTable::find(std::string_view uri, const Variables* variables) const {
  RouteMatch match;
  find(uri, variables, match);
  return match;
}

bool RouteTable::find(std::string_view uri, const Variables* variables, RouteMatch& match) const {
  const Indexed indexed = find_indexed(uri);
  for (const std::uint32_t rule : one_by_one_) {
    if (indexed.rule < rule) break;
    if (RouteMatch found = rule_matches(rules_[rule], uri, variables)) {
      match = std::move(found);
      return true;
    }
  }
  if (indexed.rule == kNoRule) return false;
  match.route = &rules_[indexed.rule];
  match.matched = indexed.end;
  return true;
}

RouteTable::Indexed RouteTable::find_indexed(std::string_view uri) const noexcept {
  if (longest_key_ == 0) return {};
  Indexed best;
  const auto consider = [&](std::uint64_t hash, std::size_t end) noexcept {
    const std::uint32_t rule = lookup(hash, uri, end);
    if (rule < best.rule) best = {rule, end};
  };

  std::uint64_t hash = kHashStart;
  std::size_t length = 0;  // of the collapsed prefix uri[0, at)
  std::size_t at = 0;
  while (at < uri.size() && length <= longest_key_) {
    if (uri[at] != '/') {
      hash = hash_step(hash, uri[at++]);
      ++length;
      continue;
    }
    if (at > 0) consider(hash, at);
    hash = hash_step(hash, '/');
    ++length;
    while (at < uri.size() && uri[at] == '/') ++at;
    if (length <= longest_key_) consider(hash, at);
  }
  if (at == uri.size() && at > 0 && uri[at - 1] != '/' && length <= longest_key_) consider(hash, at);
  return best;
}

}  // namespace cxxproxy::config
