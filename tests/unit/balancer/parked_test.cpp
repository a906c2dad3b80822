// What is parked: exact over children, also over those that are killed.
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <catch2/catch.hpp>
#include <random>
#include <thread>
#include <vector>

#include "balancer/parked_list.h"
#include "shared_table.h"

using namespace cxxproxy;
using namespace std::chrono_literals;
using balancer::Parked;
using balancer::ParkedCounts;
using balancer::ParkedKind;
using balancer::ParkedList;
using test::SharedTable;

namespace {

constexpr auto kRequest = ParkedKind::Request;
constexpr auto kTunnel = ParkedKind::Tunnel;

base::Instant at(base::Duration span) { return base::Instant(100s + span); }
bool nothing(const Parked& parked) { return parked.count == 0 && parked.since == 0; }

}  // namespace

TEST_CASE("requests and tunnels are counted where they are, and the oldest is known", "[balancer][parked]") {
  SharedTable<ParkedCounts> counts(3, 4);
  ParkedList list(*counts, 2);
  std::array<ParkedList::Entry, 4> entries{};
  list.enter(entries[0], 1, kRequest, at(0s));
  list.enter(entries[1], 1, kRequest, at(1s));
  list.enter(entries[2], 1, kTunnel, at(2s));
  list.enter(entries[3], counts->no_member(), kRequest, at(3s));
  CHECK(counts->no_member() == 3);
  CHECK(counts->of_row(1).requests.count == 2);
  CHECK(counts->of_row(1).requests.age(at(5s)) == 5s);
  CHECK(counts->of_row(1).tunnels.count == 1);
  CHECK(counts->of_row(1).tunnels.age(at(5s)) == 3s);
  CHECK(nothing(counts->of_row(0).requests));
  CHECK(counts->of_row(3).requests.age(at(5s)) == 2s);
  CHECK(counts->all().requests.count == 3);
  CHECK(counts->all().requests.age(at(5s)) == 5s);
  CHECK(list.here().tunnels.count == 1);

  list.leave(entries[0]);
  list.leave(entries[0]);  // once more does no harm
  CHECK(counts->of_row(1).requests.count == 1);
  CHECK(counts->of_row(1).requests.age(at(5s)) == 4s);
  for (auto& entry : entries) list.leave(entry);
  CHECK(nothing(counts->all().requests));
  CHECK(nothing(counts->all().tunnels));
}

TEST_CASE("who waits again in the same place is no newcomer; elsewhere, or as a tunnel, it is", "[balancer][parked]") {
  SharedTable<ParkedCounts> counts(2, 1);
  ParkedList list(*counts, 0);
  ParkedList::Entry entry{};
  list.enter(entry, 0, kRequest, at(0s));
  list.enter(entry, 0, kRequest, at(4s));
  CHECK(counts->of_row(0).requests.count == 1);
  CHECK(counts->of_row(0).requests.age(at(5s)) == 5s);
  list.enter(entry, 1, kRequest, at(4s));
  CHECK(nothing(counts->of_row(0).requests));
  CHECK(counts->of_row(1).requests.age(at(5s)) == 1s);
  list.enter(entry, 1, kTunnel, at(5s));
  CHECK(nothing(counts->of_row(1).requests));
  CHECK(counts->of_row(1).tunnels.count == 1);
  CHECK(counts->of_row(1).tunnels.age(at(4s)) == 0s);  // a clock that was read before
  list.leave(entry);
  CHECK(nothing(counts->all().tunnels));
}

TEST_CASE("without a table, or beyond it, nothing is counted", "[balancer][parked]") {
  ParkedList list(ParkedCounts{}, 0);
  ParkedList::Entry entry{};
  list.enter(entry, 0, kRequest, at(0s));
  CHECK_FALSE(entry.entered);
  list.leave(entry);
  CHECK(nothing(list.here().requests));
  SharedTable<ParkedCounts> counts(1, 1);
  ParkedList other(*counts, 1);  // there is place 0 only
  other.enter(entry, 1, kRequest, at(0s));
  other.leave(entry);
  CHECK(nothing(counts->all().requests));
  CHECK(nothing(other.here().requests));
}

TEST_CASE("a killed child's are cleared, the others' are not", "[balancer][parked]") {
  SharedTable<ParkedCounts> counts(2, 3);
  ParkedList own(*counts, 0);
  ParkedList::Entry mine{};
  own.enter(mine, 1, kRequest, at(7s));
  const pid_t child = ::fork();
  if (child == 0) {
    ParkedList list(*counts, 2);
    std::array<ParkedList::Entry, 6> entries{};
    for (std::size_t i = 0; i < entries.size(); ++i) list.enter(entries[i], static_cast<std::uint32_t>(i / 2), i % 2 == 0 ? kRequest : kTunnel, at(1s));
    ::raise(SIGKILL);
  }
  REQUIRE(child > 0);
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  CHECK(counts->all().requests.count == 4);
  CHECK(counts->all().tunnels.count == 3);
  CHECK(counts->of_row(1).requests.age(at(7s)) == 6s);  // of the child
  counts->release(2);
  CHECK(counts->all().requests.count == 1);
  CHECK(nothing(counts->all().tunnels));
  CHECK(counts->of_row(1).requests.age(at(8s)) == 1s);
  counts->forget(1);
  CHECK(nothing(counts->all().requests));
}

TEST_CASE("numbers and ages are those of a plain list, whatever comes and goes", "[balancer][parked]") {
  constexpr std::uint32_t kMembers = 3;
  SharedTable<ParkedCounts> counts(kMembers, 2);
  ParkedList list(*counts, 1);
  std::vector<ParkedList::Entry> entries(40);
  std::mt19937 generator(4711);
  const auto random = [&generator](std::size_t below) { return static_cast<std::uint32_t>(generator() % below); };
  for (unsigned step = 0; step < 20'000; ++step) {
    ParkedList::Entry& entry = entries[random(entries.size())];
    if (random(2) == 0) list.leave(entry);
    else list.enter(entry, random(kMembers + 1), random(3) == 0 ? kTunnel : kRequest, at(std::chrono::seconds(step)));
    const std::uint32_t row = random(kMembers + 1);
    const auto parked = counts->of_row(row);
    for (const ParkedKind kind : {kRequest, kTunnel}) {
      Parked expected;
      for (const auto& one : entries) {
        if (one.entered && one.row == row && one.kind == kind) expected.add({1, base::micros(one.since)});
      }
      const Parked& found = kind == kRequest ? parked.requests : parked.tunnels;
      if (found.count != expected.count || found.since != expected.since) FAIL("step " << step);
    }
  }
}

TEST_CASE("they come and go from many threads, and somebody reads", "[balancer][parked]") {
  SharedTable<ParkedCounts> counts(2, 1);
  ParkedList list(*counts, 0);
  std::atomic<bool> ends{false};
  std::atomic<bool> too_many{false};
  std::thread reader([&] {
    while (!ends.load()) {
      // Row by row: who goes from one to another may be met in both.
      for (std::uint32_t row = 0; row < counts->rows(); ++row) {
        if (counts->of_row(row).requests.count > 8) too_many = true;
      }
    }
  });
  std::vector<std::thread> threads;
  for (unsigned number = 0; number < 4; ++number) {
    threads.emplace_back([&, number] {
      std::array<ParkedList::Entry, 2> entries{};
      const base::SteadyClock clock;
      for (unsigned i = 0; i < 5000; ++i) {
        for (auto& entry : entries) list.enter(entry, (number + i) % 3, kRequest, clock.now());
        for (auto& entry : entries) list.leave(entry);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  ends = true;
  reader.join();
  CHECK_FALSE(too_many.load());
  CHECK(nothing(counts->all().requests));
}
