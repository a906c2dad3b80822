#include "config/statements.h"

#include <algorithm>
#include <array>
#include <utility>

#include "base/ascii.h"
#include "config/declare.h"
#include "config/parameter_rows.h"
#include "config/value_parsers.h"

namespace cxxproxy::config {
namespace {

// The part of a backend URL that no request can change ends where the first reference or variable begins.
std::size_t fixed_length(const SaidRoute& route) noexcept {
  std::size_t end = std::min(route.url.find("${"), route.url.size());
  if (!route.options.interpolate) end = route.url.size();
  if (route.pattern != nullptr) end = std::min(end, first_reference(route.url));
  return end;
}

// A URL that requests fill: its fixed part must be a URL already, or at least "scheme://".
base::Result<DeclaredMember, std::string> parse_template(const Statement& said, const SaidRoute& route, std::string_view written) {
  const std::size_t fixed = fixed_length(route);
  const std::size_t scheme = route.url.find("://");
  DeclaredMember member;
  member.template_url = written;
  if (scheme == std::string::npos || scheme + 3 > fixed) return problem(said, written, "the scheme of the URL must be written out");
  const std::size_t authority = std::min(route.url.find_first_of("/?", scheme + 3), route.url.size());
  // "http://host:8080$1": references that end the authority are the path.
  const bool path_follows = route.pattern != nullptr && fixed > scheme + 3 && without_last_references(route.url.substr(0, authority)).size() == fixed &&
                            (authority == route.url.size() || route.url[authority] == '?');
  member.any_host = fixed < authority && !path_follows;
  std::string fixed_url(written.substr(0, written.size() - route.url.size()));  // "unix:/path|"
  if (!written.ends_with(route.url)) fixed_url = written.substr(0, written.find('|') + 1);
  fixed_url += member.any_host ? route.url.substr(0, scheme + 3) + "any" : route.url.substr(0, fixed);
  auto url = parse_member_url(said, fixed_url);
  if (!url) return url.error();
  member.url = std::move(*url);
  return member;
}

// Everything a ProxyPass line says apart from its path.
Problem fill_target(VhostConfig& server, const Statement& said, SaidRoute& route, std::string_view target, Words parameters);

Problem take_options(const Statement& said, SaidRoute& route, Words& parameters, std::vector<std::string_view>& rest) {
  ParameterSet rule;
  ParameterSet unused;
  for (const std::string_view word : parameters) {
    const ParameterRow* row = find_parameter(word.substr(0, word.find('=')), Place::Rule);
    if (row == nullptr) {
      rest.push_back(word);
    } else if (auto wrong = apply_parameters(said, unused, Place::Rule, Words(&word, 1), &rule)) {
      return wrong;
    }
  }
  parameters = rest;
  route.options.nocanon = rule.value(ParameterId::NoCanon).has_value();
  route.options.noquery = rule.value(ParameterId::NoQuery).has_value();
  route.options.interpolate = rule.value(ParameterId::Interpolate).has_value();
  route.options.mapping = static_cast<Mapping>(rule.value(ParameterId::Mapping).value_or(0));
  return std::nullopt;
}

Problem compile_path(const Statement& said, SaidRoute& route) {
  if (said.surroundings == nullptr) return problem(said, route.path, "no regular expressions here");
  auto pattern = said.surroundings->compile(route.path);
  if (!pattern) return problem(said, route.path, pattern.error());
  route.pattern = std::move(*pattern);
  return std::nullopt;
}

Problem fill_route(VhostConfig& server, const Statement& said, SaidRoute& route, Words words) {
  Words parameters = words.subspan(1);
  std::vector<std::string_view> rest;
  if (auto wrong = take_options(said, route, parameters, rest)) return wrong;
  route.where = said.where;
  route.url = words.front();
  if (route.url == "!") {
    route.exclude = true;
    if (!parameters.empty()) return problem(said, parameters.front(), "a rule with ! takes no parameters");
    return std::nullopt;
  }
  route.url = http::split_socket(words.front()).rest;
  if (route.url.ends_with(':')) route.url += "//localhost";
  route.origin_end = http::origin_end(route.url);
  return fill_target(server, said, route, words.front(), parameters);
}

Problem fill_balancer(VhostConfig& server, const Statement& said, SaidRoute& route, std::string_view target, Words parameters) {
  constexpr std::size_t kNameBegin = std::string_view("balancer://").size();
  const std::size_t fixed = fixed_length(route);
  const std::string_view before_path = route.pattern != nullptr ? without_last_references(target) : target;
  const std::size_t name_end = std::min(target.find('/', kNameBegin), before_path.size());
  if (fixed < name_end || fixed == kNameBegin) {  // requests fill the name: it is looked for when they have
    if (parameters.empty()) return std::nullopt;
    return problem(said, parameters.front(), "parameters need a balancer whose name is written out");
  }
  auto name = parse_balancer_url(said, target.substr(0, fixed));
  if (!name) return name.error();
  route.balancer_name = name->name;
  // The balancer itself is made by <Proxy> or BalancerMember, here or in the main server: a
  // reference must not hide the main server's balancer of the same name.
  if (parameters.empty()) return std::nullopt;
  return apply_parameters(said, declare_balancer(*server.own, said, name->name).parameters, Place::Balancer, parameters);
}

Problem fill_target(VhostConfig& server, const Statement& said, SaidRoute& route, std::string_view target, Words parameters) {
  ParameterSet no_rule;
  if (is_balancer_url(target)) return fill_balancer(server, said, route, target, parameters);
  DeclaredMember* member = nullptr;
  const DeclaredMember* earlier = nullptr;
  if (fixed_length(route) < route.url.size()) {
    auto parsed = parse_template(said, route, target);
    if (!parsed) return parsed.error();
    route.member_key = member_key(*parsed);
    earlier = server.own->find_plain(route.member_key);
    member = &declare_template(*server.own, said, std::move(*parsed));
  } else {
    auto url = parse_member_url(said, target);
    if (!url) return url.error();
    route.member_key = member_key(*url);
    earlier = server.own->find_plain(route.member_key);
    member = &declare_plain(*server.own, said, *url);
  }
  if (earlier != nullptr) {
    ParameterSet unused;
    if (auto wrong = apply_parameters(said, unused, Place::Member, parameters, &no_rule)) return wrong;
    for (const std::string_view text : parameters) server.own->ignored.push_back({std::string(text), said.where, earlier->where});
    return std::nullopt;
  }
  return apply_parameters(said, member->parameters, Place::Member, parameters, &no_rule);
}

Problem set_on_url(VhostConfig& server, const Statement& said, std::string_view url_text, Words parameters) {
  if (is_balancer_url(url_text)) {
    auto name = parse_balancer_url(said, url_text);
    if (!name) return name.error();
    return apply_parameters(said, declare_balancer(*server.own, said, name->name).parameters, Place::Balancer, parameters);
  }
  auto url = parse_member_url(said, url_text);
  if (!url) return url.error();
  return apply_parameters(said, declare_plain(*server.own, said, *url).parameters, Place::Member, parameters);
}

bool looks_like_parameter(std::string_view word) noexcept {
  const auto equals = word.find('=');
  return equals != std::string_view::npos && word.substr(0, equals).find("://") == std::string_view::npos;
}

}  // namespace

Problem say_proxy_pass(VhostConfig& server, const Statement& said, RuleKind kind, Words words) {
  if (!words.empty() && words.front() == "~") {
    if (kind == RuleKind::Expression) return std::string(said.directive) + ": the ~ is left out, its path is an expression already";
    kind = RuleKind::Expression;
    words = words.subspan(1);
  }
  if (words.size() < 2) {
    return std::string(said.directive) + (kind == RuleKind::Expression ? ": needs an expression and a URL (ProxyPassMatch ^/path http://host)"
                                                                       : ": needs a path and a URL (ProxyPass /path http://host/path)");
  }
  if (words[0].empty()) return problem(said, "\"\"", "the path is empty (it starts with /)");
  SaidRoute route;
  route.path = words[0];
  if (kind == RuleKind::Expression) {
    if (auto wrong = compile_path(said, route)) return wrong;
  }
  if (auto wrong = fill_route(server, said, route, words.subspan(1))) return wrong;
  server.own->routes.push_back(std::move(route));
  return std::nullopt;
}

Problem say_location_pass(VhostConfig& server, LocationConfig& location, const Statement& said, RuleKind kind, std::string_view path,
                          Words words) {
  if (words.empty()) return std::string(said.directive) + ": needs a URL (the path is that of the section)";
  if (words.size() > 1 && words.front().starts_with('/') && !looks_like_parameter(words[1])) {
    return problem(said, words.front(), "no path is given inside a section, the section has it");
  }
  auto route = std::make_unique<SaidRoute>();
  route->path = path;
  if (kind == RuleKind::Expression) {
    if (auto wrong = compile_path(said, *route)) return wrong;
  }
  if (auto wrong = fill_route(server, said, *route, words)) return wrong;
  location.route = route.get();
  server.own->location_routes.push_back(std::move(route));
  return std::nullopt;
}

Problem say_reverse(std::vector<SaidReverse>& rules, const Statement& said, std::string_view path, std::string_view url, bool interpolate) {
  SaidReverse reverse;
  reverse.where = said.where;
  reverse.interpolate = interpolate;
  if (is_balancer_url(url)) {
    auto name = parse_balancer_url(said, url);
    if (!name) return name.error();
    reverse.balancer = name->name;
    // "balancer://name/" means the members' own URLs: the slash adds nothing to them.
    reverse.balancer_path = name->path == "/" ? "" : name->path;
    reverse.rule.public_path = path;
  } else {
    auto rule = http::make_reverse_rule(url, path);
    if (!rule && !interpolate) return url_problem(said, url, rule.error());
    if (rule) {
      reverse.rule = std::move(*rule);
    } else {
      reverse.rule.public_path = path;
      reverse.rule.real.scheme = "-";  // no URL until its variables have values
    }
    if (interpolate) reverse.raw_url = url;
  }
  rules.push_back(std::move(reverse));
  return std::nullopt;
}

Problem say_member(VhostConfig& server, const Statement& said, std::string_view section, Words words) {
  std::string_view balancer = section;
  if (!words.empty() && is_balancer_url(words.front())) {
    balancer = words.front();
    words = words.subspan(1);
  }
  if (balancer.empty()) {
    return std::string(said.directive) + ": needs balancer://name as its first argument outside <Proxy balancer://name>";
  }
  if (!is_balancer_url(balancer)) {
    return std::string(said.directive) + ": the section around it is <Proxy " + without_userinfo(balancer) + ">, not <Proxy balancer://name>";
  }
  auto name = parse_balancer_url(said, balancer);
  if (!name) return name.error();
  if (words.empty() || looks_like_parameter(words.front())) {
    return std::string(said.directive) + ": needs the URL of a backend (http://host:port)";
  }
  auto url = parse_member_url(said, words.front());
  if (!url) return url.error();
  DeclaredBalancer& into = declare_balancer(*server.own, said, name->name);
  if (const auto first = into.member_index.find(member_key(*url)); first != into.member_index.end()) {
    server.own->repeated.push_back({url->text(), into.name, said.where, into.members[first->second].where});
  }
  DeclaredMember& member = declare_member(into, said, *url);
  return apply_parameters(said, member.parameters, Place::Member, words.subspan(1));
}

Problem say_set(VhostConfig& server, const Statement& said, std::string_view section, Words words) {
  std::string_view url = section;
  if (section.empty()) {
    if (words.empty() || looks_like_parameter(words.front())) {
      return std::string(said.directive) + ": needs the URL of a backend or balancer://name outside a <Proxy> section";
    }
    url = words.front();
    words = words.subspan(1);
  } else if (is_wildcard(section)) {
    return std::string(said.directive) + ": the section around it is a pattern (<Proxy " + without_userinfo(section) +
           ">), parameters need one backend or balancer";
  }
  if (words.empty()) return std::string(said.directive) + ": needs at least one key=value";
  return set_on_url(server, said, url, words);
}

Problem say_section(VhostConfig& server, const Statement& said, Words words) {
  if (words.empty()) return std::string(said.directive) + ": needs a URL, a pattern of URLs, or balancer://name";
  const std::string_view pattern = words.front();
  if (is_wildcard(pattern)) {
    if (words.size() > 1) return problem(said, words[1], "parameters need one backend or balancer, not a pattern");
    return std::nullopt;
  }
  // Sections may match a part of a URL ("http:", a path of a rewrite): only whole URLs declare something.
  if (pattern.find("://") == std::string_view::npos && words.size() == 1 && !pattern.starts_with("unix:")) return std::nullopt;
  return set_on_url(server, said, pattern, words.subspan(1));
}

Problem say_match_section(const Statement& said, Words words) {
  if (words.empty()) return std::string(said.directive) + ": needs a regular expression for backend URLs";
  if (words.size() > 1) return problem(said, words[1], "parameters need one backend or balancer, not an expression");
  return std::nullopt;
}

Problem say_timeout(Setting<base::Duration>& timeout, const Statement& said, std::string_view text) {
  const auto value = parse_value(parameter_row(ParameterId::Timeout), text);
  if (!value) return problem(said, text, value.error());
  timeout.set(base::Duration(*value), said.where);
  return std::nullopt;
}

Problem say_thread_wait(Setting<base::Duration>& setting, const Statement& said, std::string_view text) {
  constexpr std::int64_t kLongest = 50'000;
  const auto value = parse_duration(text);
  if (!value || *value < 0 || *value > kLongest) return problem(said, text, "not a duration from 0 to 50ms");
  setting.set(base::Duration(*value), said.where);
  return std::nullopt;
}

Problem say_park_max(Setting<unsigned>& setting, const Statement& said, std::string_view text) {
  constexpr std::int64_t kMost = 1'000'000;
  const auto value = parse_integer(text);
  if (!value || *value < 0 || *value > kMost) return problem(said, text, "not a whole number from 0 to 1000000");
  setting.set(static_cast<unsigned>(*value), said.where);
  return std::nullopt;
}

namespace {

// One of a directive's words, in any case.
template <class T, std::size_t N>
bool set_word(Setting<T>& setting, const Statement& said, std::string_view text, const std::array<std::pair<std::string_view, T>, N>& words) {
  for (const auto& [word, meaning] : words) {
    if (!base::iequals(word, text)) continue;
    setting.set(meaning, said.where);
    return true;
  }
  return false;
}

}  // namespace

Problem say_bad_header(Setting<BadHeader>& bad_header, const Statement& said, std::string_view text) {
  constexpr std::array<std::pair<std::string_view, BadHeader>, 3> kWords{
      {{"IsError", BadHeader::Refuse}, {"Ignore", BadHeader::Skip}, {"StartBody", BadHeader::StartBody}}};
  if (set_word(bad_header, said, text, kWords)) return std::nullopt;
  return problem(said, text, "unknown word (IsError, Ignore or StartBody)");
}

Problem say_reactor(Setting<Reactor>& reactor, const Statement& said, std::string_view text) {
  constexpr std::array<std::pair<std::string_view, Reactor>, 3> kWords{{{"Off", Reactor::Off}, {"On", Reactor::On}, {"Auto", Reactor::Auto}}};
  if (set_word(reactor, said, text, kWords)) return std::nullopt;
  return problem(said, text, "unknown word (On, Off or Auto)");
}

Problem say_show_status(Setting<ShowStatus>& show_status, const Statement& said, std::string_view text) {
  constexpr std::array<std::pair<std::string_view, ShowStatus>, 3> kWords{
      {{"Off", ShowStatus::Off}, {"On", ShowStatus::On}, {"Full", ShowStatus::Full}}};
  if (set_word(show_status, said, text, kWords)) return std::nullopt;
  return problem(said, text, "unknown word (Off, On or Full)");
}

Problem say_explain(VhostConfig& server, const Statement& said, std::string_view url) {
  const auto origin = http::parse_origin(url);
  if (!origin) return url_problem(said, url, origin.error());
  if (origin->url.scheme != "http" && origin->url.scheme != "https") return problem(said, url, "not the URL of a client (http://host/path)");
  server.explain.emplace_back(url);
  return std::nullopt;
}

}  // namespace cxxproxy::config
