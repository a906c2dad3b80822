#include "http/reverse_map.h"

#include <algorithm>
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

// Not this rule's host for certain, so there is no need to parse the URL (there may be thousands of rules).
bool is_elsewhere(std::string_view location, const Url& real) noexcept {
  if (!location.starts_with("//")) {
    if (!base::istarts_with(location, real.scheme) || !location.substr(real.scheme.size()).starts_with("://")) return true;
    location.remove_prefix(real.scheme.size() + 1);
  }
  location.remove_prefix(std::min<std::size_t>(location.size(), real.ipv6 ? 3 : 2));
  return !base::istarts_with(location, real.host);
}

// What follows the origin in `location`, where the rule is about that origin.
std::optional<std::string_view> rest_of_covered(std::string_view location, const ReverseRule& rule, Boundary boundary) {
  const bool no_scheme = location.starts_with("//");
  const bool path_rule = rule.real.scheme.empty();
  if (path_rule && location.starts_with('/')) return no_scheme ? std::nullopt : std::optional(location);
  if (!path_rule && is_elsewhere(location, rule.real)) return std::nullopt;
  std::string absolute;  // "//host/...": as if it had the scheme of the rule
  if (no_scheme && !path_rule && boundary == Boundary::Segment) absolute.append(rule.real.scheme).append(":").append(location);
  const auto origin = parse_origin(absolute.empty() ? location : std::string_view(absolute));
  if (!origin || (!path_rule && !same_origin(rule.real, origin->url))) return std::nullopt;
  return location.substr(location.size() - origin->rest.size());
}

}  // namespace

base::Result<ReverseRule, UrlError> make_reverse_rule(std::string_view real, std::string_view public_path) {
  ReverseRule rule;
  rule.public_path = public_path;
  if (base::istarts_with(real, "unix:") && real.find('|') != std::string_view::npos) real.remove_prefix(real.find('|') + 1);
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
  for (const ReverseRule& rule : rules) {
    const auto place = rest_of_covered(location, rule, boundary);
    if (!place) continue;
    const auto rest = rest_behind(*place, rule.real.path, boundary);
    if (rest) return join(rule.public_path, *rest, boundary);
  }
  return std::nullopt;
}

Place url_in_refresh(std::string_view refresh) noexcept {
  std::size_t at = 0;
  const auto skip = [&](std::string_view characters) {
    while (at < refresh.size() && characters.find(refresh[at]) != std::string_view::npos) ++at;
  };
  constexpr std::string_view kBlank = " \t";
  skip(kBlank);
  const std::size_t time = at;
  skip("0123456789.");
  if (at == time) return {};
  skip(kBlank);
  if (at == refresh.size() || (refresh[at] != ';' && refresh[at] != ',')) return {};
  ++at;
  skip(kBlank);
  if (base::istarts_with(refresh.substr(at), "url")) {
    const std::size_t word = at;
    at += 3;
    skip(kBlank);
    if (at < refresh.size() && refresh[at] == '=') {
      ++at;
      skip(kBlank);
    } else {
      at = word;  // the URL itself begins with these letters
    }
  }
  std::size_t end = refresh.size();
  if (at < refresh.size() && (refresh[at] == '"' || refresh[at] == '\'')) {
    const char quote = refresh[at++];
    if (const std::size_t close = refresh.find(quote, at); close != std::string_view::npos) end = close;
  }
  while (end > at && kBlank.find(refresh[end - 1]) != std::string_view::npos) --end;
  return {at, end - at};
}

}  // namespace cxxproxy::http
