#include "config/declare.h"

#include <algorithm>

#include "base/ascii.h"
#include "config/nearest_name.h"

namespace cxxproxy::config {
namespace {

constexpr std::string_view kBalancerScheme = "balancer://";
constexpr std::size_t kLongestBalancerName = 64;

// Schemes that the exchange speaks; http/url.h knows more of them.
bool is_spoken(std::string_view scheme) noexcept { return scheme == "http" || scheme == "ws"; }

const char* owner_of(Place place) noexcept {
  switch (place) {
    case Place::Member:
      return "a parameter of a backend URL (BalancerMember, or ProxyPass to a URL)";
    case Place::Balancer:
      return "a parameter of a balancer (ProxySet inside <Proxy balancer://name>, or ProxyPass to balancer://name)";
    case Place::Rule:
      return "a parameter of ProxyPass";
  }
  return "";
}

// Why `key` is no parameter of `place`: another place's, misspelt, or unknown.
std::string why_unknown(std::string_view key, Place place, bool rule_allowed) {
  for (const Place other : {Place::Member, Place::Balancer, Place::Rule}) {
    if (other != place && find_parameter(key, other) != nullptr) return std::string(owner_of(other)) + ", not allowed here";
  }
  std::vector<std::string_view> known;
  for (const auto& row : parameter_rows()) {
    if (row.place == place || (rule_allowed && row.place == Place::Rule)) known.emplace_back(row.name);
  }
  const std::string_view nearest = nearest_name(key, known);
  if (nearest.empty()) return "unknown parameter";
  return "unknown parameter, did you mean " + std::string(nearest) + "?";
}

}  // namespace

std::string not_supported_yet(std::string_view what) {
  return std::string(what) + (what.empty() ? "" : " ") + "is not supported yet by mod_cxxproxy";
}

bool is_wildcard(std::string_view pattern) noexcept {
  // An IPv6 literal has brackets, but no pattern of a URL starts its host with a bracket expression.
  const auto bracketed_host = pattern.find("://[");
  for (std::size_t i = 0; i < pattern.size(); ++i) {
    if (pattern[i] == '*' || pattern[i] == '?') return true;
    if (pattern[i] == '[' && (bracketed_host == std::string_view::npos || i != bracketed_host + 3)) return true;
  }
  return false;
}

bool is_balancer_url(std::string_view url) noexcept { return base::istarts_with(url, kBalancerScheme); }

std::string without_userinfo(std::string_view text) {
  const auto scheme = text.find("://");
  const std::size_t begin = scheme == std::string_view::npos ? 0 : scheme + 3;
  const std::string_view rest = text.substr(begin);
  const std::string_view authority = rest.substr(0, rest.find_first_of("/?#"));
  auto end = authority.rfind('@');
  const bool has_scheme = scheme != std::string_view::npos;
  if (end == std::string_view::npos || !has_scheme) {
    // A password with / ? or # in it seems to end the authority: then what follows the colon is no port.
    const auto colon = authority.starts_with('[') ? std::string_view::npos : authority.find(':');
    if (colon == std::string_view::npos) return std::string(text);
    const std::string_view port = authority.substr(colon + 1);
    const bool is_port = !port.empty() && port.find_first_not_of("0123456789") == std::string_view::npos;
    if (is_port && has_scheme) return std::string(text);
    end = rest.rfind('@');
  }
  if (end == std::string_view::npos) return std::string(text);
  return std::string(text.substr(0, begin)) + "..." + std::string(rest.substr(end));
}

std::string problem(const Statement& said, std::string_view text, std::string_view why) {
  return std::string(said.directive) + ": " + without_userinfo(text) + ": " + std::string(why);
}

namespace {

Problem not_spoken(const Statement& said, std::string_view url, const std::string& scheme) {
  if (is_spoken(scheme)) return std::nullopt;
  return problem(said, url, "a backend with " + scheme + ":// " + not_supported_yet(""));
}

}  // namespace

std::string url_problem(const Statement& said, std::string_view url, const http::UrlError& error) {
  if (error.kind == http::UrlProblem::NotSupportedYet) {
    return problem(said, url, "this kind of backend URL " + not_supported_yet(""));
  }
  return problem(said, url, error.text);
}

base::Result<BalancerName, std::string> parse_balancer_url(const Statement& said, std::string_view url) {
  const std::string_view rest = url.substr(kBalancerScheme.size());
  const auto slash = rest.find('/');
  BalancerName parsed;
  for (const char c : rest.substr(0, slash)) parsed.name.push_back(base::to_lower(c));
  if (slash != std::string_view::npos) parsed.path = rest.substr(slash);
  if (parsed.name.empty()) return problem(said, url, "the balancer has no name (balancer://name)");
  if (parsed.name.size() > kLongestBalancerName) {
    return problem(said, url, "the balancer's name is too long (at most " + std::to_string(kLongestBalancerName) + " characters)");
  }
  const bool plain = std::all_of(parsed.name.begin(), parsed.name.end(),
                                 [](char c) { return base::is_alnum(c) || c == '-' || c == '_' || c == '.' || c == ':'; });
  if (!plain) return problem(said, url, "a balancer's name has letters, digits and - _ . : only");
  return parsed;
}

base::Result<http::Url, std::string> parse_member_url(const Statement& said, std::string_view url) {
  if (is_balancer_url(url)) return problem(said, url, "a balancer cannot be a member of a balancer");
  auto parsed = http::parse_url(url);
  if (!parsed) return url_problem(said, url, parsed.error());
  if (!parsed->socket.empty() && !parsed->socket.starts_with('/') && said.surroundings != nullptr) {
    parsed->socket = said.surroundings->runtime_path(parsed->socket);
    if (parsed->socket.size() > http::kLongestSocketPath) return problem(said, url, "the path of the unix socket is longer than 107 characters");
  }
  if (auto why = not_spoken(said, url, parsed->scheme)) return std::move(*why);
  return *parsed;
}

Problem why_not_served(const Statement& said, std::string_view url) {
  const auto origin = http::parse_origin(http::split_socket(url).rest);
  if (origin) return not_spoken(said, url, origin->url.scheme);
  return origin.error().kind == http::UrlProblem::NotSupportedYet ? Problem(url_problem(said, url, origin.error())) : std::nullopt;
}

DeclaredBalancer& declare_balancer(Declarations& lists, const Statement& said, const std::string& lower_case_name) {
  if (DeclaredBalancer* known = lists.find_balancer(lower_case_name)) return *known;
  auto balancer = std::make_unique<DeclaredBalancer>();
  balancer->name = lower_case_name;
  balancer->where = said.where;
  DeclaredBalancer& made = *balancer;
  lists.balancers.push_back(std::move(balancer));
  lists.balancer_index.emplace(lower_case_name, &made);
  return made;
}

DeclaredMember& declare_plain(Declarations& lists, const Statement& said, const http::Url& url) {
  const std::string key = member_key(url);
  if (DeclaredMember* known = lists.find_plain(key)) return *known;
  lists.plain.push_back(std::make_unique<DeclaredMember>(DeclaredMember{url, {}, said.where, {}, false}));
  DeclaredMember& made = *lists.plain.back();
  lists.plain_index.emplace(key, &made);
  return made;
}

DeclaredMember& declare_template(Declarations& lists, const Statement& said, DeclaredMember member) {
  const std::string key = member_key(member);
  if (DeclaredMember* known = lists.find_plain(key)) return *known;
  member.where = said.where;
  lists.plain.push_back(std::make_unique<DeclaredMember>(std::move(member)));
  lists.plain_index.emplace(key, lists.plain.back().get());
  return *lists.plain.back();
}

DeclaredMember& declare_member(DeclaredBalancer& balancer, const Statement& said, const http::Url& url) {
  const auto [place, is_new] = balancer.member_index.emplace(member_key(url), balancer.members.size());
  if (is_new) balancer.members.push_back({url, {}, said.where, {}, false});
  return balancer.members[place->second];
}

Problem apply_parameters(const Statement& said, ParameterSet& into, Place place, Words words, ParameterSet* rule) {
  const bool rule_allowed = rule != nullptr;
  for (const std::string_view word : words) {
    const auto equals = word.find('=');
    const std::string_view key = word.substr(0, equals);
    const ParameterRow* row = find_parameter(key, place);
    if (row == nullptr && rule_allowed) row = find_parameter(key, Place::Rule);
    if (row != nullptr && !row->is_supported()) return std::string(said.directive) + ": " + not_supported_yet(without_userinfo(word));
    if (row == nullptr) return problem(said, word, why_unknown(key, place, rule_allowed));
    ParameterSet& target = row->place == Place::Rule ? *rule : into;
    if (row->kind == ValueKind::Word && equals == std::string_view::npos) {
      target.set(row->id, 1, said.where);
      continue;
    }
    if (equals == std::string_view::npos) return problem(said, word, "not of the form key=value");
    const auto value = parse_value(*row, word.substr(equals + 1));
    if (!value) return problem(said, word, value.error());
    // One setting behind two names, so that the later word wins.
    if (row->id == ParameterId::DisableReuse) {
      target.set(ParameterId::EnableReuse, 1 - *value, said.where, *value != 0 ? "Off" : "On");
    } else {
      target.set(row->id, *value, said.where, word.substr(equals + 1));
    }
  }
  return std::nullopt;
}

}  // namespace cxxproxy::config
