#include "http/reverse_map.h"

#include <utility>

#include "base/ascii.h"

namespace cxxproxy::http {
namespace {

// ';' ends a segment as well: servlet containers put ";jsessionid=..." behind the path.
bool ends_segment(char c) noexcept { return c == '/' || c == '?' || c == '#' || c == ';'; }

// What follows the rule's path in the Location's, nothing if the rule does not match.
std::optional<std::string_view> rest_behind(std::string_view path, std::string_view prefix,
                                            Boundary boundary) noexcept {
  if (base::istarts_with(path, prefix)) {
    const std::string_view rest = path.substr(prefix.size());
    const bool at_boundary = rest.empty() || prefix.empty() || prefix.back() == '/' || ends_segment(rest.front());
    if (at_boundary || boundary == Boundary::Text) return rest;
    return std::nullopt;
  }
  // http://host is http://host/
  const bool no_path = path.empty() || path.front() == '?' || path.front() == '#';
  if (boundary == Boundary::Segment && prefix == "/" && no_path) return path;
  return std::nullopt;
}

std::string join(std::string_view public_path, std::string_view rest, Boundary boundary) {
  if (boundary == Boundary::Segment) {
    if (public_path.ends_with('/') && rest.starts_with('/')) {
      rest.remove_prefix(1);
    } else if (!public_path.ends_with('/') && !rest.empty() && !ends_segment(rest.front())) {
      return std::string(public_path).append(1, '/').append(rest);
    }
  }
  return std::string(public_path).append(rest);
}

bool same_origin(const Url& a, const Url& b) noexcept {
  return a.port == b.port && a.ipv6 == b.ipv6 && a.scheme == b.scheme && a.host == b.host;
}

}  // namespace

base::Result<ReverseRule, UrlError> make_reverse_rule(std::string_view real, std::string_view public_path) {
  ReverseRule rule;
  rule.public_path = public_path;
  if (real.starts_with("//")) {
    return UrlError{UrlProblem::Malformed, "a URL without scheme cannot be mapped"};
  }
  if (real.starts_with('/')) {
    rule.real.path = real;
    return rule;
  }
  auto url = parse_url(real);
  if (!url) return url.error();
  rule.real = std::move(*url);
  return rule;
}

std::optional<std::string> map_back(std::string_view location, std::span<const ReverseRule> rules, Boundary boundary) {
  const bool relative = location.starts_with('/');
  if (relative && location.starts_with("//")) return std::nullopt;
  Origin origin;
  if (relative) {
    origin.rest = location;
  } else {
    auto parsed = parse_origin(location);
    if (!parsed) return std::nullopt;
    origin = std::move(*parsed);
  }
  for (const ReverseRule& rule : rules) {
    if (relative != rule.real.scheme.empty()) continue;
    if (!relative && !same_origin(rule.real, origin.url)) continue;
    const auto rest = rest_behind(origin.rest, rule.real.path, boundary);
    if (rest) return join(rule.public_path, *rest, boundary);
  }
  return std::nullopt;
}

}  // namespace cxxproxy::http
