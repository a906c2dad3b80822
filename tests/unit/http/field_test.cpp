#include "http/field.h"

#include <string>
#include <vector>

#include <catch2/catch.hpp>

using namespace cxxproxy::http;

namespace {
std::vector<std::string> elements(std::string_view list) {
  std::vector<std::string> out;
  TokenList tokens(list);
  for (auto element = tokens.next(); !element.empty(); element = tokens.next()) out.emplace_back(element);
  return out;
}
}  // namespace

TEST_CASE("a comma list gives its elements whatever is around them", "[field]") {
  using List = std::vector<std::string>;
  CHECK(elements("").empty());
  CHECK(elements(" ,\t, ,,").empty());
  CHECK(elements("a") == List{"a"});
  CHECK(elements("close, X-One,\tX-Two ") == List{"close", "X-One", "X-Two"});
  CHECK(elements(",,a,,b,") == List{"a", "b"});
  CHECK(elements("a b, ;=\", c") == List{"a b", ";=\"", "c"});
  CHECK(elements(std::string_view("a\0b,c", 5)) == List{std::string("a\0b", 3), "c"});
  CHECK(elements(std::string(100000, ',')).empty());
}

TEST_CASE("list elements compare as a whole and without case", "[field]") {
  CHECK(list_has("Keep-Alive, Close", "close"));
  CHECK_FALSE(list_has("closed, not-close, clos", "close"));
  CHECK_FALSE(list_has("\"close\"", "close"));
  CHECK_FALSE(list_has("", "close"));
}

TEST_CASE("fields are found by name without case, first one first", "[field]") {
  const std::vector<FieldView> fields{{"A", "1"}, {"Connection", "x"}, {"a", "2"}, {"connection", "y, Close"}};
  REQUIRE(find_field(fields, "a") != nullptr);
  CHECK(find_field(fields, "a")->value == "1");
  CHECK(find_field(fields, "b") == nullptr);
  CHECK(find_field(Fields{}, "a") == nullptr);
  CHECK(count_fields(fields, "A") == 2);
  CHECK(count_fields(fields, "Conn") == 0);
  CHECK(fields_list(fields, "Connection", "close"));
  CHECK_FALSE(fields_list(fields, "Connection", "keep-alive"));
}
