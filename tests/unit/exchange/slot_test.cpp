// Slots: who is busy, who waits, and how long.
#include <catch2/catch.hpp>

#include "../../support/exchange_world.h"
#include "../balancer/shared_table.h"

using namespace cxxproxy;
using namespace std::chrono_literals;
using base::ProxyErrc;
using test::bytes;

namespace {

const std::string kOk = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";

// Members with max=1; full(i) takes the one slot.
struct Full : test::World {
  explicit Full(unsigned count, bool balanced, std::uint32_t total = 0) : test::World(count, balanced) {
    balancer::LineSetup setup{.bound = {}, .limits = *limits, .row = 4, .place = 0};
    for (unsigned i = 0; i < count; ++i) {
      group.members[i].max = 1;
      group.members[i].max_total = total;
      members[i] = std::make_unique<upstream::MemberUpstream>(group.members[i], resolver);
      pointers[i] = members[i].get();
      setup.members.push_back({i, total});
    }
    line_setup = setup;
    line = std::make_unique<balancer::WaitingLine>(setup);
  }
  ~Full() { exchange.reset(); }

  upstream::Lease fill(std::size_t member) { return members[member]->pool.acquire(clock.now(), true); }
  void freed(upstream::Lease& lease, std::size_t member) {
    lease.discard();
    line->slot_freed(member);
  }
  void serve() {
    connector.add({.reads = {bytes(kOk)}});
    run();
    CHECK(client.status == 200);
  }

  test::SharedLimits limits{5, 3};
  balancer::LineSetup line_setup;
};

struct SessionClient : test::ScriptedDownstream {
  balancer::PickHint pick_hint() override { return {.key = 0, .has_key = false, .route = 0}; }
};

}  // namespace

TEST_CASE("a full pool makes the exchange wait, then 503", "[exchange][slot]") {
  Full world(1, false);
  auto held = world.fill(0);
  auto step = world.step();
  CHECK(step.needs == exchange::kPoolSlot);
  CHECK(step.line == world.line.get());
  CHECK(step.waiter->waits());
  SECTION("freed in time") {
    CHECK_FALSE(step.done);
    world.freed(held, 0);
    world.serve();
    CHECK(world.client.reports.empty());
  }
  SECTION("never freed") {
    world.run();
    CHECK(world.exchange->failure().code == ProxyErrc::PoolExhausted);
    CHECK(base::status_for(world.exchange->failure()) == 503);
    CHECK(world.exchange->retry_after() == 30s);
    REQUIRE(world.client.reports.size() == 1);
    CHECK(world.client.reports[0].limit == 60s);
    CHECK(world.client.reports[0].member == &world.group.members[0]);
    CHECK(world.line->waiting() == 0);
  }
  SECTION("the client leaves") {
    world.exchange->client_gone();
    CHECK(world.line->waiting() == 0);
    CHECK(world.step().done);
    CHECK(world.exchange->failure().code == ProxyErrc::ClientGone);
  }
}

TEST_CASE("acquire limits the wait for a slot", "[exchange][slot]") {
  Full world(1, false);
  world.group.members[0].acquire = 300ms;
  auto held = world.fill(0);
  const auto begin = world.clock.now();
  for (auto step = world.step(); !step.done; step = world.step()) {
    REQUIRE(world.clock.now() < begin + 300ms);
    world.clock.advance(10ms);
  }
  CHECK(world.clock.now() == begin + 300ms);
  CHECK(world.exchange->failure().code == ProxyErrc::PoolExhausted);
  CHECK(world.exchange->retry_after() == 1s);
}

TEST_CASE("a full member is passed over, without a word and without blame", "[exchange][slot]") {
  Full world(2, true);
  world.client.request.idempotent = false;
  auto held = world.fill(0);
  const auto script = world.connector.add({.reads = {bytes(kOk)}});
  world.run();
  CHECK(script->received == "REQ b\r\n\r\n");
  CHECK(world.client.status == 200);
  CHECK(world.client.reports.empty());
  CHECK(world.client.chosen == std::vector<std::string>{"b"});
  CHECK_FALSE(world.picker->is_failed(0));
  CHECK(world.slots[0].chosen == 0);  // it was not chosen, after all
  CHECK(world.slots[1].chosen == 1);
}

TEST_CASE("when all are full the first free one serves", "[exchange][slot]") {
  Full world(3, true);
  upstream::Lease held[] = {world.fill(0), world.fill(1), world.fill(2)};
  CHECK(world.step().needs == exchange::kPoolSlot);
  CHECK(world.client.chosen.empty());
  world.freed(held[2], 2);
  world.serve();
  CHECK(world.client.chosen == std::vector<std::string>{"c"});
  CHECK(world.slots[0].chosen + world.slots[1].chosen == 0);
  CHECK(world.members[2]->pool.in_use() == 0);
}

TEST_CASE("queuetimeout limits the wait in a balancer, and blames nobody", "[exchange][slot]") {
  Full world(2, true);
  world.group.queue_timeout = 2s;
  upstream::Lease held[] = {world.fill(0), world.fill(1)};
  const auto begin = world.clock.now();
  for (auto step = world.step(); !step.done; step = world.step()) {
    REQUIRE(step.deadline > world.clock.now());
    REQUIRE(step.deadline <= begin + 2s);
    world.clock.advance(step.deadline - world.clock.now());
  }
  CHECK(world.clock.now() == begin + 2s);
  CHECK(world.exchange->failure().code == ProxyErrc::PoolExhausted);
  CHECK(world.exchange->retry_after() == 2s);
  CHECK_FALSE(world.picker->is_failed(0));
  CHECK_FALSE(world.picker->is_failed(1));
  CHECK(world.slots[0].chosen + world.slots[1].chosen == 0);
}

TEST_CASE("no more wait than queue allows", "[exchange][slot]") {
  Full world(1, true);
  world.line_setup.bound = GENERATE(0u, 1u);
  world.line = std::make_unique<balancer::WaitingLine>(world.line_setup);
  auto held = world.fill(0);
  balancer::Waiter other;
  if (*world.line_setup.bound == 1) {
    balancer::MemberSet any;
    any.insert(0);
    REQUIRE(world.line->stay(other, balancer::WaitingLine::kAnyMember, any, false, world.clock.now()));
  }
  CHECK(world.step().done);
  CHECK(world.exchange->failure().code == ProxyErrc::QueueFull);
  CHECK(base::status_for(world.exchange->failure()) == 503);
  CHECK(world.exchange->retry_after() == 30s);
  REQUIRE(world.client.reports.size() == 1);
}

TEST_CASE("a slot that others wait for is not for a newcomer", "[exchange][slot]") {
  Full world(1, true);
  balancer::Waiter other;
  balancer::MemberSet any;
  any.insert(0);
  REQUIRE(world.line->stay(other, balancer::WaitingLine::kAnyMember, any, false, world.clock.now()));
  CHECK(world.step().needs == exchange::kPoolSlot);
  CHECK(world.line->waiting() == 2);
  other.leave();
  world.serve();
}

TEST_CASE("a session waits for its own member, and gets no other", "[exchange][slot]") {
  Full world(2, true);
  world.group.routes = {{"r", {0}}};
  SessionClient client;
  world.exchange = std::make_unique<exchange::Exchange>(
      exchange::Destination{world.picker.get(), world.pointers, world.line.get()}, client,
      exchange::Services{.clock = world.clock, .connector = world.connector, .default_timeout = 60s, .may_wait = false});
  auto held = world.fill(0);
  CHECK(world.step().needs == exchange::kPoolSlot);
  world.clock.advance(1s);
  CHECK(world.step().needs == exchange::kPoolSlot);
  world.freed(held, 0);
  world.connector.add({.reads = {bytes(kOk)}});
  world.run();
  CHECK(client.chosen == std::vector<std::string>{"a"});
  CHECK(client.status == 200);
  CHECK(world.slots[0].chosen == 1);
}

TEST_CASE("timeout of a balancer: a request waits for a usable member, and is not forgotten", "[exchange][slot]") {
  Full world(2, true);
  world.group.wait_for_member = 3s;
  const auto disabled = config::bit(config::StatusFlag::Disabled);
  for (auto& slot : world.slots) slot.status.store(disabled);
  const auto begin = world.clock.now();
  const auto step = world.step();
  CHECK(step.needs == exchange::kPoolSlot);
  CHECK(step.deadline <= begin + 100ms);  // nobody tells it when a member comes back
  SECTION("one comes back") {
    world.clock.advance(2s);
    world.slots[1].status.store(0);
    ++world.balancer_slot.epoch;
    world.serve();
    CHECK(world.client.chosen == std::vector<std::string>{"b"});
  }
  SECTION("nobody does") {
    for (auto next = world.step(); !next.done; next = world.step()) world.clock.advance(next.deadline - world.clock.now());
    CHECK(world.clock.now() == begin + 3s);
    CHECK(world.exchange->failure().code == ProxyErrc::NoUsableMember);
    REQUIRE(world.client.reports.size() == 1);
    CHECK(world.client.reports[0].limit == 3s);
  }
}

TEST_CASE("without timeout a request without a usable member is answered at once", "[exchange][slot]") {
  Full world(2, true);
  for (auto& slot : world.slots) slot.status.store(config::bit(config::StatusFlag::Disabled));
  CHECK(world.step().done);
  CHECK(world.exchange->failure().code == ProxyErrc::NoUsableMember);
}

TEST_CASE("maxtotal counts what other children hold", "[exchange][slot]") {
  Full world(1, true, 1);
  const std::uint32_t elsewhere = world.limits->take(0, 1, 2);
  CHECK(world.step().needs == exchange::kPoolSlot);
  CHECK(world.members[0]->pool.in_use() == 0);
  CHECK(world.limits->waits_since(4, 0) != 0);  // the others see that it waits
  world.limits->give_back(0, elsewhere);
  const auto script = world.connector.add({});
  (void)world.step();
  CHECK(world.limits->taken(0) == 1);
  CHECK(world.limits->waits_since(4, 0) == 0);
  script->reads.push_back(bytes(kOk));
  world.run();
  CHECK(world.client.status == 200);
  CHECK(world.limits->taken(0) == 0);
}

TEST_CASE("a replay keeps its slot", "[exchange][slot]") {
  Full world(1, false, 1);
  world.keep_one({.reads = {test::eof()}});
  const auto fresh = world.connector.add({.reads = {bytes(kOk)}});
  balancer::Waiter other;
  balancer::MemberSet any;
  any.insert(0);
  world.connector.add({.reads = {bytes(kOk)}});
  world.run();
  CHECK(world.client.status == 200);
  CHECK(fresh->received == "REQ a\r\n\r\n");
  REQUIRE(world.client.reports.size() == 1);
  CHECK(world.client.reports[0].end == exchange::AttemptEnd::Replay);
  CHECK(world.limits->taken(0) == 0);
  CHECK(world.members[0]->pool.in_use() == 0);
}

TEST_CASE("a further attempt waits for the members that are left", "[exchange][slot]") {
  Full world(2, true);
  auto held = world.fill(1);
  world.connector.add_refusal();
  CHECK(world.step().needs == exchange::kPoolSlot);
  REQUIRE(world.client.reports.size() == 1);
  CHECK(world.client.reports[0].end == exchange::AttemptEnd::NextMember);
  world.freed(held, 1);
  world.serve();
  CHECK(world.client.chosen == std::vector<std::string>{"a", "b"});
}
