#include "http/method.h"

#include <catch2/catch.hpp>

using namespace cxxproxy::http;

TEST_CASE("methods promise what RFC 9110 says and no more", "[method]") {
  for (const auto* method : {"GET", "HEAD", "OPTIONS", "TRACE", "PROPFIND", "REPORT", "SEARCH"}) {
    CAPTURE(method);
    CHECK(is_safe_method(method));
    CHECK(is_idempotent_method(method));
  }
  for (const auto* method : {"PUT", "DELETE"}) {
    CAPTURE(method);
    CHECK_FALSE(is_safe_method(method));
    CHECK(is_idempotent_method(method));
  }
  for (const auto* method : {"POST", "PATCH", "CONNECT", "LOCK", "MKCOL", "get", "Get", "GETX", "GE", "", "put"}) {
    CAPTURE(method);
    CHECK_FALSE(is_safe_method(method));
    CHECK_FALSE(is_idempotent_method(method));
  }
}
