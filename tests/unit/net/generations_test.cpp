// Generations of children on one segment, as reloads of a server make them; every second child is killed with
// attempts in flight.
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <apr_general.h>
#include <apr_pools.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <catch2/catch.hpp>
#include <cstdlib>
#include <deque>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "balancer/balancer.h"
#include "balancer/slot_places.h"
#include "net/shared_segment.h"

using namespace cxxproxy;
using namespace cxxproxy::balancer;

namespace {

constexpr std::size_t kNames = 8;  // the first two are members of every configuration
constexpr std::size_t kGenerations = 25;
constexpr std::size_t kChildren = 2;  // of each generation
constexpr std::size_t kOverlap = 3;   // generations that live at a time

struct Child {
  pid_t process;
  std::uint64_t generation;
};

// What a child has done, by name of the member.
struct Deeds {
  std::array<std::atomic<std::uint64_t>, kNames> picked;
  std::array<std::atomic<std::uint32_t>, kNames> left;
  std::atomic<std::uint32_t> done;
};

class AllDeeds {
 public:
  AllDeeds() {
    void* const memory = ::mmap(nullptr, sizeof(Array), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) std::abort();
    deeds_ = new (memory) Array{};
  }
  ~AllDeeds() { ::munmap(deeds_, sizeof(Array)); }
  AllDeeds(const AllDeeds&) = delete;
  AllDeeds& operator=(const AllDeeds&) = delete;
  Deeds& of(std::size_t child) const { return (*deeds_)[child]; }

 private:
  using Array = std::array<Deeds, kGenerations * kChildren>;
  Array* deeds_;
};

struct Configuration {
  config::ResolvedConfig config;
  std::vector<std::size_t> names;  // of the members, in file order
};

Configuration configuration(std::mt19937& random) {
  Configuration made;
  made.names = {0, 1};
  for (std::size_t name = 2; name < kNames; ++name) {
    if (random() % 2 == 0) made.names.push_back(name);
  }
  std::shuffle(made.names.begin(), made.names.end(), random);
  made.config.balancers.push_back(std::make_unique<config::BalancerSpec>());
  config::BalancerSpec& group = *made.config.balancers.back();
  group.key = "group";
  for (const std::size_t name : made.names) {
    config::MemberSpec member;
    member.key = member.name = std::string(1, static_cast<char>('a' + name));
    member.member_id = static_cast<std::uint32_t>(group.members.size());
    group.members.push_back(member);
  }
  for (const config::MemberSpec& member : group.members) made.config.members.push_back(&member);
  return made;
}

// A child: two threads pick and end; some attempts are left when they pause. Then it waits for its end.
[[noreturn]] void serve(const net::SharedSegment& segment, const Configuration& said, const SlotPlaces& places, Deeds& deeds) {
  Flights flights = segment.flights();
  const std::uint32_t place = flights.claim(static_cast<std::uint32_t>(::getpid()));
  std::vector<MemberSlot*> slots;
  for (const std::uint32_t slot : places.members) slots.push_back(&segment.members()[slot]);
  const std::uint32_t slot = places.balancers[0];
  Balancer balancer(*said.config.balancers[0],
                    Shared{segment.balancers()[slot], slots, flights, place, segment.balancer_row(slot), places.members});
  const auto work = [&] {
    for (unsigned i = 0; i < 400; ++i) {
      const auto index = balancer.pick({}, base::SteadyClock{}.now());
      if (!index) ::_exit(1);
      deeds.picked[said.names[*index]].fetch_add(1);
      if (i % 100 == 7) {
        deeds.left[said.names[*index]].fetch_add(1);
      } else {
        balancer.ended(*index);
      }
    }
  };
  std::thread other(work);
  work();
  other.join();
  deeds.done.store(1);
  for (;;) ::pause();
}

}  // namespace

TEST_CASE("old and new children count in the same slots, and the dead are taken out", "[net]") {
  apr_initialize();
  apr_pool_t* pool = nullptr;
  apr_pool_create(&pool, nullptr);
  auto made = net::SharedSegment::create(pool, {3, 20, 2 * kOverlap * kChildren});
  REQUIRE(made);
  const net::SharedSegment segment = *made;
  Flights flights = segment.flights();
  std::mt19937 random(20);
  const AllDeeds deeds;
  std::deque<Child> living;
  std::size_t first_living = 0;
  const auto end_oldest = [&] {
    const Child child = living.front();
    living.pop_front();
    ++first_living;
    REQUIRE(::kill(child.process, SIGKILL) == 0);
    int status = 0;
    REQUIRE(::waitpid(child.process, &status, 0) == child.process);
    REQUIRE(WIFSIGNALED(status));
    CHECK(flights.release(static_cast<std::uint32_t>(child.process)) == 8);
  };

  for (std::uint64_t generation = 1; generation <= kGenerations; ++generation) {
    const Configuration said = configuration(random);
    Slots slots = segment.slots();
    const Turnover turnover{generation, living.empty() ? generation : living.front().generation};
    const auto places = place_slots(slots, said.config, turnover, base::SteadyClock{}.now());
    REQUIRE(places);
    for (std::size_t i = 0; i < kChildren; ++i) {
      Deeds& own = deeds.of(first_living + living.size());
      const pid_t child = ::fork();
      if (child == 0) serve(segment, said, *places, own);
      REQUIRE(child > 0);
      living.push_back({child, generation});
      while (own.done.load() == 0 && ::waitpid(child, nullptr, WNOHANG) == 0) std::this_thread::yield();
      REQUIRE(own.done == 1);
    }
    for (std::size_t i = 0; i < said.names.size(); ++i) {
      std::uint64_t left = 0;
      for (std::size_t child = first_living; child < first_living + living.size(); ++child) left += deeds.of(child).left[said.names[i]];
      CHECK(flights.in_all(places->members[i]) == left);
      if (said.names[i] > 1) continue;
      std::uint64_t picked = 0;
      for (std::size_t child = 0; child < first_living + living.size(); ++child) picked += deeds.of(child).picked[said.names[i]];
      CHECK(segment.members()[places->members[i]].chosen == picked);
    }
    while (living.size() > (kOverlap - 1) * kChildren) end_oldest();
  }
  while (!living.empty()) end_oldest();
  for (std::uint32_t row = 0; row < flights.rows(); ++row) CHECK(flights.in_all(row) == 0);
  apr_pool_destroy(pool);
  apr_terminate();
}
