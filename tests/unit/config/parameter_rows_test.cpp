#include "config/parameter_rows.h"

#include <catch2/catch.hpp>
#include <set>
#include <string>

#include "base/ascii.h"
#include "config/spec.h"

using namespace cxxproxy::config;

TEST_CASE("every row can be found by its name in any case, and only at its place") {
  for (const auto& row : parameter_rows()) {
    INFO(row.name);
    CHECK(find_parameter(row.name, row.place) == &row);
    std::string upper(row.name);
    for (char& c : upper) c = static_cast<char>(c >= 'a' && c <= 'z' ? c - 32 : c);
    CHECK(find_parameter(upper, row.place) == &row);
    CHECK(std::string(row.help).size() > 5);
  }
  CHECK(find_parameter("timeout", Place::Member) != find_parameter("timeout", Place::Balancer));
  CHECK(find_parameter("loadfactor", Place::Balancer) == nullptr);
  CHECK(find_parameter("", Place::Member) == nullptr);
}

TEST_CASE("no name stands twice at one place and every id has exactly one row") {
  std::set<std::pair<int, std::string>> names;
  std::set<ParameterId> ids;
  for (const auto& row : parameter_rows()) {
    CHECK(names.emplace(static_cast<int>(row.place), row.name).second);
    if (row.is_supported()) {
      CHECK(ids.insert(row.id).second);
      CHECK(std::string(row.default_text) != "");
    }
  }
  CHECK(ids.size() == static_cast<std::size_t>(ParameterId::Count));
}

TEST_CASE("the ends of every range are accepted, what lies beyond is refused with range and unit") {
  for (const auto& row : parameter_rows()) {
    if (!row.is_supported() || row.min >= row.max || row.kind == ValueKind::Flag) continue;
    INFO(row.name);
    const std::int64_t unit = row.kind == ValueKind::Duration ? 1000 : row.kind == ValueKind::LoadFactor ? 100 : 1;
    const std::string suffix = row.kind == ValueKind::Duration ? "ms" : "";
    const auto parsed = [&](std::int64_t value) { return parse_value(row, std::to_string(value / unit) + suffix); };
    REQUIRE(parsed(row.min));
    CHECK(*parsed(row.min) == row.min);
    REQUIRE(parsed(row.max));
    CHECK(*parsed(row.max) == row.max);
    const auto above = parsed(row.max + unit);
    REQUIRE_FALSE(above);
    CHECK(above.error() == "out of range (" + allowed_values(row) + ")");
    if (row.min > 0) {
      const auto below = parsed(row.min - unit);
      REQUIRE_FALSE(below);
      CHECK(below.error() == "out of range (" + allowed_values(row) + ")");
    }
    REQUIRE_FALSE(parse_value(row, "abc"));
    CHECK(parse_value(row, "abc").error().find(allowed_values(row)) != std::string::npos);
  }
}

TEST_CASE("a row that is not supported yet accepts no value") {
  int seen = 0;
  for (const auto& row : parameter_rows()) {
    if (row.is_supported()) continue;
    ++seen;
    for (const char* text : {"", "1", "on", "GET"}) CHECK_FALSE(parse_value(row, text));
  }
  CHECK(seen > 30);
}

TEST_CASE("replay knows three words, in any case, and their texts name them") {
  const auto& row = parameter_row(ParameterId::Replay);
  const auto meaning = [&](const char* text) { return static_cast<Replay>(*parse_value(row, text)); };
  CHECK(meaning("on") == Replay::On);
  CHECK(meaning("Safe") == Replay::Safe);
  CHECK(meaning("OFF") == Replay::Off);
  for (const char* text : {"", "o", "onn", "yes", "1", "safe "}) {
    INFO(text);
    REQUIRE_FALSE(parse_value(row, text));
    CHECK(parse_value(row, text).error() == "unknown word (on, safe or off)");
  }
}

TEST_CASE("sizes are plain bytes") {
  const auto& row = parameter_row(ParameterId::ResponseFieldSize);
  CHECK(*parse_value(row, "32768") == 32768);
  for (const char* text : {"", "-1", "16k", "1.5", "0x10"}) {
    INFO(text);
    REQUIRE_FALSE(parse_value(row, text));
    CHECK(parse_value(row, text).error() == "not a whole number (0 to 16777216 bytes)");
  }
}

TEST_CASE("methods: byrequests now, its relatives later, others never") {
  const auto& row = parameter_row(ParameterId::LbMethod);
  CHECK(parse_value(row, "ByRequests"));
  CHECK(parse_value(row, "bybusyness").error().find("not supported yet") != std::string::npos);
  CHECK(parse_value(row, "random").error() == "unknown method (byrequests)");
}

TEST_CASE("in a set the later value wins, status letters add up") {
  ParameterSet set;
  CHECK(set.empty());
  CHECK_FALSE(set.value(ParameterId::Max).has_value());
  set.set(ParameterId::Max, 5, {"a.conf", 1});
  set.set(ParameterId::Max, 0, {"b.conf", 2});
  CHECK(set.value(ParameterId::Max) == 0);
  CHECK(set.find(ParameterId::Max)->where.line == 2);
  CHECK(std::string(set.find(ParameterId::Max)->where.file) == "b.conf");

  ParameterSet later;
  later.set(ParameterId::Ttl, 9, {"c.conf", 3});
  later.set(ParameterId::Max, 7, {"c.conf", 4});
  set.merge_over(later);
  CHECK(set.value(ParameterId::Max) == 7);
  CHECK(set.value(ParameterId::Ttl) == 9);

  const auto& status = parameter_row(ParameterId::Status);
  set.set(ParameterId::Status, *parse_value(status, "+D"), {});
  set.set(ParameterId::Status, *parse_value(status, "+H"), {});
  CHECK(set.value(ParameterId::Status) == *parse_value(status, "+DH"));
}
