#include "http/clean_text.h"

#include <cstdint>
#include <cstring>

#include "base/ascii.h"

namespace cxxproxy::http {

bool is_clean_text(std::string_view text) noexcept {
  constexpr std::uint64_t kOnes = 0x0101010101010101u;
  constexpr std::uint64_t kHighs = 0x8080808080808080u;
  while (text.size() >= sizeof(std::uint64_t)) {
    std::uint64_t word = 0;
    std::memcpy(&word, text.data(), sizeof word);
    const std::uint64_t del = word ^ (kOnes * 0x7f);
    const std::uint64_t suspects = ((word - kOnes * 0x20) & ~word) | ((del - kOnes) & ~del);
    if ((suspects & kHighs) != 0 && !base::is_field_value(text.substr(0, sizeof word))) return false;
    text.remove_prefix(sizeof word);
  }
  return base::is_field_value(text);
}

}  // namespace cxxproxy::http
