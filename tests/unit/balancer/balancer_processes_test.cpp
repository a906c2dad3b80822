// Four processes with sixteen threads each on one balancer in a shared mapping, as the children of a
// server are; also children that are killed.
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <atomic>
#include <chrono>
#include <numeric>
#include <thread>
#include <vector>

#include "balancer/balancer.h"
#include "balancer/mix.h"
#include "balancer_fixture.h"
#include "naive_round_robin.h"

using namespace cxxproxy;
using namespace cxxproxy::test;
using namespace std::chrono_literals;

namespace {

constexpr unsigned kProcesses = 4;
constexpr unsigned kThreads = 16;

// What the processes tell each other and the parent, in shared memory of its own.
struct Tally {
  std::atomic<std::uint64_t> left;
  std::atomic<std::uint64_t> picked[16];
  std::atomic<std::uint64_t> wrong;
  std::atomic<std::uint64_t> failed_told;
  std::atomic<std::uint64_t> rests_told;
  std::atomic<std::uint64_t> alive;
};

class SharedTally {
 public:
  SharedTally() {
    void* const memory = ::mmap(nullptr, sizeof(Tally), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) std::abort();
    tally_ = new (memory) Tally{};
  }
  ~SharedTally() { ::munmap(tally_, sizeof(Tally)); }
  SharedTally(const SharedTally&) = delete;
  SharedTally& operator=(const SharedTally&) = delete;
  Tally* operator->() const { return tally_; }
  Tally& operator*() const { return *tally_; }

 private:
  Tally* tally_;
};

bool take_one(std::atomic<std::uint64_t>& left) {
  std::uint64_t seen = left.load();
  while (seen != 0 && !left.compare_exchange_weak(seen, seen - 1)) {
  }
  return seen != 0;
}

// Forks the processes; in each, one Balancer is made and `work(balancer)` runs on all threads.
template <class Work>
std::vector<pid_t> fork_children(const config::BalancerSpec& spec, SharedSlots& slots, Work work) {
  std::vector<pid_t> children;
  for (unsigned p = 0; p < kProcesses; ++p) {
    const pid_t child = ::fork();
    if (child == 0) {
      balancer::Balancer balancer(spec, slots.shared(static_cast<std::uint32_t>(::getpid())));
      std::vector<std::thread> threads;
      for (unsigned t = 0; t < kThreads; ++t) threads.emplace_back([&] { work(balancer); });
      for (std::thread& thread : threads) thread.join();
      ::_exit(0);
    }
    REQUIRE(child > 0);
    children.push_back(child);
  }
  return children;
}

void wait_for(const std::vector<pid_t>& children, bool killed = false) {
  for (const pid_t child : children) {
    int status = 0;
    REQUIRE(::waitpid(child, &status, 0) == child);
    if (killed && WIFSIGNALED(status)) continue;
    REQUIRE(WIFEXITED(status));
    REQUIRE(WEXITSTATUS(status) == 0);
  }
}

std::uint64_t worst_deviation(const std::vector<std::uint32_t>& weights, std::uint64_t picks) {
  const config::BalancerSpec spec = make_spec(weights);
  SharedSlots slots(weights.size());
  SharedTally tally;
  const base::SteadyClock clock;
  slots.start(spec, clock.now());
  tally->left = picks;
  wait_for(fork_children(spec, slots, [&](balancer::Balancer& balancer) {
    while (take_one(tally->left)) {
      const auto index = balancer.pick({}, clock.now());
      if (index) tally->picked[*index].fetch_add(1);
    }
  }));
  const std::vector<std::uint64_t> expected = NaiveRoundRobin(weights).counts(picks);
  std::uint64_t worst = 0;
  for (std::size_t m = 0; m < weights.size(); ++m) {
    const std::uint64_t got = tally->picked[m];
    CHECK(slots.member(m).chosen == got);
    worst = std::max(worst, got > expected[m] ? got - expected[m] : expected[m] - got);
  }
  return worst;
}

}  // namespace

TEST_CASE("4 processes x 16 threads, 40,000 picks: worst deviation 0", "[balancer][processes]") {
  CHECK(worst_deviation({100, 100}, 40'000) == 0);
  CHECK(worst_deviation({100, 200, 500}, 40'000) == 0);
  CHECK(worst_deviation({100, 150, 225}, 40'000) == 0);
  CHECK(worst_deviation({500, 100, 100}, 40'000) == 0);
  CHECK(worst_deviation({333, 1275, 9900, 101}, 40'000) == 0);
}

TEST_CASE("members fail and return under load of all processes: nothing is lost or doubled", "[balancer][processes]") {
  constexpr std::uint64_t kPicks = 200'000;
  config::BalancerSpec spec = make_spec({100, 200, 500, 100, 300});
  spec.members[4].status = bit(config::StatusFlag::Disabled);
  for (config::MemberSpec& member : spec.members) member.retry = 2ms;
  SharedSlots slots(spec.members.size());
  SharedTally tally;
  const base::SteadyClock clock;
  slots.start(spec, clock.now());
  tally->left = kPicks;
  wait_for(fork_children(spec, slots, [&](balancer::Balancer& balancer) {
    CountingObserver seen;
    while (take_one(tally->left)) {
      const auto first = balancer.pick({}, clock.now(), &seen);
      if (!first || *first == 4) {
        tally->wrong.fetch_add(1);
        continue;
      }
      const std::uint64_t number = tally->picked[*first].fetch_add(1);
      if (number % 50 != 0) {
        balancer.succeeded(*first);
        continue;
      }
      if (balancer.failed(*first, clock.now())) tally->failed_told.fetch_add(1);
      balancer::TriedSet tried;
      tried.insert(*first);
      const auto second = balancer.pick(tried, clock.now(), &seen);
      if (!second || *second == 4 || *second == *first) {
        tally->wrong.fetch_add(1);
        continue;
      }
      tally->picked[*second].fetch_add(1);
    }
    tally->rests_told.fetch_add(seen.rests_over);
  }));
  CHECK(tally->wrong == 0);
  std::uint64_t picked = 0;
  std::uint64_t failures = 0;
  for (std::size_t m = 0; m < spec.members.size(); ++m) {
    CHECK(slots.member(m).chosen == tally->picked[m]);
    picked += tally->picked[m];
    failures += slots.member(m).failures;
  }
  CHECK(slots.balancer().ticket == kPicks);
  CHECK(picked == kPicks + slots.balancer().retry_ticket);
  CHECK(failures == slots.balancer().retry_ticket);
  CHECK(tally->failed_told > 0);
  CHECK(tally->failed_told <= failures);
  // Every end of a rest follows a failure that was told; ends by a forced recovery are told elsewhere.
  CHECK(tally->rests_told <= tally->failed_told);
}

TEST_CASE("children that are killed take no turn twice and leave the others going", "[balancer][processes]") {
  const config::BalancerSpec spec = make_spec({100, 100, 100});
  SharedSlots slots(3);
  SharedTally tally;
  const base::SteadyClock clock;
  slots.start(spec, clock.now());
  tally->left = ~std::uint64_t{0} >> 1;
  const std::vector<pid_t> children = fork_children(spec, slots, [&](balancer::Balancer& balancer) {
    while (take_one(tally->left)) {
      const auto index = balancer.pick({}, clock.now());
      if (index) tally->picked[*index].fetch_add(1);
    }
  });
  const base::Instant give_up = clock.now() + 30s;
  while (slots.balancer().ticket < 20'000 && clock.now() < give_up) std::this_thread::yield();
  ::kill(children[0], SIGKILL);
  ::kill(children[1], SIGKILL);
  const std::uint64_t after_kill = slots.balancer().ticket + 20'000;
  while (slots.balancer().ticket < after_kill && clock.now() < give_up) std::this_thread::yield();
  CHECK(slots.balancer().ticket >= after_kill);
  tally->left = 0;
  wait_for(children, true);
  // A killed thread may have drawn a ticket and not counted it: at most one turn per killed thread.
  const std::uint64_t turns = slots.balancer().ticket;
  CHECK(slots.chosen() <= turns);
  CHECK(slots.chosen() + 2 * kThreads >= turns);
  for (std::size_t m = 0; m < 3; ++m) {
    CHECK(slots.member(m).chosen <= turns / 3 + 1);
    CHECK(slots.member(m).chosen + 2 * kThreads >= turns / 3);
  }
}

// For every method: threads of four processes serve, two processes are killed in the middle, and the
// parent takes back what they had in flight.
TEST_CASE("in flight goes back to 0 although children are killed, for every method", "[balancer][processes]") {
  using config::Method;
  for (const Method method : {Method::ByRequests, Method::ByTraffic, Method::ByBusyness, Method::LeastLoad, Method::Ewma, Method::Hash,
                              Method::Random, Method::First}) {
    INFO(static_cast<int>(method));
    config::BalancerSpec spec = make_spec({100, 200, 150});
    spec.method = method;
    spec.hash_factor = 125;
    spec.ejection.failures_in_a_row = 40;
    spec.retry_budget = 10;
    for (config::MemberSpec& member : spec.members) member.retry = 2ms;
    SharedSlots slots(3);
    SharedTally tally;
    const base::SteadyClock clock;
    slots.start(spec, clock.now());
    tally->left = ~std::uint64_t{0} >> 1;
    const std::vector<pid_t> children = fork_children(spec, slots, [&](balancer::Balancer& balancer) {
      while (take_one(tally->left)) {
        balancer::PickHint hint;
        hint.key = balancer::mix(tally->left);
        hint.has_key = true;
        balancer::Flight flight;
        const auto index = balancer.pick({}, clock.now(), nullptr, hint);
        if (!index) continue;
        flight.begin(balancer, *index, clock.now());
        const std::uint64_t number = tally->picked[*index].fetch_add(1);
        flight.sent(10);
        flight.received(number % 1000);
        if (number % 97 == 0) {
          (void)flight.failed(balancer::Failure::Unusable, clock.now());
        } else {
          (void)flight.answered(number % 89 == 0 ? 500 : 200, clock.now());
        }
        if (number % 16 == 0) std::this_thread::yield();
      }
    });
    const base::Instant give_up = clock.now() + 30s;
    while (slots.chosen() < 2'000 && clock.now() < give_up) std::this_thread::yield();
    ::kill(children[0], SIGKILL);
    ::kill(children[3], SIGKILL);
    const std::uint64_t after_kill = slots.chosen() + 2'000;
    while (slots.chosen() < after_kill && clock.now() < give_up) std::this_thread::yield();
    CHECK(slots.chosen() >= after_kill);
    tally->left = 0;
    wait_for(children, true);
    std::uint64_t picked = 0;
    for (std::size_t m = 0; m < 3; ++m) picked += tally->picked[m];
    CHECK(slots.chosen() >= picked);
    CHECK(slots.chosen() <= picked + 2 * kThreads);  // chosen, and killed before it was told
    for (const pid_t child : children) {
      const std::uint32_t left = slots.flights().release(static_cast<std::uint32_t>(child));
      CHECK(left <= 2 * kThreads);  // hash counts each in the balancer's row as well
      if (child == children[1] || child == children[2]) CHECK(left == 0);
    }
    CHECK(slots.in_flight() == 0);
  }
}
