#include <catch2/catch.hpp>

#include <algorithm>
#include <vector>

#include "../../support/scripted_upstream.h"
#include "upstream/address_book.h"
#include "upstream/connection_pool.h"
#include "upstream/member_upstream.h"

using namespace cxxproxy;
using namespace std::chrono_literals;
using upstream::ConnectionPool;
using upstream::Lease;

namespace {
struct Fixture {
  base::ManualClock clock;
  std::vector<std::shared_ptr<test::Script>> scripts;
  std::unique_ptr<upstream::ByteStream> stream() {
    scripts.push_back(std::make_shared<test::Script>());
    return std::make_unique<test::ScriptedStream>(scripts.back());
  }
  Lease opened(ConnectionPool& pool) {
    Lease lease = pool.acquire(clock.now(), true);
    lease.attach(stream());
    return lease;
  }
};
}  // namespace

TEST_CASE_METHOD(Fixture, "a lease that is not kept closes its connection", "[upstream]") {
  ConnectionPool pool({});
  {
    Lease lease = opened(pool);
    CHECK(pool.in_use() == 1);
  }
  CHECK(pool.in_use() == 0);
  CHECK(pool.idle() == 0);
  CHECK(scripts[0]->destroyed);
}

TEST_CASE_METHOD(Fixture, "the warmest connection is used first", "[upstream]") {
  ConnectionPool pool({});
  Lease a = opened(pool);
  Lease b = opened(pool);
  auto* const stream_b = b.stream();
  a.keep(clock.now());
  b.keep(clock.now());
  CHECK(pool.idle() == 2);
  Lease again = pool.acquire(clock.now(), false);
  CHECK(again.stream() == stream_b);
  CHECK(again.reused());
}

TEST_CASE_METHOD(Fixture, "who has a loop gets a connection that it watches, others one that none does", "[upstream]") {
  ConnectionPool pool({});
  upstream::StreamNotes notes;
  std::vector<Lease> leases;
  for (int i = 0; i < 6; ++i) leases.push_back(opened(pool));
  std::vector<upstream::ByteStream*> streams;
  for (Lease& lease : leases) {
    streams.push_back(lease.stream());
    lease.keep(clock.now());
  }
  scripts[1]->notes = scripts[2]->notes = scripts[4]->notes = &notes;

  const auto taken = [&](bool watched) {
    leases.push_back(pool.acquire(clock.now(), false, watched));
    CHECK(leases.back().reused());
    return std::find(streams.begin(), streams.end(), leases.back().stream()) - streams.begin();
  };
  leases.clear();
  CHECK(taken(true) == 4);  // the warmest of its kind
  CHECK(taken(true) == 2);
  CHECK(taken(false) == 5);
  CHECK(taken(true) == 1);
  CHECK(taken(true) == 3);  // the other kind is better than none
  CHECK(taken(false) == 0);
  CHECK(pool.idle() == 0);
  CHECK(pool.in_use() == 6);
}

TEST_CASE_METHOD(Fixture, "the search for a connection of one's kind is short", "[upstream]") {
  ConnectionPool pool({});
  upstream::StreamNotes notes;
  std::vector<Lease> leases;
  for (int i = 0; i < 40; ++i) leases.push_back(opened(pool));
  auto* const newest = leases.back().stream();
  for (Lease& lease : leases) lease.keep(clock.now());
  scripts[0]->notes = &notes;  // far below
  leases.clear();
  CHECK(pool.acquire(clock.now(), false, true).stream() == newest);
}

TEST_CASE_METHOD(Fixture, "a fresh slot ignores kept connections", "[upstream]") {
  ConnectionPool pool({});
  opened(pool).keep(clock.now());
  Lease fresh = pool.acquire(clock.now(), true);
  CHECK(fresh);
  CHECK(fresh.stream() == nullptr);
  CHECK_FALSE(fresh.reused());
  CHECK(pool.idle() == 1);
}

TEST_CASE_METHOD(Fixture, "never more than max connections at once", "[upstream]") {
  ConnectionPool pool({.max = 2});
  Lease a = opened(pool);
  Lease b = opened(pool);
  CHECK_FALSE(pool.acquire(clock.now(), false));
  CHECK_FALSE(pool.has_room());
  a.discard();
  CHECK(pool.has_room());
  CHECK(pool.acquire(clock.now(), false));
}

TEST_CASE_METHOD(Fixture, "ttl closes what was idle too long", "[upstream]") {
  ConnectionPool pool({.ttl = 5s});
  opened(pool).keep(clock.now());
  clock.advance(4s);
  Lease young = pool.acquire(clock.now(), false);
  CHECK(young.stream() != nullptr);
  young.keep(clock.now());
  clock.advance(5s);
  Lease old = pool.acquire(clock.now(), false);
  CHECK(old.stream() == nullptr);
  CHECK(scripts[0]->destroyed);
}

TEST_CASE_METHOD(Fixture, "ttl leaves so many of the idle connections, the younger ones", "[upstream]") {
  ConnectionPool pool({.ttl = 5s, .keep_idle = 1});
  Lease a = opened(pool);
  Lease b = opened(pool);
  a.keep(clock.now());
  clock.advance(1s);
  b.keep(clock.now());
  clock.advance(10s);
  Lease kept = pool.acquire(clock.now(), false);
  CHECK(kept.reused());
  CHECK(scripts[0]->destroyed);
  CHECK_FALSE(scripts[1]->destroyed);
  CHECK(pool.idle() == 0);
  kept.keep(clock.now());
  clock.advance(100s);
  pool.reap(clock.now());
  CHECK(pool.idle() == 1);
}

TEST_CASE_METHOD(Fixture, "smax and min of a member keep connections in spite of ttl, smax without ttl closes the rest at once", "[upstream]") {
  config::MemberSpec member;
  using upstream::MemberUpstream;
  CHECK(MemberUpstream::limits_of(member, 64).keep_idle == 0);
  CHECK_FALSE(MemberUpstream::limits_of(member, 64).ttl);
  member.min_idle = 2;
  CHECK(MemberUpstream::limits_of(member, 64).keep_idle == 2);
  CHECK_FALSE(MemberUpstream::limits_of(member, 64).ttl);
  member.ttl = 3s;
  member.soft_max = 5;
  CHECK(MemberUpstream::limits_of(member, 64).keep_idle == 5);
  CHECK(MemberUpstream::limits_of(member, 64).ttl == base::Duration(3s));
  member.ttl.reset();
  member.soft_max = 1;
  member.min_idle = 0;
  ConnectionPool pool(MemberUpstream::limits_of(member, 64));
  Lease a = opened(pool);
  Lease b = opened(pool);
  a.keep(clock.now());
  CHECK(pool.idle() == 1);
  b.keep(clock.now());
  CHECK(pool.idle() == 1);
  CHECK(scripts[0]->destroyed);
}

TEST_CASE_METHOD(Fixture, "without reuse every connection is closed", "[upstream]") {
  ConnectionPool pool({.reuse = false});
  opened(pool).keep(clock.now());
  CHECK(pool.idle() == 0);
  CHECK(pool.in_use() == 0);
  CHECK(scripts[0]->destroyed);
}

TEST_CASE_METHOD(Fixture, "reaping closes what the peer has closed, oldest first", "[upstream]") {
  ConnectionPool pool({});
  Lease a = opened(pool);
  Lease b = opened(pool);
  a.keep(clock.now());
  b.keep(clock.now());
  scripts[0]->closed_by_peer = true;
  pool.reap(clock.now());
  CHECK(pool.idle() == 1);
  CHECK(scripts[0]->destroyed);
  CHECK_FALSE(scripts[1]->destroyed);
}

TEST_CASE_METHOD(Fixture, "a moved lease holds one slot, not two", "[upstream]") {
  ConnectionPool pool({});
  Lease a = opened(pool);
  Lease b = std::move(a);
  CHECK_FALSE(a);  // NOLINT: the state after the move is what is tested
  CHECK(pool.in_use() == 1);
  b = Lease{};
  CHECK(pool.in_use() == 0);
}

TEST_CASE("addresses are looked up again when they are old", "[upstream]") {
  base::ManualClock clock;
  test::ScriptedResolver resolver;
  upstream::AddressBook book("backend.test", 80, 30s, resolver);
  std::string error;
  REQUIRE(book.addresses(clock.now(), error));
  (void)book.addresses(clock.now() + 29s, error);
  CHECK(resolver.lookups == 1);
  (void)book.addresses(clock.now() + 31s, error);
  CHECK(resolver.lookups == 2);
}

TEST_CASE("addressttl decides when addresses are old", "[upstream]") {
  struct Row {
    std::optional<base::Duration> ttl;
    base::Duration later;
    unsigned lookups;
  };
  const auto row = GENERATE(Row{0s, 0s, 2}, Row{5s, 4s, 1}, Row{5s, 5s, 2}, Row{std::nullopt, 24h, 1});
  base::ManualClock clock;
  test::ScriptedResolver resolver;
  config::MemberSpec member;
  member.url.host = "backend.test";
  member.address_ttl = row.ttl;
  upstream::MemberUpstream backend(member, resolver);
  std::string error;
  REQUIRE(backend.addresses.addresses(clock.now(), error));
  REQUIRE(backend.addresses.addresses(clock.now() + row.later, error));
  CHECK(resolver.lookups == row.lookups);
}

TEST_CASE("the old addresses stay when the name no longer resolves", "[upstream]") {
  base::ManualClock clock;
  test::ScriptedResolver resolver;
  upstream::AddressBook book("backend.test", 80, 30s, resolver);
  std::string error;
  REQUIRE(book.addresses(clock.now(), error));
  resolver.broken = true;
  CHECK(book.addresses(clock.now() + 31s, error));
  CHECK(resolver.lookups == 2);
  CHECK(book.addresses(clock.now() + 32s, error));
  CHECK(resolver.lookups == 2);  // not asked again at once
}

TEST_CASE("a name that never resolved gives its reason", "[upstream]") {
  base::ManualClock clock;
  test::ScriptedResolver resolver;
  upstream::AddressBook book("unknown.test", 80, 30s, resolver);
  std::string error;
  CHECK_FALSE(book.addresses(clock.now(), error));
  CHECK(error == "Name or service not known");
}
