#include "base/ascii.h"
#include "http/clean_text.h"

#include <string>

#include <catch2/catch.hpp>

using namespace cxxproxy;

TEST_CASE("the fast check agrees with the slow one for every byte at every place", "[clean_text]") {
  for (std::size_t size = 0; size <= 25; ++size) {
    CHECK(http::is_clean_text(std::string(size, 'x')));
    CHECK(http::is_clean_text(std::string(size, '\t')));
    for (std::size_t place = 0; place < size; ++place) {
      for (int byte = 0; byte < 256; ++byte) {
        // Neighbours that borrow and carry must not hide or invent anything.
        for (const char around : {' ', '\x7e', '\x80', '\xff', '\t'}) {
          std::string text(size, around);
          text[place] = static_cast<char>(byte);
          if (http::is_clean_text(text) != base::is_field_value(text)) {
            FAIL_CHECK("size " << size << " place " << place << " byte " << byte << " around "
                               << static_cast<int>(around));
          }
        }
      }
    }
  }
}
