#include "http/set_cookie.h"

#include <string>
#include <utility>
#include <vector>

#include <catch2/catch.hpp>

using namespace cxxproxy::http;

namespace {

struct Rules final : CookieValueMap {
  std::vector<std::pair<std::string, std::string>> paths;
  std::vector<std::pair<std::string, std::string>> domains;
  Boundary boundary = Boundary::Segment;

  std::optional<std::string> mapped(CookieAttribute attribute, std::string_view value) const override {
    for (const auto& [from, to] : attribute == CookieAttribute::Path ? paths : domains) {
      if (covers_cookie_value(attribute, from, value, boundary)) return to;
    }
    return std::nullopt;
  }
};

struct Row {
  const char* field;
  const char* expected;  // nullptr: stays as it is
};

std::optional<std::string> expected(const Row& row) { return row.expected == nullptr ? std::nullopt : std::optional<std::string>(row.expected); }

Rules usual() {
  Rules rules;
  rules.paths = {{"/app", "/d"}, {"/app/late", "/never"}, {"/other/", "/o/"}};
  rules.domains = {{"back.test", "front.test"}, {".dotted.test", ".front.test"}};
  return rules;
}

CookieFlags flags_of(const std::vector<std::string>& words) {
  CookieFlags flags;
  for (const auto& word : words) REQUIRE(take_cookie_flag(flags, word));
  return flags;
}

}  // namespace

TEST_CASE("only the real Path and Domain attributes are rewritten", "[set_cookie]") {
  const Row row = GENERATE(values<Row>({
      {"a=1; Path=/app", "a=1; Path=/d"},
      {"a=1;path=/app", "a=1;path=/d"},
      {"a=1; PATH=/app; Domain=back.test", "a=1; PATH=/d; Domain=front.test"},
      {"a=1; domain=Back.TEST; path=/app; Secure", "a=1; domain=front.test; path=/d; Secure"},
      {"a=1; Path=/app/x/y; HttpOnly", "a=1; Path=/d; HttpOnly"},
      {"a=1; Path=/app/late", "a=1; Path=/d"},
      {"a=1; Path=/application", nullptr},
      {"a=1; Path=/ap", nullptr},
      {"a=1; Path=/APP", nullptr},
      {"a=1; Path=/other/x", "a=1; Path=/o/"},
      {"a=1; Path=/other", nullptr},
      {"a=1; Path = /app ;x", "a=1; Path = /d ;x"},
      {"a=1;\tPath\t=\t/app", "a=1;\tPath\t=\t/d"},
      {"a=1; Path=\"/app\"", "a=1; Path=\"/d\""},
      {"a=1; Path=\"/app", nullptr},
      {"a=1; Path=\"", nullptr},
      {"a=1; Path=\"\"", nullptr},
      {"a=1; Path=", nullptr},
      {"a=1; Path", nullptr},
      {"a=1; Path=/app; Path=/app/x; Path=/z", "a=1; Path=/d; Path=/d; Path=/z"},
      {"Path=/app", nullptr},
      {"path=/app; Path=/app", "path=/app; Path=/d"},
      {"Domain=back.test; x", nullptr},
      {"a=\"; Path=/app\"; b", nullptr},
      {"a=Path=/app", nullptr},
      {"a=1; XPath=/app; Path-x=/app; x=Path=/app", nullptr},
      {"a=1; domain=.back.test", nullptr},
      {"a=1; domain=.dotted.test", "a=1; domain=.front.test"},
      {"a=1; domain=dotted.test", nullptr},
      {"a=1; domain=back.test.evil", "a=1; domain=front.test"},
      {"a=1; domain=back.testing", nullptr},
      {"a=1; domain=xback.test", nullptr},
      {"", nullptr},
      {";", nullptr},
      {";Path=/app", ";Path=/d"},
      {";;;Path=/app;;", ";;;Path=/d;;"},
  }));
  CAPTURE(row.field);
  CHECK(rewrite_cookie_attributes(row.field, usual()) == expected(row));
}

TEST_CASE("text boundary takes any beginning, as mod_proxy does", "[set_cookie]") {
  Rules rules = usual();
  rules.boundary = Boundary::Text;
  CHECK(rewrite_cookie_attributes("a; Path=/application", rules) == std::optional<std::string>("a; Path=/d"));
  CHECK(rewrite_cookie_attributes("a; domain=back.testing", rules) == std::optional<std::string>("a; domain=front.test"));
  CHECK_FALSE(rewrite_cookie_attributes("a; Path=/APP", rules));
  rules.paths = {{"", "/all"}};
  CHECK(rewrite_cookie_attributes("a; Path=x", rules) == std::optional<std::string>("a; Path=/all"));
  rules.boundary = Boundary::Segment;
  CHECK(rewrite_cookie_attributes("a; Path=x", rules) == std::optional<std::string>("a; Path=/all"));
}

TEST_CASE("much longer and much shorter values (CVE-2026-34356)", "[set_cookie]") {
  const std::string huge(100'000, 'y');
  Rules rules;
  rules.paths = {{"/p", "/" + huge}};
  rules.domains = {{"d", huge}, {huge, ""}};
  CHECK(rewrite_cookie_attributes("a=1; Domain=d; Path=/p; Domain=" + huge + "; z", rules) ==
        std::optional<std::string>("a=1; Domain=" + huge + "; Path=/" + huge + "; Domain=; z"));
}

TEST_CASE("flags are added, replaced and removed", "[set_cookie]") {
  struct FlagRow {
    std::vector<std::string> words;
    const char* field;
    const char* expected;
  };
  const std::vector<FlagRow> rows{
      {{"secure"}, "a=1", "a=1; Secure"},
      {{"Secure", "HttpOnly", "SameSite=Lax"}, "a=1; Path=/", "a=1; Path=/; Secure; HttpOnly; SameSite=Lax"},
      {{"secure"}, "a=1; secure", nullptr},
      {{"secure"}, "secure=1", "secure=1; Secure"},
      {{"secure"}, "secure", "secure; Secure"},
      {{"samesite=strict"}, "a=1; SameSite=None; Secure", "a=1; SameSite=Strict; Secure"},
      {{"samesite=strict"}, "a=1;samesite=x;SameSite=Lax", "a=1;SameSite=Strict"},
      {{"samesite=lax"}, "a=1; SameSite=Lax", nullptr},
      {{"nosecure"}, "a=1; Secure; Path=/", "a=1; Path=/"},
      {{"nosecure", "nohttponly", "nosamesite"}, "a=1; SECURE; httponly ;SameSite=None; Max-Age=1", "a=1; Max-Age=1"},
      {{"nosecure"}, "a=1; Path=/", nullptr},
      {{"nosecure"}, "secure; x", nullptr},
      {{"partitioned"}, "a=1", "a=1; Partitioned"},
      {{"nopartitioned"}, "a=1; Partitioned", "a=1"},
      {{}, "a=1; Secure", nullptr},
      {{"secure"}, "", "; Secure"},
  };
  for (const auto& row : rows) {
    CAPTURE(row.words, row.field);
    CHECK(set_cookie_flags(row.field, flags_of(row.words)) == expected({row.field, row.expected}));
  }
}

TEST_CASE("words that are no flags", "[set_cookie]") {
  CookieFlags flags;
  for (const char* word : {"", "no", "secured", "nosecured", "samesite", "samesite=", "samesite=foo", "nosamesite=lax", "httponly=1", "nono"}) {
    CAPTURE(word);
    CHECK_FALSE(take_cookie_flag(flags, word));
  }
}

TEST_CASE("the name of a cookie and patterns for it", "[set_cookie]") {
  CHECK(cookie_name("a=1; Path=/") == "a");
  CHECK(cookie_name(" a b = 1") == "a b");
  CHECK(cookie_name("a; x=1") == "a");
  CHECK(cookie_name("=1") == "");
  CHECK(cookie_name("") == "");
  CHECK(cookie_name_matches("*", ""));
  CHECK(cookie_name_matches("", ""));
  CHECK_FALSE(cookie_name_matches("", "a"));
  CHECK(cookie_name_matches("JSESSIONID", "JSESSIONID"));
  CHECK_FALSE(cookie_name_matches("JSESSIONID", "jsessionid"));
  CHECK_FALSE(cookie_name_matches("JSESSIONID", "JSESSIONIDX"));
  CHECK(cookie_name_matches("J*ID", "JSESSIONID"));
  CHECK(cookie_name_matches("*a*b*", "xxaxxbxx"));
  CHECK_FALSE(cookie_name_matches("*a*b", "xxaxxbxx"));
  CHECK(cookie_name_matches("a?c", "abc"));
  CHECK_FALSE(cookie_name_matches("a?c", "ac"));
  CHECK_FALSE(cookie_name_matches("*a*a*a*a*a*a*a*a*a*b", std::string(5000, 'a')));
}
