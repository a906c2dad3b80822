#include <catch2/catch.hpp>

#include <vector>

#include "net/bans.h"

using cxxproxy::net::Bans;
using cxxproxy::net::Strikes;
using namespace cxxproxy;
using namespace std::chrono_literals;

namespace {
struct Fixture {
  base::ManualClock clock;
  Bans bans;
  long backend = 0;
  bool strike(const void* whom) { return bans.strike(whom, clock.now()); }
  // As many as leave it on the loop.
  void strike_often(const void* whom) {
    for (unsigned i = 0; i < Bans::kMost; ++i) CHECK_FALSE(strike(whom));
  }
  bool barred(const void* whom) { return bans.is_barred(whom, clock.now()); }
};
}  // namespace

TEST_CASE_METHOD(Fixture, "the second strike within ten seconds bars a connection for a minute", "[bans]") {
  Strikes strikes;
  CHECK_FALSE(strikes.is_barred(clock.now()));
  strikes.strike(clock.now());
  clock.advance(9s);
  CHECK_FALSE(strikes.is_barred(clock.now()));
  strikes.strike(clock.now());
  CHECK(strikes.is_barred(clock.now()));
  clock.advance(59s);
  CHECK(strikes.is_barred(clock.now()));
  clock.advance(1s);
  CHECK_FALSE(strikes.is_barred(clock.now()));
  strikes.strike(clock.now());  // it begins anew
  CHECK_FALSE(strikes.is_barred(clock.now()));
}

TEST_CASE_METHOD(Fixture, "strikes that are far apart bar no connection", "[bans]") {
  Strikes strikes;
  for (int i = 0; i < 20; ++i) {
    strikes.strike(clock.now());
    CHECK_FALSE(strikes.is_barred(clock.now()));
    clock.advance(11s);
  }
}

TEST_CASE_METHOD(Fixture, "many strikes within ten seconds bar a backend for a minute", "[bans]") {
  CHECK_FALSE(barred(&backend));
  strike_often(&backend);
  clock.advance(9s);
  CHECK_FALSE(barred(&backend));
  CHECK(strike(&backend));
  CHECK(barred(&backend));
  CHECK_FALSE(strike(&backend));  // it is barred already: said once
  clock.advance(59s);
  CHECK(barred(&backend));
  clock.advance(1s);
  CHECK_FALSE(barred(&backend));
}

TEST_CASE_METHOD(Fixture, "strikes that are far apart bar nobody", "[bans]") {
  for (unsigned i = 0; i < 10 * Bans::kMost; ++i) {
    CHECK_FALSE(strike(&backend));
    clock.advance(700ms);
  }
  CHECK_FALSE(barred(&backend));
}

TEST_CASE_METHOD(Fixture, "after its minute a backend begins anew", "[bans]") {
  strike_often(&backend);
  CHECK(strike(&backend));
  clock.advance(61s);
  strike_often(&backend);
  CHECK_FALSE(barred(&backend));
  CHECK(strike(&backend));
  CHECK(barred(&backend));
}

TEST_CASE_METHOD(Fixture, "two backends of one entry push each other out and bar nobody wrongly", "[bans]") {
  // The table has far fewer entries than these.
  std::vector<long> many(4096);
  const void* const one = many.data();
  strike_often(one);
  REQUIRE(strike(one));
  REQUIRE(barred(one));
  for (const long& other : many) {
    if (&other != one) CHECK_FALSE(barred(&other));
  }
  for (int round = 0; round < static_cast<int>(Bans::kMost) + 1; ++round) {
    for (const long& other : many) {
      if (&other != one) CHECK_FALSE(strike(&other));
    }
  }
  CHECK_FALSE(barred(one));
}

TEST_CASE_METHOD(Fixture, "nobody is no backend", "[bans]") { CHECK_FALSE(barred(nullptr)); }
