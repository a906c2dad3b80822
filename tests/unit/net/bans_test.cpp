#include <catch2/catch.hpp>

#include <vector>

#include "net/bans.h"

using cxxproxy::net::Bans;
using namespace cxxproxy;
using namespace std::chrono_literals;

namespace {
struct Fixture {
  base::ManualClock clock;
  Bans bans;
  long backend = 0;
  bool strike(const void* whom) { return bans.strike(whom, clock.now()); }
  bool barred(const void* whom) { return bans.is_barred(whom, clock.now()); }
};
}  // namespace

TEST_CASE_METHOD(Fixture, "the third strike within ten seconds bars a backend for a minute", "[bans]") {
  CHECK_FALSE(barred(&backend));
  CHECK_FALSE(strike(&backend));
  clock.advance(9s);
  CHECK_FALSE(strike(&backend));
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
  for (int i = 0; i < 20; ++i) {
    CHECK_FALSE(strike(&backend));
    clock.advance(6s);
  }
  CHECK_FALSE(barred(&backend));
}

TEST_CASE_METHOD(Fixture, "after its minute a backend begins anew", "[bans]") {
  for (int i = 0; i < 3; ++i) (void)strike(&backend);
  clock.advance(61s);
  CHECK_FALSE(strike(&backend));
  CHECK_FALSE(barred(&backend));
  CHECK_FALSE(strike(&backend));
  CHECK(strike(&backend));
  CHECK(barred(&backend));
}

TEST_CASE_METHOD(Fixture, "two backends of one entry push each other out and bar nobody wrongly", "[bans]") {
  // The table has far fewer entries than these.
  std::vector<long> many(4096);
  const void* const one = many.data();
  for (int i = 0; i < 3; ++i) (void)strike(one);
  REQUIRE(barred(one));
  for (const long& other : many) {
    if (&other != one) CHECK_FALSE(barred(&other));
  }
  for (int round = 0; round < 3; ++round) {
    for (const long& other : many) {
      if (&other != one) CHECK_FALSE(strike(&other));
    }
  }
  CHECK_FALSE(barred(one));
}

TEST_CASE_METHOD(Fixture, "nobody is no backend", "[bans]") { CHECK_FALSE(barred(nullptr)); }
