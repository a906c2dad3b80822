#include "config/route_table.h"

#include <algorithm>
#include <bit>

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

}  // namespace

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
    keys_.push_back(collapse_slashes(rules_[i].path));
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

std::optional<std::uint32_t> RouteTable::lookup(std::uint64_t hash, std::string_view uri, std::size_t end) const noexcept {
  const std::size_t mask = buckets_.size() - 1;
  for (std::size_t at = hash & mask; buckets_[at].rule_plus_one != 0; at = (at + 1) & mask) {
    const Bucket& bucket = buckets_[at];
    if (bucket.hash == hash && spells(keys_[bucket.rule_plus_one - 1], uri, end)) return bucket.rule_plus_one - 1;
  }
  return std::nullopt;
}

RouteMatch RouteTable::find(std::string_view uri) const noexcept {
  if (longest_key_ == 0) return {};
  std::optional<std::uint32_t> best;
  std::size_t best_end = 0;
  const auto consider = [&](std::uint64_t hash, std::size_t end) noexcept {
    const auto rule = lookup(hash, uri, end);
    if (!rule || (best && *best <= *rule)) return;
    best = rule;
    best_end = end;
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
  if (!best) return {};
  return {&rules_[*best], best_end};
}

}  // namespace cxxproxy::config
