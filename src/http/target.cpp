#include "http/target.h"

#include <array>
#include <cstddef>

#include "base/ascii.h"

namespace cxxproxy::http {
namespace {

constexpr auto kPlain = base::letters_digits_and("/~$-_.+!*'(),;:@&=");
constexpr auto kSafe = [] {
  std::array<bool, 256> table{};
  for (std::size_t c = 0x21; c < 256; ++c) table[c] = c != 0x7f && c != '#';
  return table;
}();
constexpr std::string_view kHex = "0123456789ABCDEF";

bool is_encoded_slash(std::string_view text) noexcept {
  return text.size() >= 3 && text[0] == '%' && text[1] == '2' && (text[2] == 'F' || text[2] == 'f');
}

}  // namespace

bool is_canonical_path(std::string_view decoded_path) noexcept {
  for (const char c : decoded_path) {
    if (!kPlain[static_cast<unsigned char>(c)]) return false;
  }
  return true;
}

void append_canonical_path(std::string& out, std::string_view decoded_path, EncodedSlashes slashes) {
  std::size_t run = 0;  // start of bytes that are copied as they are
  for (std::size_t i = 0; i < decoded_path.size(); ++i) {
    const auto byte = static_cast<unsigned char>(decoded_path[i]);
    if (kPlain[byte]) continue;
    out.append(decoded_path, run, i - run);
    if (slashes == EncodedSlashes::Keep && is_encoded_slash(decoded_path.substr(i))) {
      out.append(decoded_path, i, 3);
      i += 2;
    } else {
      out += '%';
      out += kHex[byte >> 4];
      out += kHex[byte & 15];
    }
    run = i + 1;
  }
  out.append(decoded_path, run, decoded_path.size() - run);
}

bool is_safe_target(std::string_view target) noexcept {
  if (target == "*") return true;
  if (!target.starts_with('/')) return false;
  for (const char c : target) {
    if (!kSafe[static_cast<unsigned char>(c)]) return false;
  }
  return true;
}

}  // namespace cxxproxy::http
