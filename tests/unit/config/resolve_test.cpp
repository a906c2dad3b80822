#include "config/resolve.h"

#include <catch2/catch.hpp>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "config/location_config.h"
#include "said.h"

using namespace cxxproxy;
using namespace cxxproxy::config;

namespace {

// A main server and virtual hosts, merged as httpd merges them.
class House {
 public:
  VhostConfig& main() { return main_; }

  VhostConfig& add(const std::string& key) {
    keys_.push_back(key);
    said_.push_back(std::make_unique<VhostConfig>());
    return *said_.back();
  }

  // A virtual host that says nothing shares the main server's object.
  void add_silent(const std::string& key) {
    keys_.push_back(key);
    said_.push_back(nullptr);
  }

  Resolution& resolve() {
    std::vector<ServerView> views = {{&main_, "main"}};
    for (std::size_t i = 0; i < said_.size(); ++i) {
      if (said_[i] != nullptr) merged_.push_back(merge(main_, *said_[i]));
      views.push_back({said_[i] != nullptr ? merged_.back().get() : &main_, keys_[i]});
    }
    resolution_ = config::resolve(views);
    return resolution_;
  }

 private:
  VhostConfig main_;
  std::vector<std::string> keys_;
  std::vector<std::unique_ptr<VhostConfig>> said_;
  std::vector<std::unique_ptr<VhostConfig>> merged_;
  Resolution resolution_;
};

}  // namespace

TEST_CASE("defaults of a member, and of a plain one") {
  House house;
  REQUIRE(say(house.main(), "BalancerMember balancer://b http://h:8080") == "");
  REQUIRE(say(house.main(), "ProxyPass / http://p") == "");
  auto& resolution = house.resolve();
  const MemberSpec& member = resolution.whole->balancers[0]->members[0];
  CHECK(member.name == "http://h:8080");
  CHECK(member.loadfactor == 100);
  CHECK(member.status == 0);
  CHECK(member.max == 0);
  CHECK(member.reuse);
  CHECK_FALSE(member.tcp_keepalive);
  CHECK(member.retry == std::chrono::seconds(60));
  CHECK_FALSE(member.timeout.has_value());
  CHECK_FALSE(member.connect_timeout.has_value());
  CHECK_FALSE(member.ttl.has_value());
  CHECK_FALSE(member.ping.has_value());
  CHECK(member.address_ttl == std::chrono::seconds(30));
  CHECK_FALSE(member.total_timeout.has_value());
  CHECK(member.replay == Replay::On);
  CHECK(member.replay_body == 65536);
  CHECK(member.response_field_size == 16384);
  CHECK(resolution.whole->plain[0]->status == bit(StatusFlag::IgnoreErrors));
  CHECK(member.lbset == 0);
  CHECK(member.slow_start.count() == 0);
  const BalancerSpec& balancer = *resolution.whole->balancers[0];
  CHECK(balancer.method == Method::ByRequests);
  CHECK(balancer.force_recovery);
  CHECK_FALSE(balancer.fail_on_timeout);
  CHECK_FALSE(balancer.max_attempts.has_value());
  CHECK(balancer.fail_on_status.empty());
  CHECK(balancer.retry_budget == 0);
  CHECK_FALSE(balancer.ejection.is_on());
}

TEST_CASE("every parameter arrives in the balancer it was said of") {
  House house;
  REQUIRE(say(house.main(), "BalancerMember balancer://b http://h lbset=3 slowstart=30") == "");
  REQUIRE(say(house.main(),
              "ProxySet balancer://b lbmethod=hash hashkey=cookie:SID hashfactor=1.25 maxattempts=2 failonstatus=503,500 failontimeout=on "
              "forcerecovery=off nofailover=on retrybudget=20 ejectfailures=5 ejectrate=50 ejectrequests=7 ejectwindow=3 ejecttime=4 "
              "ejectmaxtime=6 ejectmax=30 ejectpanic=10") == "");
  auto& resolution = house.resolve();
  CHECK(resolution.findings.empty());
  const BalancerSpec& balancer = *resolution.whole->balancers[0];
  CHECK(balancer.members[0].lbset == 3);
  CHECK(balancer.members[0].slow_start == std::chrono::seconds(30));
  CHECK(balancer.method == Method::Hash);
  CHECK(balancer.hash_key.source == HashKey::Source::Cookie);
  CHECK(balancer.hash_key.name == "SID");
  CHECK(balancer.hash_factor == 125);
  CHECK(balancer.max_attempts == 2u);
  CHECK(balancer.fail_on_status == std::vector<std::uint16_t>{500, 503});
  CHECK(balancer.fail_on_timeout);
  CHECK_FALSE(balancer.force_recovery);
  CHECK(balancer.no_failover);
  CHECK(balancer.retry_budget == 20);
  const Ejection& rule = balancer.ejection;
  CHECK(rule.failures_in_a_row == 5);
  CHECK(rule.rate_percent == 50);
  CHECK(rule.least_attempts == 7);
  CHECK(rule.window == std::chrono::seconds(3));
  CHECK(rule.first == std::chrono::seconds(4));
  CHECK(rule.longest == std::chrono::seconds(6));
  CHECK(rule.most_percent == 30);
  CHECK(rule.panic_percent == 10);
}

TEST_CASE("sticky sessions arrive in the balancer, routes are sorted and joined") {
  House house;
  REQUIRE(say(house.main(), "BalancerMember balancer://b http://h1 route=z redirect=a") == "");
  REQUIRE(say(house.main(), "BalancerMember balancer://b http://h2 route=a redirect=nobody") == "");
  REQUIRE(say(house.main(), "BalancerMember balancer://b http://h3 route=z") == "");
  REQUIRE(say(house.main(), "BalancerMember balancer://b http://h4") == "");
  REQUIRE(say(house.main(), "ProxySet balancer://b stickysession=JSESSIONID|jsessionid stickysessionsep=! scolonpathdelim=On") == "");
  REQUIRE(say(house.main(), "BalancerMember balancer://c http://h1") == "");
  auto& resolution = house.resolve();
  const BalancerSpec& balancer = *resolution.whole->balancers[0];
  CHECK(balancer.sticky.cookie == "JSESSIONID");
  CHECK(balancer.sticky.parameter == "jsessionid");
  CHECK(balancer.sticky.separator == '!');
  CHECK(balancer.sticky.semicolon_ends);
  REQUIRE(balancer.routes.size() == 2);
  CHECK(balancer.routes[0].name == "a");
  CHECK(balancer.routes[1].members == std::vector<std::uint16_t>{0, 2});
  CHECK(balancer.members[0].redirect_route == 0);
  CHECK(balancer.members[1].redirect_route == kNoRoute);
  CHECK(balancer.members[3].route.empty());
  const BalancerSpec& other = *resolution.whole->balancers[1];
  CHECK_FALSE(other.sticky.is_on());
  CHECK(other.sticky.separator == '.');
  CHECK(other.routes.empty());
}

TEST_CASE("the cookie of stickycookie arrives in the balancer, and makes routes of members without one") {
  House house;
  REQUIRE(say(house.main(), "BalancerMember balancer://b http://h1") == "");
  REQUIRE(say(house.main(), "BalancerMember balancer://b http://h2 route=z") == "");
  REQUIRE(say(house.main(), "ProxySet balancer://b stickycookie=ID stickycookiekey=conf/k stickycookiepath=/app stickycookiesamesite=strict "
                            "stickycookiesecure=on stickycookiehttponly=Off") == "");
  REQUIRE(say(house.main(), "BalancerMember balancer://c http://h1") == "");
  auto& resolution = house.resolve();
  CHECK(resolution.findings.empty());
  const BalancerSpec& balancer = *resolution.whole->balancers[0];
  const StickyCookie& cookie = balancer.sticky_cookie;
  CHECK(cookie.name == "ID");
  CHECK(cookie.key_file == "conf/k");
  CHECK(cookie.path == "/app");
  CHECK(cookie.same_site == StickyCookie::SameSite::Strict);
  CHECK(cookie.secure == StickyCookie::Secure::On);
  CHECK_FALSE(cookie.http_only);
  REQUIRE(balancer.routes.size() == 2);
  CHECK(balancer.routes[balancer.members[0].own_route].name == balancer.members[0].name);
  CHECK(balancer.routes[balancer.members[1].own_route].name == "z");
  CHECK(balancer.members[0].route.empty());
  const BalancerSpec& other = *resolution.whole->balancers[1];
  CHECK_FALSE(other.sticky_cookie.is_on());
  CHECK(other.members[0].own_route == kNoRoute);
}

TEST_CASE("stickycookie and stickysession exclude each other") {
  House house;
  REQUIRE(say(house.main(), "BalancerMember balancer://b http://h route=1") == "");
  REQUIRE(say(house.main(), "ProxySet balancer://b stickycookie=ID stickysession=SID") == "");
  const auto& findings = house.resolve().findings;
  REQUIRE(findings.size() == 1);
  CHECK(findings[0].is_error);
  CHECK(findings[0].text == "balancer://b: stickycookie and stickysession exclude each other");
}

TEST_CASE("balancer parameters that do nothing are found") {
  House house;
  REQUIRE(say(house.main(), "BalancerMember balancer://b http://h") == "");
  REQUIRE(say(house.main(), "ProxySet balancer://b growth=5 hashkey=path hashfactor=2 ejecttime=9") == "");
  const auto& findings = house.resolve().findings;
  REQUIRE(findings.size() == 4);
  CHECK(findings[0].text == "balancer://b: growth has no effect: members are not added at run time");
  CHECK(findings[1].text == "balancer://b: hashkey has no effect: lbmethod is not hash");
  CHECK(findings[3].text == "balancer://b: ejecttime has no effect: neither ejectfailures nor ejectrate is set");
  for (const Finding& finding : findings) CHECK_FALSE(finding.is_error);
}

TEST_CASE("every parameter arrives in the member it was said of") {
  House house;
  REQUIRE(say(house.main(),
              "BalancerMember balancer://b http://h loadfactor=2.5 retry=1 timeout=2 connectiontimeout=3ms max=4 ttl=5 ping=6ms addressttl=7 keepalive=on "
              "disablereuse=on status=+DH totaltimeout=250ms replay=safe replaybody=1000 responsefieldsize=4096") == "");
  REQUIRE(say(house.main(), "ProxyPass / http://p status=-I addressttl=-1 replay=off replaybody=0 responsefieldsize=0") == "");
  auto& resolution = house.resolve();
  const MemberSpec& member = resolution.whole->balancers[0]->members[0];
  CHECK(member.loadfactor == 250);
  CHECK(member.retry == std::chrono::seconds(1));
  CHECK(member.timeout == std::chrono::seconds(2));
  CHECK(member.connect_timeout == std::chrono::milliseconds(3));
  CHECK(member.max == 4);
  CHECK(member.ttl == std::chrono::seconds(5));
  CHECK(member.ping == std::chrono::milliseconds(6));
  CHECK(member.address_ttl == std::chrono::seconds(7));
  CHECK_FALSE(resolution.whole->plain[0]->address_ttl.has_value());
  CHECK(member.tcp_keepalive);
  CHECK_FALSE(member.reuse);
  CHECK(member.status == (bit(StatusFlag::Disabled) | bit(StatusFlag::HotStandby)));
  CHECK(member.total_timeout == std::chrono::milliseconds(250));
  CHECK(member.replay == Replay::Safe);
  CHECK(member.replay_body == 1000);
  CHECK(member.response_field_size == 4096);
  const MemberSpec& plain = *resolution.whole->plain[0];
  CHECK(plain.status == 0);
  CHECK(plain.replay == Replay::Off);
  CHECK(plain.replay_body == 0);
  CHECK(plain.response_field_size == MemberSpec().response_field_size);
}

TEST_CASE("the main server's rules come before the virtual host's") {
  House house;
  REQUIRE(say(house.main(), "ProxyPass /acme !") == "");
  REQUIRE(say(house.main(), "ProxyPass /both http://main/") == "");
  auto& one = house.add("one");
  REQUIRE(say(one, "ProxyPass /both http://one/") == "");
  REQUIRE(say(one, "ProxyPass / http://one/") == "");
  auto& resolution = house.resolve();
  const ResolvedVhost& vhost = *resolution.vhosts[1];
  CHECK(vhost.find_route("/acme/x").route->exclude);
  CHECK(vhost.target_of(*vhost.find_route("/both").route).member->name == "http://main/");
  CHECK(vhost.target_of(*vhost.find_route("/x").route).member->name == "http://one/");
  CHECK_FALSE(resolution.vhosts[0]->find_route("/x"));
  CHECK_FALSE(vhost.target_of(*vhost.find_route("/acme").route));
}

TEST_CASE("objects of the main server are one object, numbered once; virtual hosts do not see each other") {
  House house;
  REQUIRE(say(house.main(), "BalancerMember balancer://shared http://h:1") == "");
  REQUIRE(say(house.main(), "ProxyPass /m http://h:2") == "");
  REQUIRE(say(house.add("one"), "BalancerMember balancer://mine http://h:1") == "");
  REQUIRE(say(house.add("two"), "ProxyPass / http://h:2") == "");
  house.add_silent("three");
  auto& resolution = house.resolve();
  const auto& vhosts = resolution.vhosts;
  CHECK(vhosts[1]->find_balancer("SHARED") == vhosts[0]->find_balancer("shared"));
  CHECK(vhosts[2]->find_balancer("mine") == nullptr);
  CHECK(vhosts[0]->find_balancer("mine") == nullptr);
  CHECK(vhosts[1]->find_balancer("mine") != nullptr);
  CHECK(vhosts[3] == vhosts[0]);
  // The same URL in two servers is two members: each has its own parameters and state.
  CHECK(vhosts[2]->find_target("http://h:2/x").member != vhosts[0]->find_target("http://h:2/x").member);

  CHECK(resolution.whole->balancers.size() == 2);
  REQUIRE(resolution.whole->members.size() == 4);
  std::set<std::string> keys;
  for (std::size_t i = 0; i < resolution.whole->members.size(); ++i) {
    CHECK(resolution.whole->members[i]->member_id == i);
    CHECK(keys.insert(resolution.whole->members[i]->key).second);
  }
  for (std::size_t i = 0; i < resolution.whole->balancers.size(); ++i) {
    CHECK(resolution.whole->balancers[i]->balancer_id == i);
    CHECK(keys.insert(resolution.whole->balancers[i]->key).second);
  }
}

TEST_CASE("keys stay when a virtual host is added in front") {
  const auto keys_of = [](bool with_another) {
    House house;
    REQUIRE(say(house.main(), "BalancerMember balancer://shared http://h:1") == "");
    if (with_another) REQUIRE(say(house.add("new"), "BalancerMember balancer://mine http://h:1") == "");
    auto& old = house.add("old");
    REQUIRE(say(old, "BalancerMember balancer://mine http://h:1") == "");
    REQUIRE(say(old, "ProxyPass / http://h:2") == "");
    std::set<std::string> keys;
    for (const MemberSpec* member : house.resolve().whole->members) keys.insert(member->key);
    return keys;
  };
  const auto before = keys_of(false);
  const auto after = keys_of(true);
  CHECK(before.size() == 3);
  CHECK(after.size() == 4);
  for (const auto& key : before) CHECK(after.count(key) == 1);
}

TEST_CASE("a balancer's name means the virtual host's own, then the main server's") {
  House house;
  REQUIRE(say(house.main(), "BalancerMember balancer://b http://main") == "");
  REQUIRE(say(house.add("own"), "BalancerMember balancer://b http://own") == "");
  auto& empty = house.add("empty");
  REQUIRE(say(empty, "ProxyPass / balancer://b lbmethod=byrequests") == "");
  auto& resolution = house.resolve();
  CHECK(resolution.vhosts[1]->find_balancer("b")->members[0].name == "http://own");
  CHECK(resolution.vhosts[2]->find_balancer("b")->members[0].name == "http://main");
  REQUIRE(resolution.findings.size() == 1);
  CHECK_FALSE(resolution.findings[0].is_error);
}

TEST_CASE("a rule of the main server may name a balancer that only a virtual host has") {
  House house;
  REQUIRE(say(house.main(), "ProxyPass /b balancer://b/x") == "");
  REQUIRE(say(house.add("one"), "BalancerMember balancer://b http://h") == "");
  auto& resolution = house.resolve();
  const auto match = resolution.vhosts[1]->find_route("/b");
  REQUIRE(match);
  CHECK(resolution.vhosts[1]->target_of(*match.route).balancer == resolution.vhosts[1]->find_balancer("b"));
  CHECK_FALSE(resolution.vhosts[0]->target_of(*resolution.vhosts[0]->find_route("/b").route));
}

TEST_CASE("a URL finds the plain member with the longest matching path") {
  House house;
  REQUIRE(say(house.main(), "ProxyPass /1 http://h:8080") == "");
  REQUIRE(say(house.main(), "ProxyPass /2 http://h:8080/a/") == "");
  REQUIRE(say(house.main(), "ProxyPass /3 http://h:8080/a/b") == "");
  REQUIRE(say(house.main(), "ProxyPass /4 http://g/only") == "");
  const ResolvedVhost& vhost = *house.resolve().vhosts[0];
  CHECK(vhost.find_member("HTTP://H:8080/a/b/c?q")->name == "http://h:8080/a/b");
  CHECK(vhost.find_member("http://h:8080/a/x")->name == "http://h:8080/a/");
  CHECK(vhost.find_member("http://h:8080/a")->name == "http://h:8080");
  CHECK(vhost.find_member("http://h:8080")->name == "http://h:8080");
  CHECK(vhost.find_member("http://h:80801/") == nullptr);
  CHECK(vhost.find_member("http://g/") == nullptr);
  CHECK(vhost.find_member("http://g:80/only")->name == "http://g/only");
  CHECK(vhost.find_member("nonsense") == nullptr);
  CHECK(vhost.find_target("balancer://none/").balancer == nullptr);
}

TEST_CASE("single values: the virtual host's over the main server's") {
  House house;
  REQUIRE(say(house.main(), "ProxyTimeout 5") == "");
  REQUIRE(say(house.add("one"), "ProxyTimeout 250ms") == "");
  REQUIRE(say(house.add("two"), "ProxyPass / !") == "");
  REQUIRE(say(house.add("three"), "ProxyBadHeader IsError") == "");
  REQUIRE(say(house.main(), "ProxyBadHeader Ignore") == "");
  auto& resolution = house.resolve();
  CHECK(resolution.vhosts[0]->bad_header == BadHeader::Skip);
  CHECK(resolution.vhosts[1]->bad_header == BadHeader::Skip);
  CHECK(resolution.vhosts[3]->bad_header == BadHeader::Refuse);
  CHECK(resolution.vhosts[0]->proxy_timeout == std::chrono::seconds(5));
  CHECK(resolution.vhosts[1]->proxy_timeout == std::chrono::milliseconds(250));
  CHECK(resolution.vhosts[2]->proxy_timeout == std::chrono::seconds(5));
}

TEST_CASE("findings: what cannot work, with its line") {
  House house;
  auto& main = house.main();
  REQUIRE(say(main, "ProxyPass / balancer://nobody", {}, 3) == "");
  REQUIRE(say(main, "<Proxy> balancer://empty", {}, 4) == "");
  REQUIRE(say(main, "ProxyPass /a http://h", {}, 5) == "");
  REQUIRE(say(main, "ProxyPass /b http://h retry=1", {}, 6) == "");
  for (std::size_t i = 0; i <= kMaxMembers; ++i) {
    REQUIRE(say(main, "BalancerMember balancer://huge http://h:" + std::to_string(i + 1), {}, 7) == "");
  }
  std::set<unsigned> lines;
  int errors = 0;
  for (const Finding& finding : house.resolve().findings) {
    lines.insert(finding.where.line);
    errors += finding.is_error ? 1 : 0;
    CHECK(finding.is_error == (finding.where.line == 7));
  }
  CHECK(lines == std::set<unsigned>{3, 4, 6, 7});
  CHECK(errors == 1);
}

TEST_CASE("a clean configuration has no findings") {
  House house;
  REQUIRE(say(house.main(), "BalancerMember balancer://b http://h") == "");
  REQUIRE(say(house.main(), "ProxyPass / balancer://b/") == "");
  CHECK(house.resolve().findings.empty());
}

TEST_CASE("numbers and keys of ten thousand rules and a thousand virtual hosts") {
  House house;
  for (int i = 0; i < 10'000; ++i) {
    REQUIRE(say(house.main(), "ProxyPass /p" + std::to_string(i) + " http://h:" + std::to_string(i + 1)) == "");
  }
  for (int i = 0; i < 1'000; ++i) REQUIRE(say(house.add("v" + std::to_string(i)), "ProxyPass /v http://v/" + std::to_string(i)) == "");
  auto& resolution = house.resolve();
  CHECK(resolution.whole->members.size() == 11'000);
  CHECK(resolution.whole->lists.size() == 1'001);
  const ResolvedVhost& last = *resolution.vhosts.back();
  CHECK(last.target_of(*last.find_route("/p9999/x").route).member->url.port == 10'000);
  CHECK(last.target_of(*last.find_route("/v").route).member->url.path == "/999");
}
