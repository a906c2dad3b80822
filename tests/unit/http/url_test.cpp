#include "http/url.h"

#include <catch2/catch.hpp>

using namespace cxxproxy::http;

namespace {
struct Good {
  const char* text;
  const char* scheme;
  const char* host;
  unsigned port;
  bool default_port;
  const char* path;
  const char* authority;
  const char* canonical;
};
}  // namespace

TEST_CASE("a URL is taken apart and put together in canonical form", "[url]") {
  const Good row = GENERATE(values<Good>({
      {"http://h", "http", "h", 80, true, "", "h", "http://h"},
      {"http://h/", "http", "h", 80, true, "/", "h", "http://h/"},
      {"HTTP://Host.Example/Path", "http", "host.example", 80, true, "/Path", "host.example",
       "http://host.example/Path"},
      {"http://127.0.0.1:8080/", "http", "127.0.0.1", 8080, false, "/", "127.0.0.1:8080", "http://127.0.0.1:8080/"},
      {"http://h:80/x", "http", "h", 80, true, "/x", "h", "http://h/x"},
      {"http://h:0080/x", "http", "h", 80, true, "/x", "h", "http://h/x"},
      {"https://h:443", "https", "h", 443, true, "", "h", "https://h"},
      {"https://h:80", "https", "h", 80, false, "", "h:80", "https://h:80"},
      {"ws://h/chat", "ws", "h", 80, true, "/chat", "h", "ws://h/chat"},
      {"wss://h/chat", "wss", "h", 443, true, "/chat", "h", "wss://h/chat"},
      {"http://h:1", "http", "h", 1, false, "", "h:1", "http://h:1"},
      {"http://h:65535", "http", "h", 65535, false, "", "h:65535", "http://h:65535"},
      {"http://[::1]", "http", "::1", 80, true, "", "[::1]", "http://[::1]"},
      {"http://[2001:DB8::A]:8080/a", "http", "2001:db8::a", 8080, false, "/a", "[2001:db8::a]:8080",
       "http://[2001:db8::a]:8080/a"},
      {"http://[::]", "http", "::", 80, true, "", "[::]", "http://[::]"},
      {"http://[1:2:3:4:5:6:7:8]", "http", "1:2:3:4:5:6:7:8", 80, true, "", "[1:2:3:4:5:6:7:8]",
       "http://[1:2:3:4:5:6:7:8]"},
      {"http://[::ffff:10.0.0.1]/", "http", "::ffff:10.0.0.1", 80, true, "/", "[::ffff:10.0.0.1]",
       "http://[::ffff:10.0.0.1]/"},
      {"http://my_service-1.local./", "http", "my_service-1.local.", 80, true, "/", "my_service-1.local.",
       "http://my_service-1.local./"},
      {"http://h/a?b=c", "http", "h", 80, true, "/a?b=c", "h", "http://h/a?b=c"},
      {"http://h?b=c", "http", "h", 80, true, "/?b=c", "h", "http://h/?b=c"},
      {"http://h/a@b:c//d", "http", "h", 80, true, "/a@b:c//d", "h", "http://h/a@b:c//d"},
      {"http://h/?http://x@y", "http", "h", 80, true, "/?http://x@y", "h", "http://h/?http://x@y"},
      {"http://h/%20%2F", "http", "h", 80, true, "/%20%2F", "h", "http://h/%20%2F"},
  }));
  CAPTURE(row.text);
  const auto url = parse_url(row.text);
  REQUIRE(url);
  CHECK(url->scheme == row.scheme);
  CHECK(url->host == row.host);
  CHECK(url->ipv6 == (url->host.find(':') != std::string::npos));
  CHECK(url->port == row.port);
  CHECK(url->default_port == row.default_port);
  CHECK(url->path == row.path);
  CHECK(url->authority() == row.authority);
  CHECK(url->text() == row.canonical);

  const auto again = parse_url(url->text());
  REQUIRE(again);
  CHECK(again->text() == url->text());
}

TEST_CASE("a malformed URL is refused with a sentence that names the fault", "[url]") {
  struct Bad {
    std::string text;
    const char* part;
  };
  const auto row = GENERATE(values<Bad>({
      {"", "scheme://"},
      {"/path", "scheme://"},
      {"h:8080", "scheme://"},
      {"http", "scheme://"},
      {"http:", "scheme://"},
      {"http:/h", "scheme://"},
      {"http:h", "scheme://"},
      {"://h", "scheme://"},
      {" http://h", "scheme://"},
      {"1http://h", "scheme://"},
      {"ht tp://h", "scheme://"},
      {"http://", "host name is missing"},
      {"http:///x", "host name is missing"},
      {"http://:80", "host name is missing"},
      {"http://?x", "host name is missing"},
      {"http://h:", "port after"},
      {"http://h:/", "port after"},
      {"http://h:0", "1..65535"},
      {"http://h:65536", "1..65535"},
      {"http://h:4294967376", "1..65535"},
      {"http://h:99999999999999999999", "1..65535"},
      {"http://h:8o", "not a number"},
      {"http://h:+80", "not a number"},
      {"http://h:-1", "not a number"},
      {"http://h: 80", "not a number"},
      {"http://h:80:80", "more than one"},
      {"http://::1/", "more than one"},
      {"http://h:8080index", "not a number"},
      {"http://user@h/", "user or password"},
      {"http://user:pass@h/", "user or password"},
      {"http://a@b@h/", "user or password"},
      {"http://h h/", "host name may hold"},
      {"http://h%41/", "host name may hold"},
      {"http://h\\x/", "host name may hold"},
      {"http://$1/", "host name may hold"},
      {"http://h,i/", "host name may hold"},
      {"http://h\xc3\xa9/", "host name may hold"},
      {std::string("http://h\0x/", 11), "host name may hold"},
      {"http://h\r\n/", "host name may hold"},
      {"http://" + std::string(254, 'a') + "/", "253"},
      {"http://[::1", "']'"},
      {"http://[::1]x", "follow"},
      {"http://[::1]:", "port after"},
      {"http://[]/", "IPv6"},
      {"http://[1]/", "IPv6"},
      {"http://[:::]/", "IPv6"},
      {"http://[1::2::3]/", "IPv6"},
      {"http://[1:2:3:4:5:6:7]/", "IPv6"},
      {"http://[1:2:3:4:5:6:7:8:9]/", "IPv6"},
      {"http://[1:2:3:4:5:6:7::8]/", "IPv6"},
      {"http://[::12345]/", "IPv6"},
      {"http://[::g]/", "IPv6"},
      {"http://[::256.0.0.1]/", "IPv6"},
      {"http://[::1.2.3]/", "IPv6"},
      {"http://[::01.2.3.4]/", "IPv6"},
      {"http://[1.2.3.4::]/", "IPv6"},
      {"http://[127.0.0.1]/", "IPv6"},
      {"http://[fe80::1%25eth0]/", "zone"},
      {"http://h/a b", "space"},
      {"http://h/a\tb", "control"},
      {"http://h/a\nb", "control"},
      {"http://h/a\x7f", "control"},
      {std::string("http://h/a\0b", 12), "control"},
      {"http://h/a#b", "fragment"},
      {"http://h#b", "fragment"},
  }));
  CAPTURE(row.text);
  const auto url = parse_url(row.text);
  REQUIRE_FALSE(url);
  CHECK(url.error().kind == UrlProblem::Malformed);
  CHECK_THAT(url.error().text, Catch::Contains(row.part));
}

TEST_CASE("a backend behind a unix socket has its path, and a host for the Host field", "[url]") {
  const auto url = parse_url("unix:/run/a.sock|http://Name:81/base");
  REQUIRE(url);
  CHECK(url->socket == "/run/a.sock");
  CHECK(url->authority() == "name:81");
  CHECK(url->text() == "http://name:81/base");
  CHECK(url->name() == "unix:/run/a.sock|http://name:81/base");
  CHECK(parse_url("UNIX:a.sock|http:")->text() == "http://localhost");
  CHECK(parse_url("unix:///run/a.sock|http://h")->socket == "/run/a.sock");
  for (const std::string text : {"unix:|http://h", "unix:/run/a.sock", "unix://host/run|http://h", "unix:/a\tb|http://h", "unix:/s|", "unix:/s|/x"}) {
    CAPTURE(text);
    CHECK_FALSE(parse_url(text));
  }
  CHECK(parse_url("unix:/" + std::string(106, 's') + "|http://h"));
  CHECK_FALSE(parse_url("unix:/" + std::string(107, 's') + "|http://h"));
  // Only a configuration names a socket.
  CHECK_FALSE(parse_origin("unix:/run/a.sock|http://h/"));
}

TEST_CASE("schemes of later versions and unknown schemes are told apart", "[url]") {
  const auto later = GENERATE("ajp://h:8009/", "FCGI://h", "scgi://h", "uwsgi://h", "h2://h", "h2c://h", "ftp://h/",
                              "fd://p", "connect://h", "UNIX:/run/a.sock|fcgi://h/");
  CAPTURE(later);
  const auto url = parse_url(later);
  REQUIRE_FALSE(url);
  CHECK(url.error().kind == UrlProblem::NotSupportedYet);
  CHECK_THAT(url.error().text, Catch::Contains("not supported yet"));

  const auto unknown = parse_url("balancer://mycluster/");
  REQUIRE_FALSE(unknown);
  CHECK(unknown.error().kind == UrlProblem::UnknownScheme);
  CHECK_THAT(unknown.error().text, Catch::Contains("'balancer'"));
}

TEST_CASE("an origin leaves the rest of the URL alone", "[url]") {
  struct Row {
    const char* text;
    const char* authority;
    const char* rest;
  };
  const Row row = GENERATE(values<Row>({
      {"http://h", "h", ""},
      {"http://h/a b\xff#c?d", "h", "/a b\xff#c?d"},
      {"http://h:8080?x", "h:8080", "?x"},
      {"http://h#x", "h", "#x"},
      {"https://[::1]/@:", "[::1]", "/@:"},
  }));
  CAPTURE(row.text);
  const auto origin = parse_origin(row.text);
  REQUIRE(origin);
  CHECK(origin->url.authority() == row.authority);
  CHECK(origin->url.path.empty());
  CHECK(origin->rest == row.rest);
  CHECK(std::string_view(row.text).substr(origin_end(row.text)) == row.rest);
}

TEST_CASE("where an origin ends does not depend on its scheme", "[url]") {
  CHECK(origin_end("balancer://grp/x?y") == 14);
  CHECK(origin_end("balancer://grp") == 14);
  CHECK(origin_end("http:///x") == 7);
  CHECK(origin_end("http://h?a#b") == 8);
  CHECK(origin_end("http://h/x://y/z") == 8);
  CHECK(origin_end("//h/x") == 5);
  CHECK(origin_end("") == 0);
}

TEST_CASE("an authority cannot be extended by what follows it", "[url]") {
  // CVE-2011-3368 and relatives: a path pasted behind an authority without '/' must not move the host.
  CHECK_FALSE(parse_origin("http://backend@evil/"));
  CHECK_FALSE(parse_origin("http://backend:80@evil/"));
  CHECK_FALSE(parse_origin("http://backend:8080evil.example/"));
  CHECK_FALSE(parse_origin("http://backend:8080:81/"));
}
