// Every failure has a word of its own for access logs.
#include "base/error.h"

#include <catch2/catch.hpp>
#include <cstring>
#include <set>

using namespace cxxproxy::base;

TEST_CASE("the words of failures are different, short, and of letters and hyphens") {
  std::set<std::string_view> words;
  for (unsigned code = 0; code < static_cast<unsigned>(ProxyErrc::Count); ++code) {
    const std::string_view word = info(static_cast<ProxyErrc>(code)).word;
    CHECK(words.insert(word).second);
    CHECK((word.size() >= 2 && word.size() <= 24));
    CHECK(word.find_first_not_of("abcdefghijklmnopqrstuvwxyz-") == std::string_view::npos);
    CHECK(std::strlen(word.data()) == word.size());  // logs take it as a C string
  }
  CHECK(info(ProxyErrc::None).word == "ok");
}
