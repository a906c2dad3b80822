#include "config/lint.h"

#include <algorithm>
#include <map>
#include <set>
#include <string_view>
#include <unordered_set>

#include "base/ascii.h"
#include "config/declare.h"
#include "config/lint_view.h"

namespace cxxproxy::config {
namespace {

void index_rule(ListView& view, const SaidRoute& rule) {
  const std::string path = without_last_slash(rule.path);
  view.paths.insert(path);
  view.by_path[path].push_back(&rule);
  if (!rule.balancer_name.empty()) view.used_balancers.insert(rule.balancer_name);
  if (const DeclaredMember* member = view.lists->find_plain(rule.member_key)) view.places.insert(place_of(member->url));
}

void index_rules(ListView& view) {
  for (const TriedRules* tried : {&view.rules, &view.locations}) {
    for (const SaidRoute* rule : tried->rules()) {
      if (is_plain_prefix(*rule)) index_rule(view, *rule);
    }
  }
  for (const auto& balancer : view.lists->balancers) {
    for (const DeclaredMember& member : balancer->members) view.member_places[place_of(member.url)].push_back(balancer.get());
  }
}

void index_reverses(ListView& view) {
  for (const ReverseLine& line : view.lists->reverses) {
    if (!line.balancer.empty()) {
      view.reversed_balancers.insert(line.balancer);
    } else if (line.real.scheme.empty()) {
      view.reverses_paths = true;
    } else {
      view.reversed_places.insert(place_of(line.real));
    }
  }
}

ListView view_of(const Declarations& lists, bool of_main) {
  ListView view;
  view.lists = &lists;
  view.of_main = of_main;
  std::vector<const SaidRoute*> decoded;
  std::vector<const SaidRoute*> encoded;
  std::vector<const SaidRoute*> servlet;
  for (const SaidRoute& said : lists.routes) {
    const bool as_servlet = said.options.mapping == Mapping::Servlet && said.pattern == nullptr;
    (said.options.mapping == Mapping::Decoded ? decoded : as_servlet ? servlet : encoded).push_back(&said);
  }
  std::vector<const SaidRoute*> locations;
  for (auto said = lists.location_routes.rbegin(); said != lists.location_routes.rend(); ++said) {
    if ((*said)->options.mapping == Mapping::Decoded) locations.push_back(said->get());
  }
  view.knows_all_targets = decoded.size() == lists.routes.size() && locations.size() == lists.location_routes.size();
  view.rules = TriedRules(std::move(decoded));
  view.encoded = TriedRules(std::move(encoded));
  view.servlet = TriedRules(std::move(servlet));
  view.locations = TriedRules(std::move(locations));
  view.knows_all_targets = view.knows_all_targets && view.rules.all_plain() && view.locations.all_plain();
  index_rules(view);
  index_reverses(view);
  return view;
}

// Names of balancers that rules lead to; "*" when a rule of other modules may lead to any.
class Uses {
 public:
  void add(const Declarations& lists) {
    for (const SaidRoute& rule : lists.routes) add(rule);
    for (const auto& rule : lists.location_routes) add(*rule);
  }
  void add(const SaidRoute& rule) {
    names_.insert(rule.balancer_name);
    if (rule.balancer_name.empty()) texts_.append(rule.url).append(" ");  // "balancer://$1/"
  }
  void add_text(const std::string& text) { texts_ += text; }

  bool holds(const std::string& name) const {
    if (names_.contains(name)) return true;
    const std::string url = "balancer://";
    for (auto found = texts_.find(url); found != std::string::npos; found = texts_.find(url, found + 1)) {
      const std::string_view rest = std::string_view(texts_).substr(found + url.size());
      if (rest.starts_with(name)) return true;
      if (rest.starts_with('%') || rest.starts_with('$')) return true;  // filled for each request
    }
    return false;
  }

 private:
  std::unordered_set<std::string> names_;
  std::string texts_;
};

void lint_unused(std::span<const ServerView> servers, const WholeFacts& facts, std::vector<Finding>& findings) {
  Uses all;
  std::set<const Declarations*> seen;
  for (std::size_t i = 0; i < servers.size(); ++i) {
    for (const Declarations* lists : servers[i].config->layers()) {
      if (seen.insert(lists).second) all.add(*lists);
    }
    all.add_text(facts.servers[i].other_texts);
  }
  seen.clear();
  for (const ServerView& server : servers) {
    const Declarations& own = server.config->own_lists();
    if (!seen.insert(&own).second) continue;
    for (const auto& balancer : own.balancers) {
      if (balancer->members.empty() || all.holds(balancer->name)) continue;
      findings.push_back({false, balancer->where, "balancer://" + balancer->name + " is never used: no rule leads to it"});
    }
  }
}

bool may_grant_instead(const SectionFact& denying, const SectionFact& other, std::size_t server) {
  const bool seen_by_server = other.server == server || other.server == 0;
  return seen_by_server && other.grants && &other != &denying;
}

bool has_proxying_rule(const ServerView& server) {
  for (const Declarations* lists : server.config->layers()) {
    const auto proxies = [](const SaidRoute& rule) { return !rule.exclude; };
    if (std::any_of(lists->routes.begin(), lists->routes.end(), proxies)) return true;
    if (std::any_of(lists->location_routes.begin(), lists->location_routes.end(), [&](const auto& rule) { return proxies(*rule); })) return true;
  }
  return false;
}

// <Proxy *> that lets nobody in, with nothing else that does.
void lint_denied(std::span<const ServerView> servers, const WholeFacts& facts, std::vector<Finding>& findings) {
  for (const SectionFact& section : facts.sections) {
    if (section.pattern != "*" || !section.denies || section.grants) continue;
    for (std::size_t i = 0; i < servers.size(); ++i) {
      if (section.server != i && section.server != 0) continue;
      const bool granted = std::any_of(facts.sections.begin(), facts.sections.end(),
                                       [&](const SectionFact& other) { return may_grant_instead(section, other, i); });
      if (granted || !has_proxying_rule(servers[i])) continue;
      findings.push_back({false, section.where, "<Proxy *> lets nobody in: requests for every rule are answered 403"});
      break;
    }
  }
}

// Names of balancers are compared without case: two sections that differ in case are one balancer.
void lint_spelling(const WholeFacts& facts, std::vector<Finding>& findings) {
  std::map<std::pair<std::size_t, std::string>, const SectionFact*> first;
  for (const SectionFact& section : facts.sections) {
    if (!is_balancer_url(section.pattern)) continue;
    std::string lower(section.pattern);
    for (char& c : lower) c = base::to_lower(c);
    const SectionFact& earlier = *first.emplace(std::pair(section.server, std::move(lower)), &section).first->second;
    if (earlier.pattern == section.pattern) continue;
    findings.push_back({false, section.where, "<Proxy " + section.pattern + "> and <Proxy " + earlier.pattern + "> " + at(earlier.where) +
                                                  " are one balancer: names are compared without case"});
  }
}

}  // namespace

bool is_plain_prefix(const SaidRoute& rule) noexcept {
  return rule.pattern == nullptr && rule.options.mapping == Mapping::Decoded && !rule.options.interpolate;
}

std::string place_of(const http::Url& url) { return url.host + ':' + std::to_string(url.port); }

std::string without_last_slash(std::string_view path) {
  while (path.size() > 1 && path.ends_with('/')) path.remove_suffix(1);
  return std::string(path);
}

std::string at(SourceLine where) { return "(line " + std::to_string(where.line) + " of " + where.file + ")"; }

std::string line_text(const SaidRoute& rule, bool in_location) {
  const bool is_expression = rule.pattern != nullptr;
  std::string url = without_userinfo(rule.url);
  if (rule.options.nocanon) url += " nocanon";
  if (rule.options.noquery) url += " noquery";
  if (rule.options.interpolate) url += " interpolate";
  if (rule.options.mapping != Mapping::Decoded) url += rule.options.mapping == Mapping::Encoded ? " mapping=encoded" : " mapping=servlet";
  if (in_location) return "ProxyPass " + url + (is_expression ? " in <LocationMatch " : " in <Location ") + rule.path + ">";
  return (is_expression ? "ProxyPassMatch " : "ProxyPass ") + rule.path + " " + url;
}

bool has_path(std::string_view url) noexcept {
  const auto scheme = url.find("://");
  return scheme != std::string_view::npos && url.find_first_of("/?#", scheme + 3) != std::string_view::npos;
}

std::string joined_url(std::string_view url, std::string_view rest) {
  std::string joined(url);
  if (!rest.empty() && rest.front() != '/' && !has_path(url)) joined += '/';
  return joined.append(rest);
}

const ListView& ListViews::of(const Declarations& lists, bool of_main) {
  const auto known = views_.find(&lists);
  if (known != views_.end()) return known->second;
  return views_.emplace(&lists, view_of(lists, of_main)).first->second;
}

void sort_findings(std::vector<Finding>& findings) {
  std::stable_sort(findings.begin(), findings.end(), [](const Finding& a, const Finding& b) {
    const int files = std::string_view(a.where.file).compare(b.where.file);
    return files != 0 ? files < 0 : a.where.line < b.where.line;
  });
}

std::vector<Finding> lint(std::span<const ServerView> servers, const Resolution& resolution, const WholeFacts& facts) {
  std::vector<Finding> findings;
  ListViews views;
  std::unordered_set<const VhostConfig*> seen;
  for (std::size_t i = 0; i < servers.size(); ++i) {
    // A virtual host that says nothing has the main server's object.
    if (!seen.insert(servers[i].config).second) continue;
    ServerLint server{&servers[i], resolution.vhosts[i], &facts.servers[i], {}, &findings};
    const auto layers = servers[i].config->layers();
    for (std::size_t k = 0; k < layers.size(); ++k) server.layers.push_back(&views.of(*layers[k], k == 0));
    lint_paths(server);
    lint_shadows(server);
    lint_backends(server);
    lint_tls(server);
    lint_reverses(server);
    lint_loops(server, servers, facts);
  }
  lint_unused(servers, facts, findings);
  lint_denied(servers, facts, findings);
  lint_spelling(facts, findings);
  return findings;
}

}  // namespace cxxproxy::config
