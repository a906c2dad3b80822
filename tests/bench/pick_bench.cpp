// What a pick costs: nanoseconds for balancers of different sizes and orders, one thread and two, and
// what it costs to make an order when the set of usable members has changed.
//
// Build: c++ -std=c++20 -O2 -Isrc -Itests/unit/balancer tests/bench/pick_bench.cpp src/balancer/*.cpp -pthread
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "balancer/balancer.h"
#include "balancer_fixture.h"

using namespace cxxproxy;

namespace {

constexpr std::size_t kPicks = 500'000;

double nanoseconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double, std::nano>(std::chrono::steady_clock::now() - start).count();
}

void run_picks(balancer::Balancer& balancer, base::Instant now) {
  std::size_t sum = 0;
  for (std::size_t i = 0; i < kPicks; ++i) {
    const std::size_t index = balancer.pick({}, now).value_or(0);
    balancer.ended(index);
    sum += index;
  }
  if (sum == ~std::size_t{0}) std::abort();  // keeps the loop
}

void measure(const char* what, const std::vector<std::uint32_t>& weights, config::Method method = config::Method::ByRequests) {
  config::BalancerSpec spec = test::make_spec(weights);
  spec.method = method;
  test::Bench bench(spec);
  const base::Instant now = bench.clock.now();
  bench.pick();
  auto start = std::chrono::steady_clock::now();
  run_picks(*bench.balancer, now);
  const double alone = nanoseconds_since(start) / kPicks;

  start = std::chrono::steady_clock::now();
  std::thread other([&] { run_picks(*bench.balancer, now); });
  run_picks(*bench.balancer, now);
  other.join();
  const double together = nanoseconds_since(start) / kPicks;

  balancer::TriedSet tried;
  tried.insert(0);
  constexpr int kAgain = 20'000;
  start = std::chrono::steady_clock::now();
  for (int i = 0; i < kAgain; ++i) {
    if (!bench.balancer->pick(tried, now)) std::abort();
  }
  const double again = nanoseconds_since(start) / kAgain;

  double worst_change = 0.0;
  for (std::size_t m = 0; m < std::min<std::size_t>(weights.size(), 20); ++m) {
    bench.balancer->failed(m, now);
    start = std::chrono::steady_clock::now();
    bench.pick();
    worst_change = std::max(worst_change, nanoseconds_since(start));
    bench.slots.member(m).failed_at = 0;
    bench.slots.balancer().epoch.fetch_add(1);
    bench.pick();
  }
  std::printf("%-44s %8.1f %12.1f %14.0f %16.1f\n", what, alone, together, again, worst_change / 1000.0);
}

std::vector<std::uint32_t> unlike(std::size_t members, std::uint32_t lowest, std::uint32_t step) {
  std::vector<std::uint32_t> weights;
  for (std::size_t i = 0; i < members; ++i) weights.push_back(lowest + static_cast<std::uint32_t>(i) * step);
  return weights;
}

}  // namespace

int main() {
  std::printf("%-44s %8s %12s %14s %16s\n", "", "ns/pick", "2 threads", "further try", "worst change us");
  measure("2 equal members", {100, 100});
  measure("3 members 5:1:1", {500, 100, 100});
  measure("20 members, 20 whole weights", unlike(20, 100, 100));
  measure("200 equal members", std::vector<std::uint32_t>(200, 100));
  measure("1024 equal members", std::vector<std::uint32_t>(1024, 100));
  measure("3 members, long table (100.00 99.99 1.01)", {10000, 9999, 101});
  measure("5 members, longest table to fill", unlike(5, 9931, 7));
  measure("200 members, stride order", unlike(200, 101, 3));
  measure("1024 members, stride order", unlike(1024, 101, 9));
  for (const std::size_t members : {std::size_t{2}, std::size_t{200}}) {
    const std::vector<std::uint32_t> equal(members, 100);
    const std::string with = std::to_string(members) + " members, ";
    measure((with + "leastload").c_str(), equal, config::Method::LeastLoad);
    measure((with + "ewma").c_str(), equal, config::Method::Ewma);
    measure((with + "hash").c_str(), equal, config::Method::Hash);
    measure((with + "random").c_str(), equal, config::Method::Random);
    measure((with + "first").c_str(), equal, config::Method::First);
    measure((with + "bytraffic").c_str(), equal, config::Method::ByTraffic);
    measure((with + "bybusyness").c_str(), equal, config::Method::ByBusyness);
  }
  return 0;
}
