#include "balancer/slots.h"

#include <catch2/catch.hpp>
#include <chrono>
#include <cstring>
#include <set>
#include <string>

using namespace cxxproxy;
using namespace cxxproxy::balancer;
using namespace std::chrono_literals;
using config::StatusFlag;

namespace {

constexpr base::Instant kNow{5s};
constexpr std::uint32_t kDisabled = bit(StatusFlag::Disabled);
constexpr std::uint32_t kError = bit(StatusFlag::InError);
constexpr std::uint32_t kDrain = bit(StatusFlag::Drain);

config::MemberSpec member(const std::string& key, std::uint32_t status) {
  config::MemberSpec spec;
  spec.key = key;
  spec.status = status;
  return spec;
}

}  // namespace

TEST_CASE("zero bytes are a free slot", "[balancer]") {
  MemberSlot slot{};
  CHECK(slot.key == SlotKey{});
  start_member(slot, member("", 0), kNow);
  CHECK_FALSE(slot.key == SlotKey{});
}

TEST_CASE("slot keys tell keys apart", "[balancer]") {
  std::set<std::uint64_t> hashes;
  std::set<std::uint64_t> checks;
  for (int i = 0; i < 20'000; ++i) {
    const SlotKey key = slot_key("main|mycluster|http://10.0.0.1:" + std::to_string(i));
    hashes.insert(key.hash);
    checks.insert(key.check);
  }
  CHECK(hashes.size() == 20'000);
  CHECK(checks.size() == 20'000);
  CHECK(slot_key("a") == slot_key("a"));
  CHECK_FALSE(slot_key("ab") == slot_key("ba"));
}

TEST_CASE("run-time state is kept, a changed file wins", "[balancer]") {
  MemberSlot former{};
  start_member(former, member("k", 0), kNow);
  former.status = kDisabled;  // changed at run time
  former.failed_at = 77;
  former.chosen = 10;
  former.failures = 3;
  former.bytes_to_member = 100;
  former.bytes_from_member = 2000;
  MemberSlot fresh{};

  SECTION("same file") {
    start_member(fresh, member("k", 0), kNow);
    carry(state_of(former), fresh);
    CHECK(fresh.status == kDisabled);
    CHECK(fresh.file_status == 0);
    CHECK(fresh.failed_at == 77);
    CHECK(fresh.chosen == 10);
    CHECK(fresh.failures == 3);
    CHECK(fresh.bytes_to_member == 100);
    CHECK(fresh.bytes_from_member == 2000);
  }
  SECTION("another letter in the file") {
    start_member(fresh, member("k", kDrain), kNow);
    carry(state_of(former), fresh);
    CHECK(fresh.status == kDrain);
    CHECK(fresh.failed_at == 77);
    CHECK(fresh.chosen == 10);
  }
  SECTION("the file now says failed") {
    former.failed_at = 0;
    start_member(fresh, member("k", kError), kNow);
    carry(state_of(former), fresh);
    CHECK(fresh.failed_at == kNow.time_since_epoch().count());
  }
}

TEST_CASE("an E that stays in the file does not fail the member again", "[balancer]") {
  MemberSlot former{};
  start_member(former, member("k", kError), kNow);
  CHECK(former.failed_at == kNow.time_since_epoch().count());
  MemberSlot fresh{};
  SECTION("it has recovered since") {
    former.failed_at = 0;
    start_member(fresh, member("k", kError), kNow + 9s);
    carry(state_of(former), fresh);
    CHECK(fresh.failed_at == 0);
  }
  SECTION("the letter was taken out of the file") {
    start_member(fresh, member("k", 0), kNow + 9s);
    carry(state_of(former), fresh);
    CHECK(fresh.failed_at == 0);
  }
}

TEST_CASE("a balancer goes on where it was", "[balancer]") {
  config::BalancerSpec spec;
  spec.key = "b";
  BalancerSlot former{};
  start_balancer(former, spec);
  former.ticket = 41;
  former.retry_ticket = 7;
  former.forced = 1;
  BalancerSlot fresh{};
  start_balancer(fresh, spec);
  carry(state_of(former), fresh);
  CHECK(fresh.key == former.key);
  CHECK(fresh.ticket == 41);
  CHECK(fresh.retry_ticket == 7);
  CHECK(fresh.forced == 1);
}
