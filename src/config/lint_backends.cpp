#include <algorithm>
#include <array>
#include <optional>
#include <string>

#include "config/declare.h"
#include "config/lint_view.h"
#include "config/value_parsers.h"

namespace cxxproxy::config {
namespace {

std::uint32_t flags_of(const DeclaredMember& member) { return apply_status(0, member.parameters.value(ParameterId::Status).value_or(0)); }

bool has(std::uint32_t flags, StatusFlag flag) noexcept { return (flags & bit(flag)) != 0; }

SourceLine where_of(const DeclaredMember& member, ParameterId id) {
  const auto* setting = member.parameters.find(id);
  return setting != nullptr ? setting->where : member.where;
}

// Letters that do not go together; nullptr when they do.
const char* contradiction(std::uint32_t flags) noexcept {
  if (has(flags, StatusFlag::HotSpare) && has(flags, StatusFlag::HotStandby)) {
    return "R and H contradict: a member is a hot spare (it replaces one failed member) or a hot standby (it serves when no other is left)";
  }
  if (has(flags, StatusFlag::IgnoreErrors) && has(flags, StatusFlag::InError)) {
    return "I and E contradict: errors of this member are ignored, and it begins as one that failed";
  }
  if (has(flags, StatusFlag::Drain) && (has(flags, StatusFlag::Disabled) || has(flags, StatusFlag::Stopped))) {
    return "N and D or S contradict: a member that is drained goes on with its sessions, one that is off does not";
  }
  return nullptr;
}

void check_status(const ServerLint& lint, const DeclaredMember& member, bool in_balancer) {
  if (!member.parameters.value(ParameterId::Status)) return;
  const std::uint32_t flags = flags_of(member);
  const SourceLine where = where_of(member, ParameterId::Status);
  const std::string name = member.url.text() + ": status: ";
  if (const char* why = contradiction(flags)) lint.warn(where, name + why);
  constexpr std::array<std::pair<StatusFlag, char>, 4> kForBalancers{
      {{StatusFlag::HotSpare, 'R'}, {StatusFlag::HotStandby, 'H'}, {StatusFlag::Drain, 'N'}, {StatusFlag::CheckFailed, 'C'}}};
  for (const auto& [flag, letter] : kForBalancers) {
    if (in_balancer || !has(flags, flag)) continue;
    lint.warn(where, name + letter + std::string(" has no effect on a backend that is no member of a balancer"));
  }
  if (in_balancer && has(flags, StatusFlag::CheckFailed)) {
    lint.warn(where, name + "C keeps the member out for good: only a health check takes it away, and there are none yet");
  }
}

bool keeps_connections(const ParameterSet& set) { return set.value(ParameterId::EnableReuse).value_or(1) != 0; }

void check_parameters(const ServerLint& lint, const DeclaredMember& member, bool in_balancer) {
  const ParameterSet& set = member.parameters;
  const std::string name = member.url.text() + ": ";
  if (!in_balancer && set.value(ParameterId::LoadFactor)) {
    lint.warn(where_of(member, ParameterId::LoadFactor), name + "loadfactor has no effect on a backend that is no member of a balancer");
  }
  for (const ParameterId id : {ParameterId::RouteName, ParameterId::Redirect}) {
    if (in_balancer || set.find(id) == nullptr) continue;
    lint.warn(where_of(member, id), name + parameter_row(id).name + " has no effect on a backend that is no member of a balancer");
  }
  if (set.value(ParameterId::Ttl) && !keeps_connections(set)) {
    lint.warn(where_of(member, ParameterId::Ttl),
              name + "ttl has no effect: connections to this backend are not kept (disablereuse, enablereuse)");
  }
  const auto total = set.value(ParameterId::TotalTimeout);
  const auto single = set.value(ParameterId::Timeout);
  if (total && single && *total < *single) {
    lint.warn(where_of(member, ParameterId::Timeout), name + "timeout is never reached: totaltimeout is shorter");
  }
}

bool is_off(const DeclaredMember& member) {
  const std::uint32_t flags = flags_of(member);
  return has(flags, StatusFlag::Disabled) || has(flags, StatusFlag::Stopped);
}

// What belongs to sticky sessions and does not fit together.
void check_sessions(const ServerLint& lint, const DeclaredBalancer& balancer) {
  const std::string name = "balancer://" + balancer.name + ": ";
  const bool has_cookie = balancer.parameters.find(ParameterId::StickyCookie) != nullptr;
  std::unordered_map<std::string_view, const DeclaredMember*> routes;
  for (const DeclaredMember& member : balancer.members) {
    const std::string_view route = member.parameters.text(ParameterId::RouteName);
    if (route.empty()) continue;
    const auto [first, is_new] = routes.emplace(route, &member);
    if (is_new) continue;
    const SourceLine where = where_of(member, ParameterId::RouteName);
    lint.warn(where, name + "route=" + std::string(route) + " is the route of " + first->second->url.text() + " as well " +
                         at(where_of(*first->second, ParameterId::RouteName)) + "; the first one that is usable gets the sessions of both");
  }
  for (const DeclaredMember& member : balancer.members) {
    const std::string_view heir = member.parameters.text(ParameterId::Redirect);
    const SourceLine where = where_of(member, ParameterId::Redirect);
    if (heir.empty()) continue;
    if (!routes.contains(heir)) {
      lint.warn(where, name + "redirect=" + std::string(heir) + " has no effect: no member has this route");
    } else if (member.parameters.text(ParameterId::RouteName).empty() && !has_cookie) {
      lint.warn(where, name + "redirect=" + std::string(heir) + " has no effect: this member has no route, so it has no sessions");
    }
  }
  const ParameterSet& set = balancer.parameters;
  if (const auto* sticky = set.find(ParameterId::StickySession)) {
    if (!routes.empty() || balancer.members.empty()) return;
    lint.warn(sticky->where, name + "stickysession has no effect: no member has a route");
    return;
  }
  for (const ParameterId id : {ParameterId::StickySessionSep, ParameterId::SemicolonEnds, ParameterId::NoFailover}) {
    const auto* setting = set.find(id);
    const bool says_default = id == ParameterId::NoFailover && (set.value(id) == 0 || has_cookie);
    if (setting != nullptr && !says_default) lint.warn(setting->where, name + parameter_row(id).name + " has no effect without stickysession");
  }
}

// Browsers throw such cookies away, and the client would be balanced anew with every request.
void check_sticky_cookie(const ServerLint& lint, const DeclaredBalancer& balancer) {
  const std::string name = "balancer://" + balancer.name + ": ";
  const ParameterSet& set = balancer.parameters;
  const auto* cookie = set.find(ParameterId::StickyCookie);
  if (cookie == nullptr) {
    for (const ParameterId id : {ParameterId::StickyCookieKey, ParameterId::StickyCookiePath, ParameterId::StickyCookieSameSite,
                                 ParameterId::StickyCookieSecure, ParameterId::StickyCookieHttpOnly}) {
      if (const auto* setting = set.find(id)) lint.warn(setting->where, name + parameter_row(id).name + " has no effect without stickycookie");
    }
    return;
  }
  const std::string_view text = set.text(ParameterId::StickyCookie);
  const bool never_secure = set.value(ParameterId::StickyCookieSecure) == static_cast<std::int64_t>(StickyCookie::Secure::Off);
  const bool any_site = set.value(ParameterId::StickyCookieSameSite) == static_cast<std::int64_t>(StickyCookie::SameSite::None);
  const bool for_host = base::istarts_with(text, "__Host-");
  if (never_secure && (any_site || for_host || base::istarts_with(text, "__Secure-"))) {
    lint.warn(cookie->where, name + "browsers refuse this cookie without Secure: " + (any_site ? "stickycookiesamesite=none" : std::string(text)) +
                                 " does not go with stickycookiesecure=off");
  }
  const std::string_view path = set.text(ParameterId::StickyCookiePath);
  if (for_host && !path.empty() && path != "/") {
    lint.warn(cookie->where, name + "browsers refuse this cookie: " + std::string(text) + " does not go with stickycookiepath=" + std::string(path));
  }
}

void check_balancer(const ServerLint& lint, const DeclaredBalancer& balancer) {
  for (const DeclaredMember& member : balancer.members) {
    check_status(lint, member, true);
    check_parameters(lint, member, true);
    if (member.url.path.ends_with('/')) {
      std::string shorter = member.url.text();
      while (shorter.ends_with('/')) shorter.pop_back();
      lint.warn(member.where, "BalancerMember " + member.url.text() + ": a path is put behind this URL, so balancer://" + balancer.name +
                                  "/foo becomes " + member.url.text() + "/foo; write " + shorter);
    }
  }
  check_sessions(lint, balancer);
  check_sticky_cookie(lint, balancer);
  const bool none_left = !balancer.members.empty() && std::all_of(balancer.members.begin(), balancer.members.end(), is_off);
  if (none_left) {
    lint.warn(balancer.where, "balancer://" + balancer.name + " has no member that may be used (status D or S), requests for it are answered 503");
  }
}

}  // namespace

void lint_backends(const ServerLint& lint) {
  const Declarations& own = *lint.own().lists;
  for (const auto& member : own.plain) {
    check_status(lint, *member, false);
    check_parameters(lint, *member, false);
  }
  for (const auto& balancer : own.balancers) check_balancer(lint, *balancer);
  for (const RepeatedMember& twice : own.repeated) {
    lint.warn(twice.where, "BalancerMember " + twice.url + ": balancer://" + twice.balancer + " has this member already " + at(twice.first) +
                               "; it is one member, with the parameters of both lines");
  }
}

void lint_tls(const ServerLint& lint) {
  const auto check = [&](const DeclaredMember& member) {
    if (member.url.scheme != "https" && member.url.scheme != "wss") return;
    if (!lint.facts->tls_to_backends) {
      lint.warn(member.where, member.url.text() + ": SSLProxyEngine is not On in this server, so no request reaches this backend");
    } else if (!lint.facts->verifies_backends) {
      lint.warn(member.where, member.url.text() + ": its certificate is not verified (SSLProxyVerify require, SSLProxyCACertificateFile)");
    }
  };
  for (const auto& member : lint.own().lists->plain) check(*member);
  for (const auto& balancer : lint.own().lists->balancers) std::for_each(balancer->members.begin(), balancer->members.end(), check);
}

std::vector<NamedHost> hosts_to_resolve(std::span<const ServerView> servers) {
  std::vector<NamedHost> hosts;
  std::unordered_map<std::string, bool> seen;
  const auto add = [&](const DeclaredMember& member) {
    const http::Url& url = member.url;
    const bool is_number = url.ipv6 || url.host.find_first_not_of("0123456789.") == std::string::npos;
    if (is_number || url.host.empty() || url.host == "localhost") return;
    if (seen.emplace(url.host, true).second) hosts.push_back({url.host, member.where});
  };
  std::unordered_map<const Declarations*, bool> lists_seen;
  for (const ServerView& server : servers) {
    const Declarations& own = server.config->own_lists();
    if (!lists_seen.emplace(&own, true).second) continue;
    for (const auto& member : own.plain) add(*member);
    for (const auto& balancer : own.balancers) {
      for (const DeclaredMember& member : balancer->members) add(member);
    }
  }
  return hosts;
}

}  // namespace cxxproxy::config
