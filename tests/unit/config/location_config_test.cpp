#include "config/location_config.h"

#include <catch2/catch.hpp>
#include <memory>
#include <string>
#include <vector>

#include "config/resolve.h"
#include "said.h"

using namespace cxxproxy;
using namespace cxxproxy::config;

namespace {

// One scope: its rules and the object that httpd would merge.
struct Scope {
  AnswerRules rules;
  AnswerChain chain;
  LocationConfig config;

  Scope() {
    chain.rules = &rules;
    config.answers = &chain;
    config.own_rules = &rules;
  }
  Scope(const Scope&) = delete;
  Scope& operator=(const Scope&) = delete;

  void reverse(const std::string& path, const std::string& url) {
    const Said said("ProxyPassReverse");
    REQUIRE_FALSE(say_reverse(rules.reverse, said.statement(), path, url));
  }
};

std::optional<std::string> mapped_by(const AnswerChain* chain, const ResolvedVhost& vhost, std::string_view location) {
  return map_back(AnswerView{chain, vhost}, location);
}

}  // namespace

TEST_CASE("inner values win over outer ones, unset ones let the outer through") {
  for (const int outer_value : {-1, 0, 1}) {
    for (const int inner_value : {-1, 0, 1}) {
      Scope outer;
      Scope inner;
      if (outer_value >= 0) outer.config.preserve_host.set(outer_value == 1, {"o", 1});
      if (inner_value >= 0) inner.config.preserve_host.set(inner_value == 1, {"i", 2});
      if (outer_value >= 0) outer.config.add_headers.set(outer_value == 1, {"o", 3});
      if (inner_value >= 0) inner.config.add_headers.set(inner_value == 1, {"i", 4});
      if (outer_value >= 0) outer.config.continue_from_backend.set(outer_value == 1, {"o", 5});
      if (inner_value >= 0) inner.config.continue_from_backend.set(inner_value == 1, {"i", 6});
      if (outer_value >= 0) outer.config.proxy_timeout.set(base::Duration(outer_value + 10), {"o", 7});
      if (inner_value >= 0) inner.config.proxy_timeout.set(base::Duration(inner_value + 20), {"i", 8});
      const ForwardedTrust outer_trust;
      const ForwardedTrust inner_trust;
      if (outer_value >= 0) outer.config.fields.forwarded_trust.set(&outer_trust, {"o", 9});
      if (inner_value >= 0) inner.config.fields.forwarded_trust.set(&inner_trust, {"i", 10});
      if (outer_value >= 0) outer.config.fields.forwarded_fields.set(http::kForwardedFor, {"o", 11});
      if (inner_value >= 0) inner.config.fields.forwarded_fields.set(http::kForwardedPort, {"i", 12});
      if (outer_value >= 0) outer.config.fields.reverse_mode.set(outer_value == 1 ? http::Boundary::Text : http::Boundary::Segment, {"o", 13});
      if (inner_value >= 0) inner.config.fields.reverse_mode.set(inner_value == 1 ? http::Boundary::Text : http::Boundary::Segment, {"i", 14});
      if (outer_value >= 0) outer.config.fields.error_override.set(outer_value == 1, {"o", 15});
      if (inner_value >= 0) inner.config.fields.error_override.set(inner_value == 1, {"i", 16});
      AnswerChain joined;
      const LocationConfig result = merge(outer.config, inner.config, joined);
      const int expected = inner_value >= 0 ? inner_value : outer_value;
      CHECK(result.preserve_host.is_set() == (expected >= 0));
      CHECK(result.preserve_host.value_or(false) == (expected == 1));
      CHECK(result.add_headers.is_set() == (expected >= 0));
      CHECK(result.add_headers.value_or(false) == (expected == 1));
      CHECK(result.continue_from_backend.is_set() == (expected >= 0));
      CHECK(result.continue_from_backend.value_or(false) == (expected == 1));
      const int time = inner_value >= 0 ? inner_value + 20 : outer_value >= 0 ? outer_value + 10 : -1;
      CHECK(result.proxy_timeout.is_set() == (time >= 0));
      CHECK(result.proxy_timeout.value_or(base::Duration(-1)) == base::Duration(time));
      if (inner_value >= 0) CHECK(result.preserve_host.where.line == 2);
      CHECK(result.fields.forwarded_trust.value_or(nullptr) == (inner_value >= 0 ? &inner_trust : outer_value >= 0 ? &outer_trust : nullptr));
      CHECK(result.fields.forwarded_fields.value_or(0) == (inner_value >= 0 ? http::kForwardedPort : outer_value >= 0 ? http::kForwardedFor : 0u));
      CHECK((result.fields.reverse_mode.value_or(http::Boundary::Segment) == http::Boundary::Text) == (expected == 1));
      CHECK(result.fields.overrides(404) == (expected == 1));
    }
  }
}

TEST_CASE("the inner location's rule takes the place of the outer's") {
  SaidRoute far;
  SaidRoute near;
  Scope outer;
  Scope inner;
  AnswerChain joined;
  outer.config.route = &far;
  CHECK(merge(outer.config, inner.config, joined).route == &far);
  inner.config.route = &near;
  CHECK(merge(outer.config, inner.config, joined).route == &near);
  CHECK(merge(inner.config, outer.config, joined).route == &far);
}

TEST_CASE("a merged object has no place for new rules") {
  Scope outer;
  Scope inner;
  AnswerChain joined;
  CHECK(merge(outer.config, inner.config, joined).own_rules == nullptr);
}

TEST_CASE("reverse rules: outer scopes first, each in file order, first match decides") {
  Scope main;
  Scope vhost;
  Scope location;
  main.reverse("/main", "http://a/");
  vhost.reverse("/vhost", "http://a/");
  vhost.reverse("/vhost-b", "http://b/");
  location.reverse("/location", "http://b/");
  location.reverse("/location-c", "http://c/");
  location.reverse("/late", "http://c/");
  const ResolvedVhost nobody;

  // httpd may join from the left or from the right.
  AnswerChain first;
  AnswerChain second;
  const LocationConfig left = merge(merge(main.config, vhost.config, first), location.config, second);
  AnswerChain third;
  AnswerChain fourth;
  const LocationConfig right = merge(main.config, merge(vhost.config, location.config, third), fourth);
  for (const LocationConfig* merged : {&left, &right}) {
    CHECK(mapped_by(merged->answers, nobody, "http://a/x") == "/main/x");
    CHECK(mapped_by(merged->answers, nobody, "http://b/x") == "/vhost-b/x");
    CHECK(mapped_by(merged->answers, nobody, "http://c/x") == "/location-c/x");
    CHECK_FALSE(mapped_by(merged->answers, nobody, "http://d/x").has_value());
  }
  CHECK_FALSE(mapped_by(nullptr, nobody, "http://a/x").has_value());
}

TEST_CASE("a balancer rule stands for every member of the balancer that the server sees") {
  VhostConfig server;
  REQUIRE(say(server, "BalancerMember balancer://b http://h:1") == "");
  REQUIRE(say(server, "BalancerMember balancer://b http://h:2/app/") == "");
  const std::vector<ServerView> views = {{&server, "main"}};
  const Resolution resolution = resolve(views);
  const ResolvedVhost& vhost = *resolution.vhosts[0];
  Scope scope;
  scope.reverse("/whole/", "balancer://B/");
  scope.reverse("/never", "balancer://unknown/");
  CHECK(mapped_by(scope.config.answers, vhost, "http://h:1/x") == "/whole/x");
  CHECK(mapped_by(scope.config.answers, vhost, "http://h:2/app/x") == "/whole/x");
  CHECK_FALSE(mapped_by(scope.config.answers, vhost, "http://h:2/other").has_value());
  CHECK_FALSE(mapped_by(scope.config.answers, vhost, "http://h:3/x").has_value());

  Scope below;
  below.reverse("/below", "balancer://b/sub");
  CHECK(mapped_by(below.config.answers, vhost, "http://h:1/sub/x") == "/below/x");
  CHECK(mapped_by(below.config.answers, vhost, "http://h:2/app/sub/x") == "/below/x");
  CHECK_FALSE(mapped_by(below.config.answers, vhost, "http://h:1/x").has_value());
}
