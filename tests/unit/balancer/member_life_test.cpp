// Sets, slow start, ejection, failonstatus, failontimeout, maxattempts and the retry budget.
#include <catch2/catch.hpp>
#include <chrono>
#include <string>

#include "balancer_fixture.h"
#include "config/session_routes.h"

using namespace cxxproxy;
using namespace cxxproxy::test;
using namespace std::chrono_literals;
using balancer::Failure;
using balancer::RestReason;
using config::StatusFlag;

namespace {

constexpr std::uint32_t R = bit(StatusFlag::HotSpare);
constexpr std::uint32_t H = bit(StatusFlag::HotStandby);
constexpr std::uint32_t D = bit(StatusFlag::Disabled);

config::BalancerSpec in_sets(const std::vector<std::uint32_t>& sets, const std::vector<std::uint32_t>& status = {}) {
  config::BalancerSpec spec = make_spec(std::vector<std::uint32_t>(sets.size(), 100));
  for (std::size_t i = 0; i < sets.size(); ++i) spec.members[i].lbset = sets[i];
  for (std::size_t i = 0; i < status.size(); ++i) spec.members[i].status = status[i];
  return spec;
}

RestReason answer(Bench& bench, char member, int status) {
  return bench.balancer->answered(static_cast<std::size_t>(member - 'A'), status, 1ms, bench.clock.now()).rest;
}

}  // namespace

TEST_CASE("the lowest set that has anybody serves alone", "[life]") {
  Bench bench(in_sets({1, 0, 0, 1}));
  CHECK(bench.picks(4) == "BCBC");
  CHECK(bench.fail('B'));
  CHECK(bench.picks(3) == "CCC");
  CHECK(bench.pick(tried("C")) != 'B');  // the next set before a member that rests
  CHECK(bench.fail('C'));
  const std::string next = bench.picks(10);
  CHECK(count(next, 'A') == 5);
  CHECK(count(next, 'D') == 5);
  CHECK(bench.seen.all_failed_times == 0);
  bench.clock.advance(60s);
  CHECK(count(bench.picks(10), 'A') == 0);
}

TEST_CASE("spares and standbys stand in for members of their own set only", "[life]") {
  Bench bench(in_sets({0, 0, 1, 1, 1, 0}, {0, 0, 0, R, H, H}));
  CHECK(bench.picks(4) == "ABAB");
  CHECK(bench.fail('A'));
  CHECK(bench.picks(3) == "BBB");
  CHECK(bench.fail('B'));
  CHECK(bench.picks(3) == "FFF");  // the standby of set 0 comes before ordinary members of set 1
  CHECK(bench.fail('F'));
  CHECK(bench.picks(3) == "CCC");
  CHECK(bench.fail('C'));
  CHECK(bench.picks(3) == "DDD");
  CHECK(bench.fail('D'));
  CHECK(bench.picks(3) == "EEE");
  CHECK(bench.fail('E'));
  const std::string forced = bench.picks(4);
  CHECK(count(forced, 'A') == 2);
  CHECK(count(forced, 'B') == 2);
  CHECK(bench.seen.all_failed_times == 1);
}

TEST_CASE("forcerecovery=Off: nobody is left", "[life]") {
  config::BalancerSpec spec = in_sets({0, 0});
  spec.force_recovery = false;
  Bench bench(spec);
  CHECK(bench.fail('A'));
  CHECK(bench.picks(2) == "BB");
  CHECK(bench.pick(tried("B")) == '-');
  CHECK(bench.fail('B'));
  CHECK(bench.picks(2) == "--");
  bench.clock.advance(60s);
  CHECK(bench.pick() != '-');
}

TEST_CASE("failonstatus: the member rests, whatever the answer was good for", "[life]") {
  config::BalancerSpec spec = in_sets({0, 0, 0}, {0, 0, bit(StatusFlag::IgnoreErrors)});
  spec.fail_on_status = {500, 503};
  Bench bench(spec);
  CHECK(answer(bench, 'A', 502) == RestReason::None);
  CHECK(answer(bench, 'A', 503) == RestReason::Status);
  CHECK(answer(bench, 'A', 503) == RestReason::None);  // told once
  CHECK(answer(bench, 'C', 503) == RestReason::None);  // +I
  CHECK(count(bench.picks(10), 'A') == 0);
  CHECK(bench.slots.member(0).errors == 3);
  CHECK(bench.slots.member(0).failures == 2);
  bench.clock.advance(60s);
  CHECK(count(bench.picks(9), 'A') == 3);
}

TEST_CASE("failontimeout: only then does a slow member rest", "[life]") {
  config::BalancerSpec spec = in_sets({0, 0});
  Bench patient(spec);
  CHECK(patient.balancer->attempt_failed(0, Failure::Slow, patient.clock.now()).rest == RestReason::None);
  CHECK(patient.slots.member(0).failures == 1);
  spec.fail_on_timeout = true;
  Bench strict(spec);
  CHECK(strict.balancer->attempt_failed(0, Failure::Slow, strict.clock.now()).rest == RestReason::Timeout);
  CHECK(strict.picks(2) == "BB");
  CHECK(strict.balancer->attempt_failed(1, Failure::NotItsFault, strict.clock.now()).rest == RestReason::None);
  CHECK(strict.slots.member(1).failures == 0);
}

TEST_CASE("maxattempts counts the further ones", "[life]") {
  config::BalancerSpec spec = in_sets({0, 0, 0});
  CHECK(Bench(spec).balancer->max_attempts() == 3);
  spec.max_attempts = 1;
  Bench one(spec);
  CHECK(one.balancer->may_try_again(1));
  CHECK_FALSE(one.balancer->may_try_again(2));
  spec.max_attempts = 0;
  CHECK_FALSE(Bench(spec).balancer->may_try_again(1));
  spec.max_attempts = 9;
  CHECK(Bench(spec).balancer->max_attempts() == 3);
  CHECK_FALSE(Bench(in_sets({0})).balancer->may_try_again(1));
}

TEST_CASE("retrybudget: a part of the requests, with a reserve, not without end", "[life]") {
  config::BalancerSpec spec = in_sets({0, 0});
  spec.retry_budget = 20;
  Bench bench(spec);
  int granted = 0;
  while (bench.balancer->may_try_again(1)) ++granted;
  CHECK(granted == 10);
  bench.picks(50);
  granted = 0;
  while (bench.balancer->may_try_again(1)) ++granted;
  CHECK(granted == 10);  // a fifth of fifty
  bench.picks(10'000);
  granted = 0;
  while (bench.balancer->may_try_again(1)) ++granted;
  CHECK(granted == 100);
}

TEST_CASE("slow start: the share grows from nearly nothing to all of it", "[life]") {
  config::BalancerSpec spec = in_sets({0, 0});
  spec.members[0].slow_start = 20s;
  spec.members[1].slow_start = 20s;
  Bench bench(spec);
  CHECK(bench.picks(4) == "ABAB");  // not at the start of the server
  CHECK(bench.fail('B'));
  bench.picks(4);
  bench.clock.advance(60s);
  const std::size_t cold = count(bench.picks(1000), 'B');
  CHECK(cold > 5);
  CHECK(cold < 60);  // 5 % of a half
  bench.clock.advance(10s);
  CHECK(count(bench.picks(1000), 'B') == Approx(250).margin(60));
  bench.clock.advance(10s);
  CHECK(count(bench.picks(100), 'B') == 50);
  // Nobody warm is left: the cold one serves.
  CHECK(bench.fail('B'));
  bench.picks(2);
  bench.clock.advance(60s);
  bench.picks(2);
  CHECK(bench.fail('A'));
  CHECK(bench.picks(3) == "BBB");
}

TEST_CASE("ejection: failures in a row, a growing rest, a success counts anew", "[life]") {
  config::BalancerSpec spec = in_sets({0, 0, 0});
  spec.ejection.failures_in_a_row = 3;
  spec.ejection.first = 10s;
  spec.ejection.longest = 25s;
  Bench bench(spec);
  bench.pick();
  answer(bench, 'A', 500);
  answer(bench, 'A', 502);
  CHECK(answer(bench, 'A', 200) == RestReason::None);
  answer(bench, 'A', 500);
  answer(bench, 'A', 500);
  CHECK(bench.balancer->attempt_failed(0, Failure::Bad, bench.clock.now()).rest == RestReason::FailuresInARow);
  CHECK(bench.balancer->is_ejected(0));
  CHECK(count(bench.picks(20), 'A') == 0);
  bench.clock.advance(9s);
  CHECK(count(bench.picks(20), 'A') == 0);
  bench.clock.advance(1s);
  CHECK(count(bench.picks(30), 'A') == 10);
  CHECK(bench.seen.rests_over == 1);

  const auto eject_again = [&] {
    answer(bench, 'A', 500);
    answer(bench, 'A', 500);
    const auto told = bench.balancer->answered(0, 500, 1ms, bench.clock.now());
    CHECK(told.rest == RestReason::FailuresInARow);
    return told.rest_for;
  };
  CHECK(eject_again() == 20s);
  bench.pick();
  bench.clock.advance(20s);
  bench.pick();
  CHECK(eject_again() == 25s);  // not longer than the longest
  bench.pick();
  bench.clock.advance(25s);
  bench.pick();
  bench.clock.advance(26s);  // calm for the longest time
  CHECK(eject_again() == 10s);
}

TEST_CASE("ejection: the rate within a window, with enough attempts", "[life]") {
  config::BalancerSpec spec = in_sets({0, 0});
  spec.ejection.rate_percent = 50;
  spec.ejection.least_attempts = 10;
  Bench bench(spec);
  bench.clock.advance(20s - (bench.clock.now().time_since_epoch() % 10s));
  for (int i = 0; i < 4; ++i) CHECK(answer(bench, 'A', 500) == RestReason::None);
  for (int i = 0; i < 5; ++i) CHECK(answer(bench, 'A', 200) == RestReason::None);
  bench.clock.advance(10s);  // another window
  for (int i = 0; i < 5; ++i) CHECK(answer(bench, 'A', 200) == RestReason::None);
  for (int i = 0; i < 4; ++i) CHECK(answer(bench, 'A', 500) == RestReason::None);
  CHECK(answer(bench, 'A', 500) == RestReason::FailureRate);
}

TEST_CASE("ejection: never more than the share, none of a single member, none with +I", "[life]") {
  config::BalancerSpec spec = in_sets({0, 0, 0, 0, 0}, {0, 0, 0, 0, bit(StatusFlag::IgnoreErrors)});
  spec.ejection.failures_in_a_row = 1;
  spec.ejection.most_percent = 40;
  Bench bench(spec);
  CHECK(answer(bench, 'E', 500) == RestReason::None);
  CHECK(answer(bench, 'A', 500) == RestReason::FailuresInARow);
  CHECK(answer(bench, 'B', 500) == RestReason::FailuresInARow);
  CHECK(answer(bench, 'C', 500) == RestReason::None);
  CHECK(count(bench.picks(30), 'C') == 10);
  config::BalancerSpec alone = in_sets({0});
  alone.ejection.failures_in_a_row = 1;
  Bench single(alone);
  CHECK(answer(single, 'A', 500) == RestReason::None);
}

TEST_CASE("panic: when too few are left, ejections do not count", "[life]") {
  config::BalancerSpec spec = in_sets({0, 0, 0, 0}, {0, 0, 0, D});
  spec.ejection.failures_in_a_row = 1;
  Bench bench(spec);
  CHECK(answer(bench, 'A', 500) == RestReason::FailuresInARow);
  CHECK(count(bench.picks(10), 'A') == 0);
  CHECK(bench.seen.panics == 0);
  CHECK(bench.fail('B'));  // one of three is left
  const std::string panic = bench.picks(10);
  CHECK(count(panic, 'A') == 5);
  CHECK(count(panic, 'C') == 5);
  CHECK(bench.seen.panics == 1);
  CHECK(bench.fail('C'));
  CHECK(bench.picks(3) == "AAA");  // ejected before failed
  CHECK(bench.seen.all_failed_times == 0);
  bench.clock.advance(60s);
  CHECK(count(bench.picks(9), 'B') == 3);
  CHECK(bench.slots.balancer().panic == 0);
  CHECK(bench.seen.panics_over == 1);
}

TEST_CASE("a session's member is picked before all, while it serves; also when it drains", "[life]") {
  config::BalancerSpec spec = in_sets({0, 0, 1});
  spec.members[2].route = "c";
  config::index_routes(spec);
  Bench bench(spec);
  balancer::PickHint hint;
  hint.route = 0;
  const auto routed = [&](const std::string& tried_before = "") {
    return bench.balancer->pick(tried(tried_before), bench.clock.now(), &bench.seen, hint);
  };
  CHECK(routed() == 2u);
  bench.slots.set_status(2, bit(StatusFlag::Drain));
  CHECK(routed() == 2u);
  bench.slots.set_status(2, D);
  CHECK(routed() != 2u);
  bench.slots.set_status(2, 0);
  CHECK(routed("C") != 2u);
  CHECK(bench.fail('C'));
  CHECK(routed() != 2u);
  hint.route = 99;
  CHECK(routed().has_value());
}

TEST_CASE("an attempt is counted in flight until it ends, however it ends", "[life]") {
  Bench bench(in_sets({0, 0}));
  {
    balancer::Flight flight;
    flight.sent(5);
    const auto index = bench.balancer->pick({}, bench.clock.now()).value();
    flight.begin(*bench.balancer, index, bench.clock.now());
    CHECK(bench.balancer->in_flight(index) == 1);
    flight.sent(10);
    flight.received(balancer::Flight::kPortion);
    CHECK(bench.slots.member(0).bytes_from_member == balancer::Flight::kPortion);
    bench.clock.advance(7ms);
    CHECK_FALSE(flight.answered(200, bench.clock.now()).recovered);
    CHECK(balancer::latency_last(bench.slots.member(0).latency) == 7000);
    const auto second = bench.balancer->pick({}, bench.clock.now()).value();
    flight.begin(*bench.balancer, second, bench.clock.now());  // the next attempt ends the former
    CHECK(bench.balancer->in_flight(index) == 0);
    CHECK(bench.balancer->in_flight(second) == 1);
  }
  CHECK(bench.slots.in_flight() == 0);
  balancer::Flight none;
  CHECK(none.answered(500, bench.clock.now()).rest == RestReason::None);
  none.end();
}
