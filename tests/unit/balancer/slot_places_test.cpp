#include "balancer/slot_places.h"

#include <catch2/catch.hpp>
#include <chrono>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "shared_table.h"

using namespace cxxproxy;
using namespace cxxproxy::balancer;
using namespace std::chrono_literals;
using config::StatusFlag;

namespace {

constexpr base::Instant kNow{5s};
constexpr std::uint32_t kDisabled = bit(StatusFlag::Disabled);
constexpr std::uint32_t kDrain = bit(StatusFlag::Drain);
constexpr std::uint32_t kPlaces = 3;

// A segment's slots in ordinary memory.
class Segment {
 public:
  Segment(std::size_t balancers, std::size_t members)
      : balancers_(balancers),
        members_(members),
        counts_((balancers + members) * Flights::row_size(kPlaces) / sizeof(Flights::Count)),
        parked_(static_cast<std::uint32_t>(members), kPlaces) {
    const auto rows = static_cast<std::uint32_t>(balancers + members);
    slots = {balancers_, members_, Flights(owners_, used_, kPlaces, counts_.data(), rows), *parked_};
  }
  MemberSlot& member(const SlotPlaces& places, std::size_t id) { return members_[places.members[id]]; }
  BalancerSlot& balancer(const SlotPlaces& places, std::size_t id = 0) { return balancers_[places.balancers[id]]; }

  Slots slots;

 private:
  std::vector<BalancerSlot> balancers_;
  std::vector<MemberSlot> members_;
  std::vector<Flights::Count> counts_;
  test::SharedTable<ParkedCounts> parked_;
  Flights::Owner owners_[kPlaces]{};
  std::atomic<std::uint32_t> used_{0};
};

struct Said {
  std::string url;
  std::uint32_t status = 0;
  bool persist = false;
};

// One balancer with these members.
config::ResolvedConfig configuration(const std::vector<Said>& said) {
  config::ResolvedConfig config;
  config.balancers.push_back(std::make_unique<config::BalancerSpec>());
  config::BalancerSpec& group = *config.balancers.back();
  group.key = "group";
  for (const Said& one : said) {
    config::MemberSpec member;
    member.key = one.url;
    member.status = one.status;
    member.persist = one.persist;
    group.members.push_back(member);
    group.persist = group.persist || one.persist;
  }
  for (const config::MemberSpec& member : group.members) config.members.push_back(&member);
  return config;
}

SlotPlaces placed(Segment& segment, const std::vector<Said>& said, Turnover turnover) {
  auto places = place_slots(segment.slots, configuration(said), turnover, kNow);
  REQUIRE(places);
  return *places;
}

bool fits(Segment& segment, const std::vector<Said>& said, Turnover turnover) {
  return place_slots(segment.slots, configuration(said), turnover, kNow).has_value();
}

}  // namespace

TEST_CASE("a member keeps its slot and what it knows, wherever the file has it", "[balancer]") {
  Segment segment(1, 8);
  const SlotPlaces first = placed(segment, {{"a"}, {"b"}, {"c"}}, {1, 1});
  CHECK(first.members_kept == 0);
  MemberSlot& b = segment.member(first, 1);
  b.status = kDrain;  // at run time
  b.failed_at = 77;
  b.chosen = 10;
  segment.balancer(first).ticket = 30;
  const std::uint64_t epoch = segment.balancer(first).epoch;
  segment.slots.flights.begin(first.members[1], segment.slots.flights.claim(100));

  const SlotPlaces second = placed(segment, {{"c"}, {"new"}, {"b"}}, {2, 1});
  CHECK(second.members_kept == 2);
  CHECK(second.balancers_kept == 1);
  CHECK(second.members[2] == first.members[1]);
  CHECK(second.members[0] == first.members[2]);
  CHECK(b.status == kDrain);
  CHECK(b.failed_at == 77);
  CHECK(b.chosen == 10);
  CHECK(segment.slots.flights.in_all(second.members[2]) == 1);
  CHECK(segment.balancer(second).ticket == 30);
  CHECK(segment.balancer(second).epoch > epoch);  // the former children look again
}

TEST_CASE("what the file changed wins over what was changed at run time", "[balancer]") {
  Segment segment(1, 8);
  const SlotPlaces first = placed(segment, {{"a"}, {"b", bit(StatusFlag::InError)}, {"c"}}, {1, 1});
  segment.member(first, 0).status = kDrain;
  segment.member(first, 1).failed_at = 0;  // it has recovered
  segment.member(first, 2).status = kDrain;
  segment.member(first, 2).chosen = 5;
  const SlotPlaces second = placed(segment, {{"a"}, {"b", bit(StatusFlag::InError)}, {"c", kDisabled}}, {2, 1});
  CHECK(segment.member(second, 0).status == kDrain);
  CHECK(segment.member(second, 1).failed_at == 0);
  CHECK(segment.member(second, 2).status == kDisabled);
  CHECK(segment.member(second, 2).chosen == 5);
  segment.member(second, 2).failed_at = 99;
  const SlotPlaces third = placed(segment, {{"a", bit(StatusFlag::InError)}, {"b"}, {"c"}}, {3, 1});
  CHECK(segment.member(third, 0).failed_at == kNow.time_since_epoch().count());
  CHECK(segment.member(third, 1).failed_at == 0);
  CHECK(segment.member(third, 2).status == 0);
  CHECK(segment.member(third, 2).failed_at == 99);
}

TEST_CASE("a slot is not given away while a child may use it", "[balancer]") {
  Segment segment(1, 3);
  const SlotPlaces first = placed(segment, {{"a"}, {"b"}}, {1, 1});
  const SlotPlaces second = placed(segment, {{"a"}, {"c"}}, {2, 1});
  CHECK(second.members[1] == 2);
  // A child of generation 1 still counts in b's slot, and the segment is full.
  CHECK_FALSE(fits(segment, {{"a"}, {"c"}, {"d"}}, {3, 1}));
  CHECK(segment.member(second, 0).generation == 2);  // and nothing was touched
  // A child of generation 2 never had it.
  segment.member(first, 1).chosen = 7;
  const SlotPlaces third = placed(segment, {{"a"}, {"c"}, {"d"}}, {3, 2});
  CHECK(third.members[2] == first.members[1]);
  CHECK(segment.member(third, 2).chosen == 0);
}

TEST_CASE("a slot that changes hands has nothing in flight and nothing parked", "[balancer]") {
  Segment segment(1, 1);
  Flights& flights = segment.slots.flights;
  (void)flights.claim(1);
  (void)flights.claim(2);
  const std::uint32_t shared = flights.claim(3);  // too many children: this count is never taken back
  const SlotPlaces first = placed(segment, {{"a"}}, {1, 1});
  flights.begin(first.members[0], shared);
  segment.slots.parked.add(first.members[0], shared, ParkedKind::Request);
  CHECK(flights.release(3) == 0);
  const SlotPlaces second = placed(segment, {{"b"}}, {2, 2});
  CHECK(second.members[0] == first.members[0]);
  CHECK(flights.in_all(second.members[0]) == 0);
  CHECK(segment.slots.parked.of_row(second.members[0]).requests.count == 0);
}

TEST_CASE("a member that was away starts anew, but what old children serve still counts", "[balancer]") {
  Segment segment(1, 4);
  const SlotPlaces first = placed(segment, {{"a"}, {"b"}}, {1, 1});
  segment.slots.flights.begin(first.members[1], segment.slots.flights.claim(100));
  segment.member(first, 1).status = kDisabled;
  segment.member(first, 1).chosen = 9;
  (void)placed(segment, {{"a"}}, {2, 1});
  const SlotPlaces third = placed(segment, {{"a"}, {"b"}}, {3, 1});
  CHECK(third.members[1] == first.members[1]);
  CHECK(segment.member(third, 1).status == 0);
  CHECK(segment.member(third, 1).chosen == 0);
  CHECK(segment.slots.flights.in_all(third.members[1]) == 1);
}

TEST_CASE("a restart ends all children: only what is to survive it goes on", "[balancer]") {
  Segment segment(1, 4);
  const SlotPlaces first = placed(segment, {{"a"}, {"b"}}, {1, 1});
  segment.member(first, 0).chosen = 1;
  segment.member(first, 1).chosen = 2;
  segment.balancer(first).ticket = 3;
  SECTION("nothing") {
    const SlotPlaces second = placed(segment, {{"a"}, {"b"}}, {2, 2});
    CHECK(second.members_kept == 0);
    CHECK(segment.member(second, 0).chosen == 0);
    CHECK(segment.member(second, 1).chosen == 0);
    CHECK(segment.balancer(second).ticket == 0);
  }
  SECTION("one member and the balancer") {
    const SlotPlaces second = placed(segment, {{"a"}, {"b", 0, true}}, {2, 2});
    CHECK(second.members_kept == 1);
    CHECK(segment.member(second, 0).chosen == 0);
    CHECK(segment.member(second, 1).chosen == 2);
    CHECK(segment.balancer(second).ticket == 3);
  }
}

TEST_CASE("members with the same key keep apart", "[balancer]") {
  Segment segment(1, 4);
  const SlotPlaces first = placed(segment, {{"a"}, {"a"}}, {1, 1});
  CHECK(first.members[0] != first.members[1]);
  segment.member(first, 0).chosen = 1;
  segment.member(first, 1).chosen = 2;
  const SlotPlaces second = placed(segment, {{"a"}, {"a"}, {"a"}}, {2, 1});
  CHECK(std::set<std::uint32_t>(second.members.begin(), second.members.end()).size() == 3);
  CHECK(segment.member(second, 0).chosen == 1);
  CHECK(segment.member(second, 1).chosen == 2);
  CHECK(segment.member(second, 2).chosen == 0);
}

TEST_CASE("a larger segment takes over what the former one knows of the last configuration", "[balancer]") {
  Segment former(1, 3);
  (void)placed(former, {{"gone"}, {"a"}, {"b"}}, {1, 1});
  const SlotPlaces last = placed(former, {{"a"}, {"b"}}, {2, 1});
  former.member(last, 0).chosen = 1;
  former.member(last, 1).chosen = 2;
  former.member(last, 1).status = kDrain;
  former.balancer(last).ticket = 3;
  const Remembered known = remember(former.slots, 2);
  CHECK(known.members.size() == 2);

  const config::ResolvedConfig config = configuration({{"gone"}, {"b"}, {"a", kDisabled, true}});
  const bool all = GENERATE(true, false);  // a reload, a restart
  Segment larger(2, 9);
  auto places = place_slots(larger.slots, config, {3, 3}, kNow);
  REQUIRE(places);
  recall(known, larger.slots, config, *places, all);
  CHECK(larger.member(*places, 0).chosen == 0);
  CHECK(larger.member(*places, 1).chosen == (all ? 2 : 0));
  CHECK(larger.member(*places, 1).status == (all ? kDrain : 0));
  CHECK(larger.member(*places, 2).chosen == 1);
  CHECK(larger.member(*places, 2).status == kDisabled);
  CHECK(larger.balancer(*places).ticket == 3);
  CHECK(places->members_kept == (all ? 2 : 1));
}

TEST_CASE("reloads without end need no more room than the members of those that live", "[balancer]") {
  std::mt19937 random(4711);
  Segment segment(1, 24);
  std::vector<std::set<std::uint32_t>> used;  // by generation
  for (std::uint64_t generation = 1; generation <= 500; ++generation) {
    std::set<std::string> names;
    while (names.size() < 6) names.insert("m" + std::to_string(random() % 12));
    std::vector<Said> said;
    for (const std::string& name : names) said.push_back({name});
    const std::uint64_t oldest = generation > 3 ? generation - 3 : 1;
    const SlotPlaces places = placed(segment, said, {generation, oldest});
    used.emplace_back(places.members.begin(), places.members.end());
    REQUIRE(used.back().size() == 6);
    for (std::size_t i = 0; i < said.size(); ++i) {
      // What a living child calls by one name is not another's.
      REQUIRE(segment.member(places, i).key == slot_key(said[i].url));
      segment.member(places, i).chosen.fetch_add(1);
    }
  }
}
