#include "base/ascii.h"

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

bool detail::same_folded(const char* a, const char* b, std::size_t size) noexcept {
  for (std::size_t i = 0; i < size; ++i) {
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
