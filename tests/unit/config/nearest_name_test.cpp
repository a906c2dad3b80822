#include "config/nearest_name.h"

#include <catch2/catch.hpp>
#include <string>
#include <vector>

using namespace cxxproxy::config;

TEST_CASE("edit distance counts each slip once") {
  CHECK(edit_distance("", "") == 0);
  CHECK(edit_distance("abc", "") == 3);
  CHECK(edit_distance("retry", "RETRY") == 0);
  CHECK(edit_distance("rety", "retry") == 1);
  CHECK(edit_distance("rettry", "retry") == 1);
  CHECK(edit_distance("retyr", "retry") == 1);
  CHECK(edit_distance("ertyr", "retry") == 2);
  CHECK(edit_distance("kitten", "sitting") == 3);
}

TEST_CASE("the nearest name is offered only when it is near") {
  const std::vector<std::string_view> known = {"loadfactor", "retry", "timeout", "connectiontimeout", "max", "ttl"};
  CHECK(nearest_name("lodfactor", known) == "loadfactor");
  CHECK(nearest_name("LoadFaktor", known) == "loadfactor");
  CHECK(nearest_name("timeuot", known) == "timeout");
  CHECK(nearest_name("mas", known) == "max");
  CHECK(nearest_name("colour", known).empty());
  CHECK(nearest_name("x", known).empty());
  CHECK(nearest_name("", known).empty());
  CHECK(nearest_name(std::string(5000, 'a'), known).empty());
}
