#include "config/answer_rules.h"

#include <catch2/catch.hpp>
#include <string>
#include <vector>

#include "config/field_statements.h"
#include "config/resolve.h"
#include "said.h"

using namespace cxxproxy;
using namespace cxxproxy::config;

namespace {

using Changed = std::optional<std::string>;

std::string say_in(AnswerRules& rules, const std::string& line) {
  const Said said(line);
  const std::string_view name = said.statement().directive;
  Problem wrong = "no such directive in the tests";
  if (name == "ProxyPassReverseCookiePath") wrong = say_cookie_rule(rules.cookies, said.statement(), http::CookieAttribute::Path, said.words());
  if (name == "ProxyPassReverseCookieDomain") wrong = say_cookie_rule(rules.cookies, said.statement(), http::CookieAttribute::Domain, said.words());
  if (name == "ProxyCookieFlags") wrong = say_cookie_flags(rules.flags, said.statement(), said.words());
  if (name == "ProxyPassReverse") {
    const auto words = said.words();
    wrong = say_reverse(rules.reverse, said.statement(), words[0], words[1], words.size() == 3);
  }
  return wrong.value_or("");
}

AnswerRules rules_of(const std::vector<std::string>& lines) {
  AnswerRules rules;
  for (const auto& line : lines) REQUIRE(say_in(rules, line) == "");
  return rules;
}

const ResolvedVhost& nobody() {
  static const ResolvedVhost vhost;
  return vhost;
}

}  // namespace

TEST_CASE("cookies: outer scopes first, each in file order", "[answer_rules]") {
  const AnswerRules outer = rules_of({"ProxyPassReverseCookiePath /a /outer", "ProxyPassReverseCookieDomain d outer.test"});
  const AnswerRules inner = rules_of({"ProxyPassReverseCookiePath /a /never", "ProxyPassReverseCookiePath /b /inner"});
  const AnswerChain first{nullptr, &outer, nullptr};
  const AnswerChain second{nullptr, &inner, nullptr};
  const AnswerChain both{&first, nullptr, &second};
  const AnswerView view{&both, nobody()};
  CHECK(map_cookie(view, "c=1; Path=/a/x; Domain=d") == Changed("c=1; Path=/outer; Domain=outer.test"));
  CHECK(map_cookie(view, "c=1; Path=/b") == Changed("c=1; Path=/inner"));
  CHECK_FALSE(map_cookie(view, "c=1; Path=/c"));
  CHECK_FALSE(map_cookie({nullptr, nobody()}, "c=1; Path=/a"));
}

TEST_CASE("flags: the first line that names the cookie, inner scopes first", "[answer_rules]") {
  const AnswerRules outer = rules_of({"ProxyCookieFlags JS* HttpOnly", "ProxyCookieFlags Secure SameSite=Lax"});
  const AnswerRules inner = rules_of({"ProxyCookieFlags JSX NoSecure"});
  const AnswerRules off = rules_of({"ProxyCookieFlags JSX NoSecure", "ProxyCookieFlags Off"});
  const AnswerChain first{nullptr, &outer, nullptr};
  const AnswerChain second{nullptr, &inner, nullptr};
  const AnswerChain third{nullptr, &off, nullptr};
  const AnswerChain with_inner{&first, nullptr, &second};
  const AnswerChain with_off{&first, nullptr, &third};
  CHECK(map_cookie({&first, nobody()}, "JSID=1") == Changed("JSID=1; HttpOnly"));
  CHECK(map_cookie({&first, nobody()}, "a=1") == Changed("a=1; Secure; SameSite=Lax"));
  CHECK(map_cookie({&with_inner, nobody()}, "JSX=1; Secure") == Changed("JSX=1"));
  CHECK(map_cookie({&with_inner, nobody()}, "a=1") == Changed("a=1; Secure; SameSite=Lax"));
  CHECK(map_cookie({&with_off, nobody()}, "JSX=1; Secure") == Changed("JSX=1"));
  CHECK_FALSE(map_cookie({&with_off, nobody()}, "a=1"));
}

TEST_CASE("flags and attributes in one field", "[answer_rules]") {
  const AnswerRules rules = rules_of({"ProxyPassReverseCookiePath /app /", "ProxyCookieFlags Secure"});
  const AnswerChain chain{nullptr, &rules, nullptr};
  CHECK(map_cookie({&chain, nobody()}, "a=1; Path=/app") == Changed("a=1; Path=/; Secure"));
  CHECK(map_cookie({&chain, nobody()}, "a=1; Path=/other") == Changed("a=1; Path=/other; Secure"));
  CHECK(map_cookie({&chain, nobody()}, "a=1; Path=/app; Secure") == Changed("a=1; Path=/; Secure"));
  CHECK_FALSE(map_cookie({&chain, nobody()}, "a=1; Secure"));
}

TEST_CASE("text mode is for URLs and cookies", "[answer_rules]") {
  const AnswerRules rules = rules_of({"ProxyPassReverse /d http://h/app", "ProxyPassReverseCookiePath /app /d"});
  const AnswerChain chain{nullptr, &rules, nullptr};
  CHECK_FALSE(map_back({&chain, nobody()}, "http://h/appendix"));
  CHECK_FALSE(map_cookie({&chain, nobody()}, "a; Path=/appendix"));
  const AnswerView text{&chain, nobody(), http::Boundary::Text};
  CHECK(map_back(text, "http://h/appendix") == Changed("/dendix"));
  CHECK(map_cookie(text, "a; Path=/appendix") == Changed("a; Path=/d"));
}

TEST_CASE("a balancer rule for the whole server doubles no slash in text mode either", "[answer_rules]") {
  VhostConfig server;
  REQUIRE(say(server, "BalancerMember balancer://b http://h:1") == "");
  const std::vector<ServerView> views = {{&server, "main"}};
  const Resolution resolution = resolve(views);
  const AnswerRules rules = rules_of({"ProxyPassReverse / balancer://b/"});
  const AnswerChain chain{nullptr, &rules, nullptr};
  CHECK(map_back({&chain, *resolution.vhosts[0], http::Boundary::Text}, "http://h:1/x") == Changed("/x"));
}

TEST_CASE("interpolation is done where the request asks for it", "[answer_rules]") {
  const AnswerRules rules = rules_of({"ProxyPassReverse /${name} http://${host}/ interpolate", "ProxyPassReverseCookiePath /${name} /p interpolate",
                                      "ProxyPassReverse /plain http://${host}.test/x interpolate", "ProxyPassReverseCookiePath /b /${name}"});
  const AnswerChain chain{nullptr, &rules, nullptr};
  AnswerView view{&chain, nobody()};
  CHECK_FALSE(map_back(view, "http://back/x"));
  CHECK_FALSE(map_cookie(view, "a; Path=/app"));
  view.expand = [](std::string_view text) {
    std::string result(text);
    for (const auto& [from, to] : {std::pair<std::string, std::string>{"${name}", "app"}, {"${host}", "back"}}) {
      if (const auto at = result.find(from); at != std::string::npos) result.replace(at, from.size(), to);
    }
    return result;
  };
  CHECK(map_back(view, "http://back/x") == Changed("/app/x"));
  CHECK(map_back(view, "http://back.test/x/y") == Changed("/plain/y"));
  CHECK(map_cookie(view, "a; Path=/app") == Changed("a; Path=/p"));
  CHECK(map_cookie(view, "a; Path=/b") == Changed("a; Path=/${name}"));
  view.expand = [](std::string_view) { return std::string("no url"); };
  CHECK_FALSE(map_back(view, "http://back/x"));
}

TEST_CASE("what the directives for cookies refuse", "[answer_rules]") {
  AnswerRules rules;
  CHECK_THAT(say_in(rules, "ProxyPassReverseCookiePath /a"), Catch::Contains("needs the path"));
  CHECK_THAT(say_in(rules, "ProxyPassReverseCookieDomain"), Catch::Contains("needs the domain"));
  CHECK_THAT(say_in(rules, "ProxyPassReverseCookiePath /a /b odd"), Catch::Contains("odd: unknown word (interpolate)"));
  CHECK_THAT(say_in(rules, "ProxyPassReverseCookiePath /a /b;Secure"), Catch::Contains("not allowed in a cookie's attribute"));
  CHECK_THAT(say_in(rules, "ProxyCookieFlags"), Catch::Contains("needs Off, or at least one of Secure"));
  CHECK_THAT(say_in(rules, "ProxyCookieFlags name"), Catch::Contains("needs Off, or at least one of Secure"));
  CHECK_THAT(say_in(rules, "ProxyCookieFlags name Secured"), Catch::Contains("Secured: unknown flag (Secure, "));
  CHECK_THAT(say_in(rules, "ProxyCookieFlags SameSite=Sometimes"), Catch::Contains("SameSite=Sometimes: unknown flag (Secure, "));
  CHECK(rules.empty());
  Setting<http::Boundary> mode;
  const Said said("ProxyPassReverseMode odd");
  CHECK(say_reverse_mode(mode, said.statement(), "odd").value_or("") == "ProxyPassReverseMode: odd: unknown word (Segment or Text)");
}
