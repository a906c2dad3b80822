// Who waits for a slot, and who may take one.
#include <catch2/catch.hpp>
#include <atomic>
#include <memory>
#include <thread>
#include <vector>

#include "balancer/waiting_line.h"
#include "shared_table.h"

using namespace cxxproxy;
using namespace std::chrono_literals;
using balancer::LineSetup;
using balancer::MemberSet;
using balancer::Waiter;
using balancer::WaitingLine;

namespace {

constexpr std::size_t kAny = WaitingLine::kAnyMember;

MemberSet set_of(std::initializer_list<std::size_t> members) {
  MemberSet set;
  for (const std::size_t member : members) set.insert(member);
  return set;
}

LineSetup plain(std::size_t members) {
  LineSetup setup;
  setup.members.resize(members);
  return setup;
}

struct CountingWaker final : balancer::Waker {
  void wake() noexcept override { ++woken; }
  unsigned woken = 0;
};

struct CountingRinger final : balancer::Ringer {
  void ring(std::uint32_t place) noexcept override { rung.push_back(place); }
  std::vector<std::uint32_t> rung{};
};

base::Instant at(std::int64_t milliseconds) { return base::Instant(std::chrono::milliseconds(1'000'000 + milliseconds)); }

// As a driver does it after each step: it comes back at once after it has just joined.
void settle(WaitingLine& line, Waiter& waiter, CountingWaker& waker) {
  (void)line.may_try(waiter, kAny);
  CHECK(line.watch(waiter, waker));
}

}  // namespace

TEST_CASE("a newcomer does not pass those who wait", "[balancer][line]") {
  WaitingLine line(plain(2));
  Waiter first;
  Waiter second;
  Waiter newcomer;
  CHECK(line.may_try(first, kAny));
  REQUIRE(line.stay(first, kAny, set_of({0, 1}), false, at(0)));
  CHECK_FALSE(line.may_try(second, kAny));
  REQUIRE(line.stay(second, kAny, set_of({0, 1}), false, at(1)));
  CHECK_FALSE(line.may_try(newcomer, kAny));
  CHECK(line.may_try(first, kAny));
  CHECK_FALSE(line.may_try(second, kAny));
  CHECK(line.barred_for(first) == MemberSet{});
  CHECK(line.waiting() == 2);
  first.leave();
  CHECK(line.may_try(second, kAny));
  CHECK_FALSE(line.may_try(newcomer, kAny));
  second.leave();
  CHECK(line.may_try(newcomer, kAny));
  CHECK(line.waiting() == 0);
}

TEST_CASE("a session that waits for its member stops nobody who may use another", "[balancer][line]") {
  WaitingLine line(plain(3));
  Waiter session;
  Waiter other;
  REQUIRE(line.stay(session, WaitingLine::lane_of_member(1), set_of({1}), false, at(0)));
  CHECK(line.may_try(other, kAny));
  CHECK(line.barred_for(other) == set_of({1}));
  REQUIRE(line.stay(other, kAny, set_of({0, 1, 2}), false, at(1)));
  CHECK(line.barred_for(other) == set_of({1}));      // the session was there first
  CHECK(line.barred_for(session) == MemberSet{});
  Waiter late;
  CHECK_FALSE(line.may_try(late, WaitingLine::lane_of_member(1)));
  CHECK(line.may_try(late, WaitingLine::lane_of_member(2)));
  CHECK(line.barred_for(late) == set_of({0, 1, 2}));  // but the other one would take its member
}

TEST_CASE("a free slot calls the oldest one who can use it", "[balancer][line]") {
  WaitingLine line(plain(2));
  CountingWaker wakes_any;
  CountingWaker wakes_session;
  CountingWaker wakes_second;
  Waiter any;
  Waiter session;
  Waiter second;
  REQUIRE(line.stay(any, kAny, set_of({0, 1}), false, at(0)));
  REQUIRE(line.stay(session, WaitingLine::lane_of_member(1), set_of({1}), false, at(1)));
  REQUIRE(line.stay(second, kAny, set_of({0, 1}), false, at(2)));
  settle(line, any, wakes_any);
  settle(line, session, wakes_session);
  settle(line, second, wakes_second);
  line.slot_freed(1);
  CHECK(wakes_any.woken == 1);
  CHECK(wakes_session.woken == 0);
  CHECK(wakes_second.woken == 0);
  CHECK(line.may_try(any, kAny));
  any.leave();
  CHECK(wakes_session.woken == 1);  // the slot may be left over
  CHECK(wakes_second.woken == 1);   // it is the first of its lane now
}

TEST_CASE("a slot that somebody was called for and did not take goes to the next", "[balancer][line]") {
  WaitingLine line(plain(1));
  CountingWaker wakes_first;
  CountingWaker wakes_second;
  Waiter second;
  {
    Waiter first;
    REQUIRE(line.stay(first, kAny, set_of({0}), false, at(0)));
    REQUIRE(line.stay(second, kAny, set_of({0}), false, at(1)));
    settle(line, first, wakes_first);
    settle(line, second, wakes_second);
    line.slot_freed(0);
    CHECK(wakes_first.woken == 1);
    CHECK(wakes_second.woken == 0);
  }  // its client went away
  CHECK(wakes_second.woken == 1);
}

TEST_CASE("a call before the waker is there is not lost, and none comes after it is taken away", "[balancer][line]") {
  WaitingLine line(plain(1));
  CountingWaker waker;
  Waiter waiter;
  REQUIRE(line.stay(waiter, kAny, set_of({0}), false, at(0)));
  CHECK_FALSE(line.watch(waiter, waker));  // a slot may have become free before it joined
  settle(line, waiter, waker);
  line.unwatch(waiter);
  line.slot_freed(0);
  CHECK(waker.woken == 0);
  CHECK_FALSE(line.watch(waiter, waker));
  CHECK(line.wait(waiter, 0ms));
  (void)line.may_try(waiter, kAny);
  CHECK_FALSE(line.wait(waiter, 0ms));
}

TEST_CASE("the bound holds over all children", "[balancer][line]") {
  test::SharedLimits limits(2, 3);
  LineSetup setup = plain(1);
  setup.bound = 2;
  setup.limits = *limits;
  setup.row = 1;
  WaitingLine here(setup);
  setup.place = 1;
  WaitingLine there(setup);
  Waiter a;
  Waiter b;
  Waiter c;
  CHECK(here.stay(a, kAny, set_of({0}), false, at(0)));
  CHECK(there.stay(b, kAny, set_of({0}), false, at(0)));
  CHECK_FALSE(here.stay(c, kAny, set_of({0}), false, at(0)));
  CHECK_FALSE(c.waits());
  CHECK(here.stay(a, kAny, set_of({0}), false, at(0)));  // who waits already counts once
  b.leave();
  CHECK(here.stay(c, kAny, set_of({0}), false, at(0)));
  setup.bound = 0;
  WaitingLine none(setup);
  Waiter d;
  CHECK_FALSE(none.stay(d, kAny, set_of({0}), false, at(0)));
}

TEST_CASE("across children the one who waits longest is served first", "[balancer][line]") {
  test::SharedLimits limits(3, 3);
  CountingRinger ringer;
  LineSetup setup = plain(2);
  setup.members[0] = {0, 1};
  setup.members[1] = {1, 0};
  setup.limits = *limits;
  setup.row = 2;
  setup.ringer = &ringer;
  WaitingLine here(setup);
  setup.place = 1;
  WaitingLine there(setup);
  auto held = here.take_permit(0);
  REQUIRE(held);
  CHECK_FALSE(there.has_permit(0));
  Waiter mine;
  Waiter theirs;
  REQUIRE(there.stay(theirs, kAny, set_of({0, 1}), true, at(0)));
  REQUIRE(here.stay(mine, kAny, set_of({0, 1}), true, at(5)));
  SECTION("the older one is rung") {
    held.give_back();
    here.slot_freed(0);
    CHECK(ringer.rung == std::vector<std::uint32_t>{1});
  }
  SECTION("a free slot is left to the older one, for a time") {
    held.give_back();
    CHECK(here.belongs_elsewhere(mine, 0, at(10)));
    CHECK(ringer.rung == std::vector<std::uint32_t>{1});
    CHECK_FALSE(there.belongs_elsewhere(theirs, 0, at(10)));
    CHECK(here.belongs_elsewhere(mine, 0, at(29)));
    CHECK_FALSE(here.belongs_elsewhere(mine, 0, at(30)));  // it does not come: stuck, or it cannot use it
    CHECK_FALSE(here.belongs_elsewhere(mine, 0, at(31)));
    theirs.leave();
    REQUIRE(there.stay(theirs, kAny, set_of({0, 1}), true, at(1)));
    CHECK(here.belongs_elsewhere(mine, 0, at(32)));  // another one: it gets its time again
  }
  SECTION("a newcomer is younger than all who wait") {
    mine.leave();
    held.give_back();
    CHECK(here.belongs_elsewhere(mine, 0, at(50)));
    CHECK_FALSE(here.belongs_elsewhere(mine, 1, at(50)));  // no limit over all children
  }
  SECTION("who waits for something else than a permit bars nobody elsewhere") {
    REQUIRE(there.stay(theirs, kAny, set_of({0, 1}), false, at(0)));
    held.give_back();
    CHECK_FALSE(here.belongs_elsewhere(mine, 0, at(10)));
  }
  SECTION("a session waits in the row of its member") {
    theirs.leave();
    REQUIRE(there.stay(theirs, WaitingLine::lane_of_member(0), set_of({0}), true, at(1)));
    CHECK(limits->waits_since(0, 1) != 0);
    CHECK(limits->waits_since(2, 1) == 0);
    held.give_back();
    CHECK(here.belongs_elsewhere(mine, 0, at(10)));
  }
}

TEST_CASE("two rows of one child that is stuck do not stop another for ever", "[balancer][line]") {
  test::SharedLimits limits(3, 3);
  CountingRinger ringer;
  LineSetup setup = plain(1);
  setup.members[0] = {0, 1};
  setup.limits = *limits;
  setup.row = 2;
  setup.ringer = &ringer;
  WaitingLine here(setup);
  limits->wait_since(0, 1, at(1).time_since_epoch().count());
  limits->wait_since(2, 1, at(2).time_since_epoch().count());
  Waiter mine;
  REQUIRE(here.stay(mine, kAny, set_of({0}), true, at(5)));
  std::int64_t now = 10;
  while (here.belongs_elsewhere(mine, 0, at(now))) {
    now += 5;
    REQUIRE(now < 200);
  }
}

namespace {

// A member with some slots whose users wait in a line, as exchanges do.
struct Counter {
  explicit Counter(unsigned slots) : free(slots), line(plain(1)) {}

  bool take() {
    unsigned seen = free.load();
    while (seen != 0 && !free.compare_exchange_weak(seen, seen - 1)) {
    }
    return seen != 0;
  }
  void give_back() {
    ++free;
    line.slot_freed(0);
  }

  std::atomic<unsigned> free;
  WaitingLine line;
};

}  // namespace

TEST_CASE("threads in a line: no wake-up is lost, nobody is passed", "[balancer][line][threads]") {
  constexpr unsigned kThreads = 8;
  constexpr unsigned kTurns = 3000;
  Counter counter(2);
  const base::SteadyClock clock;
  std::atomic<unsigned> served{0};
  std::atomic<unsigned> slept{0};  // whole seconds without a call although a slot was free
  std::vector<std::thread> threads;
  for (unsigned t = 0; t < kThreads; ++t) {
    threads.emplace_back([&] {
      for (unsigned turn = 0; turn < kTurns; ++turn) {
        Waiter waiter;
        const auto may = [&] { return counter.line.may_try(waiter, kAny) && !counter.line.barred_for(waiter).contains(0) && counter.take(); };
        while (!may()) {
          (void)counter.line.stay(waiter, kAny, set_of({0}), false, clock.now());
          if (!counter.line.wait(waiter, 1s)) ++slept;
        }
        waiter.leave();
        ++served;
        counter.give_back();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(served == kThreads * kTurns);
  CHECK(slept == 0);
  CHECK(counter.free == 2);
  CHECK(counter.line.waiting() == 0);
}

TEST_CASE("threads in a line that give up now and then: the others are served", "[balancer][line][threads]") {
  constexpr unsigned kThreads = 6;
  constexpr unsigned kTurns = 2000;
  Counter counter(1);
  const base::SteadyClock clock;
  std::atomic<unsigned> slept{0};
  std::vector<std::thread> threads;
  for (unsigned t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      for (unsigned turn = 0; turn < kTurns; ++turn) {
        Waiter waiter;
        const bool hasty = (turn + t) % 3 == 0;
        bool got = false;
        while (!(got = counter.line.may_try(waiter, kAny) && counter.take())) {
          (void)counter.line.stay(waiter, kAny, set_of({0}), false, clock.now());
          if (!counter.line.wait(waiter, hasty ? std::chrono::microseconds(20) : std::chrono::microseconds(1s))) {
            if (hasty) break;
            ++slept;
          }
        }
        waiter.leave();
        if (got) counter.give_back();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(slept == 0);
  CHECK(counter.free == 1);
  CHECK(counter.line.waiting() == 0);
}
