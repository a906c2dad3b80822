// Spreads every bit of a word over the whole word (finalizer of splitmix64): hashes and draws.
#pragma once

#include <cstdint>
#include <string_view>

namespace cxxproxy::balancer {

constexpr std::uint64_t mix(std::uint64_t word) noexcept {
  word = (word ^ (word >> 30)) * 0xbf58476d1ce4e5b9;
  word = (word ^ (word >> 27)) * 0x94d049bb133111eb;
  return word ^ (word >> 31);
}

constexpr std::uint64_t fnv1a(std::string_view text, std::uint64_t state = 0xcbf29ce484222325) noexcept {
  for (const char c : text) {
    state ^= static_cast<unsigned char>(c);
    state *= 0x100000001b3;
  }
  return state;
}

// Of any text, evenly spread over 64 bits; the same in all processes and versions.
constexpr std::uint64_t text_hash(std::string_view text) noexcept { return mix(fnv1a(text) + text.size()); }

}  // namespace cxxproxy::balancer
