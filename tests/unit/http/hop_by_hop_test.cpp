#include "http/hop_by_hop.h"

#include <string>
#include <vector>

#include <catch2/catch.hpp>

using namespace cxxproxy::http;

TEST_CASE("the fixed connection fields are always dropped", "[hop_by_hop]") {
  const HopByHop none{Fields{}};
  for (const auto* name :
       {"Connection", "connection", "KEEP-ALIVE", "Proxy-Connection", "Proxy-Authenticate", "Proxy-Authorization",
        "Proxy-Authentication-Info", "TE", "te", "Trailer", "Transfer-Encoding", "Upgrade", "HTTP2-Settings"}) {
    CAPTURE(name);
    CHECK(is_hop_by_hop(field_name(name)));
    CHECK(none.drops(name));
  }
  for (const auto* name :
       {"", "T", "TEE", "Trailers", "Connections", "Host", "Content-Length", "Cookie", "Authorization", "Proxy", "Via",
        "X-Forwarded-For", "Transfer_Encoding", "Upgrade-Insecure-Requests", "Keep-Alives"}) {
    CAPTURE(name);
    CHECK_FALSE(is_hop_by_hop(field_name(name)));
    CHECK_FALSE(none.drops(name));
  }
}

TEST_CASE("Connection names further fields, over all its lines", "[hop_by_hop]") {
  const std::vector<FieldView> fields{
      {"Connection", "X-One , close"}, {"X-One", "1"}, {"connection", ",, x-two;q=1,X-THREE"}};
  const HopByHop connection{fields};
  CHECK(connection.drops("x-one"));
  CHECK(connection.drops("X-Three"));
  CHECK_FALSE(connection.drops("X-Two"));  // "x-two;q=1" is not its name
  CHECK_FALSE(connection.drops("X-Four"));
  CHECK(connection.says_close());
  CHECK_FALSE(connection.says_keep_alive());
}

TEST_CASE("Connection cannot take away what frames or addresses the message", "[hop_by_hop]") {
  const std::vector<FieldView> fields{{"Connection", "host, content-length, X-Forwarded-For, Content-Type"}};
  const HopByHop connection{fields};
  CHECK_FALSE(connection.drops("Host"));
  CHECK_FALSE(connection.drops("Content-Length"));
  CHECK(connection.drops("X-Forwarded-For"));
  CHECK(connection.drops("Content-Type"));
}

TEST_CASE("a Connection field with many names drops them all, and so does a second one", "[hop_by_hop]") {
  std::string list;
  for (int i = 0; i < 500; ++i) list += "x-" + std::to_string(i) + ",";
  list += "host";
  const std::vector<FieldView> fields{{"Connection", list}, {"Connection", "x-last"}};
  const HopByHop connection{fields};
  CHECK(connection.drops("X-0"));
  CHECK(connection.drops("X-8"));
  CHECK(connection.drops("X-499"));
  CHECK(connection.drops("X-Last"));
  CHECK_FALSE(connection.drops("X-500"));
  CHECK_FALSE(connection.drops("Host"));
}

TEST_CASE("what Connection says about the connection", "[hop_by_hop]") {
  struct Row {
    const char* value;
    bool close, keep_alive, upgrade;
  };
  const Row row = GENERATE(values<Row>({
      {"", false, false, false},
      {"Close", true, false, false},
      {"keep-alive", false, true, false},
      {"Keep-Alive, Upgrade", false, true, true},
      {"close, keep-alive", true, true, false},
      {"closed", false, false, false},
      {"clo se", false, false, false},
      {"\tclose\t", true, false, false},
      {",;\"=,close", true, false, false},
  }));
  CAPTURE(row.value);
  const std::vector<FieldView> fields{{"Connection", row.value}};
  const HopByHop connection{fields};
  CHECK(connection.says_close() == row.close);
  CHECK(connection.says_keep_alive() == row.keep_alive);
  CHECK(connection.names_upgrade() == row.upgrade);
}
