#include "config/parameter_rows.h"

#include <catch2/catch.hpp>
#include <set>
#include <string>

#include "base/ascii.h"
#include "config/spec.h"
#include "config/value_parsers.h"

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
    const bool is_time = row.kind == ValueKind::Duration || row.kind == ValueKind::Lifetime || row.kind == ValueKind::Milliseconds;
    const std::int64_t unit = is_time ? 1000 : row.kind == ValueKind::LoadFactor ? 100 : 1;
    const std::string suffix = is_time ? "ms" : "";
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
  CHECK(seen > 0);
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

TEST_CASE("methods have mod_proxy's names and five new ones; heartbeat is refused with another idea") {
  const auto& row = parameter_row(ParameterId::LbMethod);
  const auto meaning = [&](const char* text) { return static_cast<Method>(*parse_value(row, text)); };
  CHECK(meaning("ByRequests") == Method::ByRequests);
  CHECK(meaning("bytraffic") == Method::ByTraffic);
  CHECK(meaning("BYBUSYNESS") == Method::ByBusyness);
  CHECK(meaning("leastload") == Method::LeastLoad);
  CHECK(meaning("ewma") == Method::Ewma);
  CHECK(meaning("hash") == Method::Hash);
  CHECK(meaning("random") == Method::Random);
  CHECK(meaning("first") == Method::First);
  CHECK(parse_value(row, "heartbeat").error().find("leastload") != std::string::npos);
  CHECK(parse_value(row, "rr").error() == "unknown method (" + allowed_values(row) + ")");
}

TEST_CASE("failonstatus is a list of statuses, hashkey a source with its name") {
  const auto& statuses = parameter_row(ParameterId::FailOnStatus);
  for (const char* text : {"500", "500,503", "100,599", "503,503"}) CHECK(parse_value(statuses, text));
  for (const char* text : {"", "99", "600", "500,", ",500", "500;503", "5xx", "500 503"}) {
    INFO(text);
    REQUIRE_FALSE(parse_value(statuses, text));
    CHECK(parse_value(statuses, text).error() == "not a list of statuses (100 to 599, several with commas between them)");
  }
  CHECK(*parse_status_list("503,500,503") == std::vector<std::uint16_t>{500, 503});

  const auto& key = parameter_row(ParameterId::HashKey);
  for (const char* text : {"client", "Path", "uri", "query:user", "cookie:SID", "header:X-User"}) CHECK(parse_value(key, text));
  for (const char* text : {"", "clients", "client:x", "query", "query:", "cookie", "header:", ":x", "ip"}) {
    INFO(text);
    REQUIRE_FALSE(parse_value(key, text));
    CHECK(parse_value(key, text).error() == "not a key (client, path, uri, query:NAME, cookie:NAME or header:NAME)");
  }
  const auto cookie = parse_hash_key("cookie:Sid:2");
  REQUIRE(cookie);
  CHECK(cookie->source == HashKey::Source::Cookie);
  CHECK(cookie->name == "Sid:2");
}

TEST_CASE("routes, names of sessions and their separator") {
  for (const ParameterId id : {ParameterId::RouteName, ParameterId::Redirect}) {
    const auto& route = parameter_row(id);
    CHECK(parse_value(route, std::string(63, 'r')));
    for (const std::string& text : {std::string(), std::string(64, 'r')}) {
      REQUIRE_FALSE(parse_value(route, text));
      CHECK(parse_value(route, text).error() == "out of range (1 to 63 characters)");
    }
  }
  for (const char* text : {"a b", "a\t", "a\x01"}) {
    CHECK(parse_value(parameter_row(ParameterId::RouteName), text).error() == "not a route (1 to 63 characters)");
  }
  const auto& sticky = parameter_row(ParameterId::StickySession);
  for (const char* text : {"JSESSIONID", "JSESSIONID|jsessionid", "a.b-c"}) CHECK(parse_value(sticky, text));
  for (const char* text : {"", "|", "a|", "|a", "a=b", "a;b", "a b", "a\x01"}) {
    INFO(text);
    REQUIRE_FALSE(parse_value(sticky, text));
    CHECK(parse_value(sticky, text).error() == "not a name (NAME or NAME|URLNAME, at most 63 characters)");
  }
  CHECK(parse_value(sticky, std::string(64, 'n')).error() == "too long (NAME or NAME|URLNAME, at most 63 characters)");
  CHECK(parse_sticky_names("A|b|c")->parameter == "b|c");
  CHECK(parse_sticky_names("A")->parameter == "A");

  const auto& cookie = parameter_row(ParameterId::StickyCookie);
  for (const char* text : {"PROXYID", "__Host-id", "a"}) CHECK(parse_value(cookie, text));
  for (const std::string& text : {std::string(), std::string("a b"), std::string("a;b"), std::string("a=b"), std::string(64, 'n')}) {
    CHECK_FALSE(parse_value(cookie, text));
  }
  const auto& path = parameter_row(ParameterId::StickyCookiePath);
  for (const char* text : {"/", "/app/", "/%20x"}) CHECK(parse_value(path, text));
  for (const std::string& text : {std::string(), std::string("app"), std::string("/a;b"), std::string("/a b"), '/' + std::string(255, 'x'),
                                  std::string("/a\r\nX"), std::string("/\x7f")}) {
    CHECK_FALSE(parse_value(path, text));
  }
  const auto& secure = parameter_row(ParameterId::StickyCookieSecure);
  CHECK(parse_value(secure, "AUTO").value() == static_cast<std::int64_t>(StickyCookie::Secure::Auto));
  CHECK(parse_value(secure, "off").value() == static_cast<std::int64_t>(StickyCookie::Secure::Off));
  CHECK(parse_value(secure, "yes").error() == "unknown word (auto, on or off)");
  const auto& site = parameter_row(ParameterId::StickyCookieSameSite);
  CHECK(parse_value(site, "None").value() == static_cast<std::int64_t>(StickyCookie::SameSite::None));
  CHECK_FALSE(parse_value(site, "any"));

  const auto& separator = parameter_row(ParameterId::StickySessionSep);
  CHECK(*parse_value(separator, "!") == '!');
  CHECK(*parse_value(separator, "oFF") == 0);
  for (const char* text : {"", "..", "On", " ", "\t", "\x7f"}) {
    INFO(text);
    REQUIRE_FALSE(parse_value(separator, text));
    CHECK(parse_value(separator, text).error() == "not a separator (one character or Off)");
  }
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
  CHECK(set.text(ParameterId::FailOnStatus).empty());
  set.set(ParameterId::FailOnStatus, 1, {"a.conf", 1}, "500");
  later.set(ParameterId::FailOnStatus, 1, {"c.conf", 5}, "503");
  set.merge_over(later);
  CHECK(set.text(ParameterId::FailOnStatus) == "503");

  const auto& status = parameter_row(ParameterId::Status);
  set.set(ParameterId::Status, *parse_value(status, "+D"), {});
  set.set(ParameterId::Status, *parse_value(status, "+H"), {});
  CHECK(set.value(ParameterId::Status) == *parse_value(status, "+DH"));
}

TEST_CASE("a plain number of acquire is milliseconds, as mod_proxy has it", "[config]") {
  const auto& row = parameter_row(ParameterId::Acquire);
  CHECK(parse_value(row, "250").value() == 250'000);
  CHECK(parse_value(row, "2s").value() == 2'000'000);
  CHECK(parse_value(row, "1min").value() == 60'000'000);
  CHECK_FALSE(parse_value(row, "0"));
  CHECK_FALSE(parse_value(row, "-1"));
  CHECK_FALSE(parse_value(row, "soon"));
}
