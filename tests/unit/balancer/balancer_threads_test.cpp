// Many threads of one process on one balancer. Run this under the thread sanitizer too.
#include <catch2/catch.hpp>
#include <atomic>
#include <chrono>
#include <thread>
#include <vector>

#include "balancer/balancer.h"
#include "balancer_fixture.h"
#include "naive_round_robin.h"

using namespace cxxproxy;
using namespace cxxproxy::test;
using namespace std::chrono_literals;
using config::StatusFlag;

namespace {

template <class Work>
void on_threads(unsigned threads, Work work) {
  std::atomic<unsigned> waiting{threads};
  std::vector<std::thread> running;
  for (unsigned i = 0; i < threads; ++i) {
    running.emplace_back([&, i] {
      waiting.fetch_sub(1);
      while (waiting.load() != 0) std::this_thread::yield();
      work(i);
    });
  }
  for (std::thread& thread : running) thread.join();
}

void exact_counts(const std::vector<std::uint32_t>& weights, std::uint64_t picks_per_thread) {
  constexpr unsigned kThreads = 8;
  Bench bench(weights);
  std::vector<std::atomic<std::uint64_t>> seen(weights.size());
  on_threads(kThreads, [&](unsigned) {
    std::vector<std::uint64_t> mine(weights.size(), 0);
    for (std::uint64_t i = 0; i < picks_per_thread; ++i) ++mine[bench.balancer->pick({}, bench.clock.now()).value()];
    for (std::size_t m = 0; m < mine.size(); ++m) seen[m].fetch_add(mine[m]);
  });
  const std::vector<std::uint64_t> expected = NaiveRoundRobin(weights).counts(kThreads * picks_per_thread);
  for (std::size_t m = 0; m < weights.size(); ++m) {
    CHECK(seen[m].load() == expected[m]);
    CHECK(bench.slots.member(m).chosen.load() == expected[m]);
  }
}

}  // namespace

TEST_CASE("eight threads: counts are those of one sequence of turns", "[balancer][threads]") {
  exact_counts({100, 100}, 100'000);
  exact_counts({100, 200, 500}, 100'000);
  exact_counts({100, 150, 225}, 100'000);
  exact_counts({500, 100, 100}, 33'333);
}

TEST_CASE("each change is told to exactly one of the threads", "[balancer][threads]") {
  constexpr unsigned kRounds = 200;
  Bench bench({100, 100, 100});
  std::atomic<unsigned> failures{0};
  std::atomic<unsigned> recoveries{0};
  for (unsigned round = 0; round < kRounds; ++round) {
    on_threads(4, [&](unsigned thread) {
      for (std::size_t m = 0; m < 3; ++m) failures += bench.balancer->failed((m + thread) % 3, bench.clock.now()) ? 1u : 0u;
      static_cast<void>(bench.balancer->pick({}, bench.clock.now(), &bench.seen));
    });
    REQUIRE(failures == 3 * (round + 1));
    if (round % 2 == 0) {
      on_threads(4, [&](unsigned thread) { recoveries += bench.balancer->succeeded(thread % 3) ? 1u : 0u; });
      REQUIRE(recoveries == round / 2 + 1);
    } else {
      bench.clock.advance(60s);
      on_threads(4, [&](unsigned) { static_cast<void>(bench.balancer->pick({}, bench.clock.now(), &bench.seen)); });
      REQUIRE(bench.seen.rests_over == 3 * (round / 2 + 1));
    }
  }
}

TEST_CASE("an ejection that is refused is seen by nobody", "[balancer][threads]") {
  config::BalancerSpec spec = make_spec({100, 100});
  spec.ejection.failures_in_a_row = 1;
  spec.ejection.first = spec.ejection.longest = 24h * 20;
  Bench bench(spec);
  REQUIRE(bench.balancer->answered(0, 500, 1ms, bench.clock.now()).rest == balancer::RestReason::FailuresInARow);
  std::atomic<bool> over{false};
  on_threads(2, [&](unsigned thread) {
    if (thread == 0) {
      while (!over.load()) static_cast<void>(bench.balancer->answered(1, 500, 1ms, bench.clock.now()));
      return;
    }
    // Each looks at all states anew.
    for (int look = 0; look < 200'000; ++look) {
      static_cast<void>(bench.balancer->pick({}, bench.clock.now() + look * 1s + look * 1ms, &bench.seen));
    }
    over.store(true);
  });
  CHECK(bench.seen.panics == 0);
  CHECK(bench.slots.member(1).ejected_until.load() == 0);
}

// Twelve members of unlike weights: some sets have a table, some a stride order, and there are more
// sets than orders are kept, so orders are overwritten while others read them.
TEST_CASE("a set that changes all the time loses nothing and offers nobody who is out", "[balancer][threads]") {
  constexpr unsigned kThreads = 3;
  constexpr std::uint64_t kChanges = 300;
  config::BalancerSpec spec = make_spec({9973, 9967, 9949, 9941, 9931, 9929, 9923, 9907, 100, 100, 100, 100});
  spec.members[11].status = bit(StatusFlag::Disabled);
  Bench bench(spec);
  std::atomic<std::uint64_t> picked{0};
  std::atomic<std::uint64_t> wrong{0};
  std::atomic<bool> stop{false};
  on_threads(kThreads + 1, [&](unsigned thread) {
    for (std::uint64_t step = 0; thread == kThreads && step < kChanges; ++step) {
      const std::size_t m = step * 7 % 11;
      const bool down = step / 11 % 2 == 0 && m != 8;
      bench.slots.set_status(m, down ? bit(StatusFlag::Disabled) : 0);
      const std::uint64_t seen = picked.load();
      while (picked.load() < seen + 20) std::this_thread::yield();  // the change meets some picks
    }
    if (thread == kThreads) stop.store(true);
    while (!stop.load()) {
      const auto index = bench.balancer->pick({}, bench.clock.now());
      if (!index || *index >= 11) wrong.fetch_add(1);
      if (picked.fetch_add(1) % 64 == 0) std::this_thread::yield();
    }
  });
  CHECK(wrong == 0);
  CHECK(picked >= 20 * kChanges);
  CHECK(bench.slots.chosen() == picked);
  CHECK(bench.slots.balancer().ticket == picked);
}

// Member 0 is in no set, and it is what unwritten memory of a new order says.
TEST_CASE("an order that is overwritten under its reader gives a member of a set or nothing", "[balancer][threads]") {
  const std::vector<std::uint32_t> weights{100, 100, 100, 100, 100, 100, 100, 100, 100, 10000, 9999};
  const auto pair = [](std::size_t a, std::size_t b) {
    balancer::MemberSet set;
    set.insert(a);
    set.insert(b);
    return set;
  };
  std::uint64_t wrong = 0;
  std::uint64_t overwritten = 0;
  for (int round = 0; round < 100; ++round) {
    balancer::ByRequests policy(weights);
    const balancer::Order* order = policy.order_for(pair(1, 2));
    for (std::size_t i = 3; i < 9; ++i) static_cast<void>(policy.order_for(pair(1, i)));
    static_cast<void>(policy.order_for(pair(2, 3)));
    std::atomic<bool> reading{false};
    std::atomic<bool> written{false};
    std::thread reader([&] {
      std::uint64_t turn = 0;
      for (bool last = false; !last; turn += 9973) {
        last = written.load();
        const auto member = order->at(turn);
        if (member == 0u) ++wrong;
        if (member == 9u || member == 10u) ++overwritten;
        reading.store(true);
      }
    });
    while (!reading.load()) std::this_thread::yield();
    CHECK(policy.order_for(pair(9, 10)) == order);  // the oldest of all
    written.store(true);
    reader.join();
  }
  CHECK(wrong == 0);
  CHECK(overwritten >= 100);
}

TEST_CASE("who has marked a member failed is not given it again", "[balancer][threads]") {
  constexpr std::uint64_t kPicks = 20'000;
  Bench bench({100, 100, 100, 100});
  std::atomic<std::uint64_t> wrong{0};
  on_threads(2, [&](unsigned thread) {
    const std::size_t mine = thread;  // 0 and 1 come and go, 2 and 3 stay
    balancer::MemberSlot& slot = bench.slots.member(mine);
    for (std::uint64_t i = 0; i < kPicks; ++i) {
      bench.balancer->failed(mine, bench.clock.now());
      if (bench.balancer->pick({}, bench.clock.now()) == mine) wrong.fetch_add(1);
      slot.failed_at.store(0);
      bench.slots.balancer().epoch.fetch_add(1);
    }
  });
  CHECK(wrong == 0);
}
