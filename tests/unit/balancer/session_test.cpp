// What a request's URL and cookies say about its session, and which member that leads to.
#include "balancer/session.h"

#include <catch2/catch.hpp>
#include <chrono>
#include <string>
#include <vector>

#include "balancer_fixture.h"
#include "config/session_routes.h"

using namespace cxxproxy;
using namespace cxxproxy::test;
using namespace std::chrono_literals;
using config::StatusFlag;

namespace {

constexpr std::uint32_t D = bit(StatusFlag::Disabled);

struct Said {
  std::string route;
  std::string redirect{};
  std::uint32_t status = 0;
};

config::BalancerSpec sticky(const std::vector<Said>& members) {
  config::BalancerSpec spec = make_spec(std::vector<std::uint32_t>(members.size(), 100));
  spec.sticky.cookie = "SID";
  spec.sticky.parameter = "sid";
  for (std::size_t i = 0; i < members.size(); ++i) {
    spec.members[i].route = members[i].route;
    spec.members[i].redirect = members[i].redirect;
    spec.members[i].status = members[i].status;
  }
  config::index_routes(spec);
  return spec;
}

// "name>route", with a ! in front of a route that nobody has; "-" for no session.
std::string found(const config::BalancerSpec& spec, std::string_view url, const std::vector<std::string_view>& cookies = {}) {
  const balancer::Session session = balancer::find_session(spec, url, cookies);
  if (!session.route) return "-";
  const bool known = session.index != config::kNoRoute;
  if (known) CHECK(spec.routes[session.index].name == *session.route);
  return std::string(session.name) + '>' + (known ? "" : "!") + std::string(*session.route);
}

struct Case {
  const char* url;
  const char* cookie;
  const char* expected;
};

}  // namespace

TEST_CASE("a session is found by exact names, the URL before the cookie", "[session]") {
  const config::BalancerSpec spec = sticky({{"n1"}, {"n2"}, {"node.3"}, {"4"}, {"a/b"}});
  for (const Case& c : std::initializer_list<Case>{
           {"/", "", "-"},
           {"/", "SID=abc.n1", "SID>n1"},
           {"/", "SID=.n1", "SID>n1"},
           {"/", "SID=n1", "-"},
           {"/", "SID=abc.", "SID>!"},
           {"/", "SID=", "-"},
           {"/", "SID", "-"},
           {"/", "=abc.n1", "-"},
           {"/", "sid=abc.n1", "-"},
           {"/", "XSID=abc.n2; SID=abc.n1", "SID>n1"},
           {"/", "SIDX=abc.n2", "-"},
           {"/", "X=SID=abc.n2", "-"},
           {"/", "SID=abc.N1", "SID>!N1"},
           {"/", "SID=abc.n11", "SID>!n11"},
           {"/", "a=1;SID=abc.n1;b=2", "SID>n1"},
           {"/", "a=1 ;\tSID = abc.n1 ; b=2", "SID>n1"},
           {"/", "a=1, SID=abc.n1, b=2", "SID>n1"},
           {"/", "SID=\"abc.n1\"", "SID>n1"},
           {"/", "SID=\"abc.n1", "SID>n1"},
           {"/", "SID=\"", "-"},
           {"/", "SID=x.old; SID=y.n2", "SID>n2"},
           {"/", "SID=x.n1; SID=y.n2", "SID>n1"},
           {"/", "SID=x.old; SID=y.older", "SID>!old"},
           // Ids and routes with separators in them.
           {"/", "SID=a.b.n1", "SID>n1"},
           {"/", "SID=abc.node.3", "SID>node.3"},
           {"/", "SID=a.b.node.3", "SID>node.3"},
           {"/", "SID=a.b.c", "SID>!b.c"},
           {"/", "SID=..n1", "SID>n1"},
           {"/", "SID=.n1.", "SID>!n1."},
           // The URL.
           {"/x;sid=abc.n1", "", "sid>n1"},
           {"/x;sid=abc.n1?q=1", "", "sid>n1"},
           {"/x;sid=abc.n1/y", "", "sid>n1"},
           {"/x;v=1;sid=abc.n1", "", "sid>n1"},
           {"/x;sid=abc.n1;v=1", "", "sid>!n1;v=1"},
           {"/x?sid=abc.n1", "", "sid>n1"},
           {"/x?a=1&sid=abc.n1&b=2", "", "sid>n1"},
           {"/x?sid=a/b.a/b", "", "sid>a/b"},
           {"/x?xsid=abc.n1", "", "-"},
           {"/x?SID=abc.n1", "", "-"},
           {"/x/sid=abc.n1", "", "-"},
           {"/x?sid=&sid=abc.n1", "", "sid>n1"},
           {"/x?sid=a.n1", "SID=b.n2", "sid>n1"},
           {"/x?sid=a.old", "SID=b.n2", "sid>!old"},
           {"/x?sid=other", "SID=b.n2", "-"},
           {"/x?sid=", "SID=b.n2", "SID>n2"},
           {"", "SID=b.n2", "SID>n2"},
           {"?", "", "-"},
           {";", "", "-"},
           {"/;sid", "", "-"},
           {"/;sid=", "", "-"},
       }) {
    INFO(c.url << " " << c.cookie);
    CHECK(found(spec, c.url, {c.cookie}) == c.expected);
  }
  CHECK(found(spec, "/", {"a=1", "SID=x.old", "SID=x.n2"}) == "SID>n2");
}

TEST_CASE("separator and ; as the balancer says", "[session]") {
  config::BalancerSpec spec = sticky({{"n1"}, {"n2"}});
  spec.sticky.semicolon_ends = true;
  CHECK(found(spec, "/x;sid=abc.n1;v=1") == "sid>n1");
  CHECK(found(spec, "/x?sid=abc.n1;v=1") == "sid>n1");
  spec.sticky.separator = '!';
  CHECK(found(spec, "/", {"SID=a.b!n1"}) == "SID>n1");
  CHECK(found(spec, "/", {"SID=a.n1"}) == "-");
  spec.sticky.separator = '\0';
  CHECK(found(spec, "/", {"SID=n1"}) == "SID>n1");
  CHECK(found(spec, "/", {"SID=a.n1"}) == "SID>!a.n1");
  spec.sticky = {};
  CHECK(found(spec, "/?sid=a.n1", {"SID=a.n1"}) == "-");
}

TEST_CASE("long and many values are looked through in no time", "[session]") {
  const config::BalancerSpec spec = sticky({{std::string(63, 'r')}, {"n2"}});
  const std::string dots(1'000'000, '.');
  CHECK(found(spec, "/;sid=" + dots, {}).starts_with("sid>!"));
  CHECK(found(spec, "/", {"SID=" + dots + "n2"}) == "SID>n2");
  CHECK(found(spec, "/", {"SID=" + dots + std::string(63, 'r')}) == "SID>" + std::string(63, 'r'));
  CHECK(found(spec, "/", {"SID=." + std::string(64, 'r')}).starts_with("SID>!"));
  std::string many;
  for (int i = 0; i < 100'000; ++i) many += "SID=.x;";
  CHECK(found(spec, "/", {many + "SID=.n2"}) == "SID>n2");
  std::string parameters = "/?";
  for (int i = 0; i < 100'000; ++i) parameters += "sid=.x&";
  CHECK(found(spec, parameters + "sid=.n2") == "sid>n2");
}

namespace {

// The member that serves a session with this route: 'A' for the first, '-' for nobody.
class Sessions {
 public:
  explicit Sessions(config::BalancerSpec spec) : bench(std::move(spec)) {}

  char serves(std::string_view route, const std::string& tried_before = "") {
    balancer::PickHint hint;
    hint.route = config::find_route(bench.spec, route);
    const auto index = bench.balancer->pick(tried(tried_before), bench.clock.now(), &bench.seen, hint);
    return index ? static_cast<char>('A' + *index) : '-';
  }
  std::string times(std::string_view route, int count) {
    std::string order;
    for (int i = 0; i < count; ++i) order += serves(route);
    return order;
  }

  Bench bench;
};

}  // namespace

TEST_CASE("a member's sessions go to its redirect while it is not usable", "[session]") {
  Sessions sessions(sticky({{"a", "b"}, {"b", "c"}, {"c"}, {"d"}}));
  CHECK(sessions.times("a", 3) == "AAA");
  CHECK(sessions.serves("a", "A") == 'B');
  CHECK(sessions.serves("a", "AB") == 'C');
  CHECK(sessions.bench.fail('A'));
  CHECK(sessions.times("a", 3) == "BBB");
  sessions.bench.slots.set_status(1, bit(StatusFlag::Stopped));
  CHECK(sessions.times("a", 3) == "CCC");
  CHECK(sessions.times("d", 3) == "DDD");
  sessions.bench.slots.set_status(2, D);
  CHECK(sessions.times("a", 2) == "DD");  // the chain has ended: anybody
  sessions.bench.clock.advance(60s);
  CHECK(sessions.times("a", 3) == "AAA");
}

TEST_CASE("redirects in a circle end", "[session]") {
  Sessions sessions(sticky({{"a", "b", D}, {"b", "a", D}, {"c", "c"}, {"d", "nobody", D}}));
  CHECK(sessions.times("a", 2) == "CC");
  CHECK(sessions.times("d", 2) == "CC");
  CHECK(sessions.serves("c", "C") == '-');
  std::vector<Said> ring;
  for (std::size_t i = 0; i < config::kMaxMembers; ++i) {
    ring.push_back({"r" + std::to_string(i), "r" + std::to_string((i + 1) % config::kMaxMembers), i == 0 ? 0 : D});
  }
  Sessions large(sticky(ring));
  CHECK(large.serves("r1") == 'A');
}

TEST_CASE("members with one route stand in for each other, standbys last", "[session]") {
  Sessions sessions(sticky({{"g", "", bit(StatusFlag::HotStandby)}, {"g"}, {"g"}, {"h"}}));
  CHECK(sessions.times("g", 3) == "BBB");
  CHECK(sessions.serves("g", "B") == 'C');
  CHECK(sessions.bench.fail('B'));
  CHECK(sessions.bench.fail('C'));
  CHECK(sessions.times("g", 2) == "AA");
}

TEST_CASE("nofailover binds known sessions only", "[session]") {
  config::BalancerSpec spec = sticky({{"a", "b"}, {"b"}, {"c"}});
  spec.no_failover = true;
  Sessions sessions(spec);
  CHECK(sessions.bench.fail('A'));
  CHECK(sessions.times("a", 2) == "BB");
  CHECK(sessions.bench.fail('B'));
  CHECK(sessions.times("a", 2) == "--");
  CHECK(sessions.times("nobody", 2) == "CC");
  CHECK(sessions.serves("c", "C") == '-');
  sessions.bench.clock.advance(60s);
  CHECK(sessions.times("a", 2) == "AA");
}

TEST_CASE("when all members rest a session is tried on its own, and nobody else's turn is taken", "[session]") {
  Sessions sessions(sticky({{"a"}, {"b"}, {"c"}}));
  for (const char member : {'A', 'B', 'C'}) CHECK(sessions.bench.fail(member));
  CHECK(sessions.times("b", 3) == "BBB");
  CHECK(sessions.bench.seen.all_failed_times == 1);
  CHECK(sessions.bench.balancer->succeeded(1));
  CHECK(sessions.bench.pick() == 'A');
  CHECK(sessions.times("b", 5) == "BBBBB");
  CHECK(sessions.bench.picks(5) == "BCABC");
}

TEST_CASE("a draining member keeps its sessions until it fails", "[session]") {
  Sessions sessions(sticky({{"a", "", bit(StatusFlag::Drain)}, {"b"}}));
  CHECK(sessions.times("a", 3) == "AAA");
  CHECK(sessions.bench.picks(3) == "BBB");
  CHECK(sessions.bench.fail('A'));
  CHECK(sessions.times("a", 3) == "BBB");
}
