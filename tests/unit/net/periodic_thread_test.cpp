#include "net/periodic_thread.h"

#include <atomic>
#include <catch2/catch.hpp>
#include <chrono>
#include <thread>

#include "base/clock.h"

using namespace cxxproxy;
using namespace std::chrono_literals;
using net::PeriodicThread;

namespace {

bool within(base::Duration span, const std::atomic<unsigned>& looks, unsigned wanted) {
  const base::SteadyClock clock;
  const base::Instant end = clock.now() + span;
  while (looks.load() < wanted && clock.now() < end) std::this_thread::yield();
  return looks.load() >= wanted;
}

}  // namespace

TEST_CASE("it looks again and again, rests when there is nothing, and goes on when it is called", "[periodic]") {
  std::atomic<unsigned> looks{0};
  PeriodicThread thread;
  REQUIRE(thread.start([&] { return looks.fetch_add(1) < 2; }));
  CHECK(within(10s, looks, 3));
  CHECK_FALSE(within(3 * PeriodicThread::kPeriod, looks, 4));
  thread.resume();
  CHECK(within(10s, looks, 4));
  thread.stop();
  const unsigned at_end = looks;
  thread.resume();
  CHECK_FALSE(within(2 * PeriodicThread::kPeriod, looks, at_end + 1));
}

TEST_CASE("whoever calls while it looks is not missed", "[periodic]") {
  std::atomic<unsigned> looks{0};
  PeriodicThread thread;
  REQUIRE(thread.start([&] {
    if (looks.fetch_add(1) == 0) thread.resume();  // somebody comes just when nothing was found
    return false;
  }));
  CHECK(within(10s, looks, 2));
}

TEST_CASE("it ends at once, and may never have begun", "[periodic]") {
  const base::SteadyClock clock;
  PeriodicThread never;
  never.stop();
  PeriodicThread thread;
  REQUIRE(thread.start([] { return true; }));
  const base::Instant before = clock.now();
  thread.stop();
  thread.stop();
  CHECK(clock.now() - before < PeriodicThread::kPeriod);
}
