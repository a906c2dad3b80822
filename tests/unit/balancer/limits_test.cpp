// Permits and waiting times that all children share.
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <atomic>
#include <thread>
#include <vector>

#include "balancer/flights.h"
#include "balancer/limits.h"
#include "shared_table.h"

using namespace cxxproxy;
using balancer::Limits;
using balancer::Permit;
using test::SharedLimits;

TEST_CASE("permits are given up to the limit, and again when one came back", "[balancer][limits]") {
  SharedLimits shared(3, 4);
  const Limits& limits = *shared;
  CHECK(limits.has_room(1, 2));
  const std::uint32_t first = limits.take(1, 2, 0);
  const std::uint32_t second = limits.take(1, 2, 3);
  CHECK(first != second);
  CHECK(limits.take(1, 2, 0) == Limits::kNone);
  CHECK_FALSE(limits.has_room(1, 2));
  CHECK(limits.taken(1) == 2);
  CHECK(limits.taken(0) == 0);
  CHECK(limits.has_room(0, 1));
  limits.give_back(1, first);
  CHECK(limits.has_room(1, 2));
  CHECK(limits.take(1, 2, 2) == first);
}

TEST_CASE("a limit is never more than the table has room for, and a row beyond it has none", "[balancer][limits]") {
  SharedLimits shared(1, 2);
  for (std::uint32_t i = 0; i < Limits::kMost; ++i) REQUIRE(shared->take(0, Limits::kMost + 5, 1) == i);
  CHECK(shared->take(0, Limits::kMost + 5, 1) == Limits::kNone);
  CHECK(shared->take(1, 1, 0) == Limits::kNone);
  CHECK_FALSE(shared->has_room(1, 1));
}

TEST_CASE("what a dead child held is free, what others hold is not", "[balancer][limits]") {
  SharedLimits shared(2, 4);
  const Limits& limits = *shared;
  for (const std::uint32_t place : {0u, 1u, 1u, 2u}) REQUIRE(limits.take(1, 4, place) != Limits::kNone);
  limits.wait_since(0, 1, 1234);
  limits.wait_since(0, 2, 99);
  limits.set_waiting(0, 1, 7);
  limits.set_waiting(0, 2, 2);
  CHECK(limits.waiting(0) == 9);
  CHECK(limits.release(1) == 2);
  CHECK(limits.taken(1) == 2);
  CHECK(limits.waits_since(0, 1) == 0);
  CHECK(limits.waiting(0) == 2);
  CHECK(limits.waiting(1) == 0);
  CHECK(limits.waits_since(0, 2) == 99);
  CHECK(limits.was_waited_in(0));
  CHECK_FALSE(limits.was_waited_in(1));
  CHECK(limits.release(1) == 0);
}

TEST_CASE("a permit is given back once, by its last holder", "[balancer][limits]") {
  SharedLimits shared(1, 2);
  Permit outer;
  {
    Permit inner(*shared, 0, shared->take(0, 1, 0));
    outer = std::move(inner);
    CHECK_FALSE(inner);  // NOLINT: what a moved-from one says is the point
  }
  CHECK(outer);
  CHECK(shared->taken(0) == 1);
  outer.give_back();
  CHECK(shared->taken(0) == 0);
  CHECK(shared->take(0, 1, 1) == 0);
  outer.give_back();
  CHECK(shared->taken(0) == 1);
}

TEST_CASE("4 processes, killed and replaced: never more permits than the limit, none lost", "[balancer][limits][processes]") {
  constexpr std::uint32_t kLimit = 5;
  constexpr unsigned kProcesses = 4;
  constexpr unsigned kKills = 40;
  SharedLimits shared(2, 2 * kProcesses + 1);
  struct Tally {
    std::atomic<std::uint32_t> holders[kLimit];  // who works with this permit: process id
    std::atomic<std::uint64_t> wrong;
    std::atomic<std::uint64_t> taken;
  };
  void* const memory = ::mmap(nullptr, sizeof(Tally), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  REQUIRE(memory != MAP_FAILED);
  auto& tally = *new (memory) Tally{};

  const auto begin_child = [&](std::uint32_t place) {
    const pid_t child = ::fork();
    if (child != 0) return child;
    std::vector<std::thread> threads;
    for (unsigned t = 0; t < 3; ++t) {
      threads.emplace_back([&, place, t] {
        const std::uint32_t me = place * 4 + t + 1;
        for (;;) {
          const Permit permit(*shared, 1, shared->take(1, kLimit, place));
          if (!permit) continue;
          ++tally.taken;
          const std::uint32_t held = shared->taken(1);
          if (held > kLimit) ++tally.wrong;
          // Which one it is does not matter: as many work at a time as permits are out.
          std::uint32_t free = 0;
          std::size_t at = 0;
          while (at < kLimit && !tally.holders[at].compare_exchange_strong(free, me)) {
            free = 0;
            ++at;
          }
          if (at == kLimit) {
            ++tally.wrong;
          } else {
            tally.holders[at].store(0);
          }
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
    ::_exit(0);
  };

  std::vector<pid_t> children;
  for (std::uint32_t place = 0; place < kProcesses; ++place) children.push_back(begin_child(place));
  for (unsigned kill = 0; kill < kKills; ++kill) {
    const std::uint32_t place = kill % kProcesses;
    const std::uint64_t before = tally.taken.load();
    while (tally.taken.load() < before + 200) std::this_thread::yield();
    REQUIRE(::kill(children[place], SIGKILL) == 0);
    int status = 0;
    REQUIRE(::waitpid(children[place], &status, 0) == children[place]);
    for (auto& holder : tally.holders) {
      std::uint32_t owner = holder.load();
      if (owner != 0 && (owner - 1) / 4 == place) holder.compare_exchange_strong(owner, 0);
    }
    (void)shared->release(place);
    children[place] = begin_child(place);
  }
  for (std::uint32_t place = 0; place < kProcesses; ++place) {
    REQUIRE(::kill(children[place], SIGKILL) == 0);
    REQUIRE(::waitpid(children[place], nullptr, 0) == children[place]);
    (void)shared->release(place);
  }
  CHECK(tally.wrong == 0);
  CHECK(shared->taken(1) == 0);
  ::munmap(memory, sizeof(Tally));
}
