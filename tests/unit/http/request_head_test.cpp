#include "http/request_head.h"

#include <string>
#include <vector>

#include <catch2/catch.hpp>

using namespace cxxproxy::http;
using cxxproxy::base::ProxyErrc;

namespace {

using List = std::vector<FieldView>;

// A request that is fine; each test changes what it is about.
RequestHead plain() {
  RequestHead head;
  head.method = "GET";
  head.target = "/";
  head.host = "h";
  return head;
}

std::string written(const RequestHead& head) {
  std::string out = "old";
  const Problem problem = write_request_head(head, out);
  CAPTURE(problem.detail);
  CHECK(problem.code == ProxyErrc::None);
  return out;
}

ProxyErrc refused(const RequestHead& head) {
  std::string out = "old";
  const Problem problem = write_request_head(head, out);
  CHECK(out.empty());
  CHECK_FALSE(problem.detail.empty());
  return problem.code;
}

std::string with_fields(const List& fields) {
  RequestHead head = plain();
  head.fields = fields;
  return written(head);
}

constexpr ForwardedFacts kForwarded{
    .add = true, .client_ip = "127.0.0.1", .client_host = "me.test:81", .server_name = "proxy.test", .proto = "http"};

}  // namespace

TEST_CASE("the whole head, in mod_proxy's order", "[request_head]") {
  const List fields{{"X-One", "1"},
                    {"host", "me.test:81"},
                    {"User-Agent", "t"},
                    {"X-Forwarded-For", "1.2.3.4"},
                    {"X-forwarded-host", "foo"},
                    {"X-Forwarded-Proto", "gopher"},
                    {"Z", "2"},
                    {"TE", "trailers"},
                    {"Content-Length", "9"},
                    {"Transfer-Encoding", "chunked"},
                    {"Keep-Alive", "4"},
                    {"Upgrade", "h2c"},
                    {"HTTP2-Settings", "AAA"},
                    {"Via", "1.1 k"},
                    {"X-Nom", "3"},
                    {"Expect", "100-continue"},
                    {"cookie", "a"},
                    {"Connection", "close, x-nom"}};
  RequestHead head = plain();
  head.method = "POST";
  head.target = "/a%20b?x=1";
  head.host = "127.0.0.1:8080";
  head.fields = fields;
  head.framing = {RequestBody::Length, 3};
  head.forwarded = kForwarded;
  CHECK(written(head) ==
        "POST /a%20b?x=1 HTTP/1.1\r\n"
        "Host: 127.0.0.1:8080\r\n"
        "X-One: 1\r\n"
        "User-Agent: t\r\n"
        "X-Forwarded-For: 1.2.3.4, 127.0.0.1\r\n"
        "X-forwarded-host: foo, me.test:81\r\n"
        "X-Forwarded-Proto: gopher\r\n"
        "Z: 2\r\n"
        "Via: 1.1 k\r\n"
        "cookie: a\r\n"
        "X-Forwarded-Server: proxy.test\r\n"
        "Content-Length: 3\r\n"
        "Connection: Keep-Alive\r\n"
        "\r\n");
}

TEST_CASE("framing, version and connection", "[request_head]") {
  RequestHead head = plain();
  CHECK(written(head) == "GET / HTTP/1.1\r\nHost: h\r\nConnection: Keep-Alive\r\n\r\n");
  head.keep_alive = false;
  head.framing = {RequestBody::Chunked, 0};
  CHECK(written(head) == "GET / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n");
  head.framing = {RequestBody::Length, 0};
  head.http10 = true;
  CHECK(written(head) == "GET / HTTP/1.0\r\nHost: h\r\nContent-Length: 0\r\n\r\n");
  head.framing.length = 18446744073709551615u;
  CHECK_THAT(written(head), Catch::Contains("Content-Length: 18446744073709551615\r\n"));
  head.framing = {RequestBody::Chunked, 0};
  CHECK(refused(head) == ProxyErrc::BadRequestFraming);
}

TEST_CASE("Expect is sent only when asked for and where it means something", "[request_head]") {
  RequestHead head = plain();
  head.expect_continue = true;
  CHECK_THAT(written(head), !Catch::Contains("Expect"));
  head.framing = {RequestBody::Length, 5};
  CHECK_THAT(written(head), Catch::Contains("\r\nExpect: 100-Continue\r\n"));
  head.http10 = true;
  CHECK_THAT(written(head), !Catch::Contains("Expect"));
  CHECK(with_fields({{"Expect", "200-ok"}, {"expect", "x"}}) == with_fields({}));
}

TEST_CASE("the client's own Expect stays in its place", "[request_head]") {
  RequestHead head = plain();
  const List fields{{"A", "1"}, {"expect", "100-CONTINUE"}, {"B", "2"}, {"Expect", "100-continue"}};
  head.fields = fields;
  CHECK_THAT(written(head), !Catch::Contains("xpect"));
  head.expect_continue = true;
  head.framing = {RequestBody::Length, 5};
  CHECK_THAT(written(head), Catch::Contains("A: 1\r\nexpect: 100-CONTINUE\r\nB: 2\r\nContent-Length"));
  const List other{{"Expect", "something"}};
  head.fields = other;
  CHECK_THAT(written(head), Catch::Contains("Host: h\r\nExpect: 100-Continue\r\nContent-Length"));
}

TEST_CASE("an upgrade is asked for only when the caller says so", "[request_head]") {
  const List fields{{"Connection", "Upgrade"}, {"Upgrade", "websocket"}, {"Sec-WebSocket-Key", "k"}};
  CHECK(with_fields(fields) == "GET / HTTP/1.1\r\nHost: h\r\nSec-WebSocket-Key: k\r\nConnection: Keep-Alive\r\n\r\n");
  RequestHead head = plain();
  head.fields = fields;
  head.upgrade = "websocket";
  CHECK(written(head) ==
        "GET / HTTP/1.1\r\nHost: h\r\nSec-WebSocket-Key: k\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
}

TEST_CASE("X-Forwarded fields", "[request_head]") {
  RequestHead head = plain();
  const List none;
  head.forwarded = kForwarded;
  const std::string end = "Connection: Keep-Alive\r\n\r\n";
  CHECK(written(head) ==
        "GET / HTTP/1.1\r\nHost: h\r\nX-Forwarded-For: 127.0.0.1\r\nX-Forwarded-Host: "
        "me.test:81\r\nX-Forwarded-Server: proxy.test\r\n"
        "X-Forwarded-Proto: http\r\n" +
            end);

  SECTION("the client's values stay in front, however many fields they are spread over") {
    const List fields{{"X-Forwarded-For", "1"},
                      {"A", "b"},
                      {"x-forwarded-for", ""},
                      {"X-FORWARDED-FOR", "2, 3"},
                      {"X-Forwarded-Server", ""}};
    head.fields = fields;
    CHECK(
        written(head) ==
        "GET / HTTP/1.1\r\nHost: h\r\nX-Forwarded-For: 1, 2, 3, 127.0.0.1\r\nA: b\r\nX-Forwarded-Server: proxy.test\r\n"
        "X-Forwarded-Host: me.test:81\r\nX-Forwarded-Proto: http\r\n" +
            end);
  }
  SECTION("Connection takes away the client's, never ours (CVE-2022-31813)") {
    const List fields{
        {"X-Forwarded-For", "6.6.6.6"},
        {"Connection",
         "X-Forwarded-For, X-Forwarded-Host, X-Forwarded-Server, X-Forwarded-Proto, Host, Content-Length"}};
    head.fields = fields;
    head.framing = {RequestBody::Length, 3};
    CHECK(written(head) ==
          "GET / HTTP/1.1\r\nHost: h\r\nX-Forwarded-For: 127.0.0.1\r\nX-Forwarded-Host: "
          "me.test:81\r\nX-Forwarded-Server: proxy.test\r\n"
          "X-Forwarded-Proto: http\r\nContent-Length: 3\r\n" +
              end);
  }
  SECTION("switched off, the client's pass as they are") {
    head.forwarded.add = false;
    const List fields{{"X-Forwarded-For", "1"}, {"X-Forwarded-Proto", "gopher"}, {"X-Forwarded-For", "2"}};
    head.fields = fields;
    CHECK(written(head) ==
          "GET / HTTP/1.1\r\nHost: h\r\nX-Forwarded-For: 1\r\nX-Forwarded-Proto: gopher\r\nX-Forwarded-For: 2\r\n" +
              end);
  }
  SECTION("an unknown fact adds nothing") {
    head.forwarded.client_host = {};
    head.forwarded.proto = {};
    const List fields{{"X-Forwarded-Host", "foo"}, {"X-Forwarded-Proto", "gopher"}};
    head.fields = fields;
    CHECK(written(head) ==
          "GET / HTTP/1.1\r\nHost: h\r\nX-Forwarded-Host: foo\r\nX-Forwarded-Proto: gopher\r\nX-Forwarded-For: "
          "127.0.0.1\r\n"
          "X-Forwarded-Server: proxy.test\r\n" +
              end);
  }
}

TEST_CASE("which fields tell who asked, and whose word counts", "[request_head]") {
  RequestHead head = plain();
  head.forwarded = kForwarded;
  head.forwarded.port = "8443";
  head.forwarded.element = "for=127.0.0.1";
  const List fields{{"X-Forwarded-For", "6.6.6.6"}, {"X-Forwarded-Host", "evil"}, {"x-forwarded-server", "evil"},
                    {"X-Forwarded-Proto", "gopher"}, {"X-Forwarded-Port", "1"}, {"Forwarded", "for=6.6.6.6"}, {"A", "1"}};
  head.fields = fields;
  const auto between = [&](const std::string& text) {
    return "GET / HTTP/1.1\r\nHost: h\r\n" + text + "Connection: Keep-Alive\r\n\r\n";
  };
  SECTION("port and Forwarded only when asked for") {
    CHECK_THAT(written(head), Catch::Contains("X-Forwarded-Port: 1\r\nForwarded: for=6.6.6.6\r\n"));
    head.forwarded.fields = kForwardedPort | kForwardedElement;
    CHECK(written(head) == between("X-Forwarded-For: 6.6.6.6\r\nX-Forwarded-Host: evil\r\nx-forwarded-server: evil\r\n"
                                   "X-Forwarded-Proto: gopher\r\nX-Forwarded-Port: 1\r\nForwarded: for=6.6.6.6, for=127.0.0.1\r\nA: 1\r\n"));
    head.fields = {};
    CHECK(written(head) == between("X-Forwarded-Port: 8443\r\nForwarded: for=127.0.0.1\r\n"));
  }
  SECTION("of a client that is not trusted nothing stays") {
    head.forwarded.trust_client = false;
    CHECK(written(head) == between("A: 1\r\nX-Forwarded-For: 127.0.0.1\r\nX-Forwarded-Host: me.test:81\r\n"
                                   "X-Forwarded-Server: proxy.test\r\nX-Forwarded-Proto: http\r\n"));
    head.forwarded.add = false;
    CHECK(written(head) == between("A: 1\r\n"));
    head.forwarded.add = true;
    head.forwarded.fields = 0;
    CHECK(written(head) == between("A: 1\r\n"));
  }
}

TEST_CASE("Forwarded elements (RFC 7239)", "[request_head]") {
  struct Row {
    ForwardedElement element;
    const char* text;
  };
  for (const Row& row : {Row{{"192.0.2.1", "example.com", "https"}, "for=192.0.2.1;host=example.com;proto=https"},
                         Row{{"2001:db8::1", "h:8080", "http"}, "for=\"[2001:db8::1]\";host=\"h:8080\";proto=http"},
                         Row{{"192.0.2.1", "", "http"}, "for=192.0.2.1;proto=http"}, Row{{"", "a\"b\\", ""}, "host=\"a\\\"b\\\\\""},
                         Row{{"", "a\r\nb", "http"}, "proto=http"}, Row{{"", "", ""}, ""}}) {
    std::string out = "x, ";
    append_forwarded(out, row.element);
    CHECK(out == std::string("x, ") + row.text);
  }
}

TEST_CASE("Via grows by our element", "[request_head]") {
  RequestHead head = plain();
  head.via = "1.1 me";
  CHECK(written(head) == "GET / HTTP/1.1\r\nHost: h\r\nVia: 1.1 me\r\nConnection: Keep-Alive\r\n\r\n");
  const List fields{{"via", "1.0 a"}, {"Via", "1.1 b"}};
  head.fields = fields;
  CHECK(written(head) == "GET / HTTP/1.1\r\nHost: h\r\nvia: 1.0 a, 1.1 b, 1.1 me\r\nConnection: Keep-Alive\r\n\r\n");
  head.forwarded = kForwarded;
  head.forwarded.fields = kForwardedServer;
  head.fields = {};
  head.framing = {RequestBody::Length, 0};
  head.expect_continue = true;
  CHECK_THAT(written(head), Catch::Contains("Host: h\r\nVia: 1.1 me\r\nExpect: 100-Continue\r\nX-Forwarded-Server: "));
  head.drop_via = true;
  head.via = {};
  head.fields = fields;
  CHECK_THAT(written(head), !Catch::Contains("ia: "));
}

TEST_CASE("nothing that could split the request is written", "[request_head]") {
  RequestHead head = plain();
  SECTION("method") {
    for (const std::string method :
         {"", "GET ", "G ET", "GET\r\n", "GET\tx", "G(T", "GET / HTTP/1.1\r\nX:", "G\xc9T"}) {
      CAPTURE(method);
      head.method = method;
      CHECK(refused(head) == ProxyErrc::BadRequestField);
    }
  }
  SECTION("target") {
    for (const std::string target : {"", "x", "http://h/", "/a b", "/a\r\nHost: x", "/a\n", "/a\t", "/a#b", "/\x7f",
                                     "/a HTTP/1.1\r\n\r\nGET /b", "@h"}) {
      CAPTURE(target);
      head.target = target;
      CHECK(refused(head) == ProxyErrc::BadTarget);
    }
    head.target = "*";
    CHECK(refused(head) == ProxyErrc::BadTarget);
    head.method = "OPTIONS";
    CHECK_THAT(written(head), Catch::StartsWith("OPTIONS * HTTP/1.1\r\n"));
  }
  SECTION("host") {
    for (const std::string host : {"h\r\nX: y", "a b", "a,b", "u@h", "h/x", "h?x", "h#x", "h\t", "h\\x", "h\xff",
                                   "[::1", "[::1]x", "[::1]:x", "[a b]", "::1", "h:80:80", "h:http", "h:-1", "[", "]", "a]b"}) {
      CAPTURE(host);
      head.host = host;
      CHECK(refused(head) == ProxyErrc::BadTarget);
    }
    for (const std::string host : {"", "h:80", "h:", "[::1]:80", "[::1]", "[v1.a]", "a_b.example.", "a%2eb"}) {
      CAPTURE(host);
      head.host = host;
      CHECK_THAT(written(head), Catch::Contains("\r\nHost: " + host + "\r\n"));
    }
    for (int byte = 0; byte < 256; ++byte) {
      CAPTURE(byte);
      const char c = static_cast<char>(byte);
      const std::string host{'a', c, 'b'};
      head.host = host;
      std::string out;
      const bool good = cxxproxy::base::is_alnum(c) || std::string_view("-._~%!$&'()*+;=").find(c) != std::string_view::npos;
      CHECK(write_request_head(head, out).code == (good ? ProxyErrc::None : ProxyErrc::BadTarget));
    }
  }
  SECTION("fields") {
    for (int byte = 0; byte < 256; ++byte) {
      CAPTURE(byte);
      const std::string text{'a', static_cast<char>(byte), 'b'};
      const bool control = byte < 0x20 || byte == 0x7f;
      const List value{{"X", text}};
      head.fields = value;
      std::string out;
      CHECK(write_request_head(head, out).code ==
            (control && byte != '\t' ? ProxyErrc::BadRequestField : ProxyErrc::None));
      const List name{{text, "x"}};
      head.fields = name;
      CHECK(write_request_head(head, out).code ==
            (cxxproxy::base::is_token_char(static_cast<char>(byte)) ? ProxyErrc::None : ProxyErrc::BadRequestField));
    }
    const List empty{{"", "x"}};
    head.fields = empty;
    CHECK(refused(head) == ProxyErrc::BadRequestField);
    // Also where the field itself would be dropped or merged.
    for (const std::string name : {"Host", "Connection", "Expect", "X-Forwarded-For", "X-Forwarded-Proto", "Via"}) {
      CAPTURE(name);
      const List bad{{name, "a\r\nX: y"}};
      head.fields = bad;
      head.forwarded = kForwarded;
      CHECK(refused(head) == ProxyErrc::BadRequestField);
    }
  }
  SECTION("the proxy's own values") {
    const std::string bad = "x\r\ny";
    head.forwarded = kForwarded;
    SECTION("client_ip") { head.forwarded.client_ip = bad; }
    SECTION("client_host") { head.forwarded.client_host = bad; }
    SECTION("server_name") { head.forwarded.server_name = bad; }
    SECTION("proto") { head.forwarded.proto = bad; }
    SECTION("via") { head.via = bad; }
    SECTION("upgrade") { head.upgrade = bad; }
    CHECK(refused(head) == ProxyErrc::BadRequestField);
  }
}

TEST_CASE("fields of ours may be of any length", "[request_head]") {
  for (const std::size_t size : {200u, 256u, 300u, 1000u, 8192u}) {
    const std::string client_host(size, 'c');
    const std::string server_name(3 * size, 's');
    const std::string element(size, 'e');
    const std::string via(size, 'v');
    RequestHead head = plain();
    head.via = via;
    head.forwarded = {.add = true, .fields = kForwardedHost | kForwardedServer | kForwardedElement,
                      .client_host = client_host, .server_name = server_name, .element = element};
    CHECK(written(head) == "GET / HTTP/1.1\r\nHost: h\r\nVia: " + via + "\r\nX-Forwarded-Host: " + client_host + "\r\nX-Forwarded-Server: " + server_name +
                               "\r\nForwarded: " + element + "\r\nConnection: Keep-Alive\r\n\r\n");
  }
}

TEST_CASE("a warm string is reused", "[request_head]") {
  std::string out;
  const List fields{{"Accept", "*/*"}, {"Cookie", std::string_view("abcdefghijklmnopqrstuvwxyz")}};
  RequestHead head = plain();
  head.fields = fields;
  REQUIRE_FALSE(write_request_head(head, out));
  const auto* data = out.data();
  const std::string first = out;
  REQUIRE_FALSE(write_request_head(head, out));
  CHECK(out.data() == data);
  CHECK(out == first);
}
