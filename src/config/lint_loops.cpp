#include <algorithm>
#include <string>

#include "config/lint_view.h"

namespace cxxproxy::config {
namespace {

bool is_this_machine(const std::string& host) noexcept { return host == "localhost" || host == "::1" || host.starts_with("127."); }

// Would a connection to this host and port arrive at such a point?
bool reaches(const ListenPoint& point, const http::Url& url) {
  if (point.port != url.port && point.port != 0) return false;
  if (point.host.empty()) return is_this_machine(url.host);
  return point.host == url.host || (url.host == "localhost" && point.host == "127.0.0.1");
}

template <class Points>
bool any_reaches(const Points& points, const http::Url& url) {
  return std::any_of(points.begin(), points.end(), [&](const ListenPoint& point) { return reaches(point, url); });
}

bool has_name(const ServerFacts& facts, const std::string& host) { return std::find(facts.names.begin(), facts.names.end(), host) != facts.names.end(); }

bool has_pattern_name(const ServerFacts& facts) {
  return std::any_of(facts.names.begin(), facts.names.end(), [](const std::string& name) { return name.find_first_of("*?") != std::string::npos; });
}

// The server that such a request comes back to, or none when that is not certain.
const ServerFacts* server_for(const WholeFacts& facts, const ServerFacts& from, const http::Url& url) {
  const ServerFacts* first = nullptr;
  bool several = false;
  // Virtual hosts are listed last one first; without a matching name the first one of the file answers.
  for (std::size_t i = facts.servers.size() - 1; i >= 1; --i) {
    const ServerFacts& other = facts.servers[i];
    if (!any_reaches(other.addresses, url)) continue;
    several = several || first != nullptr;
    if (first == nullptr) first = &other;
    if (from.preserves_host) continue;
    if (has_name(other, url.host)) return &other;
    if (has_pattern_name(other)) return nullptr;
  }
  if (first == nullptr) return &facts.servers[0];
  // With the client's Host it is the server that the client spoke to, if that one listens there.
  if (from.preserves_host && several) return any_reaches(from.addresses, url) ? &from : nullptr;
  return first;
}

void check_rule(const ServerLint& lint, const WholeFacts& facts, const SaidRoute& rule, bool in_location) {
  const Target target = lint.vhost->target_of(rule);
  if (target.member == nullptr || target.member->url.scheme != "http") return;
  const http::Url& url = target.member->url;
  if (!any_reaches(facts.listens, url) || server_for(facts, *lint.facts, url) != lint.facts) return;
  // It comes back: to the same rule?
  const std::string path = url.path.empty() ? "/" : url.path;
  const SaidRoute* again = nullptr;
  for (auto layer = lint.layers.rbegin(); layer != lint.layers.rend() && again == nullptr; ++layer) again = (*layer)->locations.find(path);
  for (auto layer = lint.layers.begin(); layer != lint.layers.end() && again == nullptr; ++layer) again = (*layer)->rules.find(path);
  if (again != &rule) return;
  lint.warn(rule.where, line_text(rule, in_location) + " leads back to this server and to the same rule: its requests go round in a circle");
}

}  // namespace

void lint_loops(const ServerLint& lint, std::span<const ServerView>, const WholeFacts& facts) {
  // Where an expression or mapping= may take a path first, nothing is certain.
  if (!std::ranges::all_of(lint.layers, [](const ListView* layer) { return layer->knows_all_targets; })) return;
  for (const SaidRoute* rule : lint.own().rules.rules()) check_rule(lint, facts, *rule, false);
  for (const SaidRoute* rule : lint.own().locations.rules()) check_rule(lint, facts, *rule, true);
}

}  // namespace cxxproxy::config
