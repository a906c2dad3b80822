#include "config/route_table.h"

#include <catch2/catch.hpp>
#include <chrono>
#include <random>
#include <string>
#include <vector>

#include "config/servlet_path.h"
#include "said.h"

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
    if (RouteMatch match = rule_matches(rule, uri, nullptr)) return match;
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

TEST_CASE("mapping=servlet reads a path as a servlet container does") {
  struct Row {
    const char* rule;
    const char* uri;
    std::size_t matched;
    const char* clean;
  };
  const std::vector<Row> rows = {
      {"/app", "/app", 4, "/app"},           {"/app", "/app/x", 4, "/app/x"},        {"/app", "/app;v=1/x", 4, "/app/x"},
      {"/app", "/app;v=1", 4, "/app"},       {"/app", "/app/x;v=1/y", 4, "/app/x/y"}, {"/app", "/apple", 0, ""},
      {"/app/", "/app", 0, ""},              {"/app/", "/app/", 5, "/app/"},         {"/app/", "/app;v/x", 7, "/app/x"},
      {"/app", "/x/..;/app/y", 10, "/app/y"}, {"/app", "/app/..;/x", 0, ""},          {"/app", "/app/..;/app/y", 12, "/app/y"},
      {"/app", "/..;/app", 0, ""},           {"/", "/", 1, "/"},                     {"/", "/a;b/c", 1, "/a/c"},
      {"/app", "//app//x", 6, "/app/x"},     {"/app", "/.;v/app", 8, "/app"},        {"/a/b", "/a;1/b;2/c;3", 6, "/a/b/c"},
      {"/app", "/app/x/..;v", 11, "/app/"},   {"/app", "/app/", 4, "/app/"},          {"app", "/app", 0, ""},
  };
  for (const Row& row : rows) {
    INFO(row.rule << " on " << row.uri);
    const ServletMatch match = servlet_match(row.rule, row.uri);
    CHECK(match.matched == row.matched);
    if (row.matched != 0) CHECK(match.clean == row.clean);
  }
}

TEST_CASE("references are filled as ap_pregsub does, and stay out of host and port") {
  const std::string_view subject = "/a.b/c";
  Groups groups{};
  groups[0] = {0, 6, true};
  groups[1] = {1, 4, true};
  groups[2] = {4, 6, true};
  CHECK(expand_references("http://h/$1$2", subject, groups) == "http://h/a.b/c");
  CHECK(expand_references("http://h/\\$1\\\\$9-$x$", subject, groups) == "http://h/$1\\-$x$");
  struct Row {
    const char* url;
    bool inside;
  };
  const std::vector<Row> rows = {
      {"http://h/$1", true},   {"http://h:80$2", true},  {"http://h:80$1", false}, {"http://h$1/x", true},   {"http://h$2/x", false},
      {"http://$1/x", true},   {"http://$1", true},      {"http://$1$2", true},     {"http://$2$1", false},    {"http://$0", false},     {"http://h$9$2", true},   {"http://h$9$1", false},
      {"http://h$2?q=$1", true}, {"$1://h/", false},     {"http://h:$1/", true},   {"http://h?$1", true},    {"balancer://b$2", true},
  };
  for (const Row& row : rows) {
    INFO(row.url);
    CHECK(references_stay_inside(row.url, subject, groups) == row.inside);
  }
}

TEST_CASE("expressions, variables and prefixes are one list in file order") {
  const TestSurroundings around;
  auto rules = rules_of({"/a/b", "^/a/([0-9]+)", "/a", "${V}", "b$", "/late"});
  for (const std::size_t i : {1u, 4u}) rules[i].pattern = *around.compile(rules[i].path);
  rules[3].options.interpolate = true;
  const RouteTable table(std::move(rules));
  class One final : public Variables {
   public:
    std::string value(std::string_view name) const override { return name == "V" ? "/late" : ""; }
  };
  const One variables;
  const auto rule = [&](const char* uri, const Variables* on) {
    const RouteMatch match = table.find(uri, on);
    return match ? match.route - table.rules().data() : -1;
  };
  CHECK(rule("/a/b", nullptr) == 0);
  CHECK(rule("/a/12", nullptr) == 1);
  CHECK(table.find("/a/12").groups[1].of("/a/12") == "12");
  CHECK(rule("/a/x", nullptr) == 2);
  CHECK(rule("/late", nullptr) == 5);
  CHECK(rule("/late", &variables) == 3);
  CHECK(rule("/x/b", nullptr) == 4);
  CHECK(rule("/x/b\n", nullptr) == -1);
}

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
