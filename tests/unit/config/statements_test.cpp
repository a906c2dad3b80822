#include "config/statements.h"

#include <catch2/catch.hpp>
#include <string>

#include "config/declare.h"
#include "config/parameter_rows.h"
#include "config/value_parsers.h"
#include "said.h"

using namespace cxxproxy;
using namespace cxxproxy::config;

TEST_CASE("ProxyPass makes a rule and the backend it names") {
  VhostConfig server;
  CHECK(say(server, "ProxyPass /a HTTP://Host:80/x timeout=5 retry=250ms", {}, 7) == "");
  REQUIRE(server.own->routes.size() == 1);
  const SaidRoute& route = server.own->routes[0];
  CHECK(route.path == "/a");
  CHECK(route.url == "HTTP://Host:80/x");
  CHECK_FALSE(route.exclude);
  CHECK(route.where.line == 7);
  const DeclaredMember* member = server.own->find_plain(route.member_key);
  REQUIRE(member != nullptr);
  CHECK(member->parameters.value(ParameterId::Timeout) == 5'000'000);
  CHECK(member->parameters.value(ParameterId::Retry) == 250'000);
}

TEST_CASE("a rule knows where the origin of its URL ends") {
  VhostConfig server;
  const TestSurroundings around;
  for (const char* rule : {"ProxyPass /a HTTP://Host:80/x", "ProxyPass /b http://h", "ProxyPass /c balancer://grp", "ProxyPass /d balancer://grp/x",
                           "ProxyPass /e unix:/run/s|http:", "ProxyPass /f unix:/run/s|http://h/y", "ProxyPass /g ws://[::1]:8080/"}) {
    REQUIRE(say(server, rule) == "");
    const SaidRoute& route = server.own->routes.back();
    CAPTURE(route.url);
    CHECK(route.url.substr(route.origin_end) == (route.url.ends_with("/x") ? "/x" : route.url.ends_with("/y") ? "/y" : route.url.ends_with("/") ? "/" : ""));
  }
}

TEST_CASE("one backend has one object, however it is spelt") {
  VhostConfig server;
  for (const char* url : {"http://h", "http://H/", "HTTP://h:80", "http://h:80/"}) {
    CHECK(say(server, std::string("ProxyPass /a ") + url) == "");
  }
  CHECK(server.own->plain.size() == 1);
  for (const char* url : {"http://h/a", "http://h:81", "http://g", "http://h/a/"}) {
    CHECK(say(server, std::string("ProxyPass /a ") + url) == "");
  }
  CHECK(server.own->plain.size() == 5);
}

TEST_CASE("parameters of a second ProxyPass are checked, without effect, and remembered") {
  VhostConfig server;
  CHECK(say(server, "ProxyPass /a http://h timeout=5", {}, 1) == "");
  CHECK(say(server, "ProxyPass /b http://h/ timeout=9", {}, 2) == "");
  CHECK(server.own->plain[0]->parameters.value(ParameterId::Timeout) == 5'000'000);
  REQUIRE(server.own->ignored.size() == 1);
  CHECK(server.own->ignored[0].text == "timeout=9");
  CHECK(server.own->ignored[0].where.line == 2);
  CHECK(server.own->ignored[0].declared.line == 1);
  CHECK(say(server, "ProxyPass /c http://h timeout=soon") != "");
  CHECK(say(server, "ProxySet http://h timeout=9") == "");
  CHECK(server.own->plain[0]->parameters.value(ParameterId::Timeout) == 9'000'000);
}

TEST_CASE("ProxyPass ! keeps a path here") {
  VhostConfig server;
  CHECK(say(server, "ProxyPass /a !") == "");
  CHECK(server.own->routes[0].exclude);
  CHECK(server.own->plain.empty());
}

TEST_CASE("a rule to a balancer makes none, unless it says something about it") {
  VhostConfig server;
  CHECK(say(server, "ProxyPass /a Balancer://Name/x") == "");
  CHECK(server.own->routes[0].balancer_name == "name");
  CHECK(server.own->balancers.empty());
  CHECK(say(server, "ProxyPass /b balancer://name lbmethod=byrequests") == "");
  CHECK(server.own->balancers.size() == 1);
}

TEST_CASE("members: by section or by name, one object for each URL, later values win") {
  VhostConfig server;
  CHECK(say(server, "BalancerMember http://h:1 loadfactor=2 retry=5", "balancer://B") == "");
  CHECK(say(server, "BalancerMember balancer://b http://h:1/ loadfactor=3") == "");
  CHECK(say(server, "BalancerMember balancer://other http://h:1", "balancer://b") == "");
  REQUIRE(server.own->balancers.size() == 2);
  const DeclaredBalancer& b = *server.own->find_balancer("b");
  REQUIRE(b.members.size() == 1);
  CHECK(b.members[0].parameters.value(ParameterId::LoadFactor) == 300);
  CHECK(b.members[0].parameters.value(ParameterId::Retry) == 5'000'000);
  CHECK(server.own->find_balancer("other")->members.size() == 1);
}

TEST_CASE("ProxySet works before, after and instead of the declaration") {
  VhostConfig server;
  CHECK(say(server, "ProxySet http://h timeout=5") == "");
  CHECK(say(server, "ProxySet lbmethod=byrequests", "balancer://b") == "");
  CHECK(say(server, "ProxySet timeout=7 retry=1", "http://h/") == "");
  CHECK(server.own->plain.size() == 1);
  CHECK(server.own->plain[0]->parameters.value(ParameterId::Timeout) == 7'000'000);
  CHECK(server.own->balancers.size() == 1);
}

TEST_CASE("disablereuse and enablereuse are one setting, the later word counts") {
  const auto reuse_after = [](const char* words) {
    VhostConfig server;
    REQUIRE(say(server, std::string("ProxyPass / http://h ") + words) == "");
    return server.own->plain[0]->parameters.value(ParameterId::EnableReuse);
  };
  CHECK(reuse_after("disablereuse=on") == 0);
  CHECK(reuse_after("disablereuse=off") == 1);
  CHECK(reuse_after("disablereuse=on enablereuse=on") == 1);
  CHECK(reuse_after("enablereuse=on disablereuse=on") == 0);
  CHECK_FALSE(reuse_after("retry=1").has_value());
}

TEST_CASE("sections declare what they name, patterns and fragments nothing") {
  VhostConfig server;
  CHECK(say(server, "<Proxy> http://h/x") == "");
  CHECK(say(server, "<Proxy> balancer://b lbmethod=byrequests") == "");
  CHECK(say(server, "<Proxy> http://[::1]:8080/") == "");
  CHECK(server.own->plain.size() == 2);
  CHECK(server.own->balancers.size() == 1);
  for (const char* pattern : {"*", "http://h/*", "http://h/[ab]", "http:", "/"}) {
    INFO(pattern);
    CHECK(say(server, std::string("<Proxy> ") + pattern) == "");
  }
  CHECK(server.own->plain.size() == 2);
  CHECK(say(server, "<Proxy> http://h/* timeout=5").find("not a pattern") != std::string::npos);
}

TEST_CASE("wildcards are told from IPv6 brackets") {
  CHECK(is_wildcard("*"));
  CHECK(is_wildcard("http://h/?"));
  CHECK(is_wildcard("http://[::1]/*"));
  CHECK(is_wildcard("http://[::1]/[ab]"));
  CHECK_FALSE(is_wildcard("http://[::1]:80/"));
  CHECK_FALSE(is_wildcard("http://h/a"));
}

TEST_CASE("in a location the path is the section's") {
  VhostConfig server;
  LocationConfig location;
  const Said said("ProxyPass http://h/x timeout=5");
  CHECK_FALSE(say_location_pass(server, location, said.statement(), RuleKind::Prefix, "/loc", said.words()));
  REQUIRE(location.route != nullptr);
  CHECK(location.route->path == "/loc");
  CHECK(server.own->routes.empty());
  CHECK(server.own->plain.size() == 1);
  const Said with_path("ProxyPass /loc http://h/x");
  CHECK(say_location_pass(server, location, with_path.statement(), RuleKind::Prefix, "/loc", with_path.words()).has_value());
}

TEST_CASE("every supported parameter is refused where it does not belong, with its place") {
  for (const auto& row : parameter_rows()) {
    if (row.place == Place::Rule) continue;
    VhostConfig server;
    const bool of_member = row.place == Place::Member;
    if (find_parameter(row.name, of_member ? Place::Balancer : Place::Member) != nullptr) continue;
    const std::string url = of_member ? "balancer://b" : "http://h";
    const std::string text = say(server, "ProxySet " + url + " " + row.name + "=1");
    INFO(row.name);
    CHECK(text.find(of_member ? "a parameter of a backend URL" : "a parameter of a balancer") != std::string::npos);
  }
}

TEST_CASE("every parameter that is not supported yet says so, with its name") {
  for (const auto& row : parameter_rows()) {
    if (row.is_supported()) continue;
    VhostConfig server;
    const std::string url = row.place == Place::Balancer ? "balancer://b" : "http://h";
    CHECK(say(server, "ProxyPass / " + url + " " + row.name + "=1") ==
          "ProxyPass: " + std::string(row.name) + "=1 is not supported yet by mod_cxxproxy");
  }
}

TEST_CASE("rejections name the directive, the text and the reason") {
  VhostConfig server;
  CHECK(say(server, "ProxyPass / http://h timeout=abc") ==
        "ProxyPass: timeout=abc: not a duration (1 ms to 2073600 s, plain numbers are seconds, units ms s min h)");
  CHECK(say(server, "ProxyPass / http://h lodfactor=2") == "ProxyPass: lodfactor=2: unknown parameter, did you mean loadfactor?");
  CHECK(say(server, "ProxyPass / http://h retry") == "ProxyPass: retry: not of the form key=value");
  CHECK(say(server, "ProxyPass / ftp://h").find("not supported yet by mod_cxxproxy") != std::string::npos);
  CHECK(say(server, "ProxyPass / https://h").find("not supported yet by mod_cxxproxy") != std::string::npos);
  CHECK(say(server, "ProxyPass / gopher://h") != "");
  CHECK(say(server, "ProxyPass /") != "");
  CHECK(say(server, "ProxyPass ~ ( http://h") == "ProxyPass: (: not a regular expression");
  CHECK(say(server, "BalancerMember http://h") != "");
  CHECK(say(server, "BalancerMember balancer://b") != "");
  CHECK(say(server, "BalancerMember http://h", "http://section") != "");
  CHECK(say(server, "ProxySet http://h") != "");
  CHECK(say(server, "ProxyTimeout 0") != "");
  CHECK(say(server, "ProxyPass / balancer://" + std::string(65, 'x')).find("too long") != std::string::npos);
  CHECK(server.own->routes.empty());
}

TEST_CASE("ProxyBadHeader knows mod_proxy's three words in any case, and nothing else") {
  VhostConfig server;
  CHECK_FALSE(server.bad_header.is_set());
  const std::pair<const char*, BadHeader> words[] = {
      {"IsError", BadHeader::Refuse}, {"ignore", BadHeader::Skip}, {"STARTBODY", BadHeader::StartBody}};
  for (const auto& [word, meaning] : words) {
    CHECK(say(server, std::string("ProxyBadHeader ") + word) == "");
    CHECK(server.bad_header.value == meaning);
  }
  CHECK(say(server, "ProxyBadHeader Ignored") == "ProxyBadHeader: Ignored: unknown word (IsError, Ignore or StartBody)");
  CHECK(server.bad_header.value == BadHeader::StartBody);
}

TEST_CASE("no message repeats a password") {
  const std::string urls[] = {"http://user:secret@h/",  "http://secret@h/",       "https://user:secret@h/", "gopher://u:secret@h",
                              "http://u:se@cret@h:80/", "http://u:a/secret@h/",   "http://u:a?secret@h/",   "http://u:#secret@h/",
                              "http:/u:secret@h/",      "u:secret@h",             "unix:/s|http://u:secret@h/",
                              "balancer://u:secret@b/", "http://[secret:p@h/"};
  const std::string lines[] = {"ProxyPass / ", "BalancerMember balancer://b ", "BalancerMember ", "ProxySet ", "<Proxy> ",
                               "ProxyPass / http://h ", "BalancerMember balancer://b http://h "};
  for (const std::string& line : lines) {
    for (const std::string& url : urls) {
      VhostConfig server;
      const std::string text = say(server, line + url + " max=1");
      INFO(line + url + " -> " + text);
      CHECK(text.find("cret") == std::string::npos);
      for (const std::string& section : {url, url + "*"}) {
        CHECK(say(server, "BalancerMember http://h", section).find("cret") == std::string::npos);
        CHECK(say(server, "ProxySet max=1", section).find("cret") == std::string::npos);
      }
    }
  }
  std::vector<SaidReverse> rules;
  const Said said("ProxyPassReverse");
  CHECK(say_reverse(rules, said.statement(), "/", "http://user:secret@h/") ==
        "ProxyPassReverse: http://...@h/: user or password in the URL is not allowed");
}

TEST_CASE("texts without a password are shown as they are") {
  for (const char* text : {"http://h:80/a@b", "http://h/a:b@c", "http://h/?q=a:b@c", "http://[::1]:0/a@b", "/a:b@c", "route=a@b", "http://h:99999/",
                           "balancer://b@d"}) {
    const std::string shown = without_userinfo(text);
    INFO(text);
    CHECK(shown == (std::string(text) == "balancer://b@d" ? "balancer://...@d" : text));
  }
}

TEST_CASE("reverse rules are URLs, paths or balancers") {
  std::vector<SaidReverse> rules;
  const Said said("ProxyPassReverse");
  CHECK_FALSE(say_reverse(rules, said.statement(), "/a", "http://h/x"));
  CHECK_FALSE(say_reverse(rules, said.statement(), "/a", "https://h/x"));
  CHECK_FALSE(say_reverse(rules, said.statement(), "/a", "/x"));
  CHECK_FALSE(say_reverse(rules, said.statement(), "/a", "Balancer://Name/"));
  CHECK_FALSE(say_reverse(rules, said.statement(), "/a", "balancer://name/x"));
  CHECK(say_reverse(rules, said.statement(), "/a", "nonsense").has_value());
  REQUIRE(rules.size() == 5);
  CHECK(rules[3].balancer == "name");
  CHECK(rules[3].balancer_path == "");
  CHECK(rules[4].balancer_path == "/x");
}

TEST_CASE("ProxyStatus knows Off, On and Full in any case") {
  VhostConfig server;
  CHECK(say(server, "ProxyStatus full") == "");
  CHECK(server.show_status.value == ShowStatus::Full);
  CHECK(say(server, "ProxyStatus ON") == "");
  CHECK(server.show_status.value == ShowStatus::On);
  CHECK(say(server, "ProxyStatus Partly") == "ProxyStatus: Partly: unknown word (Off, On or Full)");
  CHECK(server.show_status.value == ShowStatus::On);
}
