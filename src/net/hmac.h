// HMAC-SHA-1: who does not know the key cannot make one.
//
// WHAT    hmac_sha1() of a message under a key of any length.
// SHAPES  SHA-1 is APR's. Its broken collision resistance is no matter for HMAC.
// ERRORS  None.
// SOURCE  RFC 2104; test vectors of RFC 2202.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace cxxproxy::net {

std::array<std::uint8_t, 20> hmac_sha1(std::string_view key, std::string_view message) noexcept;

}  // namespace cxxproxy::net
