#include "base/ascii.h"

#include <cstdint>
#include <cstring>

namespace cxxproxy::base {

bool is_token(std::string_view text) noexcept {
  bool good = !text.empty();
  for (const char c : text) good &= is_token_char(c);  // nearly always to the end, so there is no branch
  return good;
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

bool detail::same_folded(const char* a, const char* b, std::size_t size) noexcept {
  std::size_t i = 0;
  for (std::uint64_t left = 0, right = 0; size - i >= sizeof left; i += sizeof left) {  // mostly they are the same to the letter
    std::memcpy(&left, a + i, sizeof left);
    std::memcpy(&right, b + i, sizeof right);
    if (left != right) break;
  }
  for (; i < size; ++i) {
    if (a[i] != b[i] && to_lower(a[i]) != to_lower(b[i])) return false;
  }
  return true;
}

std::string_view trim(std::string_view text) noexcept {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

}  // namespace cxxproxy::base
