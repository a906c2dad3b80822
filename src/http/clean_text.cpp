#include "http/clean_text.h"

#include <cstdint>
#include <cstring>

#include "base/ascii.h"

namespace cxxproxy::http {

namespace {

// Eight bytes at a time. True: there may be a control character among them (a tab is one).
bool is_suspect(const char* eight) noexcept {
  constexpr std::uint64_t kOnes = 0x0101010101010101u;
  constexpr std::uint64_t kHighs = 0x8080808080808080u;
  std::uint64_t word = 0;
  std::memcpy(&word, eight, sizeof word);
  // The high bit comes to what is below 0x20 by the subtraction and to 0x7f by the addition; what had it before is obs-text.
  return (((word - kOnes * 0x20) | (word + kOnes)) & ~word & kHighs) != 0;
}

}  // namespace

bool is_clean_text(std::string_view text) noexcept {
  constexpr std::size_t kWord = sizeof(std::uint64_t);
  if (text.size() < kWord) return base::is_field_value(text);
  const char* const last = text.data() + text.size() - kWord;
  for (const char* at = text.data(); at < last; at += kWord) {
    if (is_suspect(at)) return base::is_field_value(text);
  }
  return !is_suspect(last) || base::is_field_value(text);
}

}  // namespace cxxproxy::http
