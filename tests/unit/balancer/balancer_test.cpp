#include "balancer/balancer.h"

#include <catch2/catch.hpp>
#include <chrono>
#include <string>

#include "balancer/smooth_order.h"
#include "balancer_fixture.h"

using namespace cxxproxy;
using namespace cxxproxy::test;
using namespace std::chrono_literals;
using config::StatusFlag;

namespace {

config::BalancerSpec with_status(const std::vector<std::uint32_t>& loadfactors, const std::vector<std::uint32_t>& status) {
  config::BalancerSpec spec = make_spec(loadfactors);
  for (std::size_t i = 0; i < status.size(); ++i) spec.members[i].status = status[i];
  return spec;
}

constexpr std::uint32_t D = bit(StatusFlag::Disabled);
constexpr std::uint32_t S = bit(StatusFlag::Stopped);
constexpr std::uint32_t I = bit(StatusFlag::IgnoreErrors);
constexpr std::uint32_t R = bit(StatusFlag::HotSpare);
constexpr std::uint32_t H = bit(StatusFlag::HotStandby);
constexpr std::uint32_t E = bit(StatusFlag::InError);
constexpr std::uint32_t N = bit(StatusFlag::Drain);
constexpr std::uint32_t C = bit(StatusFlag::CheckFailed);

}  // namespace

TEST_CASE("a balancer picks in the order of its weights and counts", "[balancer]") {
  Bench bench({500, 100, 100});
  CHECK(bench.picks(14) == "AABACAAAABACAA");
  CHECK(bench.slots.member(0).chosen.load() == 10);
  CHECK(bench.slots.member(1).chosen.load() == 2);
  CHECK(bench.slots.balancer().ticket.load() == 14);
  bench.balancer->add_bytes(1, 10, 2000);
  bench.balancer->add_bytes(1, 1, 3);
  CHECK(bench.slots.member(1).bytes_to_member.load() == 11);
  CHECK(bench.slots.member(1).bytes_from_member.load() == 2003);
}

TEST_CASE("a balancer without members has nobody", "[balancer]") {
  Bench bench(std::vector<std::uint32_t>{});
  CHECK(bench.picks(3) == "---");
  CHECK_FALSE(bench.fail('A'));
  CHECK_FALSE(bench.succeed('A'));
}

TEST_CASE("two processes share one order", "[balancer]") {
  Bench bench({500, 100, 100});
  balancer::Balancer other(bench.spec, bench.slots.balancer(), bench.slots.members());
  std::string order;
  for (int i = 0; i < 7; ++i) {
    order += bench.pick();
    order += static_cast<char>('A' + other.pick({}, bench.clock.now()).value());
  }
  CHECK(order == "AABACAAAABACAA");
}

TEST_CASE("a failed member rests and then takes exactly its share", "[balancer]") {
  Bench bench({100, 100, 100});
  balancer::Balancer other(bench.spec, bench.slots.balancer(), bench.slots.members());
  CHECK(bench.picks(3) == "ABC");
  CHECK(bench.fail('B'));
  CHECK(bench.balancer->is_failed(1));
  CHECK_FALSE(bench.fail('B'));
  CHECK_FALSE(other.failed(1, bench.clock.now()));
  CHECK(bench.slots.member(1).failures.load() == 3);

  bench.clock.advance(59s);
  const std::string resting = bench.picks(100);
  CHECK(count(resting, 'A') == 50);
  CHECK(count(resting, 'C') == 50);
  CHECK(other.pick({}, bench.clock.now()) != 1u);
  CHECK(other.pick({}, bench.clock.now()) != 1u);
  CHECK_FALSE(bench.succeed('B'));  // a late answer from before does not end the rest
  CHECK(bench.balancer->is_failed(1));

  bench.clock.advance(999999us);
  CHECK(count(bench.picks(30), 'B') == 0);
  CHECK(bench.seen.rests_over == 0);
  bench.clock.advance(1us);
  CHECK(count(bench.picks(30), 'B') == 10);
  CHECK(bench.seen.rests_over == 1);
  CHECK_FALSE(bench.balancer->is_failed(1));
  CHECK(other.pick(tried("AC"), bench.clock.now()) == 1u);
}

TEST_CASE("a set that changes does not send everybody to the same member first", "[balancer]") {
  Bench bench({100, 100, 100, 100});
  std::string first;
  for (int round = 0; round < 8; ++round) {
    bench.fail('D');
    first += bench.pick();
    bench.clock.advance(61s);
    bench.pick();
  }
  CHECK(count(first, 'A') < 5);
  CHECK(count(first, 'B') > 0);
  CHECK(count(first, 'C') > 0);
}

TEST_CASE("retry=0 and status=+I never rest", "[balancer]") {
  config::BalancerSpec spec = with_status({100, 100, 100}, {0, I, 0});
  spec.members[0].retry = 0s;
  Bench bench(spec);
  CHECK_FALSE(bench.fail('A'));
  CHECK_FALSE(bench.fail('B'));
  CHECK_FALSE(bench.balancer->is_failed(0));
  CHECK(count(bench.picks(30), 'A') == 10);
  CHECK(bench.slots.member(0).failures.load() == 1);
  CHECK(bench.slots.member(1).failures.load() == 1);
  CHECK(bench.seen.rests_over == 0);
}

TEST_CASE("retry has the resolution of the clock", "[balancer]") {
  config::BalancerSpec spec = make_spec({100, 100});
  spec.members[0].retry = 250ms;
  Bench bench(spec);
  CHECK(bench.fail('A'));
  bench.clock.advance(249ms);
  CHECK(bench.picks(4) == "BBBB");
  bench.clock.advance(1ms);
  CHECK(count(bench.picks(4), 'A') == 2);
}

TEST_CASE("a tried member is never offered again to the same request", "[balancer]") {
  Bench bench({100, 500, 100, 300});
  for (unsigned mask = 1; mask < 16; ++mask) {
    balancer::TriedSet set;
    for (std::size_t i = 0; i < 4; ++i) {
      if ((mask >> i & 1u) != 0) set.insert(i);
    }
    for (int i = 0; i < 200; ++i) {
      const char picked = bench.pick(set);
      if (mask == 15) {
        REQUIRE(picked == '-');
      } else {
        REQUIRE(picked != '-');
        REQUIRE_FALSE(set.contains(static_cast<std::size_t>(picked - 'A')));
      }
    }
  }
}

TEST_CASE("further attempts share by weight and do not disturb first turns", "[balancer]") {
  Bench bench({100, 100, 300, 100});
  std::string first;
  std::string second;
  for (int i = 0; i < 600; ++i) {
    first += bench.pick();
    second += bench.pick(tried("A"));
  }
  CHECK(count(first, 'A') == 100);
  CHECK(count(first, 'C') == 300);
  CHECK(count(second, 'B') == Approx(120).margin(balancer::kMaxStrideDeviation));
  CHECK(count(second, 'C') == Approx(360).margin(balancer::kMaxStrideDeviation));
  CHECK(count(second, 'D') == Approx(120).margin(balancer::kMaxStrideDeviation));
}

TEST_CASE("a request that has tried all usable members gets a resting one rather than nobody", "[balancer]") {
  Bench bench(with_status({100, 100, 100}, {I, 0, D}));
  CHECK(bench.fail('B'));
  CHECK(bench.picks(3) == "AAA");
  CHECK(bench.pick(tried("A")) == 'B');
  CHECK(bench.pick(tried("AB")) == '-');
  CHECK(bench.balancer->is_failed(1));
}

TEST_CASE("disabled, stopped, draining and check-failed members get nothing", "[balancer]") {
  Bench bench(with_status({100, 100, 100, 100, 100}, {D, S, N, C, 0}));
  CHECK(bench.picks(6) == "EEEEEE");
  CHECK(bench.fail('E'));
  CHECK(bench.picks(3) == "EEE");  // recovery is forced for the member in error alone
  CHECK(bench.pick(tried("E")) == '-');
  Bench none(with_status({100, 100}, {D, S}));
  CHECK(none.picks(3) == "---");
  CHECK(none.seen.all_failed_times == 0);
  CHECK(none.slots.balancer().ticket.load() == 0);
}

TEST_CASE("status letters that change at run time count at once", "[balancer]") {
  Bench bench({100, 100});
  CHECK(bench.picks(2) == "AB");
  bench.slots.set_status(0, D);
  CHECK(bench.picks(3) == "BBB");
  bench.slots.set_status(0, 0);
  CHECK(count(bench.picks(4), 'A') == 2);
  CHECK(bench.fail('A'));
  bench.slots.set_status(0, D);
  bench.clock.advance(120s);
  CHECK(bench.picks(2) == "BB");
  CHECK(bench.seen.rests_over == 0);
  CHECK(bench.balancer->is_failed(0));  // the rest of a disabled member does not end by itself
  bench.slots.set_status(0, 0);
  CHECK(count(bench.picks(4), 'A') == 2);
  CHECK(bench.seen.rests_over == 1);
  CHECK(bench.fail('A'));
  bench.slots.set_status(0, I);
  CHECK(count(bench.picks(4), 'A') == 2);
}

TEST_CASE("a member that the file marks as failed starts with a rest", "[balancer]") {
  Bench bench(with_status({100, 100}, {E, 0}));
  CHECK(bench.balancer->is_failed(0));
  CHECK(bench.picks(4) == "BBBB");
  bench.clock.advance(60s);
  CHECK(count(bench.picks(4), 'A') == 2);
  Bench ignoring(with_status({100, 100}, {E | I, 0}));
  CHECK(ignoring.picks(4) == "ABAB");
}

TEST_CASE("hot standbys serve while no ordinary member can", "[balancer]") {
  Bench bench(with_status({100, 100, 100, 300}, {0, 0, H, H}));
  CHECK(bench.picks(4) == "ABAB");
  CHECK(bench.fail('A'));
  CHECK(bench.picks(4) == "BBBB");
  CHECK(bench.fail('B'));
  const std::string standby = bench.picks(40);
  CHECK(count(standby, 'C') == 10);
  CHECK(count(standby, 'D') == 30);
  CHECK(bench.seen.all_failed_times == 0);
  bench.clock.advance(60s);
  CHECK(count(bench.picks(10), 'C') == 0);
  CHECK(bench.pick(tried("AB")) != '-');  // nobody else is left for this request
  CHECK(bench.pick(tried("A")) == 'B');
}

TEST_CASE("one hot spare stands in for each member that is missing", "[balancer]") {
  Bench bench(with_status({100, 100, 100, 100, 100}, {0, 0, R, R, H}));
  CHECK(bench.picks(4) == "ABAB");
  CHECK(bench.fail('A'));
  const std::string one = bench.picks(20);
  CHECK(count(one, 'B') == 10);
  CHECK(count(one, 'C') == 10);
  CHECK(bench.fail('C'));  // the spare fails too: the next spare
  CHECK(count(bench.picks(20), 'D') == 10);
  bench.slots.set_status(1, N);
  CHECK(bench.picks(4) == "DDDD");
  CHECK(bench.fail('D'));
  CHECK(bench.picks(2) == "EE");
  bench.clock.advance(60s);
  bench.slots.set_status(1, 0);
  const std::string back = bench.picks(20);
  CHECK(count(back, 'A') == 10);
  CHECK(count(back, 'B') == 10);
}

TEST_CASE("a spare stands in for a disabled member", "[balancer]") {
  Bench bench(with_status({100, 100, 100}, {D, 0, R}));
  const std::string order = bench.picks(20);
  CHECK(count(order, 'B') == 10);
  CHECK(count(order, 'C') == 10);
}

TEST_CASE("when all are failed they are tried nevertheless", "[balancer]") {
  Bench bench(with_status({100, 100, 100}, {0, 0, D}));  // a disabled one does not prevent it
  CHECK(bench.fail('A'));
  CHECK(bench.fail('B'));
  CHECK(count(bench.picks(10), 'A') == 5);
  CHECK(bench.seen.all_failed_times == 1);

  SECTION("still down: every request tries each once, nothing is told again") {
    for (int i = 0; i < 20; ++i) {
      const char one = bench.pick();
      CHECK_FALSE(bench.fail(one));
      const char two = bench.pick(tried(std::string(1, one)));
      CHECK(two == (one == 'A' ? 'B' : 'A'));
      CHECK_FALSE(bench.fail(two));
      CHECK(bench.pick(tried("AB")) == '-');
      bench.clock.advance(10s);
    }
    CHECK(bench.seen.all_failed_times == 1);
    CHECK(bench.seen.rests_over == 0);  // each failed try begins the rest anew
  }
  SECTION("the first success clears all") {
    CHECK(bench.succeed('B'));
    CHECK_FALSE(bench.succeed('A'));
    CHECK_FALSE(bench.balancer->is_failed(0));
    CHECK(count(bench.picks(10), 'A') == 5);
    CHECK(bench.fail('A'));  // really down: told again, once
    CHECK(bench.picks(3) == "BBB");
    CHECK(bench.fail('B'));
    bench.pick();
    CHECK(bench.seen.all_failed_times == 2);
  }
  SECTION("the end of a rest ends it too") {
    bench.clock.advance(60s);
    CHECK(count(bench.picks(10), 'A') == 5);
    CHECK(bench.seen.rests_over == 2);
    CHECK_FALSE(bench.succeed('A'));
    CHECK(bench.slots.balancer().forced.load() == 0);
  }
}

TEST_CASE("a single member that failed is still tried", "[balancer]") {
  Bench bench({100});
  CHECK(bench.fail('A'));
  CHECK(bench.picks(3) == "AAA");
  CHECK(bench.pick(tried("A")) == '-');
  CHECK(bench.succeed('A'));
  CHECK_FALSE(bench.balancer->is_failed(0));
}

TEST_CASE("failed standbys are tried when ordinary members are all gone for this request", "[balancer]") {
  Bench bench(with_status({100, 100, 100}, {0, H, R}));
  for (const char member : {'A', 'B', 'C'}) CHECK(bench.fail(member));
  CHECK(bench.picks(3) == "AAA");
  CHECK(bench.pick(tried("A")) == 'C');
  CHECK(bench.pick(tried("AC")) == 'B');
  CHECK(bench.pick(tried("ABC")) == '-');
}

TEST_CASE("a change whose author died before telling is seen soon", "[balancer]") {
  Bench bench({100, 100});
  CHECK(bench.picks(2) == "AB");
  bench.slots.member(0).failed_at.store(bench.clock.now().time_since_epoch().count());  // and no epoch
  bench.clock.advance(balancer::Balancer::kLongestView);
  CHECK(bench.picks(4) == "BBBB");
}

TEST_CASE("an index out of range changes nothing", "[balancer]") {
  Bench bench({100, 100});
  CHECK_FALSE(bench.balancer->failed(2, bench.clock.now()));
  CHECK_FALSE(bench.balancer->succeeded(99));
  bench.balancer->add_bytes(2, 1, 1);
  balancer::TriedSet set;
  set.insert(config::kMaxMembers);
  CHECK(set.empty());
  CHECK_FALSE(set.contains(config::kMaxMembers));
  CHECK(bench.picks(2) == "AB");
}
