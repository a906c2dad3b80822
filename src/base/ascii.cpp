#include "base/ascii.h"

#include <cstdint>
#include <cstring>

namespace cxxproxy::base {

bool is_token(std::string_view text) noexcept {
  for (const char c : text) {
    if (!is_token_char(c)) return false;
  }
  return !text.empty();
}

bool is_field_value(std::string_view text) noexcept {
  for (const char c : text) {
    if (is_control(c) && c != '\t') return false;
  }
  return true;
}

bool is_visible(std::string_view text) noexcept {
  for (const char c : text) {
    if (is_control(c) || c == ' ') return false;
  }
  return true;
}

namespace {

std::uint64_t eight_bytes(const char* at) noexcept {
  std::uint64_t word = 0;
  std::memcpy(&word, at, sizeof word);
  return word;
}

bool same_letters(const char* a, const char* b, std::size_t size) noexcept {
  for (std::size_t i = 0; i < size; ++i) {
    if (a[i] != b[i] && to_lower(a[i]) != to_lower(b[i])) return false;
  }
  return true;
}

}  // namespace

// Most texts are equal or have nothing in common: either is seen by eight bytes at once. Letters that differ in their case
// differ in one bit, as some other characters do.
bool detail::same_folded(const char* a, const char* b, std::size_t size) noexcept {
  constexpr std::uint64_t kCaseBits = 0x2020202020202020u;
  for (; size >= sizeof(std::uint64_t); a += 8, b += 8, size -= 8) {
    const std::uint64_t difference = eight_bytes(a) ^ eight_bytes(b);
    if (difference != 0 && ((difference & ~kCaseBits) != 0 || !same_letters(a, b, 8))) return false;
  }
  return same_letters(a, b, size);
}

std::string_view trim(std::string_view text) noexcept {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

}  // namespace cxxproxy::base
