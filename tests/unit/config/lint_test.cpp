// The texts and the near misses are in tests/conf/good/lint_*; here is what no file can say yet, and the cost.
#include "config/lint.h"

#include <catch2/catch.hpp>
#include <memory>
#include <string>
#include <vector>

#include "config/lint_view.h"
#include "said.h"

using namespace cxxproxy;
using namespace cxxproxy::config;

namespace {

struct House {
  VhostConfig main;
  std::vector<std::unique_ptr<VhostConfig>> said;
  std::vector<std::unique_ptr<VhostConfig>> merged;
  WholeFacts facts;

  std::vector<std::string> findings() {
    std::vector<ServerView> views = {{&main, "main"}};
    for (auto& vhost : said) {
      merged.push_back(merge(main, *vhost));
      views.push_back({merged.back().get(), "vhost" + std::to_string(views.size())});
    }
    facts.servers.resize(views.size());
    const Resolution resolution = resolve(views);
    std::vector<std::string> texts;
    for (const Finding& finding : lint(views, resolution, facts)) texts.push_back(std::to_string(finding.where.line) + ": " + finding.text);
    return texts;
  }
};

DeclaredMember tls_member() {
  DeclaredMember member;
  member.url.scheme = "https";
  member.url.host = "h";
  member.url.port = 443;
  member.url.default_port = true;
  member.where = {"test.conf", 7};
  return member;
}

}  // namespace

TEST_CASE("https backends need SSLProxyEngine and should be verified") {
  for (const int level : {0, 1, 2}) {
    House house;
    house.main.own->plain.push_back(std::make_unique<DeclaredMember>(tls_member()));
    house.facts.servers.resize(1);
    house.facts.servers[0].tls_to_backends = level > 0;
    house.facts.servers[0].verifies_backends = level > 1;
    const auto texts = house.findings();
    REQUIRE(texts.size() == (level == 2 ? 0u : 1u));
    if (level == 0) CHECK(texts[0] == "7: https://h: SSLProxyEngine is not On in this server, so no request reaches this backend");
    if (level == 1) CHECK(texts[0].find("its certificate is not verified") != std::string::npos);
  }
}

TEST_CASE("ten thousand rules in many virtual hosts are checked in one pass") {
  House house;
  for (int i = 0; i < 10'000; ++i) {
    const std::string path = "/p" + std::to_string(i);
    REQUIRE(say(house.main, "ProxyPass " + path + " http://127.0.0.1:8080" + path) == "");
    house.main.own->reverses.push_back({path, *http::parse_url("http://127.0.0.1:8080" + path), "", {"test.conf", 1}});
    REQUIRE(say(house.main, "ProxyPassMatch ^/q" + std::to_string(i) + "x http://127.0.0.1:8080") == "");
    REQUIRE(say(house.main, "ProxyPass /r" + std::to_string(i) + " http://127.0.0.1:8080" + path + " mapping=encoded") == "");
  }
  for (int i = 0; i < 30; ++i) {
    house.said.push_back(std::make_unique<VhostConfig>());
    REQUIRE(say(*house.said.back(), "ProxyPass / http://127.0.0.1:8081/") == "");
    house.said.back()->own->reverses.push_back({"/", *http::parse_url("http://127.0.0.1:8081/"), "", {"test.conf", 1}});
  }
  CHECK(house.findings().empty());
}

TEST_CASE("a path that requests fill hides nothing and is hidden by nothing but all paths") {
  House house;
  REQUIRE(say(house.main, "ProxyPass /t/${tenant} http://a/ interpolate", {}, 1) == "");
  REQUIRE(say(house.main, "ProxyPass /t http://b/t", {}, 2) == "");
  REQUIRE(say(house.main, "ProxyPass /t/${tenant}/x http://c/x interpolate", {}, 3) == "");
  CHECK(house.findings().empty());
}

TEST_CASE("expressions: how every match begins, and which beginnings are enough") {
  struct Row {
    const char* expression;
    const char* begin;
    const char* covered;  // "" where a path must have more
  };
  const auto row = GENERATE(values<Row>({
      {"^/app", "/app", "/app"}, {"^/app/(.*)$", "/app/", "/app/"}, {"^/app/.*", "/app/", "/app/"}, {"^/app(/.*)?$", "/app", ""},
      {"^/app$", "/app", ""}, {"^/a\\.b/", "/a.b/", "/a.b/"}, {"^/v\\d+/x", "/v", ""}, {"^/apps?/", "/app", ""}, {"^/a+b", "/", ""},
      {"^/a{2}", "/", ""}, {"^/(a|b)/", "/", ""}, {"^/a|^/b", "/", ""}, {"^/x[|(]y|/b", "/", ""}, {"^/x[]|(]y", "/x", ""},
      {"^/[^]|]", "/", ""}, {"^/\\Qa|b\\E", "/", ""}, {"/app", "/", ""}, {"^(?i)/app", "/", ""}, {"\\.php$", "/", ""}, {"^", "/", "/"},
      {"^/", "/", "/"}, {"^(.*)$", "/", "/"}, {"^/?(.*)$", "/", "/"}, {"^(/.*)$", "/", "/"}, {"/(.*)$", "/", "/"}, {".*", "/", "/"},
      {"/", "/", "/"}, {"^/(.+)$", "/", ""}, {"", "/", ""}, {"^\\", "/", ""},
  }));
  INFO(row.expression);
  CHECK(literal_begin(row.expression) == row.begin);
  CHECK(covered_begin(row.expression).value_or("") == row.covered);
}

TEST_CASE("hosts that a resolver must know, each once, with the line that names it first") {
  VhostConfig main;
  REQUIRE(say(main, "ProxyPass /a http://app.test:8080/", {}, 1) == "");
  REQUIRE(say(main, "ProxyPass /b http://APP.test:8081/", {}, 2) == "");
  REQUIRE(say(main, "ProxyPass /c http://10.0.0.1/", {}, 3) == "");
  REQUIRE(say(main, "ProxyPass /d http://[fd00::1]/", {}, 4) == "");
  REQUIRE(say(main, "ProxyPass /e http://localhost/", {}, 5) == "");
  REQUIRE(say(main, "BalancerMember balancer://b http://other.test", {}, 6) == "");
  const std::vector<ServerView> views = {{&main, "main"}};
  const auto hosts = hosts_to_resolve(views);
  REQUIRE(hosts.size() == 2);
  CHECK(hosts[0].host == "app.test");
  CHECK(hosts[0].where.line == 1);
  CHECK(hosts[1].host == "other.test");
}

TEST_CASE("findings are told by file and line") {
  std::vector<Finding> findings = {{false, {"b", 1}, "x"}, {false, {"a", 9}, "y"}, {false, {"a", 2}, "z"}, {false, {"a", 9}, "w"}};
  sort_findings(findings);
  std::string order;
  for (const Finding& finding : findings) order += finding.text;
  CHECK(order == "zywx");
}
