#include "config/resolve.h"

#include <algorithm>

#include "base/ascii.h"
#include "config/session_routes.h"
#include "config/value_parsers.h"

namespace cxxproxy::config {
namespace {

std::string lower(std::string_view text) {
  std::string result;
  result.reserve(text.size());
  for (const char c : text) result.push_back(base::to_lower(c));
  return result;
}

std::optional<base::Duration> as_duration(std::optional<std::int64_t> microseconds) {
  if (!microseconds) return std::nullopt;
  return base::Duration(*microseconds);
}

MemberSpec make_member(const DeclaredMember& said, const std::string& key_prefix, std::uint32_t default_status) {
  MemberSpec member;
  const ParameterSet& set = said.parameters;
  member.url = said.url;
  member.authority = said.url.authority();
  member.name = said.template_url.empty() ? said.url.name() : said.template_url;
  member.any_host = said.any_host;
  member.key = key_prefix + ' ' + member_key(said);
  member.loadfactor = static_cast<std::uint32_t>(set.value(ParameterId::LoadFactor).value_or(member.loadfactor));
  member.status = apply_status(default_status, set.value(ParameterId::Status).value_or(0));
  member.max = static_cast<unsigned>(set.value(ParameterId::Max).value_or(0));
  member.max_total = static_cast<std::uint32_t>(set.value(ParameterId::MaxTotal).value_or(0));
  member.min_idle = static_cast<std::size_t>(set.value(ParameterId::Min).value_or(0));
  if (const auto soft_max = set.value(ParameterId::SoftMax)) member.soft_max = static_cast<std::size_t>(*soft_max);
  member.acquire = as_duration(set.value(ParameterId::Acquire));
  member.tcp_keepalive = set.value(ParameterId::KeepAlive).value_or(0) != 0;
  // A URL that requests fill may lead to many places: its connections are kept when that is asked for,
  // and where the place is one.
  const bool reuse_unless_said = said.template_url.empty();
  member.reuse = set.value(ParameterId::EnableReuse).value_or(reuse_unless_said ? 1 : 0) != 0 && !said.any_host;
  member.retry = as_duration(set.value(ParameterId::Retry)).value_or(member.retry);
  member.timeout = as_duration(set.value(ParameterId::Timeout));
  member.connect_timeout = as_duration(set.value(ParameterId::ConnectionTimeout));
  member.ping = as_duration(set.value(ParameterId::Ping));
  if (const auto said_ttl = set.value(ParameterId::AddressTtl)) member.address_ttl = *said_ttl >= 0 ? as_duration(said_ttl) : std::nullopt;
  member.ttl = as_duration(set.value(ParameterId::Ttl));
  member.total_timeout = as_duration(set.value(ParameterId::TotalTimeout));
  member.replay = static_cast<Replay>(set.value(ParameterId::Replay).value_or(static_cast<std::int64_t>(member.replay)));
  member.replay_body = static_cast<std::size_t>(set.value(ParameterId::ReplayBody).value_or(static_cast<std::int64_t>(member.replay_body)));
  if (const std::string_view upgrade = set.text(ParameterId::Upgrade); !upgrade.empty()) member.upgrade = upgrade;
  const auto field_size = static_cast<std::size_t>(set.value(ParameterId::ResponseFieldSize).value_or(0));
  if (field_size != 0) member.response_field_size = field_size;
  member.io_buffer_size = static_cast<std::size_t>(set.value(ParameterId::IoBufferSize).value_or(0));
  member.receive_buffer_size = static_cast<int>(set.value(ParameterId::ReceiveBufferSize).value_or(0));
  member.lbset = static_cast<std::uint32_t>(set.value(ParameterId::LbSet).value_or(0));
  member.slow_start = base::Duration(set.value(ParameterId::SlowStart).value_or(0));
  member.route = set.text(ParameterId::RouteName);
  member.redirect = set.text(ParameterId::Redirect);
  return member;
}

Ejection make_ejection(const ParameterSet& set) {
  Ejection rule;
  const auto number = [&set](ParameterId id, std::uint32_t otherwise) { return static_cast<std::uint32_t>(set.value(id).value_or(otherwise)); };
  rule.failures_in_a_row = number(ParameterId::EjectFailures, rule.failures_in_a_row);
  rule.rate_percent = number(ParameterId::EjectRate, rule.rate_percent);
  rule.least_attempts = number(ParameterId::EjectRequests, rule.least_attempts);
  rule.most_percent = number(ParameterId::EjectMax, rule.most_percent);
  rule.panic_percent = number(ParameterId::EjectPanic, rule.panic_percent);
  rule.window = as_duration(set.value(ParameterId::EjectWindow)).value_or(rule.window);
  rule.first = as_duration(set.value(ParameterId::EjectTime)).value_or(rule.first);
  rule.longest = as_duration(set.value(ParameterId::EjectMaxTime)).value_or(rule.longest);
  return rule;
}

StickyCookie make_sticky_cookie(const ParameterSet& set) {
  StickyCookie cookie;
  cookie.name = set.text(ParameterId::StickyCookie);
  cookie.key_file = set.text(ParameterId::StickyCookieKey);
  if (const auto* said = set.find(ParameterId::StickyCookieKey)) cookie.key_where = said->where;
  if (const std::string_view path = set.text(ParameterId::StickyCookiePath); !path.empty()) cookie.path = path;
  cookie.same_site = static_cast<StickyCookie::SameSite>(set.value(ParameterId::StickyCookieSameSite).value_or(0));
  cookie.secure = static_cast<StickyCookie::Secure>(set.value(ParameterId::StickyCookieSecure).value_or(0));
  cookie.http_only = set.value(ParameterId::StickyCookieHttpOnly).value_or(1) != 0;
  return cookie;
}

// All of a balancer but its name and members.
void read_balancer_parameters(const ParameterSet& set, BalancerSpec& balancer) {
  const auto flag = [&set](ParameterId id, bool otherwise) { return set.value(id).value_or(otherwise ? 1 : 0) != 0; };
  balancer.method = static_cast<Method>(set.value(ParameterId::LbMethod).value_or(0));
  if (const auto key = parse_hash_key(set.text(ParameterId::HashKey))) balancer.hash_key = *key;
  balancer.hash_factor = static_cast<std::uint32_t>(set.value(ParameterId::HashFactor).value_or(0));
  if (const auto attempts = set.value(ParameterId::MaxAttempts)) balancer.max_attempts = static_cast<unsigned>(*attempts);
  if (const auto statuses = parse_status_list(set.text(ParameterId::FailOnStatus))) balancer.fail_on_status = *statuses;
  balancer.fail_on_timeout = flag(ParameterId::FailOnTimeout, false);
  balancer.force_recovery = flag(ParameterId::ForceRecovery, true);
  balancer.no_failover = flag(ParameterId::NoFailover, false);
  if (const auto names = parse_sticky_names(set.text(ParameterId::StickySession))) {
    balancer.sticky.cookie = names->cookie;
    balancer.sticky.parameter = names->parameter;
  }
  balancer.sticky.separator = static_cast<char>(set.value(ParameterId::StickySessionSep).value_or(balancer.sticky.separator));
  balancer.sticky.semicolon_ends = flag(ParameterId::SemicolonEnds, false);
  balancer.sticky_cookie = make_sticky_cookie(set);
  balancer.retry_budget = static_cast<std::uint32_t>(set.value(ParameterId::RetryBudget).value_or(0));
  balancer.ejection = make_ejection(set);
  if (const auto queue = set.value(ParameterId::Queue)) balancer.queue = static_cast<std::uint32_t>(*queue);
  balancer.queue_timeout = as_duration(set.value(ParameterId::QueueTimeout));
  balancer.wait_for_member = base::Duration(set.value(ParameterId::WaitForMember).value_or(0));
}

class Resolver {
 public:
  Resolution run(std::span<const ServerView> servers) {
    result_.whole = std::make_unique<ResolvedConfig>();
    for (const ServerView& server : servers) {
      const auto known = by_config_.find(server.config);
      const ResolvedVhost* vhost = known != by_config_.end() ? known->second : resolve_server(server);
      by_config_.emplace(server.config, vhost);
      result_.vhosts.push_back(vhost);
    }
    return std::move(result_);
  }

 private:
  ResolvedConfig& whole() { return *result_.whole; }

  // Of the lists that are this server's own; inherited ones are the outer server's.
  static bool persists(const ServerView& server) noexcept { return server.config->persist.value_or(false); }

  void number(MemberSpec& member) {
    member.member_id = static_cast<std::uint32_t>(whole().members.size());
    whole().members.push_back(&member);
  }

  void warn(SourceLine where, std::string text) { result_.findings.push_back({false, where, std::move(text)}); }

  // What was said and does nothing.
  void warn_of_idle_parameters(const DeclaredBalancer& said, const BalancerSpec& balancer) {
    const std::string subject = "balancer://" + said.name + ": ";
    const auto idle = [&](ParameterId id, const char* why) {
      if (const auto* setting = said.parameters.find(id)) warn(setting->where, subject + parameter_row(id).name + " has no effect: " + why);
    };
    idle(ParameterId::Growth, "members are not added at run time");
    const bool limited = std::any_of(said.members.begin(), said.members.end(), [](const DeclaredMember& member) {
      return member.parameters.value(ParameterId::Max).value_or(0) != 0 || member.parameters.value(ParameterId::MaxTotal).value_or(0) != 0;
    });
    if (!limited && balancer.wait_for_member.count() == 0) idle(ParameterId::Queue, "no member has max or maxtotal");
    if (!limited) idle(ParameterId::QueueTimeout, "no member has max or maxtotal");
    if (balancer.method != Method::Hash) {
      idle(ParameterId::HashKey, "lbmethod is not hash");
      idle(ParameterId::HashFactor, "lbmethod is not hash");
    }
    if (balancer.ejection.is_on()) return;
    for (const ParameterId id : {ParameterId::EjectRequests, ParameterId::EjectWindow, ParameterId::EjectTime, ParameterId::EjectMaxTime,
                                 ParameterId::EjectMax, ParameterId::EjectPanic}) {
      idle(id, "neither ejectfailures nor ejectrate is set");
    }
  }

  void warn_of_idle_parameters(const DeclaredMember& said) {
    for (const ParameterRow& row : parameter_rows()) {
      if (row.no_effect == nullptr) continue;
      if (const auto* setting = said.parameters.find(row.id)) {
        warn(setting->where, said.url.text() + ": " + row.name + " has no effect: " + row.no_effect);
      }
    }
  }

  const BalancerSpec* add_balancer(const DeclaredBalancer& said, const ServerView& server) {
    auto balancer = std::make_unique<BalancerSpec>();
    balancer->name = said.name;
    balancer->url = "balancer://" + said.name;
    balancer->key = server.key + ' ' + balancer->url;
    balancer->persist = persists(server);
    balancer->balancer_id = static_cast<std::uint32_t>(whole().balancers.size());
    read_balancer_parameters(said.parameters, *balancer);
    if (balancer->sticky.is_on() && balancer->sticky_cookie.is_on()) {
      result_.findings.push_back({true, said.parameters.find(ParameterId::StickyCookie)->where,
                                  "balancer://" + said.name + ": stickycookie and stickysession exclude each other"});
    }
    warn_of_idle_parameters(said, *balancer);
    if (said.members.size() > kMaxMembers) {
      result_.findings.push_back({true, said.where,
                                  "balancer://" + said.name + " has " + std::to_string(said.members.size()) + " members (at most " +
                                      std::to_string(kMaxMembers) + ")"});
    }
    balancer->members.reserve(said.members.size());
    for (const DeclaredMember& member : said.members) warn_of_idle_parameters(member);
    for (const DeclaredMember& member : said.members) balancer->members.push_back(make_member(member, balancer->key, 0));
    for (MemberSpec& member : balancer->members) {
      member.persist = balancer->persist;
      number(member);
    }
    index_routes(*balancer);
    whole().balancers.push_back(std::move(balancer));
    return whole().balancers.back().get();
  }

  // A lone backend answers its own errors: taking it out of use would help nobody.
  const MemberSpec* add_plain(const DeclaredMember& said, const ServerView& server) {
    warn_of_idle_parameters(said);
    whole().plain.push_back(std::make_unique<MemberSpec>(make_member(said, server.key, bit(StatusFlag::IgnoreErrors))));
    whole().plain.back()->persist = persists(server);
    number(*whole().plain.back());
    return whole().plain.back().get();
  }

  // `outer` are the lists that this server inherits.
  ResolvedLists& add_lists(const Declarations& own, std::span<const Declarations* const> outer, const ServerView& server) {
    whole().lists.push_back(std::make_unique<ResolvedLists>());
    ResolvedLists& lists = *whole().lists.back();
    for (const auto& said : own.balancers) {
      const bool shadows_a_filled_one = std::any_of(outer.begin(), outer.end(), [&](const Declarations* other) {
        const DeclaredBalancer* twin = other->find_balancer(said->name);
        return twin != nullptr && !twin->members.empty();
      });
      if (said->members.empty() && shadows_a_filled_one) {
        warn(said->where, "balancer://" + said->name + " has no members here, the main server's balancer of that name is used as it is");
        continue;
      }
      if (said->members.empty()) warn(said->where, "balancer://" + said->name + " has no members, requests for it are answered 503");
      lists.balancers.push_back(add_balancer(*said, server));
      lists.balancer_index.emplace(said->name, lists.balancers.back());
    }
    for (const auto& said : own.plain) add_plain_to(lists, *said, server);
    for (auto& [origin, members] : lists.origin_index) {
      std::stable_sort(members.begin(), members.end(),
                       [](const MemberSpec* a, const MemberSpec* b) { return a->url.path.size() > b->url.path.size(); });
    }
    for (const auto& ignored : own.ignored) {
      warn(ignored.where, ignored.text + " has no effect: this backend was declared before (line " + std::to_string(ignored.declared.line) +
                              " of " + ignored.declared.file + "); use ProxySet");
    }
    by_lists_.emplace(&own, &lists);
    return lists;
  }

  void add_plain_to(ResolvedLists& lists, const DeclaredMember& said, const ServerView& server) {
    const MemberSpec* member = add_plain(said, server);
    lists.plain.push_back(member);
    lists.member_index.emplace(member_key(said), member);
    if (!said.template_url.empty()) return;  // its URL is no prefix of anything
    http::Url origin = member->url;
    origin.path.clear();
    lists.origin_index[origin.text()].push_back(member);
  }

  const ResolvedVhost* resolve_server(const ServerView& server) {
    auto vhost = std::make_unique<ResolvedVhost>();
    vhost->key = server.key;
    if (server.config->proxy_timeout.is_set()) vhost->proxy_timeout = server.config->proxy_timeout.value;
    vhost->bad_header = server.config->bad_header.value_or(vhost->bad_header);
    vhost->show_status = server.config->show_status.value_or(vhost->show_status);
    vhost->via = server.config->via.value_or(vhost->via);
    vhost->io_buffer_size = static_cast<std::size_t>(server.config->io_buffer_size.value_or(0));
    vhost->receive_buffer_size = static_cast<int>(server.config->receive_buffer_size.value_or(0));
    vhost->source_address = server.config->source_address.value;
    vhost->max_forwards = server.config->max_forwards.value_or(vhost->max_forwards);
    const auto layers = server.config->layers();
    for (std::size_t i = 0; i < layers.size(); ++i) {
      const auto known = by_lists_.find(layers[i]);
      const bool is_new = known == by_lists_.end();
      const auto outer = std::span(layers).first(i);
      ResolvedLists& lists = is_new ? add_lists(*layers[i], outer, server) : *known->second;
      const bool visible = i + 1 == layers.size() || server.config->inherits_backends();
      if (visible) vhost->backends.insert(vhost->backends.begin(), &lists);
      if (is_new) add_routes(lists, *layers[i], *vhost);
      vhost->rules.push_back(&lists);
      vhost->has_encoded_rules = vhost->has_encoded_rules || !lists.encoded.empty();
    }
    check_references(server, *vhost);
    whole().vhosts.push_back(std::move(vhost));
    return whole().vhosts.back().get();
  }

  // `view` sees these lists and the ones outside of them.
  static void add_routes(ResolvedLists& lists, const Declarations& said_lists, const ResolvedVhost& view) {
    std::vector<Route> decoded;
    std::vector<Route> encoded;
    for (const SaidRoute& said : said_lists.routes) {
      Route rule = said;
      if (!said.balancer_name.empty()) rule.balancer = view.find_balancer(said.balancer_name);
      if (!said.member_key.empty()) rule.member = view.find_declared(said.member_key);
      (said.options.mapping == Mapping::Decoded ? decoded : encoded).push_back(std::move(rule));
    }
    lists.rules = RouteTable(std::move(decoded));
    lists.encoded = RouteTable(std::move(encoded));
  }

  // Rules of this server whose balancer nobody declared.
  void check_references(const ServerView& server, const ResolvedVhost& vhost) {
    const auto check = [&](const SaidRoute& said) {
      if (said.balancer_name.empty() || vhost.find_balancer(said.balancer_name) != nullptr) return;
      warn(said.where, "balancer://" + said.balancer_name + " is not declared, requests for " + said.path + " are answered 503");
    };
    for (const SaidRoute& said : server.config->own_lists().routes) check(said);
    for (const auto& said : server.config->own_lists().location_routes) check(*said);
  }

  Resolution result_;
  std::unordered_map<const VhostConfig*, const ResolvedVhost*> by_config_;
  std::unordered_map<const Declarations*, ResolvedLists*> by_lists_;
};

}  // namespace

Resolution resolve(std::span<const ServerView> servers) { return Resolver().run(servers); }

namespace {

RouteMatch find_in(RouteTable ResolvedLists::*table, const ResolvedVhost& vhost, std::string_view uri, const Variables* variables) {
  RouteMatch match;
  for (const ResolvedLists* lists : vhost.rules) {
    if ((lists->*table).find(uri, variables, match)) break;
  }
  return match;
}

}  // namespace

RouteMatch ResolvedVhost::find_route(std::string_view uri, const Variables* variables) const {
  return find_in(&ResolvedLists::rules, *this, uri, variables);
}

RouteMatch ResolvedVhost::find_encoded_route(std::string_view uri, const Variables* variables) const {
  return find_in(&ResolvedLists::encoded, *this, uri, variables);
}

std::vector<const BalancerSpec*> ResolvedVhost::balancers() const {
  std::vector<const BalancerSpec*> all;
  for (const ResolvedLists* lists : backends) all.insert(all.end(), lists->balancers.begin(), lists->balancers.end());
  return all;
}

Target ResolvedVhost::target_of(const Route& route) const {
  if (route.exclude) return {};
  if (route.balancer != nullptr || route.member != nullptr) return {route.balancer, route.member};
  // A rule of the main server may name a balancer that only this virtual host has.
  return find_target(route.url);
}

Target ResolvedVhost::target_of(const SaidRoute& route) const {
  if (!route.balancer_name.empty()) return {find_balancer(route.balancer_name), nullptr};
  if (!route.member_key.empty()) return {nullptr, find_declared(route.member_key)};
  return {};
}

const BalancerSpec* ResolvedVhost::find_balancer(std::string_view name) const {
  const std::string wanted = lower(name);
  for (const ResolvedLists* lists : backends) {
    if (const auto found = lists->balancer_index.find(wanted); found != lists->balancer_index.end()) return found->second;
  }
  return nullptr;
}

const MemberSpec* ResolvedVhost::find_declared(const std::string& key) const noexcept {
  for (const ResolvedLists* lists : backends) {
    if (const auto found = lists->member_index.find(key); found != lists->member_index.end()) return found->second;
  }
  return nullptr;
}

const MemberSpec* ResolvedVhost::find_member(std::string_view url) const {
  const http::SocketUrl parts = http::split_socket(url);
  const auto origin = http::parse_origin(parts.rest);
  if (!origin) return nullptr;
  const std::string wanted = origin->url.text();
  const MemberSpec* best = nullptr;
  for (const ResolvedLists* lists : backends) {
    const auto found = lists->origin_index.find(wanted);
    if (found == lists->origin_index.end()) continue;
    for (const MemberSpec* member : found->second) {
      if (!parts.socket.empty() && member->url.socket != parts.socket) continue;
      const bool whole_host = member->url.path.empty() || member->url.path == "/";
      if (!whole_host && !origin->rest.starts_with(member->url.path)) continue;
      const bool without_socket = member->url.socket.empty() && best != nullptr && !best->url.socket.empty();
      if (best == nullptr || member->url.path.size() > best->url.path.size() ||
          (member->url.path.size() == best->url.path.size() && without_socket)) {
        best = member;
      }
    }
  }
  return best;
}

Target ResolvedVhost::find_target(std::string_view url) const {
  constexpr std::string_view kScheme = "balancer://";
  if (!base::istarts_with(url, kScheme)) return {nullptr, find_member(url)};
  const std::string_view rest = url.substr(kScheme.size());
  return {find_balancer(rest.substr(0, rest.find_first_of("/?#"))), nullptr};
}

}  // namespace cxxproxy::config
