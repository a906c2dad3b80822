#include <algorithm>
#include <optional>
#include <string>

#include "base/ascii.h"
#include "config/declare.h"
#include "config/lint_view.h"

namespace cxxproxy::config {
namespace {

// ---------------------------------------------------------------- one rule by itself

std::string sample(const SaidRoute& rule) { return rule.path + (rule.path.ends_with('/') ? "foo" : "/foo"); }

// A URL that ends in the middle of a name or a value on purpose.
bool ends_open(std::string_view url) noexcept { return url.find_first_of("?$%") != std::string_view::npos || url.ends_with('='); }

void check_slashes(const ServerLint& lint, const SaidRoute& rule, bool in_location) {
  if (rule.exclude || rule.path.empty() || ends_open(rule.url)) return;
  const bool path_slash = rule.path.ends_with('/');
  const bool url_slash = rule.url.ends_with('/');
  if (path_slash == url_slash) return;
  const std::string line = line_text(rule, in_location);
  const std::string url = without_userinfo(rule.url);
  if (!has_path(rule.url)) {
    lint.warn(rule.where, line + ": the URL has no path: " + sample(rule) + " would become " + url +
                              "foo (with mod_proxy it does), here a slash is put in between; write " + url + "/");
  } else if (path_slash) {
    lint.warn(rule.where, line + ": the path ends with a slash and the URL does not, so " + sample(rule) + " becomes " + url + "foo; write " +
                              url + "/");
  } else {
    lint.warn(rule.where, line + ": the URL ends with a slash and the path does not, so " + sample(rule) + " becomes " + url +
                              "/foo; end both with a slash, or none");
  }
}

bool has_escape(std::string_view path) noexcept {
  for (std::size_t i = 0; i + 2 < path.size(); ++i) {
    if (path[i] == '%' && base::hex_value(path[i + 1]) >= 0 && base::hex_value(path[i + 2]) >= 0) return true;
  }
  return false;
}

bool has_group(std::string_view url) noexcept {
  for (std::size_t i = 0; i + 1 < url.size(); ++i) {
    if (url[i] == '$' && base::is_digit(url[i + 1])) return true;
  }
  return false;
}

// What makes a path that no request has.
const char* why_never(std::string_view path, Mapping mapping, bool in_location) noexcept {
  if (path.find('*') != std::string_view::npos) {
    return in_location ? "* stands for itself in the path of a rule (ProxyPassMatch in <LocationMatch> takes an expression)"
                       : "* stands for itself in a path (ProxyPass takes the beginning of a path, ProxyPassMatch an expression)";
  }
  if (path.starts_with('^')) return "^ begins no path (ProxyPassMatch takes an expression)";
  if (!path.starts_with('/')) return "a path begins with a slash, so no request has this one";
  if (path.find('?') != std::string_view::npos) return "a path ends before the ?, a rule does not see the query string";
  if (mapping != Mapping::Decoded) return path.find(' ') != std::string_view::npos ? "with mapping= paths are compared as they were sent: write %20 for a space" : nullptr;
  if (has_escape(path)) return "paths are compared after %XX was decoded: write the character itself, in quotes";
  return nullptr;
}

void check_path(const ServerLint& lint, const SaidRoute& rule, bool in_location) {
  if (!is_fixed_prefix(rule)) return;
  if (const char* why = why_never(rule.path, rule.options.mapping, in_location)) {
    lint.warn(rule.where, line_text(rule, in_location) + ": " + why);
  } else {
    check_slashes(lint, rule, in_location);
  }
  if (has_group(rule.url)) {
    lint.warn(rule.where, line_text(rule, in_location) + ": $1 and its like have a meaning in ProxyPassMatch only, here they go to the backend as they are");
  }
}

// ---------------------------------------------------------------- hidden rules

struct Shadow {
  const SaidRoute* by = nullptr;
  bool by_location = false;
  bool by_main = false;
  bool by_later = false;
};

const DeclaredMember* member_of(const ServerLint& lint, const SaidRoute& rule) {
  for (auto layer = lint.layers.rbegin(); layer != lint.layers.rend(); ++layer) {
    if (const DeclaredMember* member = (*layer)->lists->find_plain(rule.member_key)) return member;
  }
  return nullptr;
}

std::string sample_url(const SaidRoute& rule, std::string_view path) {
  if (rule.pattern == nullptr) return joined_url(rule.url, path.substr(path_matches(rule.path, path)));
  Groups groups;
  if (!rule.pattern->match(path, groups)) return {};
  const std::string url = expand_references(rule.url, path, groups);
  return url == rule.url ? joined_url(rule.url, path) : url;
}

// Both send the paths that may be tried here to the same URLs.
bool lead_to_the_same(const SaidRoute& hidden, const SaidRoute& by) {
  if (hidden.pattern != nullptr && by.pattern != nullptr && hidden.path == by.path) return hidden.url == by.url;
  const std::string begin = hidden.pattern != nullptr ? literal_begin(hidden.path) : hidden.path;
  bool any = false;
  for (const std::string_view more : {"", "foo", "/foo", "/foo/bar"}) {
    if (begin.ends_with('/') && more.starts_with('/')) continue;
    const std::string path = begin + std::string(more);
    Groups groups;
    const bool taken = hidden.pattern != nullptr ? hidden.pattern->match(path, groups) : path_matches(hidden.path, path) != 0;
    if (!taken) continue;
    any = true;
    if (sample_url(hidden, path) != sample_url(by, path)) return false;
  }
  return any;
}

// The hidden rule would have said the same as the one that hides it.
bool makes_no_difference(const ServerLint& lint, const SaidRoute& hidden, const SaidRoute& by) {
  if (hidden.exclude || by.exclude) return hidden.exclude == by.exclude;
  if (!lead_to_the_same(hidden, by)) return false;
  if (hidden.member_key == by.member_key) return true;
  const DeclaredMember* member = member_of(lint, hidden);
  return member == nullptr || member->parameters.empty();
}

std::string advice(const SaidRoute& hidden, const Shadow& shadow) {
  if (shadow.by_later) return "the last section that covers a path decides, put the longer path last";
  if (shadow.by_location) return hidden.exclude ? "a <Location> decides first, write ProxyPass ! into a <Location " + hidden.path + "> behind it" : "a <Location> decides first";
  if (shadow.by_main) return "the main server's rules are tried first";
  if (shadow.by->options.mapping != hidden.options.mapping) return "rules with mapping= are tried first";
  return hidden.exclude ? "the first match decides, put exclusions first" : "the first match decides, put the longer path first";
}

void report(const ServerLint& lint, const SaidRoute& hidden, bool in_location, const Shadow& shadow) {
  if (shadow.by->pattern != nullptr && !lint.facts->merges_slashes) return;  // "^/a/b" does not match "/a//b"
  if (makes_no_difference(lint, hidden, *shadow.by)) return;
  lint.warn(hidden.where, line_text(hidden, in_location) + " is never used: " + line_text(*shadow.by, shadow.by_location) + " " +
                              at(shadow.by->where) + " covers its path; " + advice(hidden, shadow));
}

// A path of which its encoded form is certain: rules with mapping= see that one.
bool is_sent_as_it_is(const ServerLint& lint, const SaidRoute& rule) {
  if (lint.facts->decodes_slashes || !is_fixed_prefix(rule)) return false;
  return std::ranges::all_of(rule.path, [](char c) { return base::is_alnum(c) || std::string_view("/-._~").find(c) != std::string_view::npos; });
}

std::optional<Shadow> shadow_of(const ServerLint& lint, TriedRules ListView::* own_kind, std::size_t number) {
  const SaidRoute& rule = *(lint.own().*own_kind).rules()[number];
  if (own_kind == &ListView::rules) {
    for (const ListView* layer : lint.layers) {
      const SaidRoute* by = is_sent_as_it_is(lint, rule) ? layer->encoded.first_covering(rule) : nullptr;
      if (by != nullptr) return Shadow{by, false, layer != &lint.own(), false};
    }
    for (auto layer = lint.layers.rbegin(); layer != lint.layers.rend(); ++layer) {
      if (const SaidRoute* by = (*layer)->locations.first_covering(rule)) return Shadow{by, true, false, false};
    }
  }
  for (const ListView* layer : lint.layers) {
    const TriedRules& tried = layer->*own_kind;
    const bool is_own = layer == &lint.own();
    const SaidRoute* by = is_own ? tried.first_covering(rule, number) : tried.first_covering(rule);
    if (by != nullptr) return Shadow{by, false, !is_own, false};
  }
  return std::nullopt;
}

}  // namespace

void lint_paths(const ServerLint& lint) {
  for (const SaidRoute& rule : lint.own().lists->routes) check_path(lint, rule, false);
  for (const auto& rule : lint.own().lists->location_routes) check_path(lint, *rule, true);
}

void lint_shadows(const ServerLint& lint) {
  for (const auto kind : {&ListView::rules, &ListView::encoded, &ListView::servlet}) {
    const auto& rules = (lint.own().*kind).rules();
    for (std::size_t number = 0; number < rules.size(); ++number) {
      if (const auto shadow = shadow_of(lint, kind, number)) report(lint, *rules[number], false, *shadow);
    }
  }
  const TriedRules& locations = lint.own().locations;
  for (std::size_t number = 0; number < locations.rules().size(); ++number) {
    const SaidRoute& rule = *locations.rules()[number];
    if (const SaidRoute* last = locations.first_covering(rule, number)) report(lint, rule, true, {last, true, false, true});
  }
}

}  // namespace cxxproxy::config
