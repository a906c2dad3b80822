// An exchange between a scripted client and scripted backends, with a clock that is set by hand.
#pragma once

#include <array>
#include <memory>
#include <string>
#include <vector>

#include <catch2/catch.hpp>

#include "exchange/exchange.h"
#include "scripted_downstream.h"
#include "scripted_upstream.h"

namespace cxxproxy::test {

inline config::MemberSpec spec(const std::string& name, std::uint32_t id) {
  config::MemberSpec member;
  member.url.scheme = "http";
  member.url.host = "backend.test";
  member.url.port = static_cast<std::uint16_t>(8000 + id);
  member.name = name;
  member.key = name;
  member.member_id = id;
  return member;
}

struct World {
  base::ManualClock clock;
  test::ScriptedResolver resolver;
  test::ScriptedConnector connector;
  test::ScriptedDownstream client;
  config::BalancerSpec group;
  std::vector<std::unique_ptr<upstream::MemberUpstream>> members;
  std::vector<upstream::MemberUpstream*> pointers;
  balancer::BalancerSlot balancer_slot{};
  std::array<balancer::MemberSlot, 4> slots{};
  std::unique_ptr<balancer::Balancer> picker;
  std::unique_ptr<balancer::WaitingLine> line;
  std::unique_ptr<exchange::Exchange> exchange;
  bool may_wait = false;
  bool can_park = false;

  explicit World(unsigned count = 1, bool balanced = false) {
    group.name = "c";
    group.key = "c";
    for (unsigned i = 0; i < count; ++i) group.members.push_back(spec(std::string(1, static_cast<char>('a' + i)), i));
    std::vector<balancer::MemberSlot*> slot_pointers;
    balancer::start_balancer(balancer_slot, group);
    for (unsigned i = 0; i < count; ++i) {
      balancer::start_member(slots[i], group.members[i], clock.now());
      slot_pointers.push_back(&slots[i]);
      members.push_back(std::make_unique<upstream::MemberUpstream>(group.members[i], resolver));
      pointers.push_back(members.back().get());
    }
    if (balanced) picker = std::make_unique<balancer::Balancer>(group, balancer_slot, slot_pointers);
    client.request.idempotent = true;
  }

  exchange::Step step() {
    if (!exchange) {
      exchange = std::make_unique<exchange::Exchange>(
          exchange::Destination{picker.get(), pointers, line.get()}, client,
          exchange::Services{.clock = clock, .connector = connector, .default_timeout = std::chrono::seconds(60), .may_wait = may_wait});
      exchange->set_can_park(can_park);
    }
    return exchange->step();
  }

  // Runs to the end; time passes only when the exchange waits.
  void run() {
    for (unsigned turns = 0; turns < 10000; ++turns) {
      const auto now = step();
      if (now.done) return;
      clock.advance(std::chrono::duration_cast<base::Duration>(std::chrono::seconds(10)));
    }
    FAIL("the exchange never ended");
  }

  // A kept connection that has answered once, with this script for what follows.
  std::shared_ptr<test::Script> keep_one(test::Script next) {
    auto script = std::make_shared<test::Script>(std::move(next));
    auto lease = members[0]->pool.acquire(clock.now(), true);
    lease.attach(std::make_unique<test::ScriptedStream>(script));
    lease.keep(clock.now());
    return script;
  }
};

}  // namespace cxxproxy::test
