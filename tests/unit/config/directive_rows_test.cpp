#include "config/directive_rows.h"

#include <catch2/catch.hpp>
#include <set>
#include <string>

using namespace cxxproxy::config;

TEST_CASE("every directive has its standard name and the same name with Cxx") {
  std::set<std::string> names;
  for (const auto& row : kDirectiveRows) {
    const std::string standard = row.standard_name;
    const std::string own = row.own_name;
    INFO(standard);
    CHECK(own == (standard[0] == '<' ? "<Cxx" + standard.substr(1) : "Cxx" + standard));
    CHECK(names.insert(standard).second);
    CHECK(names.insert(own).second);
    CHECK(std::string(row.help).size() > 5);
    CHECK(row.contexts != 0);
    if (row.is_supported()) CHECK(std::string(row.syntax) != "");
  }
}

TEST_CASE("each supported directive has exactly one row") {
  std::set<DirectiveId> ids;
  for (const auto& row : kDirectiveRows) {
    if (row.is_supported()) CHECK(ids.insert(row.id).second);
  }
  CHECK(ids.size() == static_cast<std::size_t>(DirectiveId::NotYet));
}
