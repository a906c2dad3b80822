#include "base/ip_address.h"

#include <catch2/catch.hpp>
#include <string>

using namespace cxxproxy::base;

TEST_CASE("addresses", "[ip_address]") {
  for (const char* good : {"192.0.2.1", "0.0.0.0", "255.255.255.255", "::", "::1", "2001:db8::1", "[::1]", "::ffff:192.0.2.1"}) {
    CAPTURE(good);
    CHECK(parse_ip_address(good).has_value());
  }
  for (const char* bad : {"", "1", "1.2.3", "256.0.0.1", "1.2.3.4.5", "1.2.3.4 ", "localhost", ":::", "[1.2.3.4]", "[]", "[::1", "::1%lo", "1.2.3.4/8",
                          "0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000"}) {
    CAPTURE(bad);
    CHECK_FALSE(parse_ip_address(bad).has_value());
  }
  CHECK(text_of(*parse_ip_address("192.0.2.1")) == "192.0.2.1");
  CHECK(text_of(*parse_ip_address("[2001:DB8:0::1]")) == "2001:db8::1");
  CHECK(*parse_ip_address("::ffff:192.0.2.1") == *parse_ip_address("192.0.2.1"));
  const unsigned char mapped[16] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 192, 0, 2, 1};
  CHECK(ip_address_of(mapped, true) == *parse_ip_address("192.0.2.1"));
  CHECK(ip_address_of(mapped + 12, false) == *parse_ip_address("192.0.2.1"));
}

TEST_CASE("ranges", "[ip_address]") {
  struct Row {
    const char* range;
    const char* address;
    bool inside;
  };
  const Row row = GENERATE(values<Row>({
      {"192.0.2.1", "192.0.2.1", true},
      {"192.0.2.1", "192.0.2.2", false},
      {"192.0.2.0/24", "192.0.2.255", true},
      {"192.0.2.0/24", "192.0.3.0", false},
      {"192.0.2.128/25", "192.0.2.127", false},
      {"192.0.2.128/25", "192.0.2.200", true},
      {"0.0.0.0/0", "1.2.3.4", true},
      {"0.0.0.0/0", "::1", false},
      {"10", "10.200.1.1", true},
      {"10.1", "10.2.0.0", false},
      {"10.1.2", "10.1.2.3", true},
      {"::1", "::1", true},
      {"2001:db8::/32", "2001:db8:ffff::1", true},
      {"2001:db8::/32", "2001:db9::1", false},
      {"::/0", "::2", true},
      {"::/0", "1.2.3.4", false},
      {"::ffff:10.0.0.0/104", "10.1.1.1", true},
      {"10.0.0.0/8", "::ffff:10.1.1.1", true},
      {"fe80::/10", "febf::1", true},
      {"fe80::/10", "fec0::1", false},
  }));
  CAPTURE(row.range, row.address);
  const auto range = parse_ip_range(row.range);
  REQUIRE(range.has_value());
  CHECK(range->contains(*parse_ip_address(row.address)) == row.inside);
}

TEST_CASE("texts that are no range", "[ip_address]") {
  for (const char* bad : {"", "/", "/8", "10.0.0.0/", "10.0.0.0/33", "10.0.0.0/-1", "10.0.0.0/8x", "::/129", "10.0.0.1/8", "2001:db8::1/32", "10.", "10..1",
                          "256", "10/8", "example.com", "10.0.0.0/255.0.0.0", "10.0.0.0/ 8"}) {
    CAPTURE(bad);
    CHECK_FALSE(parse_ip_range(bad).has_value());
  }
}
