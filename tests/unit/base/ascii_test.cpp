#include "base/ascii.h"

#include <string>

#include <catch2/catch.hpp>

using namespace cxxproxy::base;

namespace {

bool same_one_by_one(std::string_view a, std::string_view b) {
  if (a.size() != b.size()) return false;
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (to_lower(a[i]) != to_lower(b[i])) return false;
  }
  return true;
}

}  // namespace

TEST_CASE("texts compare without case as their bytes do one by one, every pair of bytes at every place", "[ascii]") {
  for (const std::size_t size : {1u, 7u, 8u, 9u, 17u}) {
    for (std::size_t place = 0; place < size; ++place) {
      std::string a(size, 'x');
      std::string b(size, 'X');
      for (int byte = 0; byte < 256; ++byte) {
        a[place] = static_cast<char>(byte);
        for (int other = 0; other < 256; ++other) {
          b[place] = static_cast<char>(other);
          if (iequals(a, b) != same_one_by_one(a, b)) FAIL_CHECK("size " << size << " place " << place << " bytes " << byte << " " << other);
        }
      }
    }
  }
}

TEST_CASE("texts compare without case as a whole", "[ascii]") {
  CHECK(iequals("", ""));
  CHECK(iequals("Transfer-Encoding", "transfer-ENCODING"));
  CHECK_FALSE(iequals("Transfer-Encoding", "Transfer-Encodin"));
  CHECK_FALSE(iequals("Transfer-Encoding", "Transfer\rEncoding"));  // '\r' and '-' differ in one bit
  CHECK(istarts_with("X-Forwarded-For", "x-forwarded"));
  CHECK_FALSE(istarts_with("X-Forward", "x-forwarded"));
}
