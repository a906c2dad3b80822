#include "config/resolve.h"

#include <algorithm>

#include "base/ascii.h"
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
  member.name = said.url.text();
  member.key = key_prefix + ' ' + member_key(said.url);
  member.loadfactor = static_cast<std::uint32_t>(set.value(ParameterId::LoadFactor).value_or(member.loadfactor));
  member.status = apply_status(default_status, set.value(ParameterId::Status).value_or(0));
  member.max = static_cast<unsigned>(set.value(ParameterId::Max).value_or(0));
  member.tcp_keepalive = set.value(ParameterId::KeepAlive).value_or(0) != 0;
  member.reuse = set.value(ParameterId::EnableReuse).value_or(1) != 0;
  member.retry = as_duration(set.value(ParameterId::Retry)).value_or(member.retry);
  member.timeout = as_duration(set.value(ParameterId::Timeout));
  member.connect_timeout = as_duration(set.value(ParameterId::ConnectionTimeout));
  member.ttl = as_duration(set.value(ParameterId::Ttl));
  member.total_timeout = as_duration(set.value(ParameterId::TotalTimeout));
  member.replay = static_cast<Replay>(set.value(ParameterId::Replay).value_or(static_cast<std::int64_t>(member.replay)));
  const auto field_size = static_cast<std::size_t>(set.value(ParameterId::ResponseFieldSize).value_or(0));
  if (field_size != 0) member.response_field_size = field_size;
  member.lbset = static_cast<std::uint32_t>(set.value(ParameterId::LbSet).value_or(0));
  member.slow_start = base::Duration(set.value(ParameterId::SlowStart).value_or(0));
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
  balancer.retry_budget = static_cast<std::uint32_t>(set.value(ParameterId::RetryBudget).value_or(0));
  balancer.ejection = make_ejection(set);
}

// One server's own lists, resolved once and shared by every server that sees them.
struct ResolvedLists {
  std::vector<const BalancerSpec*> balancers;
  std::vector<const MemberSpec*> plain;
  const RouteTable* routes = nullptr;
};

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

  const BalancerSpec* add_balancer(const DeclaredBalancer& said, const std::string& server_key) {
    auto balancer = std::make_unique<BalancerSpec>();
    balancer->name = said.name;
    balancer->key = server_key + " balancer://" + said.name;
    balancer->balancer_id = static_cast<std::uint32_t>(whole().balancers.size());
    read_balancer_parameters(said.parameters, *balancer);
    warn_of_idle_parameters(said, *balancer);
    if (said.members.size() > kMaxMembers) {
      result_.findings.push_back({true, said.where,
                                  "balancer://" + said.name + " has " + std::to_string(said.members.size()) + " members (at most " +
                                      std::to_string(kMaxMembers) + ")"});
    }
    balancer->members.reserve(said.members.size());
    for (const DeclaredMember& member : said.members) balancer->members.push_back(make_member(member, balancer->key, 0));
    for (MemberSpec& member : balancer->members) number(member);
    whole().balancers.push_back(std::move(balancer));
    return whole().balancers.back().get();
  }

  // A lone backend answers its own errors: taking it out of use would help nobody.
  const MemberSpec* add_plain(const DeclaredMember& said, const std::string& server_key) {
    whole().plain.push_back(std::make_unique<MemberSpec>(make_member(said, server_key, bit(StatusFlag::IgnoreErrors))));
    number(*whole().plain.back());
    return whole().plain.back().get();
  }

  // `outer` are the lists that this server inherits.
  ResolvedLists& add_lists(const Declarations& own, std::span<const Declarations* const> outer, const std::string& server_key) {
    ResolvedLists lists;
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
      lists.balancers.push_back(add_balancer(*said, server_key));
    }
    for (const auto& said : own.plain) lists.plain.push_back(add_plain(*said, server_key));
    for (const auto& ignored : own.ignored) {
      warn(ignored.where, ignored.text + " has no effect: this backend was declared before (line " + std::to_string(ignored.declared.line) +
                              " of " + ignored.declared.file + "); use ProxySet");
    }
    return by_lists_.emplace(&own, std::move(lists)).first->second;
  }

  const ResolvedVhost* resolve_server(const ServerView& server) {
    auto vhost = std::make_unique<ResolvedVhost>();
    vhost->key = server.key;
    if (server.config->proxy_timeout.is_set()) vhost->proxy_timeout = server.config->proxy_timeout.value;
    vhost->bad_header = server.config->bad_header.value_or(vhost->bad_header);
    vhost->show_status = server.config->show_status.value_or(vhost->show_status);
    vhost->via = server.config->via.value_or(vhost->via);
    vhost->max_forwards = server.config->max_forwards.value_or(vhost->max_forwards);
    const auto layers = server.config->layers();
    for (std::size_t i = 0; i < layers.size(); ++i) {
      if (by_lists_.find(layers[i]) == by_lists_.end()) add_lists(*layers[i], std::span(layers).first(i), server.key);
    }
    // Names are looked for in the inner lists first.
    for (auto layer = layers.rbegin(); layer != layers.rend(); ++layer) index(*vhost, by_lists_.at(*layer));
    for (auto& [origin, members] : vhost->origin_index) {
      std::stable_sort(members.begin(), members.end(),
                       [](const MemberSpec* a, const MemberSpec* b) { return a->url.path.size() > b->url.path.size(); });
    }
    for (const Declarations* layer : layers) {
      ResolvedLists& lists = by_lists_.at(layer);
      if (lists.routes == nullptr) lists.routes = add_routes(*layer, *vhost);
      vhost->tables.push_back(lists.routes);
    }
    check_references(server, *vhost);
    whole().vhosts.push_back(std::move(vhost));
    return whole().vhosts.back().get();
  }

  static void index(ResolvedVhost& vhost, const ResolvedLists& lists) {
    for (const BalancerSpec* balancer : lists.balancers) {
      vhost.balancers.push_back(balancer);
      vhost.balancer_index.emplace(balancer->name, balancer);
    }
    for (const MemberSpec* member : lists.plain) {
      vhost.plain_members.push_back(member);
      vhost.member_index.emplace(member_key(member->url), member);
      http::Url origin = member->url;
      origin.path.clear();
      vhost.origin_index[origin.text()].push_back(member);
    }
  }

  const RouteTable* add_routes(const Declarations& lists, const ResolvedVhost& vhost) {
    std::vector<Route> rules;
    rules.reserve(lists.routes.size());
    for (const SaidRoute& said : lists.routes) {
      Route rule;
      rule.path = said.path;
      rule.url = said.url;
      rule.exclude = said.exclude;
      rule.where = said.where;
      if (!said.balancer.empty()) rule.balancer = vhost.find_balancer(said.balancer);
      if (!said.member_key.empty()) rule.member = vhost.find_declared(said.member_key);
      rules.push_back(std::move(rule));
    }
    whole().tables.push_back(std::make_unique<RouteTable>(std::move(rules)));
    return whole().tables.back().get();
  }

  // Rules of this server whose balancer nobody declared.
  void check_references(const ServerView& server, const ResolvedVhost& vhost) {
    const auto check = [&](const SaidRoute& said) {
      if (said.balancer.empty() || vhost.find_balancer(said.balancer) != nullptr) return;
      warn(said.where, "balancer://" + said.balancer + " is not declared, requests for " + said.path + " are answered 503");
    };
    for (const SaidRoute& said : server.config->own_lists().routes) check(said);
    for (const auto& said : server.config->own_lists().location_routes) check(*said);
  }

  Resolution result_;
  std::unordered_map<const VhostConfig*, const ResolvedVhost*> by_config_;
  std::unordered_map<const Declarations*, ResolvedLists> by_lists_;
};

}  // namespace

Resolution resolve(std::span<const ServerView> servers) { return Resolver().run(servers); }

RouteMatch ResolvedVhost::find_route(std::string_view uri) const noexcept {
  for (const RouteTable* table : tables) {
    if (const RouteMatch match = table->find(uri)) return match;
  }
  return {};
}

Target ResolvedVhost::target_of(const Route& route) const {
  if (route.exclude) return {};
  if (route.balancer != nullptr || route.member != nullptr) return {route.balancer, route.member};
  // A rule of the main server may name a balancer that only this virtual host has.
  return find_target(route.url);
}

Target ResolvedVhost::target_of(const SaidRoute& route) const {
  if (!route.balancer.empty()) return {find_balancer(route.balancer), nullptr};
  if (!route.member_key.empty()) return {nullptr, find_declared(route.member_key)};
  return {};
}

const BalancerSpec* ResolvedVhost::find_balancer(std::string_view name) const {
  const auto found = balancer_index.find(lower(name));
  return found != balancer_index.end() ? found->second : nullptr;
}

const MemberSpec* ResolvedVhost::find_declared(const std::string& key) const noexcept {
  const auto found = member_index.find(key);
  return found != member_index.end() ? found->second : nullptr;
}

const MemberSpec* ResolvedVhost::find_member(std::string_view url) const {
  const auto origin = http::parse_origin(url);
  if (!origin) return nullptr;
  const auto found = origin_index.find(origin->url.text());
  if (found == origin_index.end()) return nullptr;
  for (const MemberSpec* member : found->second) {
    const bool whole_host = member->url.path.empty() || member->url.path == "/";
    if (whole_host || origin->rest.starts_with(member->url.path)) return member;
  }
  return nullptr;
}

Target ResolvedVhost::find_target(std::string_view url) const {
  constexpr std::string_view kScheme = "balancer://";
  if (!base::istarts_with(url, kScheme)) return {nullptr, find_member(url)};
  const std::string_view rest = url.substr(kScheme.size());
  return {find_balancer(rest.substr(0, rest.find_first_of("/?#"))), nullptr};
}

}  // namespace cxxproxy::config
