#include "http/target.h"

#include <string>

#include <catch2/catch.hpp>

#include "base/ascii.h"

using namespace cxxproxy::http;

namespace {
std::string canonical(std::string_view path, EncodedSlashes slashes = EncodedSlashes::Encode) {
  std::string out;
  append_canonical_path(out, path, slashes);
  return out;
}
}  // namespace

TEST_CASE("a decoded path is encoded byte by byte", "[target]") {
  CHECK(canonical("/") == "/");
  CHECK(canonical("").empty());
  CHECK(canonical("/a b") == "/a%20b");
  CHECK(canonical("/~$-_.+!*'(),;:@&=az09AZ//x/") == "/~$-_.+!*'(),;:@&=az09AZ//x/");
  CHECK(canonical("/<>[]{}^`\\|\"#?%") == "/%3C%3E%5B%5D%7B%7D%5E%60%5C%7C%22%23%3F%25");
  CHECK(canonical("/\xc3\xa9\r\n\x7f") == "/%C3%A9%0D%0A%7F");
  CHECK(canonical(std::string_view("/a\0b", 4)) == "/a%00b");
  CHECK(canonical("/a%41") == "/a%2541");
}

TEST_CASE("encoded slashes stay only where that was asked for", "[target]") {
  CHECK(canonical("/a%2Fb%2fc%25", EncodedSlashes::Keep) == "/a%2Fb%2fc%2525");
  CHECK(canonical("/a%2Fb%2fc") == "/a%252Fb%252fc");
  CHECK(canonical("/%2", EncodedSlashes::Keep) == "/%252");
  CHECK(canonical("/%", EncodedSlashes::Keep) == "/%25");
  CHECK(canonical("/%2G%%2F", EncodedSlashes::Keep) == "/%252G%25%2F");
}

TEST_CASE("encoding appends, and every byte comes out safe", "[target]") {
  std::string out = "kept";
  append_canonical_path(out, "/x y", EncodedSlashes::Encode);
  CHECK(out == "kept/x%20y");
  for (int byte = 0; byte < 256; ++byte) {
    const std::string path{'/', static_cast<char>(byte)};
    const std::string encoded = canonical(path);
    CAPTURE(byte, encoded);
    CHECK(is_safe_target(encoded));
    const bool plain = encoded.size() == 2;
    CHECK(plain == (encoded == path));
    if (!plain) {
      REQUIRE(encoded.size() == 4);
      CHECK(cxxproxy::base::hex_value(encoded[2]) * 16 + cxxproxy::base::hex_value(encoded[3]) == byte);
    }
  }
}

TEST_CASE("a path is canonical when encoding changes nothing, wherever a byte stands", "[target]") {
  CHECK(is_canonical_path(""));
  for (const std::string path : {"/", "/hello", "/~$-_.+!*'(),;:@&=az09AZ//x/"}) {
    CHECK(is_canonical_path(path));
    for (std::size_t at = 0; at < path.size(); ++at) {
      for (int byte = 0; byte < 256; ++byte) {
        std::string changed = path;
        changed[at] = static_cast<char>(byte);
        CAPTURE(path, at, byte);
        CHECK(is_canonical_path(changed) == (canonical(changed) == changed));
      }
    }
  }
}

TEST_CASE("only a harmless target goes into a request line", "[target]") {
  for (const std::string good :
       {"/", "/a?b=c&d", "*", "//x", "/?", "/p?q?r", "/x?\"<>\\^|{}%0a", "/x?\xc3\xa9", "/a/../b"}) {
    CAPTURE(good);
    CHECK(is_safe_target(good));
  }
  for (const std::string bad : {"", "a", "http://h/", "h:80", "@h", "**", "*/", "?x", "/a b", "/a\tb", "/a\rb", "/a\nb",
                                "/a\r\nHost: x", "/a#b", "/a?b#c", "/a\x7f", "/a\x01", " /", "\\x"}) {
    CAPTURE(bad);
    CHECK_FALSE(is_safe_target(bad));
  }
  for (int byte = 0; byte < 256; ++byte) {
    CAPTURE(byte);
    CHECK(is_safe_target(std::string{'/', static_cast<char>(byte), 'x'}) ==
          (byte > 0x20 && byte != 0x7f && byte != '#'));
  }
}
