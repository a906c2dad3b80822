#include "balancer/smooth_order.h"

#include <catch2/catch.hpp>
#include <cmath>
#include <cstdlib>
#include <numeric>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "balancer/by_requests.h"
#include "naive_round_robin.h"

using namespace cxxproxy;
using namespace cxxproxy::balancer;
using cxxproxy::test::NaiveRoundRobin;

namespace {

MemberSet all_of(std::size_t members) {
  MemberSet set;
  for (std::size_t i = 0; i < members; ++i) set.insert(i);
  return set;
}

std::string letters(std::vector<std::uint32_t> weights, std::size_t turns) {
  ByRequests policy(weights);
  const Order* order = policy.order_for(all_of(weights.size()));
  std::string text;
  for (std::size_t t = 0; t < turns; ++t) text += static_cast<char>('A' + order->at(t).value());
  return text;
}

std::uint32_t below(std::mt19937& random, std::uint32_t limit) { return static_cast<std::uint32_t>(random() % limit); }

std::uint64_t period_of(const std::vector<std::uint32_t>& weights) {
  std::vector<WeightedMember> members;
  for (const std::uint32_t weight : weights) members.push_back({static_cast<std::uint16_t>(members.size()), weight});
  return reduce_weights(members);
}

bool has_table(const std::vector<std::uint32_t>& weights) {
  return fits_table(period_of(weights), std::set<std::uint32_t>(weights.begin(), weights.end()).size());
}

// Greatest distance, in turns, of any member's count from its share at any moment of `turns` turns.
double worst_deviation(const Order& order, const std::vector<std::uint32_t>& weights, std::uint64_t turns) {
  const double sum = std::accumulate(weights.begin(), weights.end(), 0.0);
  std::vector<double> count(weights.size(), 0.0);
  double worst = 0.0;
  for (std::uint64_t t = 0; t < turns; ++t) {
    const std::size_t member = order.at(t).value();
    const double share = weights[member] / sum;
    worst = std::max(worst, std::abs(count[member] - share * static_cast<double>(t)));  // longest wait
    count[member] += 1.0;
    worst = std::max(worst, std::abs(count[member] - share * static_cast<double>(t + 1)));
  }
  return worst;
}

void same_as_naive(const std::vector<std::uint32_t>& weights) {
  const std::uint64_t period = period_of(weights);
  REQUIRE(has_table(weights));
  ByRequests policy(weights);
  const Order* order = policy.order_for(all_of(weights.size()));
  NaiveRoundRobin naive(weights);
  for (std::uint64_t t = 0; t < 2 * period + 3; ++t) {
    const std::size_t expected = naive.next();
    if (order->at(t) != expected) {
      CAPTURE(weights, t, expected);
      REQUIRE(order->at(t) == expected);
    }
  }
}

}  // namespace

TEST_CASE("known orders", "[balancer]") {
  CHECK(letters({500, 100, 100}, 14) == "AABACAAAABACAA");
  CHECK(letters({100, 100, 100}, 6) == "ABCABC");
  CHECK(letters({100, 100}, 5) == "ABABA");
  CHECK(letters({100}, 3) == "AAA");
  CHECK(letters({100, 200}, 6) == "BABBAB");
  CHECK(letters({200, 400, 1000}, 8) == letters({100, 200, 500}, 8));
}

TEST_CASE("the order is the one of credits and payments, for any weights", "[balancer]") {
  same_as_naive({100, 150, 225});
  same_as_naive({100, 200, 500});
  same_as_naive({101, 100});
  same_as_naive({10000, 100});
  same_as_naive({9999, 10000});
  same_as_naive({333, 333, 334});
  same_as_naive({125, 250, 375, 1050, 9900});
  same_as_naive({9973, 9967, 9949, 9941, 9931});
  same_as_naive(std::vector<std::uint32_t>(200, 700));
  std::vector<std::uint32_t> rising;
  for (std::uint32_t weight = 1; weight <= 60; ++weight) rising.push_back(100 * weight);
  same_as_naive(rising);
  same_as_naive(std::vector<std::uint32_t>(1024, 100));
  std::mt19937 random(20);
  for (int round = 0; round < 40; ++round) {  // many members, few different weights: peers and ties
    std::vector<std::uint32_t> weights(2 + below(random, 60));
    for (std::uint32_t& weight : weights) weight = 50 * (2 + below(random, 4));
    CAPTURE(weights);
    same_as_naive(weights);
  }
  for (int round = 0; round < 40; ++round) {
    std::vector<std::uint32_t> weights(1 + random() % 5);
    for (std::uint32_t& weight : weights) weight = round % 2 == 0 ? 100 * (1 + below(random, 100)) : 100 + below(random, 9901);
    CAPTURE(weights);
    same_as_naive(weights);
  }
}

TEST_CASE("the order of a subset leaves the others out", "[balancer]") {
  const std::vector<std::uint32_t> weights{500, 300, 100, 250, 100};
  ByRequests policy(weights);
  for (unsigned mask = 1; mask < 32; ++mask) {
    MemberSet set;
    std::vector<std::uint32_t> offered(weights.size(), 0);
    for (std::size_t i = 0; i < weights.size(); ++i) {
      if ((mask >> i & 1u) == 0) continue;
      set.insert(i);
      offered[i] = weights[i];
    }
    const Order* order = policy.order_for(set);
    NaiveRoundRobin naive(offered);
    for (std::uint64_t t = 0; t < 60; ++t) REQUIRE(order->at(t) == naive.next());
  }
}

TEST_CASE("orders are kept for sets that come back and rebuilt right for many sets", "[balancer]") {
  ByRequests policy(std::vector<std::uint32_t>(12, 100));
  const MemberSet all = all_of(12);
  const Order* first = policy.order_for(all);
  for (std::size_t missing = 0; missing < 12; ++missing) {
    MemberSet set;
    for (std::size_t i = 0; i < 12; ++i) {
      if (i != missing) set.insert(i);
    }
    const Order* order = policy.order_for(set);
    CHECK(order != first);
    CHECK(policy.order_for(set) == order);
    for (std::uint64_t t = 0; t < 22; ++t) REQUIRE(order->at(t) != missing);
    CHECK(policy.order_for(all) == first);  // in use again and again: never pushed out
  }
}

TEST_CASE("a stride is coprime to its period", "[balancer]") {
  for (std::uint64_t period = 1; period < 3000; ++period) REQUIRE(std::gcd(choose_stride(period), period) == 1);
  std::mt19937 random(4);
  for (int i = 0; i < 2000; ++i) {
    const std::uint64_t period = 65537 + random() % 10'200'000;
    CAPTURE(period);
    REQUIRE(std::gcd(choose_stride(period), period) == 1);
    REQUIRE(choose_stride(period) < period);
  }
}

TEST_CASE("a stride order is exact over its period and even at every moment", "[balancer]") {
  std::mt19937 random(11);
  for (int round = 0; round < 5; ++round) {
    std::vector<std::uint32_t> weights;
    do {
      weights.assign(8 + random() % 120, 0);
      for (std::uint32_t& weight : weights) weight = 100 + below(random, 9901);
    } while (has_table(weights));
    const std::uint64_t period = period_of(weights);
    CAPTURE(weights.size(), period);
    ByRequests policy(weights);
    const Order* order = policy.order_for(all_of(weights.size()));
    const double deviation = worst_deviation(*order, weights, period);
    CHECK(deviation <= kMaxStrideDeviation);
    std::vector<std::uint64_t> count(weights.size(), 0);
    for (std::uint64_t t = 0; t < period; ++t) ++count[order->at(t).value()];
    std::vector<WeightedMember> reduced;
    for (const std::uint32_t weight : weights) reduced.push_back({static_cast<std::uint16_t>(reduced.size()), weight});
    reduce_weights(reduced);
    for (std::size_t i = 0; i < weights.size(); ++i) CHECK(count[i] == reduced[i].weight);
  }
}

TEST_CASE("the longest period that a configuration can ask for", "[balancer]") {
  std::vector<std::uint32_t> weights(1024, 10000);
  weights[17] = 9999;
  ByRequests policy(weights);
  const Order* order = policy.order_for(all_of(weights.size()));
  CHECK(worst_deviation(*order, weights, 1'000'000) <= kMaxStrideDeviation);
  CHECK(order->at(~std::uint64_t{0}).value() < 1024);
}

TEST_CASE("golden points are even", "[balancer]") {
  for (const std::uint64_t range : {2u, 3u, 7u, 19u, 10'240'000u}) {
    const std::uint64_t share = std::max<std::uint64_t>(1, range / 3);
    double hits = 0.0;
    double worst = 0.0;
    for (std::uint64_t n = 0; n < 200'000; ++n) {
      const std::uint64_t point = golden_point(n, range);
      REQUIRE(point < range);
      if (point < share) hits += 1.0;
      const double expected = static_cast<double>(n + 1) * static_cast<double>(share) / static_cast<double>(range);
      worst = std::max(worst, std::abs(hits - expected));
    }
    CAPTURE(range);
    CHECK(worst <= kMaxStrideDeviation);
  }
}
