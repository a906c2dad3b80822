#include <catch2/catch.hpp>

#include <string>

#include "http/request_scan.h"

using cxxproxy::http::RequestScan;

namespace {
RequestScan scan_request(std::string_view bytes) { return cxxproxy::http::scan_request(bytes).scan; }
std::string_view host_of(std::string_view bytes) { return cxxproxy::http::scan_request(bytes).host; }

constexpr std::string_view kGet = "GET /a?b HTTP/1.1\r\nHost: x\r\nAccept: */*\r\n\r\n";
}

TEST_CASE("a request can be read whole when its head and its announced body are there", "[scan]") {
  CHECK(scan_request(kGet) == RequestScan::Whole);
  CHECK(scan_request("GET / HTTP/1.1\nHost: x\n\n") == RequestScan::Whole);
  CHECK(scan_request("\r\n\n\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n") == RequestScan::Whole);
  CHECK(scan_request("GET / HTTP/1.0\r\n\r\n") == RequestScan::Whole);
  CHECK(scan_request("nonsense\r\n\r\n") == RequestScan::Whole);  // httpd says what it thinks of it
  CHECK(scan_request("POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\n12345") == RequestScan::Whole);
  CHECK(scan_request("POST / HTTP/1.1\r\ncontent-LENGTH : 5 \r\n\r\n12345GET /") == RequestScan::Whole);
  CHECK(scan_request("POST / HTTP/1.1\r\nContent-Length: 0\r\n\r\n") == RequestScan::Whole);
  CHECK(scan_request(std::string(kGet) + "GET / HT") == RequestScan::Whole);  // the first of two
}

TEST_CASE("a head without its end is a part of one, wherever it is cut", "[scan]") {
  for (std::size_t size = 0; size < kGet.size(); ++size) {
    CAPTURE(size);
    CHECK(scan_request(kGet.substr(0, size)) == RequestScan::Partial);
  }
  CHECK(scan_request("\r\n") == RequestScan::Partial);
  CHECK(scan_request("\r") == RequestScan::Partial);
  CHECK(scan_request("GET / HTTP/1.1\r\n\r") == RequestScan::Partial);
}

TEST_CASE("what would wait for its client, or is not understood, is no business of a loop", "[scan]") {
  const auto with = [](std::string_view field, std::string_view body = "") {
    return scan_request("POST / HTTP/1.1\r\nHost: x\r\n" + std::string(field) + "\r\n\r\n" + std::string(body));
  };
  CHECK(with("Content-Length: 5", "1234") == RequestScan::Other);
  CHECK(with("Content-Length: 5\r\nContent-Length: 5", "12345") == RequestScan::Other);
  CHECK(with("Content-Length: +5", "12345") == RequestScan::Other);
  CHECK(with("Content-Length:", "12345") == RequestScan::Other);
  CHECK(with("Content-Length: 99999999999999999999") == RequestScan::Other);
  CHECK(with("Transfer-Encoding: chunked", "0\r\n\r\n") == RequestScan::Other);
  CHECK(with("transfer-encoding : identity") == RequestScan::Other);
  CHECK(with("Expect: 100-continue") == RequestScan::Other);
  CHECK(with("upgrade: websocket") == RequestScan::Other);
  CHECK(with("no colon") == RequestScan::Other);
  CHECK(with("A: b\r\n folded") == RequestScan::Other);
  CHECK(with("A: b\r\n\tfolded") == RequestScan::Other);
}

TEST_CASE("the host is told where it is plain to see", "[scan]") {
  CHECK(host_of(kGet) == "x");
  CHECK(host_of("GET / HTTP/1.1\nA: b\nhOST : a.test:80 \n\n") == "a.test:80");
  CHECK(host_of("POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nb") == "x");
  CHECK(host_of(std::string(kGet) + "GET / HTTP/1.1\r\nHost: y\r\n\r\n") == "x");
  for (const std::string_view none : {"GET / HTTP/1.0\r\n\r\n", "GET / HTTP/1.1\r\nHost:\r\n\r\n", "GET http://y/ HTTP/1.1\r\nHost: x\r\n\r\n",
                                      "GET //y/ HTTP/1.1\r\nHost: x\r\n\r\n", "GET  / HTTP/1.1\r\nHost: x\r\n\r\n", "GET\t/ HTTP/1.1\r\nHost: x\r\n\r\n", "GET /\r\nHost: x\r\n\r\n",
                                      "GET / \r\nHost: x\r\n\r\n", "GET /  HTTP/1.1\r\nHost: x\r\n\r\n", "GET / http/1.1\r\nHost: x\r\n\r\n",
                                      "OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", "CONNECT y:1 HTTP/1.1\r\nHost: x\r\n\r\n",
                                      "GET / HTTP/1.1\r\nHost: x\r\nHost: x\r\n\r\n", "GET / HTTP/1.1\r\nHost: x\r\nhost:\r\nHOST: z\r\n\r\n",
                                      "POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nb", "GET / HTTP/1.1\r\nHost: x\r\n"}) {
    CAPTURE(none);
    CHECK(host_of(none).empty());
  }
}
