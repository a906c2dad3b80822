// What finding a rule costs: nanoseconds for 10 and for 10,000 ProxyPass lines, for a path that the first
// one, the last one, and none of them covers, and with expressions among them.
//
// Prints JSON: the least nanoseconds of several rounds of one lookup in both tables. make bench-routes builds it, and shows what it says
// (tests/bench/config_bench.py).
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <string>
#include <vector>

#include "config/route_table.h"

using namespace cxxproxy::config;

namespace {

constexpr int kLookups = 50'000;
constexpr int kRounds = 101;

RouteTable table_of(int rules) {
  std::vector<Route> routes;
  for (int i = 0; i < rules; ++i) {
    Route rule;
    rule.path = "/application-" + std::to_string(10'000 + i) + "/";  // of one length in both tables
    rule.url = "http://127.0.0.1:8080/";
    routes.push_back(std::move(rule));
  }
  return RouteTable(std::move(routes));
}

double nanoseconds(const RouteTable& table, const std::vector<std::string>& paths) {
  std::size_t matched = 0;
  const auto start = std::chrono::steady_clock::now();
  for (int i = 0; i < kLookups; ++i) matched += table.find(paths[static_cast<std::size_t>(i) % paths.size()]).matched;
  const auto took = std::chrono::steady_clock::now() - start;
  if (matched == 1) std::puts("");  // so that the loop stays
  return std::chrono::duration<double, std::nano>(took).count() / kLookups;
}

}  // namespace

int main() {
  const RouteTable few = table_of(10);
  const RouteTable many = table_of(10'000);
  struct Case {
    const char* name;
    std::string few_path;
    std::string many_path;
  };
  const std::vector<Case> cases = {{"first rule", "/application-10000/x/y", "/application-10000/x/y"},
                                   {"last rule", "/application-10009/x/y", "/application-19999/x/y"},
                                   {"no rule", "/elsewhere/x/y/z", "/elsewhere/x/y/z"}};
  std::string out;
  for (const Case& row : cases) {
    std::vector<double> a;
    std::vector<double> b;
    for (int i = 0; i < kRounds; ++i) {  // in turn, so that a slow moment hits both
      a.push_back(nanoseconds(few, {row.few_path}));
      b.push_back(nanoseconds(many, {row.many_path}));
    }
    const double of_few = *std::min_element(a.begin(), a.end());  // what other work on the machine does not add to
    const double of_many = *std::min_element(b.begin(), b.end());
    char line[160];
    std::snprintf(line, sizeof line, "{\"path\": \"%s\", \"few\": %.1f, \"many\": %.1f, \"ratio\": %.3f}", row.name, of_few, of_many, of_many / of_few);
    out += (out.empty() ? "[" : ",\n ") + std::string(line);
  }
  std::printf("%s]\n", out.c_str());
  return 0;
}
