// What each balancing method promises, as a simulation: picks and ends in a made-up time.
#include "balancer/methods.h"

#include <catch2/catch.hpp>
#include <chrono>
#include <deque>
#include <map>
#include <string>

#include "balancer/request_key.h"
#include "balancer_fixture.h"

using namespace cxxproxy;
using namespace cxxproxy::test;
using namespace std::chrono_literals;
using config::Method;

namespace {

config::BalancerSpec spec_for(Method method, const std::vector<std::uint32_t>& weights) {
  config::BalancerSpec spec = make_spec(weights);
  spec.method = method;
  return spec;
}

balancer::PickHint key(std::uint64_t number) {
  balancer::PickHint hint;
  hint.key = balancer::text_hash("user-" + std::to_string(number));
  hint.has_key = true;
  return hint;
}

std::size_t pick(Bench& bench, const balancer::PickHint& hint = {}, const balancer::TriedSet& tried = {}) {
  return bench.balancer->pick(tried, bench.clock.now(), &bench.seen, hint).value();
}

// A closed loop: `clients` requests at a time, each member answers after its own time.
std::vector<std::size_t> run(Bench& bench, unsigned clients, std::size_t requests, const std::vector<base::Duration>& times) {
  struct Running {
    std::size_t member;
    base::Instant since;
  };
  std::vector<std::size_t> served(bench.spec.members.size(), 0);
  std::multimap<base::Instant, Running> running;
  for (std::size_t i = 0; i < requests; ++i) {
    if (running.size() == clients) {
      const auto [at, first] = *running.begin();
      running.erase(running.begin());
      if (at > bench.clock.now()) bench.clock.advance(at - bench.clock.now());
      bench.balancer->answered(first.member, 200, at - first.since, bench.clock.now());
      bench.balancer->ended(first.member);
    }
    const std::size_t member = pick(bench);
    ++served[member];
    running.emplace(bench.clock.now() + times[member], Running{member, bench.clock.now()});
  }
  return served;
}

// A request at a time: pick, `bytes` there and back, end.
char one(Bench& bench, std::uint64_t bytes = 1000) {
  const std::size_t member = pick(bench);
  bench.balancer->add_bytes(member, bytes / 2, bytes - bytes / 2);
  bench.balancer->ended(member);
  return static_cast<char>('A' + member);
}

std::string ones(Bench& bench, std::size_t count) {
  std::string order;
  for (std::size_t i = 0; i < count; ++i) order += one(bench);
  return order;
}

}  // namespace

TEST_CASE("every method gives only members on offer, and another one to a further attempt", "[methods]") {
  for (const Method method : {Method::ByRequests, Method::ByTraffic, Method::ByBusyness, Method::LeastLoad, Method::Ewma, Method::Hash,
                              Method::Random, Method::First}) {
    INFO(static_cast<int>(method));
    config::BalancerSpec spec = spec_for(method, {100, 300, 150, 100, 100});
    spec.hash_factor = 125;
    spec.members[1].status = bit(config::StatusFlag::Disabled);
    spec.members[4].lbset = 1;
    Bench bench(spec);
    for (std::uint64_t i = 0; i < 500; ++i) {
      const std::size_t first = pick(bench, key(i));
      REQUIRE((first == 0 || first == 2 || first == 3));
      balancer::TriedSet tried;
      tried.insert(first);
      const std::size_t second = pick(bench, key(i), tried);
      REQUIRE(second != first);
      REQUIRE(second != 1);
      REQUIRE(second != 4);
      bench.balancer->ended(first);
      bench.balancer->ended(second);
    }
    CHECK(bench.slots.in_flight() == 0);
    balancer::TriedSet three;
    for (const unsigned i : {0u, 2u, 3u}) three.insert(i);
    CHECK(pick(bench, key(1), three) == 4);  // the next set
    three.insert(4);
    CHECK_FALSE(bench.balancer->pick(three, bench.clock.now()).has_value());
  }
}

TEST_CASE("bybusyness: weights count, and ties follow the order of byrequests", "[methods]") {
  Bench idle(spec_for(Method::ByBusyness, {500, 100, 100}));
  CHECK(ones(idle, 14) == "AABACAAAABACAA");

  Bench bench(spec_for(Method::ByBusyness, {1000, 100}));
  for (int i = 0; i < 110; ++i) pick(bench);
  CHECK(bench.balancer->in_flight(0) == 100);
  CHECK(bench.balancer->in_flight(1) == 10);

  Bench slow(spec_for(Method::ByBusyness, {100, 100, 100}));
  const auto served = run(slow, 30, 3000, {10ms, 10ms, 100ms});
  CHECK(served[2] < 200);  // a tenth of the speed
  CHECK(served[0] + served[1] > 2800);
  CHECK(slow.slots.in_flight() == 30);
}

TEST_CASE("bytraffic: bytes by weight, the first in the file on a tie", "[methods]") {
  Bench bench(spec_for(Method::ByTraffic, {100, 100, 200}));
  const std::string order = ones(bench, 400);
  CHECK(order.substr(0, 3) == "ABC");
  CHECK(count(order, 'A') == Approx(100).margin(2));
  CHECK(count(order, 'C') == Approx(200).margin(2));
  // A member whose answers are ten times as large gets a tenth of the requests.
  Bench unlike(spec_for(Method::ByTraffic, {100, 100}));
  std::size_t large = 0;
  for (int i = 0; i < 1100; ++i) {
    const std::size_t member = pick(unlike);
    unlike.balancer->add_bytes(member, 0, member == 0 ? 10'000 : 1'000);
    unlike.balancer->ended(member);
    large += member == 0 ? 1 : 0;
  }
  CHECK(large == Approx(100).margin(5));
}

TEST_CASE("bytraffic: a burst is spread before a byte has passed", "[methods]") {
  Bench bench(spec_for(Method::ByTraffic, {100, 100, 100}));
  ones(bench, 30);
  for (int i = 0; i < 30; ++i) pick(bench);
  for (std::size_t m = 0; m < 3; ++m) CHECK(bench.balancer->in_flight(m) == Approx(10).margin(1));
}

TEST_CASE("bytraffic: a member that comes back is not flooded", "[methods]") {
  Bench bench(spec_for(Method::ByTraffic, {100, 100, 100}));
  ones(bench, 30);
  CHECK(bench.fail('C'));
  for (int second = 0; second < 59; ++second) {
    CHECK(count(ones(bench, 100), 'C') == 0);
    bench.clock.advance(1s);
  }
  bench.clock.advance(1s);
  const std::string back = ones(bench, 90);  // mod_proxy: all of them
  CHECK(count(back, 'C') == Approx(30).margin(2));
}

TEST_CASE("bytraffic: a new member begins with what the others have", "[methods]") {
  Bench bench(spec_for(Method::ByTraffic, {100, 100, 100}));
  bench.slots.member(0).traffic = 1'000'000;
  bench.slots.member(1).traffic = 1'000'000;
  const std::string order = ones(bench, 30);
  CHECK(count(order, 'C') == Approx(10).margin(2));
}

TEST_CASE("bytraffic: old traffic is forgotten", "[methods]") {
  Bench bench(spec_for(Method::ByTraffic, {100, 100}));
  pick(bench);
  bench.balancer->ended(0);
  bench.balancer->add_bytes(0, 0, 1'000'000'000);
  for (int minute = 0; minute < 30; ++minute) {
    bench.clock.advance(60s);
    one(bench);
  }
  CHECK(bench.slots.member(0).traffic < 2'000);
}

TEST_CASE("leastload: weights while idle, a slow member's share falls", "[methods]") {
  Bench idle(spec_for(Method::LeastLoad, {300, 100}));
  const std::string order = ones(idle, 4000);
  CHECK(count(order, 'A') == Approx(3000).margin(150));

  Bench bench(spec_for(Method::LeastLoad, {100, 100, 100, 100, 100}));
  const auto served = run(bench, 50, 10'000, {10ms, 10ms, 10ms, 10ms, 100ms});
  CHECK(served[4] < 600);  // 2000 in turn
  for (std::size_t m = 0; m < 4; ++m) CHECK(served[m] == Approx(2400).margin(150));

  Bench weighted(spec_for(Method::LeastLoad, {400, 100, 100}));
  for (int i = 0; i < 600; ++i) pick(weighted);
  CHECK(weighted.balancer->in_flight(0) == Approx(400).margin(30));
}

TEST_CASE("leastload: the fullest of many members is near the mean", "[methods]") {
  Bench bench(spec_for(Method::LeastLoad, std::vector<std::uint32_t>(100, 100)));
  for (int i = 0; i < 10'000; ++i) pick(bench);
  std::uint32_t most = 0;
  for (std::size_t m = 0; m < 100; ++m) most = std::max(most, bench.balancer->in_flight(m));
  CHECK(most <= 105);  // a random choice reaches 130
}

TEST_CASE("ewma: a member that becomes slow loses its share, and is tried again", "[methods]") {
  Bench bench(spec_for(Method::Ewma, {100, 100, 100}));
  std::vector<base::Duration> times{10ms, 10ms, 10ms};
  const auto before = run(bench, 12, 3000, times);
  for (std::size_t m = 0; m < 3; ++m) CHECK(before[m] == Approx(1000).margin(250));
  bench.slots.flights().release(1);
  CHECK(bench.slots.flights().claim(1) == 0);
  times[2] = 500ms;
  const auto slow = run(bench, 12, 3000, times);
  CHECK(slow[2] < 100);
  CHECK(slow[2] > 0);
  bench.slots.flights().release(1);
  CHECK(bench.slots.flights().claim(1) == 0);
  bench.clock.advance(60s);
  times[2] = 10ms;
  const auto healed = run(bench, 12, 3000, times);
  CHECK(healed[2] > 600);
}

TEST_CASE("ewma: an unknown member gets one request at a time until it has answered", "[methods]") {
  Bench bench(spec_for(Method::Ewma, {100, 100}));
  bench.balancer->answered(0, 200, 5ms, bench.clock.now());
  CHECK(pick(bench) == 1);
  for (int i = 0; i < 20; ++i) CHECK(pick(bench) == 0);
}

TEST_CASE("the latency of a member rises at once and falls slowly", "[methods]") {
  base::ManualClock clock;
  clock.advance(1h);
  std::atomic<std::uint64_t> slot{0};
  balancer::add_latency(slot, 10ms, clock.now());
  CHECK(balancer::latency_last(slot) == 10'000);
  balancer::add_latency(slot, 200ms, clock.now());
  CHECK(balancer::latency_last(slot) == 200'000);
  clock.advance(1s);
  balancer::add_latency(slot, 10ms, clock.now());
  CHECK(balancer::latency_last(slot) == Approx(181'900).margin(200));
  clock.advance(10s);
  CHECK(balancer::latency_now(slot, clock.now()) == Approx(66'900).margin(200));
  clock.advance(60s);
  balancer::add_latency(slot, 10ms, clock.now());
  CHECK(balancer::latency_last(slot) == Approx(10'000).margin(200));
  balancer::add_latency(slot, -1ms, clock.now());  // a clock that was set back harms nobody
  CHECK(balancer::latency_last(slot) > 0);
}

TEST_CASE("hash: a key stays, shares follow the weights, no key is spread", "[methods]") {
  Bench bench(spec_for(Method::Hash, {100, 100, 200}));
  std::vector<std::size_t> served(3, 0);
  for (std::uint64_t i = 0; i < 8000; ++i) {
    const std::size_t member = pick(bench, key(i));
    CHECK(pick(bench, key(i)) == member);
    ++served[member];
  }
  CHECK(served[2] == Approx(4000).margin(500));
  CHECK(served[0] == Approx(2000).margin(400));
  std::vector<std::size_t> spread(3, 0);
  for (int i = 0; i < 4000; ++i) ++spread[pick(bench)];
  CHECK(spread[2] == Approx(2000).margin(150));
}

TEST_CASE("hash: without one of ten members only its keys move, and they come back", "[methods]") {
  constexpr std::uint64_t kKeys = 20'000;
  Bench bench(spec_for(Method::Hash, std::vector<std::uint32_t>(10, 100)));
  std::vector<std::size_t> home(kKeys);
  for (std::uint64_t i = 0; i < kKeys; ++i) home[i] = pick(bench, key(i));
  bench.slots.set_status(3, bit(config::StatusFlag::Disabled));
  std::size_t moved = 0;
  std::map<std::size_t, std::size_t> to;
  for (std::uint64_t i = 0; i < kKeys; ++i) {
    const std::size_t now = pick(bench, key(i));
    CHECK(now != 3);
    if (now == home[i]) continue;
    CHECK(home[i] == 3);
    ++moved;
    ++to[now];
  }
  CHECK(static_cast<double>(moved) / kKeys == Approx(0.10).margin(0.02));
  CHECK(to.size() == 9);  // and they go to all others
  bench.slots.set_status(3, 0);
  for (std::uint64_t i = 0; i < kKeys; ++i) CHECK(pick(bench, key(i)) == home[i]);

  // A member that the file adds in front takes its share and moves nobody else's keys.
  config::BalancerSpec more = spec_for(Method::Hash, std::vector<std::uint32_t>(11, 100));
  std::rotate(more.members.begin(), more.members.end() - 1, more.members.end());
  Bench grown(more);
  std::size_t taken = 0;
  for (std::uint64_t i = 0; i < kKeys; ++i) {
    const std::size_t now = pick(grown, key(i));
    if (now == 0) {
      ++taken;
    } else {
      CHECK(now == home[i] + 1);
    }
  }
  CHECK(static_cast<double>(taken) / kKeys == Approx(1.0 / 11).margin(0.02));
}

TEST_CASE("hash: a hot key spills at the factor, always to the same members", "[methods]") {
  config::BalancerSpec spec = spec_for(Method::Hash, {100, 100, 100, 100});
  spec.hash_factor = 125;
  Bench bench(spec);
  const balancer::PickHint hot = key(7);
  const std::size_t home = pick(bench, hot);
  for (int i = 1; i < 400; ++i) pick(bench, hot);
  CHECK(bench.balancer->in_flight(home) == 125);
  std::vector<std::uint32_t> loads;
  for (std::size_t m = 0; m < 4; ++m) loads.push_back(bench.balancer->in_flight(m));
  std::sort(loads.begin(), loads.end());
  CHECK(loads == std::vector<std::uint32_t>{25, 125, 125, 125});
  for (std::size_t m = 0; m < 4; ++m) {
    while (bench.balancer->in_flight(m) > 0) bench.balancer->ended(m);
  }
  CHECK(bench.slots.in_flight() == 0);
  CHECK(pick(bench, hot) == home);

  spec.hash_factor = 0;
  Bench unbounded(spec);
  for (int i = 0; i < 400; ++i) pick(unbounded, hot);
  CHECK(unbounded.balancer->in_flight(home) == 400);
}

TEST_CASE("random: by weight, and not in turn", "[methods]") {
  Bench bench(spec_for(Method::Random, {300, 100}));
  const std::string order = ones(bench, 8000);
  CHECK(count(order, 'A') == Approx(6000).margin(200));
  CHECK(order.find("BB") != std::string::npos);
}

TEST_CASE("first: one member until max, then the next", "[methods]") {
  config::BalancerSpec spec = spec_for(Method::First, {100, 900, 100});
  spec.members[0].max = 2;
  spec.members[1].max = 3;
  Bench bench(spec);
  std::string order;
  for (int i = 0; i < 7; ++i) order += static_cast<char>('A' + pick(bench));
  CHECK(order == "AABBBCC");
  bench.balancer->ended(0);
  CHECK(pick(bench) == 0);
  CHECK(bench.fail('A'));
  bench.balancer->ended(1);
  CHECK(pick(bench) == 1);
}

TEST_CASE("names in cookies and queries are exact", "[methods]") {
  using balancer::find_cookie;
  using balancer::find_parameter;
  CHECK(find_cookie("XSID=1; SID=2; SID=3", "SID") == "2");
  CHECK(find_cookie("SID=\"a b\"", "SID") == "a b");
  CHECK(find_cookie(" sid=1 ;SID= x ", "SID") == " x");
  CHECK(find_cookie("SID=", "SID") == "");
  CHECK_FALSE(find_cookie("SIDX=1; XSID=2; SID", "SID").has_value());
  CHECK_FALSE(find_cookie("", "SID").has_value());
  CHECK(find_parameter("a=1&SID=x.y&b", "SID") == "x.y");
  CHECK_FALSE(find_parameter("XSID=1&SIDE=2", "SID").has_value());
  CHECK(find_parameter("x;SID=9;y", "SID", ';') == "9");
}
