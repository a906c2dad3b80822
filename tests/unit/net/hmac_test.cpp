// The vectors of RFC 2202, and a key of exactly one block.
#include "net/hmac.h"

#include <catch2/catch.hpp>
#include <string>

using namespace cxxproxy;

namespace {

std::string hex(std::string_view key, std::string_view message) {
  std::string text;
  for (const unsigned byte : net::hmac_sha1(key, message)) text.append({"0123456789abcdef"[byte >> 4], "0123456789abcdef"[byte & 15]});
  return text;
}

std::string filled(std::size_t size, int byte) { return std::string(size, static_cast<char>(byte)); }

}  // namespace

TEST_CASE("HMAC-SHA-1 gives the values of RFC 2202") {
  CHECK(hex(filled(20, 0x0b), "Hi There") == "b617318655057264e28bc0b6fb378c8ef146be00");
  CHECK(hex("Jefe", "what do ya want for nothing?") == "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79");
  CHECK(hex(filled(20, 0xaa), filled(50, 0xdd)) == "125d7342b9ac11cd91a39af48aa17b4f63f175d3");
  CHECK(hex(filled(20, 0x0c), "Test With Truncation") == "4c1a03424b55e07fe7f27be1d58bb9324a9a5a04");
  CHECK(hex(filled(80, 0xaa), "Test Using Larger Than Block-Size Key - Hash Key First") == "aa4ae5e15272d00e95705637ce8a3b55ed402112");
  CHECK(hex(filled(80, 0xaa), "Test Using Larger Than Block-Size Key and Larger Than One Block-Size Data") ==
        "e8e99d0f45237d786d6bbaa7965c7808bbff1a91");
}

TEST_CASE("every byte of the key and of the message counts") {
  const std::string key(64, 'k');
  const std::string message = "balancer";
  const std::string right = hex(key, message);
  CHECK(right != hex(key + 'k', message));
  CHECK(right != hex(key, message + std::string(1, '\0')));
  for (std::size_t i = 0; i < key.size(); ++i) {
    std::string other = key;
    other[i] ^= 1;
    CHECK(right != hex(other, message));
  }
}
