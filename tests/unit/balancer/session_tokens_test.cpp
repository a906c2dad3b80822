// The cookie of stickycookie: only what was given out is taken back, and nothing of it can be made from another one.
#include "balancer/session_tokens.h"

#include <catch2/catch.hpp>
#include <set>
#include <string>
#include <vector>

#include "balancer/session.h"
#include "balancer_fixture.h"
#include "config/session_routes.h"

using namespace cxxproxy;
using namespace cxxproxy::test;
using config::kNoRoute;

namespace {

// Stands for a keyed MAC: different for each key and message.
balancer::SessionTokens tokens_of(const config::BalancerSpec& spec, const std::string& key = "key") {
  return {spec, [key](std::string_view message) {
            balancer::TokenMac mac{};
            std::uint64_t state = 0xcbf29ce484222325;
            for (const char c : key + '\0' + std::string(message)) state = (state ^ static_cast<unsigned char>(c)) * 0x100000001b3;
            for (std::uint8_t& byte : mac) byte = static_cast<std::uint8_t>((state = state * 6364136223846793005 + 1442695040888963407) >> 56);
            return mac;
          }};
}

config::BalancerSpec with_cookie(const std::vector<std::string>& routes, const std::string& name = "shop", const std::string& cookie = "PROXYID") {
  config::BalancerSpec spec = make_spec(std::vector<std::uint32_t>(routes.size(), 100));
  spec.name = name;
  spec.sticky_cookie.name = cookie;
  for (std::size_t i = 0; i < routes.size(); ++i) {
    spec.members[i].name = "http://h" + std::to_string(i) + '/';
    spec.members[i].route = routes[i];
  }
  config::index_routes(spec);
  return spec;
}

std::string_view token(const config::BalancerSpec& spec, const balancer::SessionTokens& tokens, std::size_t member) {
  return tokens.token_of(spec.members[member].own_route);
}

}  // namespace

TEST_CASE("each member has a token of its own, with and without a route; members with one route share it", "[session]") {
  const config::BalancerSpec spec = with_cookie({"", "two", "", "two"});
  const balancer::SessionTokens tokens = tokens_of(spec);
  std::set<std::string_view> all;
  for (std::size_t i = 0; i < spec.members.size(); ++i) {
    const std::string_view text = token(spec, tokens, i);
    CHECK(text.size() == 32);
    CHECK(text.find_first_not_of("0123456789abcdef") == std::string_view::npos);
    CHECK(tokens.route_of(text) == spec.members[i].own_route);
    all.insert(text);
  }
  CHECK(all.size() == 3);
  CHECK(token(spec, tokens, 1) == token(spec, tokens, 3));
}

TEST_CASE("a token with any digit changed, cut or longer is none", "[session]") {
  const config::BalancerSpec spec = with_cookie({"", "", ""});
  const balancer::SessionTokens tokens = tokens_of(spec);
  const std::string right(token(spec, tokens, 1));
  for (std::size_t at = 0; at < right.size(); ++at) {
    for (const char digit : std::string_view("0123456789abcdefABCDEF \xff\0", 25)) {
      std::string forged = right;
      forged[at] = digit;
      CHECK(tokens.route_of(forged) == (forged == right ? spec.members[1].own_route : kNoRoute));
    }
    CHECK(tokens.route_of(std::string_view(right).substr(0, at)) == kNoRoute);
    CHECK(tokens.route_of(std::string_view(right).substr(at + 1)) == kNoRoute);
  }
  CHECK(tokens.route_of(right + '0') == kNoRoute);
  CHECK(tokens.route_of(right + right) == kNoRoute);
  // The halves of two good ones.
  CHECK(tokens.route_of(right.substr(0, 16) + std::string(token(spec, tokens, 0).substr(16))) == kNoRoute);
  CHECK(balancer::SessionTokens().route_of(right) == kNoRoute);
  CHECK(balancer::SessionTokens().token_of(0).empty());
}

TEST_CASE("tokens belong to their key, balancer and cookie, not to the place of a member", "[session]") {
  const config::BalancerSpec spec = with_cookie({"", "", ""});
  const balancer::SessionTokens tokens = tokens_of(spec);
  const std::string_view right = token(spec, tokens, 1);
  CHECK(tokens_of(spec, "other").route_of(right) == kNoRoute);
  CHECK(tokens_of(with_cookie({"", "", ""}, "forum")).route_of(right) == kNoRoute);
  CHECK(tokens_of(with_cookie({"", "", ""}, "shop", "OTHER")).route_of(right) == kNoRoute);
  // What stands between the names keeps them apart.
  CHECK(tokens_of(with_cookie({"", "", ""}, "shopP", "ROXYID")).route_of(right) == kNoRoute);
  config::BalancerSpec fewer = with_cookie({"", ""});
  fewer.members[0].name = "http://new/";
  config::index_routes(fewer);
  CHECK(tokens_of(fewer).route_of(right) == fewer.members[1].own_route);
}

TEST_CASE("the cookie is looked for by its exact name, the first good one counts", "[session]") {
  const config::BalancerSpec spec = with_cookie({"", "two"});
  const balancer::SessionTokens tokens = tokens_of(spec);
  const std::string one(token(spec, tokens, 0));
  const std::string two(token(spec, tokens, 1));
  const auto index = [&](std::vector<std::string> fields) {
    return balancer::find_session(spec, tokens, std::vector<std::string_view>(fields.begin(), fields.end())).index;
  };
  CHECK(index({}) == kNoRoute);
  CHECK(index({"proxyid=" + one}) == kNoRoute);
  CHECK(index({"XPROXYID=" + one}) == kNoRoute);
  CHECK(index({"a=b; PROXYID=" + one + "; c=d"}) == spec.members[0].own_route);
  CHECK(index({"a=b", "PROXYID=\"" + two + "\""}) == spec.members[1].own_route);
  CHECK(index({"PROXYID=stale; PROXYID=" + two, "PROXYID=" + one}) == spec.members[1].own_route);
  const balancer::Session forged = balancer::find_session(spec, tokens, std::vector<std::string_view>{"PROXYID=stale"});
  CHECK(forged.name == "PROXYID");
  CHECK_FALSE(forged.route);
  const std::string good = "PROXYID=" + two;
  CHECK(balancer::find_session(spec, tokens, std::vector<std::string_view>{good}).route == "two");
}

TEST_CASE("the Set-Cookie field has the attributes that were asked for", "[session]") {
  using config::StickyCookie;
  const auto field = [](StickyCookie cookie, bool tls) {
    cookie.name = "ID";
    std::string text;
    balancer::append_session_cookie(text, cookie, "t", tls);
    return text;
  };
  CHECK(field({}, false) == "ID=t; Path=/; HttpOnly; SameSite=Lax");
  CHECK(field({}, true) == "ID=t; Path=/; HttpOnly; SameSite=Lax; Secure");
  StickyCookie cookie;
  cookie.path = "/app";
  cookie.same_site = StickyCookie::SameSite::None;
  cookie.secure = StickyCookie::Secure::On;
  cookie.http_only = false;
  CHECK(field(cookie, false) == "ID=t; Path=/app; SameSite=None; Secure");
  cookie.same_site = StickyCookie::SameSite::Off;
  cookie.secure = StickyCookie::Secure::Off;
  CHECK(field(cookie, true) == "ID=t; Path=/app");
  cookie.same_site = StickyCookie::SameSite::Strict;
  CHECK(field(cookie, true) == "ID=t; Path=/app; SameSite=Strict");
}
