#include <algorithm>
#include <string>
#include <vector>

#include "config/declare.h"
#include "config/lint_view.h"

namespace cxxproxy::config {
namespace {

bool is_own_name(const ServerFacts& facts, const std::string& host) {
  return std::find(facts.names.begin(), facts.names.end(), host) != facts.names.end();
}

template <class F>
bool any_layer(const ServerLint& lint, F&& holds) {
  return std::any_of(lint.layers.begin(), lint.layers.end(), [&](const ListView* layer) { return holds(*layer); });
}

// Some line of the server rewrites what the backends of this rule say.
bool is_reversed(const ServerLint& lint, const SaidRoute& rule) {
  const Target target = lint.vhost->target_of(rule);
  return any_layer(lint, [&](const ListView& layer) {
    if (layer.reverses_paths || layer.reversed_balancers.contains(rule.balancer_name)) return true;
    if (target.member != nullptr) return layer.reversed_places.contains(place_of(target.member->url));
    if (target.balancer == nullptr) return true;  // nobody knows where it leads
    return std::any_of(target.balancer->members.begin(), target.balancer->members.end(),
                       [&](const MemberSpec& member) { return layer.reversed_places.contains(place_of(member.url)); });
  });
}

bool is_backend_of_some_rule(const ServerLint& lint, const http::Url& real) {
  const std::string place = place_of(real);
  if (any_layer(lint, [&](const ListView& layer) { return layer.places.contains(place); })) return true;
  return any_layer(lint, [&](const ListView& layer) {
    const auto found = layer.member_places.find(place);
    if (found == layer.member_places.end()) return false;
    return std::any_of(found->second.begin(), found->second.end(), [&](const DeclaredBalancer* balancer) {
      return any_layer(lint, [&](const ListView& user) { return user.used_balancers.contains(balancer->name); });
    });
  });
}

bool speaks_http(const Target& target) {
  if (target.member != nullptr) return target.member->url.scheme.starts_with("http");
  return target.balancer != nullptr && !target.balancer->members.empty() && target.balancer->members[0].url.scheme.starts_with("http");
}

// The rule for the same path leads elsewhere, and nothing rewrites what its backend says.
void check_backend(const ServerLint& lint, const ReverseLine& line) {
  if (is_own_name(*lint.facts, line.real.host) || is_backend_of_some_rule(lint, line.real)) return;
  const std::string path = without_last_slash(line.path);
  for (const ListView* layer : lint.layers) {
    const auto found = layer->by_path.find(path);
    if (found == layer->by_path.end()) continue;
    for (const SaidRoute* rule : found->second) {
      if (rule->exclude || !speaks_http(lint.vhost->target_of(*rule)) || is_reversed(lint, *rule)) continue;
      lint.warn(line.where, "ProxyPassReverse " + line.path + " " + line.real.text() + " has no effect: no rule leads there, ProxyPass " +
                                rule->path + " leads to " + without_userinfo(rule->url) + " " + at(rule->where));
      return;
    }
  }
}

bool begins_a_rule(const ListView& layer, const std::string& path) {
  const auto next = layer.paths.lower_bound(path);
  return next != layer.paths.end() && next->starts_with(path);
}

// No rule is for the public path or for something below it: a client that follows would leave the proxied part.
void check_public_path(const ServerLint& lint, const ReverseLine& line) {
  if (!is_backend_of_some_rule(lint, line.real)) return;
  const std::string path = without_last_slash(line.path);
  const bool near = any_layer(lint, [&](const ListView& layer) {
    return layer.rules.find(path + "/") != nullptr || layer.locations.find(path + "/") != nullptr || begins_a_rule(layer, path);
  });
  if (near) return;
  lint.warn(line.where, "ProxyPassReverse " + line.path + " " + line.real.text() + ": no rule is for " + line.path +
                            ", so redirects of this backend lead to a path that is not proxied");
}

}  // namespace

void lint_reverses(const ServerLint& lint) {
  const Declarations& own = *lint.own().lists;
  for (const ReverseLine& line : own.reverses) {
    if (line.balancer.empty() || lint.vhost->find_balancer(line.balancer) != nullptr) continue;
    lint.warn(line.where, "ProxyPassReverse " + line.path + " balancer://" + line.balancer + " has no effect: there is no such balancer");
  }
  // RewriteRule [P] and SetHandler lead to places that cannot be known here, as do rules that are no prefixes.
  if (lint.facts->hands_over) return;
  if (any_layer(lint, [](const ListView& layer) { return !layer.knows_all_targets; })) return;
  for (const ReverseLine& line : own.reverses) {
    if (!line.balancer.empty() || line.real.scheme.empty()) continue;
    check_backend(lint, line);
    check_public_path(lint, line);
  }
}

}  // namespace cxxproxy::config
