#include "config/statements.h"

#include <array>
#include <utility>

#include "base/ascii.h"
#include "config/declare.h"
#include "config/parameter_rows.h"

namespace cxxproxy::config {
namespace {

// Everything a ProxyPass line says apart from its path.
Problem fill_route(VhostConfig& server, const Statement& said, SaidRoute& route, Words words) {
  const std::string_view target = words.front();
  const Words parameters = words.subspan(1);
  route.url = target;
  route.where = said.where;
  if (target == "!") {
    route.exclude = true;
    if (!parameters.empty()) return problem(said, parameters.front(), "a rule with ! takes no parameters");
    return std::nullopt;
  }
  if (is_balancer_url(target)) {
    auto name = parse_balancer_url(said, target);
    if (!name) return name.error();
    route.balancer = name->name;
    // The balancer itself is made by <Proxy> or BalancerMember, here or in the main server: a
    // reference must not hide the main server's balancer of the same name.
    if (parameters.empty()) return std::nullopt;
    return apply_parameters(said, declare_balancer(*server.own, said, name->name).parameters, Place::Balancer, parameters);
  }
  auto url = parse_member_url(said, target);
  if (!url) return url.error();
  route.member_key = member_key(*url);
  if (const DeclaredMember* earlier = server.own->find_plain(route.member_key)) {
    ParameterSet unused;
    if (auto wrong = apply_parameters(said, unused, Place::Member, parameters)) return wrong;
    for (const std::string_view text : parameters) server.own->ignored.push_back({std::string(text), said.where, earlier->where});
    return std::nullopt;
  }
  DeclaredMember& member = declare_plain(*server.own, said, *url);
  return apply_parameters(said, member.parameters, Place::Member, parameters);
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

Problem say_proxy_pass(VhostConfig& server, const Statement& said, Words words) {
  if (!words.empty() && words.front() == "~") {
    return std::string(said.directive) + ": a regular expression (~) " + not_supported_yet("");
  }
  if (words.size() < 2) return std::string(said.directive) + ": needs a path and a URL (ProxyPass /path http://host/path)";
  if (words[0].empty()) return problem(said, "\"\"", "the path is empty (it starts with /)");
  SaidRoute route;
  route.path = words[0];
  if (auto wrong = fill_route(server, said, route, words.subspan(1))) return wrong;
  server.own->routes.push_back(std::move(route));
  return std::nullopt;
}

Problem say_location_pass(VhostConfig& server, LocationConfig& location, const Statement& said, std::string_view path, Words words) {
  if (words.empty()) return std::string(said.directive) + ": needs a URL (the path is that of the section)";
  if (words.size() > 1 && words.front().starts_with('/') && !looks_like_parameter(words[1])) {
    return problem(said, words.front(), "no path is given inside a section, the section has it");
  }
  auto route = std::make_unique<SaidRoute>();
  route->path = path;
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
  if (pattern == "~") return std::string(said.directive) + ": a regular expression (~) " + not_supported_yet("");
  if (is_wildcard(pattern)) {
    if (words.size() > 1) return problem(said, words[1], "parameters need one backend or balancer, not a pattern");
    return std::nullopt;
  }
  // Sections may match a part of a URL ("http:", a path of a rewrite): only whole URLs declare something.
  if (pattern.find("://") == std::string_view::npos && words.size() == 1 && !pattern.starts_with("unix:")) return std::nullopt;
  return set_on_url(server, said, pattern, words.subspan(1));
}

Problem say_timeout(Setting<base::Duration>& timeout, const Statement& said, std::string_view text) {
  const auto value = parse_value(parameter_row(ParameterId::Timeout), text);
  if (!value) return problem(said, text, value.error());
  timeout.set(base::Duration(*value), said.where);
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
