#include "net/shared_segment.h"

#include <apr_general.h>
#include <apr_pools.h>
#include <sys/resource.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cerrno>
#include <cstring>
#include <string>
#include <vector>

using namespace cxxproxy;
using namespace cxxproxy::net;
using balancer::BalancerSlot;
using balancer::MemberSlot;
using balancer::SegmentHead;

namespace {

class Pool {
 public:
  Pool() {
    apr_initialize();
    apr_pool_create(&pool_, nullptr);
  }
  ~Pool() {
    apr_pool_destroy(pool_);
    apr_terminate();
  }
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;
  apr_pool_t* get() const { return pool_; }

 private:
  apr_pool_t* pool_ = nullptr;
};

}  // namespace

TEST_CASE("a new segment is full of free slots, each on its cache lines", "[net]") {
  const Pool pool;
  auto made = SharedSegment::create(pool.get(), {3, 17, 20});
  REQUIRE(made);
  const SharedSegment segment = *made;
  CHECK(segment.balancers().size() == 3);
  CHECK(segment.members().size() == 17);
  for (const BalancerSlot& slot : segment.balancers()) {
    CHECK(slot.key == balancer::SlotKey{});
    CHECK(reinterpret_cast<std::uintptr_t>(&slot) % balancer::kCacheLine == 0);
  }
  for (const MemberSlot& slot : segment.members()) {
    CHECK(slot.key == balancer::SlotKey{});
    CHECK(slot.failed_at == 0);
    CHECK(reinterpret_cast<std::uintptr_t>(&slot) % balancer::kCacheLine == 0);
  }
  auto* const begin = static_cast<char*>(segment.address());
  CHECK(reinterpret_cast<char*>(&segment.balancers()[0]) == begin + sizeof(SegmentHead));
  CHECK(reinterpret_cast<char*>(&segment.members()[0]) == reinterpret_cast<char*>(&segment.balancers()[2] + 1));
  // Behind the members: owners (21 words on two lines), then 20 rows of 20 counts (two lines each). What is parked: 18 marks on two lines,
  // then 18 rows of 20 cells of 24 bytes (eight lines each).
  CHECK(balancer::ParkedCounts::size(17, 20) == (2 + 18 * 8) * balancer::kCacheLine);
  CHECK(reinterpret_cast<char*>(&segment.members()[16] + 1) + (2 + 20 * 2 + 2 + 18 * 8) * balancer::kCacheLine + balancer::Limits::size(20, 20) ==
        begin + segment.size());
  segment.parked().add(segment.parked().no_member(), 19, balancer::ParkedKind::Tunnel);  // the last cell
  segment.parked().set_oldest(segment.parked().no_member(), 19, balancer::ParkedKind::Tunnel, 5);
  CHECK(segment.parked().no_member() == 17);
  CHECK(segment.parked().all().tunnels.count == 1);
  CHECK(segment.parked().all().tunnels.since == 5);
  CHECK(segment.flights().in_all(19) == 0);
  CHECK_FALSE(segment.limits().was_waited_in(0));
  CHECK(segment.limits().places() == 20);
  CHECK(segment.limits().rows() == 20);
  CHECK(segment.limits().take(19, 1, 0) == 0);  // all of it is there
  CHECK(segment.limits().take(19, balancer::Limits::kMost, 19) == 1);
  CHECK(segment.flights().places() == 20);
  CHECK(segment.flights().rows() == 20);
  CHECK(segment.balancer_row(2) == 19);
}

TEST_CASE("a segment may be empty", "[net]") {
  const Pool pool;
  auto made = SharedSegment::create(pool.get(), {});
  REQUIRE(made);
  CHECK(made->members().empty());
  CHECK(SharedSegment::attach(made->address(), made->size()).has_value());
}

TEST_CASE("no memory is an error with the system's reason", "[net]") {
  const Pool pool;
  const pid_t child = ::fork();
  if (child == 0) {
    const rlimit no_more{4096, 4096};
    if (::setrlimit(RLIMIT_AS, &no_more) != 0) ::_exit(1);
    auto made = SharedSegment::create(pool.get(), {1000, 1'000'000, 1});
    if (made) ::_exit(2);
    ::_exit(made.error().code == base::ProxyErrc::Internal && made.error().os_error == ENOMEM ? 0 : 3);
  }
  REQUIRE(child > 0);
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  REQUIRE(WIFEXITED(status));
  CHECK(WEXITSTATUS(status) == 0);
}

TEST_CASE("attach finds the segment again and refuses another layout", "[net]") {
  const Pool pool;
  auto made = SharedSegment::create(pool.get(), {2, 4, 8});
  REQUIRE(made);
  const auto again = SharedSegment::attach(made->address(), made->size());
  REQUIRE(again.has_value());
  CHECK(&again->members()[3] == &made->members()[3]);
  CHECK_FALSE(SharedSegment::attach(nullptr, made->size()).has_value());
  CHECK_FALSE(SharedSegment::attach(made->address(), made->size() - 1).has_value());
  CHECK_FALSE(SharedSegment::attach(made->address(), 8).has_value());
  CHECK_FALSE(SharedSegment::attach(static_cast<char*>(made->address()) + 8, made->size()).has_value());

  auto* const head = static_cast<SegmentHead*>(made->address());
  const SegmentHead good = *head;
  const auto refused = [&](auto change) {
    *head = good;
    change(*head);
    const bool result = !SharedSegment::attach(head, made->size()).has_value();
    *head = good;
    return result;
  };
  CHECK(refused([](SegmentHead& h) { h.magic ^= 1; }));
  CHECK(refused([](SegmentHead& h) { ++h.layout_version; }));
  CHECK(refused([](SegmentHead& h) { ++h.head_size; }));
  CHECK(refused([](SegmentHead& h) { ++h.balancer_slot_size; }));
  CHECK(refused([](SegmentHead& h) { ++h.member_slot_size; }));
  CHECK(refused([](SegmentHead& h) { ++h.balancer_count; }));
  CHECK(refused([](SegmentHead& h) { ++h.member_count; }));
  CHECK(refused([](SegmentHead& h) { h.places += 32; }));
  CHECK(refused([](SegmentHead& h) { ++h.total_size; }));
  CHECK_FALSE(refused([](SegmentHead&) {}));
}

TEST_CASE("a child writes what the parent reads", "[net]") {
  const Pool pool;
  auto made = SharedSegment::create(pool.get(), {1, 2, 4});
  REQUIRE(made);
  const pid_t child = ::fork();
  if (child == 0) {
    made->members()[1].chosen.fetch_add(42);
    ::_exit(0);
  }
  REQUIRE(child > 0);
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  CHECK(made->members()[1].chosen == 42);
  CHECK(made->members()[0].chosen == 0);
}

TEST_CASE("what a killed child had in flight is taken back, and only that", "[net]") {
  const Pool pool;
  auto made = SharedSegment::create(pool.get(), {1, 3, 4});
  REQUIRE(made);
  balancer::Flights flights = made->flights();
  const std::uint32_t parents_place = flights.claim(static_cast<std::uint32_t>(::getpid()));
  flights.begin(1, parents_place);
  const pid_t child = ::fork();
  if (child == 0) {
    balancer::Flights own = made->flights();
    const std::uint32_t place = own.claim(static_cast<std::uint32_t>(::getpid()));
    for (std::uint32_t row = 0; row < own.rows(); ++row) own.begin(row, place);
    own.begin(1, place);
    own.end(0, place);
    ::raise(SIGKILL);
  }
  REQUIRE(child > 0);
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  CHECK(flights.in_all(0) == 0);
  CHECK(flights.in_all(1) == 3);
  CHECK(flights.in_all(2) == 1);
  CHECK(flights.in_all(3) == 1);
  CHECK(flights.release(static_cast<std::uint32_t>(child)) == 4);
  CHECK(flights.release(static_cast<std::uint32_t>(child)) == 0);
  CHECK(flights.in_all(1) == 1);
  CHECK(flights.in_all(2) == 0);
  CHECK(flights.claim(4711) != parents_place);
  CHECK(flights.claim(4712) == 2);
  CHECK(flights.claim(4713) == 3);  // the shared one
  CHECK(flights.claim(4714) == 3);
  flights.begin(0, 3);
  CHECK(flights.release(4713) == 0);
  CHECK(flights.in_all(0) == 1);
  CHECK(flights.release(4711) == 0);
  CHECK(flights.claim(4715) == 1);  // a free place is used again
}
