// Character classes and case folding of HTTP, independent of the locale.
//
// SOURCE  RFC 9110 5.6.2 (token), 5.5 (field value).
#pragma once

#include <array>
#include <cstddef>
#include <string_view>

namespace cxxproxy::base {

constexpr char to_lower(char c) noexcept { return (c >= 'A' && c <= 'Z') ? static_cast<char>(c + ('a' - 'A')) : c; }
constexpr bool is_digit(char c) noexcept { return c >= '0' && c <= '9'; }
constexpr bool is_alpha(char c) noexcept { return to_lower(c) >= 'a' && to_lower(c) <= 'z'; }
constexpr bool is_alnum(char c) noexcept { return is_digit(c) || is_alpha(c); }
constexpr bool is_control(char c) noexcept {
  const auto byte = static_cast<unsigned char>(c);
  return byte < 0x20 || byte == 0x7f;
}

// Value of a hexadecimal digit, -1 for any other character.
constexpr int hex_value(char c) noexcept {
  if (is_digit(c)) return c - '0';
  const char low = to_lower(c);
  return (low >= 'a' && low <= 'f') ? low - 'a' + 10 : -1;
}

// By a character's byte: ASCII letters and digits, and these.
constexpr std::array<bool, 256> letters_digits_and(std::string_view others) {
  std::array<bool, 256> table{};
  for (std::size_t c = 0; c < 128; ++c) {
    const char character = static_cast<char>(c);
    table[c] = is_alnum(character) || others.find(character) != std::string_view::npos;
  }
  return table;
}

namespace detail {
inline constexpr auto kTokenTable = letters_digits_and("!#$%&'*+-.^_`|~");
}  // namespace detail

constexpr bool is_token_char(char c) noexcept { return detail::kTokenTable[static_cast<unsigned char>(c)]; }

// The loops are not inline: a request passes some hundred places that call one, each once, and what it costs is mostly
// that their code is not in the processor's first cache.

bool is_token(std::string_view text) noexcept;

// No control character except horizontal tab; obs-text (0x80-0xff) is legal.
bool is_field_value(std::string_view text) noexcept;

// Neither blanks nor control characters: what can stand in a cookie or a URL as it is.
bool is_visible(std::string_view text) noexcept;

namespace detail {
bool same_folded(const char* a, const char* b, std::size_t size) noexcept;
}  // namespace detail

inline bool iequals(std::string_view a, std::string_view b) noexcept {
  return a.size() == b.size() && detail::same_folded(a.data(), b.data(), a.size());
}

inline bool istarts_with(std::string_view text, std::string_view prefix) noexcept {
  return text.size() >= prefix.size() && detail::same_folded(text.data(), prefix.data(), prefix.size());
}

// Without spaces and tabs at both ends (OWS, RFC 9110 5.6.3).
std::string_view trim(std::string_view text) noexcept;

}  // namespace cxxproxy::base
