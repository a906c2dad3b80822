#include "config/route_table.h"

#include <catch2/catch.hpp>
#include <chrono>
#include <random>
#include <string>
#include <vector>

using namespace cxxproxy::config;

namespace {

std::vector<Route> rules_of(const std::vector<std::string>& paths) {
  std::vector<Route> rules;
  for (const auto& path : paths) {
    Route rule;
    rule.path = path;
    rules.push_back(rule);
  }
  return rules;
}

// The definition: try the rules one by one.
RouteMatch first_match(const RouteTable& table, std::string_view uri) {
  for (const Route& rule : table.rules()) {
    if (const std::size_t matched = path_matches(rule.path, uri)) return {&rule, matched};
  }
  return {};
}

std::string random_path(std::mt19937& random, std::string_view alphabet, std::size_t longest) {
  std::string path;
  const std::size_t length = random() % (longest + 1);
  for (std::size_t i = 0; i < length; ++i) path.push_back(alphabet[random() % alphabet.size()]);
  return path;
}

}  // namespace

TEST_CASE("a rule covers whole segments, and runs of slashes match runs of slashes") {
  struct Row {
    const char* rule;
    const char* uri;
    std::size_t matched;
  };
  const std::vector<Row> rows = {
      {"/", "/", 1},           {"/", "/a", 1},           {"/", "///a", 3},          {"/", "", 0},
      {"/seg", "/seg", 4},     {"/seg", "/seg/x", 4},    {"/seg", "/segment", 0},   {"/seg", "/se", 0},
      {"/seg", "//seg/x", 5},  {"/seg", "/seg//x", 4},   {"/seg/", "/seg", 0},      {"/seg/", "/seg/", 5},
      {"/seg/", "/seg/x", 5},  {"/seg/", "/seg//x", 6},  {"//seg", "/seg", 4},      {"/a//b", "/a/b", 4},
      {"/a/b", "/a////b/c", 7}, {"/Seg", "/seg", 0},     {"/a", "/a?", 0},          {"seg", "/seg", 0},
      {"seg", "seg", 3},       {"", "/", 0},             {"*", "*", 1},             {"/a/b/", "/a/b", 0},
  };
  for (const Row& row : rows) {
    INFO(row.rule << " on " << row.uri);
    CHECK(path_matches(row.rule, row.uri) == row.matched);
    const RouteTable table(rules_of({row.rule}));
    const RouteMatch match = table.find(row.uri);
    CHECK(match.matched == row.matched);
    CHECK((match.route != nullptr) == (row.matched != 0));
  }
}

TEST_CASE("the first rule in file order wins, not the longest") {
  const RouteTable table(rules_of({"/a/b/c", "/a", "/a/b", "/", "/a"}));
  CHECK(table.find("/a/b/c/d").route == &table.rules()[0]);
  CHECK(table.find("/a/b").route == &table.rules()[1]);
  CHECK(table.find("/x").route == &table.rules()[3]);
  CHECK(RouteTable().find("/").route == nullptr);
  CHECK(RouteTable(rules_of({""})).find("/").route == nullptr);
}

TEST_CASE("the index answers what trying the rules one by one answers") {
  std::mt19937 random(20240607);
  std::size_t hits = 0;
  for (int round = 0; round < 400; ++round) {
    const std::string_view alphabet = round % 2 == 0 ? "/ab" : "///abc.";
    std::vector<std::string> paths;
    for (std::size_t n = random() % 40; n > 0; --n) {
      paths.push_back((random() % 8 == 0 ? "" : "/") + random_path(random, alphabet, 7));
    }
    const RouteTable table(rules_of(paths));
    for (int i = 0; i < 200; ++i) {
      const std::string uri = (random() % 16 == 0 ? "" : "/") + random_path(random, alphabet, 12);
      const RouteMatch expected = first_match(table, uri);
      const RouteMatch found = table.find(uri);
      INFO("uri " << uri << " round " << round);
      REQUIRE(found.route == expected.route);
      REQUIRE(found.matched == expected.matched);
      hits += expected.route != nullptr ? 1U : 0U;
    }
  }
  CHECK(hits > 10'000);
}

TEST_CASE("ten thousand rules are looked up like ten") {
  const auto table_of = [](int count) {
    std::vector<std::string> paths;
    for (int i = 0; i < count; ++i) paths.push_back("/application-" + std::to_string(i) + "/");
    return RouteTable(rules_of(paths));
  };
  const RouteTable few = table_of(10);
  const RouteTable many = table_of(10'000);
  const auto best_time = [](const RouteTable& table, const std::string& uri) {
    auto best = std::chrono::nanoseconds::max();
    for (int round = 0; round < 20; ++round) {
      const auto start = std::chrono::steady_clock::now();
      std::size_t matched = 0;
      for (int i = 0; i < 1'000; ++i) matched += table.find(uri).matched;
      best = std::min(best, std::chrono::nanoseconds(std::chrono::steady_clock::now() - start));
      REQUIRE(matched > 0);
    }
    return best;
  };
  const auto quick = best_time(few, "/application-9/some/page.html");
  const auto also_quick = best_time(many, "/application-9999/some/page.html");
  // Trying them one by one would take hundreds of times longer; the margin is for a busy machine.
  CHECK(also_quick < 5 * quick);
}
