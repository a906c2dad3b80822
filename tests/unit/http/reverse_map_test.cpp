#include "http/reverse_map.h"

#include <vector>

#include <catch2/catch.hpp>

using namespace cxxproxy::http;

namespace {

using Mapped = std::optional<std::string>;

Mapped map_one(const char* real, const char* public_path, std::string_view location,
               Boundary boundary = Boundary::Segment) {
  const auto rule = make_reverse_rule(real, public_path);
  REQUIRE(rule);
  const std::vector<ReverseRule> rules{*rule};
  return map_back(location, rules, boundary);
}

struct Row {
  const char* real;
  const char* public_path;
  const char* location;
  const char* mapped;  // nullptr: not mapped
};

}  // namespace

TEST_CASE("a backend's URL becomes a path of this server", "[reverse_map]") {
  const Row row = GENERATE(values<Row>({
      {"http://h:8080/", "/", "http://h:8080/foo", "/foo"},
      {"http://h:8080/", "/", "http://h:8080/", "/"},
      {"http://h:8080/", "/", "http://h:8080", "/"},
      {"http://h:8080/", "/", "http://h:8080?x=1", "/?x=1"},
      {"http://h:8080/", "/", "http://h:8080#f", "/#f"},
      {"http://h:8080", "/", "http://h:8080/foo", "/foo"},
      {"http://h:8080", "/", "http://h:8080", "/"},
      {"http://h:8080/", "/x", "http://h:8080/foo", "/x/foo"},
      {"http://h:8080/", "/x/", "http://h:8080/foo?q#f", "/x/foo?q#f"},
      {"http://h:8080/app", "/d", "http://h:8080/app", "/d"},
      {"http://h:8080/app", "/d", "http://h:8080/app/", "/d/"},
      {"http://h:8080/app", "/d", "http://h:8080/app/x", "/d/x"},
      {"http://h:8080/app", "/d", "http://h:8080/app?x", "/d?x"},
      {"http://h:8080/app", "/d", "http://h:8080/app;jsessionid=1", "/d;jsessionid=1"},
      {"http://h:8080/app", "/d", "http://h:8080/appendix", nullptr},
      {"http://h:8080/app", "/d", "http://h:8080/ap", nullptr},
      {"http://h:8080/app/", "/d/", "http://h:8080/app", nullptr},
      {"http://h:8080/app", "/", "http://h:8080/app/x", "/x"},
      {"http://h:8080/App", "/d", "HTTP://H:8080/aPP/X", "/d/X"},
      {"http://h/", "/", "http://h:80/x", "/x"},
      {"http://h:80/", "/", "http://h/x", "/x"},
      {"https://h/", "/", "https://h:443/x", "/x"},
      {"http://h/", "/", "https://h/x", nullptr},
      {"http://h/", "/", "http://h:8080/x", nullptr},
      {"http://h:8080/", "/", "http://h/x", nullptr},
      {"http://h:8080/", "/", "http://h:80801/x", nullptr},
      {"http://h/", "/", "http://h.evil/x", nullptr},
      {"http://h", "/", "http://hh/x", nullptr},
      {"http://h/", "/", "http://u@h/x", nullptr},
      {"http://h/", "/", "http://h@evil/x", nullptr},
      {"http://h/", "/", "//h/x", "/x"},
      {"http://h/", "/", "//H:80/x", "/x"},
      {"https://h/", "/", "//h/x", "/x"},
      {"https://h/", "/", "//h:443/x", "/x"},
      {"https://h/", "/", "//h:80/x", nullptr},
      {"http://h:8080/", "/", "//h:8080/x", "/x"},
      {"http://h:8080/", "/", "//h/x", nullptr},
      {"http://h/", "/", "//u@h/x", nullptr},
      {"http://h/", "/", "///x", nullptr},
      {"http://h/", "/", "//other/x", nullptr},
      {"unix:/run/app.sock|http://h/base", "/d", "http://h/base/x", "/d/x"},
      {"http://h/", "/", "/x", nullptr},
      {"http://h/", "/", "x", nullptr},
      {"http://h/", "/", "", nullptr},
      {"http://h/", "/", "mailto:a@h", nullptr},
      {"http://h/", "/", "http:x", nullptr},
      {"http://[::1]:8080/", "/", "http://[::1]:8080/x", "/x"},
      {"/app", "/d", "/app/x", "/d/x"},
      {"/app", "/d", "/application", nullptr},
      {"/app/", "/d/", "/app/x", "/d/x"},
      {"/", "/d/", "/x", "/d/x"},
      {"/", "/d/", "//evil/x", nullptr},
      {"/", "/d/", "http://h/x", "/d/x"},
      {"/app", "/d", "https://any:81/app/x?q", "/d/x?q"},
      {"/app", "/d", "http://h/apps", nullptr},
      {"/app", "/d", "http://h", nullptr},
      {"/", "/d/", "http://h", "/d/"},
      {"/app", "/d", "//any/app/x", nullptr},
      {"/app", "/d", "ftp://h/app", nullptr},
      {"/", "/d/", "x", nullptr},
  }));
  CAPTURE(row.real, row.public_path, row.location);
  CHECK(map_one(row.real, row.public_path, row.location) == (row.mapped == nullptr ? Mapped{} : Mapped{row.mapped}));
}

TEST_CASE("text boundary maps as mod_proxy does", "[reverse_map]") {
  const Row row = GENERATE(values<Row>({
      {"http://h:8080/app", "/d", "http://h:8080/appendix", "/dendix"},
      {"http://h:8080", "/", "http://h:8080/foo", "//foo"},
      {"http://h:8080/", "/x", "http://h:8080/foo", "/xfoo"},
      {"http://h:8080/", "/", "http://h:8080", nullptr},
      {"http://h", "/", "http://hh/x", nullptr},
      {"http://h/", "/", "//h/x", nullptr},
      {"/app", "/d", "http://any/appendix", "/dendix"},
  }));
  CAPTURE(row.real, row.public_path, row.location);
  CHECK(map_one(row.real, row.public_path, row.location, Boundary::Text) ==
        (row.mapped == nullptr ? Mapped{} : Mapped{row.mapped}));
}

TEST_CASE("the first rule that matches wins", "[reverse_map]") {
  const std::vector<ReverseRule> rules{*make_reverse_rule("http://h/a/b", "/one"),
                                       *make_reverse_rule("http://h/a", "/two"),
                                       *make_reverse_rule("http://h/a/c", "/never"), *make_reverse_rule("/a", "/path")};
  CHECK(map_back("http://h/a/b/x", rules) == Mapped{"/one/x"});
  CHECK(map_back("http://h/a/c/x", rules) == Mapped{"/two/c/x"});
  CHECK(map_back("/a/c", rules) == Mapped{"/path/c"});
  CHECK_FALSE(map_back("http://h/z", rules));
  CHECK_FALSE(map_back("http://h/a/b", {}));
}

TEST_CASE("a rule is a URL or a path", "[reverse_map]") {
  CHECK(make_reverse_rule("/x", "/"));
  CHECK(make_reverse_rule("https://h/x", "/"));
  CHECK_FALSE(make_reverse_rule("//h/x", "/"));
  CHECK_FALSE(make_reverse_rule("x", "/"));
  CHECK_FALSE(make_reverse_rule("", "/"));
  CHECK_FALSE(make_reverse_rule("http://h:0/", "/"));
  const auto later = make_reverse_rule("ajp://h/", "/");
  REQUIRE_FALSE(later);
  CHECK(later.error().kind == UrlProblem::NotSupportedYet);
}

TEST_CASE("the URL inside a Refresh field", "[reverse_map]") {
  struct RefreshRow {
    const char* field;
    const char* url;
  };
  const RefreshRow row = GENERATE(values<RefreshRow>({
      {"5; url=http://h/x", "http://h/x"},
      {"0;URL=/x", "/x"},
      {" 1.5 , Url = http://h/ ", "http://h/"},
      {"5; url='http://h/x y'", "http://h/x y"},
      {"5; url=\"http://h/\"; z", "http://h/"},
      {"5; url='http://h/", "http://h/"},
      {"5; http://h/x", "http://h/x"},
      {"5; urls", "urls"},
      {"5", ""},
      {"5;", ""},
      {"5; url=", ""},
      {"5; url", "url"},
      {"5 url=/x", ""},
      {"; url=/x", ""},
      {"url=/x", ""},
      {"", ""},
      {"5; url='", ""},
      {"5; url=''", ""},
  }));
  CAPTURE(row.field);
  const Place place = url_in_refresh(row.field);
  CHECK(std::string_view(row.field).substr(place.begin, place.size) == row.url);
}
