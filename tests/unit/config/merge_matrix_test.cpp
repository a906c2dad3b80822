// The matrix of merges: each directive of the table in the main server, a virtual host, a <Location>, a
// <Location> inside it and an <If>, said and left out in every combination. A new directive fails to compile here (the
// switches have no default) or is missed by the first test.
#include <catch2/catch.hpp>
#include <algorithm>
#include <array>
#include <memory>
#include <string>
#include <vector>

#include "config/dump_values.h"
#include "config/field_statements.h"
#include "config/statements.h"

using namespace cxxproxy;
using namespace cxxproxy::config;

namespace {

enum class Level { Main, Vhost, Location, Nested, If };
constexpr std::array kLevels{Level::Main, Level::Vhost, Level::Location, Level::Nested, Level::If};
constexpr std::size_t kLevelCount = kLevels.size();

// How the values of scopes come together.
enum class Merging {
  InnerWins,   // one value; the innermost that says something
  ServerOnly,  // the same, main server and virtual host alone
  MainOnly,    // the main server alone
  Lists,       // rules, members, sections, cookies: have tests of their own, named in the row
  OneValue,    // nothing to merge
};

struct MatrixRow {
  Merging merging;
  std::array<const char*, 4> values;  // one for each level but <If>, different from the default and from its neighbours
  const char* elsewhere = "";
};

MatrixRow row_of(DirectiveId id) {
  constexpr MatrixRow kFlag{Merging::InnerWins, {"On", "Off", "On", "Off"}};
  switch (id) {
    case DirectiveId::ProxyPreserveHost:
    case DirectiveId::ProxyAddHeaders:
    case DirectiveId::Proxy100Continue:
    case DirectiveId::ProxyPassInterpolateEnv:
    case DirectiveId::ProxyErrorOverride:  // its codes add up: field_statements_test.cpp
    case DirectiveId::ProxyPark:
      return kFlag;
    case DirectiveId::ProxyWebsocketIdleTimeout:
      return {Merging::InnerWins, {"11", "22", "33", "44"}};
    case DirectiveId::ProxyParkAfter:
    case DirectiveId::ProxyKeepAliveStay:
    case DirectiveId::ProxyTunnelDrain:
      return {Merging::MainOnly, {"5ms", "", "", ""}};
    case DirectiveId::ProxyKeepAliveGuard:
    case DirectiveId::ProxyReactor:
      return {Merging::MainOnly, {"Off", "", "", ""}};
    case DirectiveId::ProxyParkMax:
      return {Merging::MainOnly, {"7", "", "", ""}};
    case DirectiveId::ProxyWebsocketFallback:
      return {Merging::OneValue, {}, "has no effect"};
    case DirectiveId::ProxyTimeout:
      return {Merging::InnerWins, {"11", "22", "33", "44"}};
    case DirectiveId::ProxyPassReverseMode:
      return {Merging::InnerWins, {"Text", "Segment", "Text", "Segment"}};
    case DirectiveId::ProxyForwardedFields:
      return {Merging::InnerWins, {"For", "Port Forwarded", "For Host", "Server"}};
    case DirectiveId::ProxyForwardedTrust:
      return {Merging::InnerWins, {"None", "10.0.0.0/8 ::1", "192.0.2.1", "None"}};
    case DirectiveId::ProxyVia:
      return {Merging::ServerOnly, {"On", "Block", "", ""}};
    case DirectiveId::ProxyIOBufferSize:
    case DirectiveId::ProxyReceiveBufferSize:
      return {Merging::ServerOnly, {"512", "0", "", ""}};
    case DirectiveId::ProxySourceAddress:
      return {Merging::ServerOnly, {"127.0.0.1", "::1", "", ""}};
    case DirectiveId::ProxyMaxForwards:
      return {Merging::ServerOnly, {"5", "9", "", ""}};
    case DirectiveId::ProxyBadHeader:
      return {Merging::ServerOnly, {"Ignore", "StartBody", "", ""}};
    case DirectiveId::ProxyPassInherit:
    case DirectiveId::BalancerInherit:
      return {Merging::ServerOnly, {"Off", "On", "", ""}};
    case DirectiveId::BalancerPersist:
      return {Merging::ServerOnly, {"On", "Off", "", ""}};
    case DirectiveId::ProxyStatus:
      return {Merging::ServerOnly, {"On", "Full", "", ""}};
    case DirectiveId::ProxyCheckNames:
      return {Merging::MainOnly, {"Off", "", "", ""}};
    case DirectiveId::ProxyPass:
    case DirectiveId::ProxyPassMatch:
    case DirectiveId::ProxyMatchSection:
      return {Merging::Lists, {}, "resolve_test.cpp, location_config_test.cpp: rules of the main server first, the inner <Location>'s rule wins"};
    case DirectiveId::ProxyPassReverse:
    case DirectiveId::ProxyPassReverseCookieDomain:
    case DirectiveId::ProxyPassReverseCookiePath:
    case DirectiveId::ProxyCookieFlags:
      return {Merging::Lists, {}, "answer_rules_test.cpp: outer scopes first, cookie flags inner scopes first"};
    case DirectiveId::BalancerMember:
    case DirectiveId::ProxySet:
    case DirectiveId::ProxySection:
      return {Merging::Lists, {}, "resolve_test.cpp: a virtual host sees its own, then the main server's"};
    case DirectiveId::ProxyExplain:
      return {Merging::Lists, {}, "main server only"};
    case DirectiveId::ProxyRequests:
      return {Merging::OneValue, {}, "Off is the only value"};
    case DirectiveId::NotYet:
      return {Merging::OneValue, {}, "refused"};
  }
  return {Merging::OneValue, {}, ""};
}

struct Scopes {
  VhostConfig main;
  VhostConfig vhost;
  std::array<LocationConfig, kLevelCount> scopes;  // per-directory values of each level
};

bool flag_of(std::string_view text) { return text == "On"; }

std::vector<std::string_view> split(std::string_view text) {
  std::vector<std::string_view> words;
  while (!text.empty()) {
    const auto end = std::min(text.find(' '), text.size());
    words.push_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return words;
}

// What the adapter does with a line in this scope.
Problem say_in(Scopes& all, const DirectiveRow& row, Level level, std::string_view text) {
  const SourceLine where{"matrix.conf", static_cast<unsigned>(level) + 1};
  const Statement said{row.standard_name, where};
  VhostConfig& server = level == Level::Main ? all.main : all.vhost;
  LocationConfig& scope = all.scopes[static_cast<std::size_t>(level)];
  const bool in_server = level == Level::Main || level == Level::Vhost;
  switch (row.id) {
    case DirectiveId::ProxyPreserveHost:
      scope.preserve_host.set(flag_of(text), where);
      return std::nullopt;
    case DirectiveId::ProxyAddHeaders:
      scope.add_headers.set(flag_of(text), where);
      return std::nullopt;
    case DirectiveId::Proxy100Continue:
      scope.continue_from_backend.set(flag_of(text), where);
      return std::nullopt;
    case DirectiveId::ProxyPark:
      scope.park.set(flag_of(text), where);
      return std::nullopt;
    case DirectiveId::ProxyWebsocketIdleTimeout:
      return say_timeout(scope.tunnel_timeout, said, text);
    case DirectiveId::ProxyParkAfter:
      return say_thread_wait(server.park_after, said, text);
    case DirectiveId::ProxyKeepAliveStay:
      return say_thread_wait(server.keep_alive_stay, said, text);
    case DirectiveId::ProxyReactor:
      return say_reactor(server.reactor, said, text);
    case DirectiveId::ProxyTunnelDrain:
      return say_timeout(server.tunnel_drain, said, text);
    case DirectiveId::ProxyKeepAliveGuard:
      server.keep_alive_guard.set(flag_of(text), where);
      return std::nullopt;
    case DirectiveId::ProxyParkMax:
      return say_park_max(server.park_max, said, text);
    case DirectiveId::ProxyTimeout:
      return say_timeout(in_server ? server.proxy_timeout : scope.proxy_timeout, said, text);
    case DirectiveId::ProxyPassReverseMode:
      return say_reverse_mode(scope.fields.reverse_mode, said, text);
    case DirectiveId::ProxyForwardedFields:
      return say_forwarded_fields(scope.fields.forwarded_fields, said, split(text));
    case DirectiveId::ProxyForwardedTrust:
      return say_forwarded_trust(*server.own, scope.fields.forwarded_trust, said, split(text));
    case DirectiveId::ProxyErrorOverride:
      return say_error_override(scope.fields, said, split(text));
    case DirectiveId::ProxyVia:
      return say_via(server.via, said, text);
    case DirectiveId::ProxyIOBufferSize:
      return say_buffer_size(server.io_buffer_size, said, ParameterId::IoBufferSize, text);
    case DirectiveId::ProxyReceiveBufferSize:
      return say_buffer_size(server.receive_buffer_size, said, ParameterId::ReceiveBufferSize, text);
    case DirectiveId::ProxySourceAddress:
      return say_source_address(server.source_address, said, text);
    case DirectiveId::ProxyMaxForwards:
      return say_max_forwards(server.max_forwards, said, text);
    case DirectiveId::ProxyBadHeader:
      return say_bad_header(server.bad_header, said, text);
    case DirectiveId::ProxyPassInterpolateEnv:
      scope.interpolate.set(flag_of(text), where);
      return std::nullopt;
    case DirectiveId::ProxyPassInherit:
      server.rule_inherit.set(flag_of(text), where);
      return std::nullopt;
    case DirectiveId::BalancerInherit:
      server.balancer_inherit.set(flag_of(text), where);
      return std::nullopt;
    case DirectiveId::BalancerPersist:
      server.persist.set(flag_of(text), where);
      return std::nullopt;
    case DirectiveId::ProxyStatus:
      return say_show_status(server.show_status, said, text);
    case DirectiveId::ProxyCheckNames:
      server.check_names.set(flag_of(text), where);
      return std::nullopt;
    case DirectiveId::ProxyWebsocketFallback:
    case DirectiveId::ProxyPass:
    case DirectiveId::ProxyPassMatch:
    case DirectiveId::ProxyMatchSection:
    case DirectiveId::ProxyPassReverse:
    case DirectiveId::ProxyPassReverseCookieDomain:
    case DirectiveId::ProxyPassReverseCookiePath:
    case DirectiveId::ProxyCookieFlags:
    case DirectiveId::ProxyRequests:
    case DirectiveId::ProxySection:
    case DirectiveId::BalancerMember:
    case DirectiveId::ProxySet:
    case DirectiveId::ProxyExplain:
    case DirectiveId::NotYet:
      break;
  }
  return "no single value";
}

EffectiveValue merged_value(const Scopes& all, const DirectiveRow& row) {
  const auto server = merge(all.main, all.vhost);
  std::array<AnswerChain, kLevelCount - 1> joined;
  LocationConfig scope = all.scopes[0];
  for (std::size_t level = 1; level < kLevelCount; ++level) scope = merge(scope, all.scopes[level], joined[level - 1]);
  return effective_value(row, *server, scope).value();
}

const char* value_at(const MatrixRow& row, Level level) { return row.values[static_cast<std::size_t>(level == Level::If ? Level::Location : level)]; }

bool may_stand(const MatrixRow& row, Level level) {
  if (row.merging == Merging::MainOnly) return level == Level::Main;
  if (row.merging == Merging::ServerOnly) return level == Level::Main || level == Level::Vhost;
  return true;
}

}  // namespace

TEST_CASE("matrix: every directive of the table has a row") {
  for (const DirectiveRow& directive : kDirectiveRows) {
    INFO(directive.standard_name);
    const MatrixRow row = row_of(directive.id);
    const bool has_one_value = row.merging == Merging::InnerWins || row.merging == Merging::ServerOnly || row.merging == Merging::MainOnly;
    const auto value = effective_value(directive, VhostConfig(), LocationConfig());
    CHECK(value.has_value() == has_one_value);
    CHECK((has_one_value || std::string_view(row.elsewhere) != ""));
    if (!has_one_value) continue;
    CHECK(value->text == directive.default_text);
    CHECK_FALSE(value->said);
    // A directive that <Location> may hold is tried there.
    CHECK((row.merging == Merging::InnerWins) == ((directive.contexts & kInLocation) != 0));
  }
}

TEST_CASE("matrix: the innermost scope that says something decides, and its line is the one that is named") {
  for (const DirectiveRow& directive : kDirectiveRows) {
    const MatrixRow row = row_of(directive.id);
    if (row.merging == Merging::Lists || row.merging == Merging::OneValue) continue;
    for (unsigned said = 0; said < (1u << kLevelCount); ++said) {
      Scopes all;
      std::string expected = directive.default_text;
      unsigned line = 0;
      bool possible = true;
      for (const Level level : kLevels) {
        const auto index = static_cast<unsigned>(level);
        if ((said & (1u << index)) == 0) continue;
        possible = possible && may_stand(row, level);
        if (!possible) break;
        expected = value_at(row, level);
        line = index + 1;
        REQUIRE_FALSE(say_in(all, directive, level, expected));
      }
      if (!possible) continue;
      INFO(directive.standard_name << " said at levels " << said);
      const EffectiveValue value = row.merging == Merging::MainOnly ? *effective_value(directive, all.main, all.scopes[0]) : merged_value(all, directive);
      CHECK(value.text == expected);
      CHECK(value.said == (line != 0));
      CHECK(value.where.line == line);
    }
  }
}
