#include <catch2/catch.hpp>

#include "http/upgrade.h"

using cxxproxy::http::choose_upgrade;

TEST_CASE("the first offered protocol that is allowed is asked for", "[upgrade]") {
  CHECK(choose_upgrade("websocket", "websocket") == "websocket");
  CHECK(choose_upgrade("WebSocket", "websocket") == "WebSocket");
  CHECK(choose_upgrade("foo, websocket", "websocket") == "websocket");
  CHECK(choose_upgrade("a, b", "b, a") == "a");
  CHECK(choose_upgrade("raw", "ANY") == "raw");
  CHECK(choose_upgrade("raw/1.1", "any") == "raw/1.1");
}

TEST_CASE("what is not allowed, or nothing, is not asked for", "[upgrade]") {
  CHECK(choose_upgrade("", "websocket").empty());
  CHECK(choose_upgrade("websocket2", "websocket").empty());
  CHECK(choose_upgrade("websocket", "NONE").empty());
  CHECK(choose_upgrade("websocket", "").empty());
  CHECK(choose_upgrade(" , ,", "ANY").empty());
}

TEST_CASE("HTTP and TLS in other clothes are never asked for", "[upgrade]") {
  for (const char* token : {"h2c", "H2C", "h2", "HTTP/2.0", "http/1.1", "TLS/1.0", "TLS", "we\tird", "a b", "a/b/c", "/x", "x/"}) {
    INFO(token);
    CHECK(choose_upgrade(token, "ANY").empty());
    CHECK(choose_upgrade(token, token).empty());
  }
  CHECK(choose_upgrade("h2c, websocket", "ANY") == "websocket");
}
