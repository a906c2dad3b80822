#include "config/value_parsers.h"

#include <algorithm>
#include <array>
#include <limits>

#include "base/ascii.h"
#include "config/spec.h"

namespace cxxproxy::config {
namespace {

struct Unit {
  std::string_view name;
  std::int64_t microseconds;
};

constexpr std::array<Unit, 5> kUnits{{{"", 1'000'000}, {"ms", 1'000}, {"s", 1'000'000}, {"min", 60'000'000}, {"h", 3'600'000'000}}};

struct StatusLetter {
  char letter;
  StatusFlag flag;
};

constexpr std::array<StatusLetter, 8> kStatusLetters{{{'d', StatusFlag::Disabled},
                                                      {'s', StatusFlag::Stopped},
                                                      {'i', StatusFlag::IgnoreErrors},
                                                      {'r', StatusFlag::HotSpare},
                                                      {'h', StatusFlag::HotStandby},
                                                      {'e', StatusFlag::InError},
                                                      {'n', StatusFlag::Drain},
                                                      {'c', StatusFlag::CheckFailed}}};

std::uint32_t flag_of(char letter) noexcept {
  for (const auto& known : kStatusLetters) {
    if (known.letter == base::to_lower(letter)) return bit(known.flag);
  }
  return 0;
}

constexpr std::uint32_t to_set(std::int64_t said) noexcept { return static_cast<std::uint32_t>(said & 0xffffffff); }
constexpr std::uint32_t to_clear(std::int64_t said) noexcept { return static_cast<std::uint32_t>(said >> 32); }
constexpr std::int64_t pack(std::uint32_t set, std::uint32_t clear) noexcept {
  return static_cast<std::int64_t>(clear) << 32 | static_cast<std::int64_t>(set);
}

// Digits at the front of `text`; what follows them is left in `rest`.
std::optional<std::int64_t> leading_digits(std::string_view text, std::string_view& rest) noexcept {
  constexpr std::int64_t kMax = std::numeric_limits<std::int64_t>::max();
  std::int64_t number = 0;
  std::size_t used = 0;
  for (; used < text.size() && base::is_digit(text[used]); ++used) {
    const std::int64_t digit = text[used] - '0';
    if (number > (kMax - digit) / 10) return std::nullopt;
    number = number * 10 + digit;
  }
  if (used == 0) return std::nullopt;
  rest = text.substr(used);
  return number;
}

}  // namespace

std::optional<bool> parse_flag(std::string_view text) noexcept {
  if (base::iequals(text, "on")) return true;
  if (base::iequals(text, "off")) return false;
  return std::nullopt;
}

std::optional<std::int64_t> parse_integer(std::string_view text) noexcept {
  std::string_view rest;
  const auto number = leading_digits(text, rest);
  if (!number || !rest.empty()) return std::nullopt;
  return number;
}

std::optional<std::int64_t> parse_duration(std::string_view text) noexcept {
  std::string_view rest;
  const auto number = leading_digits(text, rest);
  if (!number) return std::nullopt;
  for (const auto& unit : kUnits) {
    if (!base::iequals(unit.name, rest)) continue;
    if (*number > std::numeric_limits<std::int64_t>::max() / unit.microseconds) return std::nullopt;
    return *number * unit.microseconds;
  }
  return std::nullopt;
}

std::optional<std::int64_t> parse_load_factor(std::string_view text) noexcept {
  std::string_view rest;
  const auto whole = leading_digits(text, rest);
  if (!whole || *whole > 1'000'000) return std::nullopt;
  std::int64_t hundredths = 0;
  if (!rest.empty()) {
    if (rest.size() < 2 || rest.size() > 3 || rest[0] != '.') return std::nullopt;
    std::string_view behind;
    const auto decimals = leading_digits(rest.substr(1), behind);
    if (!decimals || !behind.empty()) return std::nullopt;
    hundredths = rest.size() == 2 ? *decimals * 10 : *decimals;
  }
  return *whole * 100 + hundredths;
}

std::optional<std::int64_t> parse_status(std::string_view text) noexcept {
  bool setting = true;
  std::int64_t said = 0;
  bool letter_expected = true;
  for (const char c : text) {
    if (c == '+' || c == '-') {
      setting = c == '+';
      letter_expected = true;
      continue;
    }
    const std::uint32_t flag = flag_of(c);
    if (flag == 0) return std::nullopt;
    said = combine_status(said, setting ? pack(flag, 0) : pack(0, flag));
    letter_expected = false;
  }
  if (letter_expected) return std::nullopt;
  return said;
}

std::optional<std::vector<std::uint16_t>> parse_status_list(std::string_view text) {
  std::vector<std::uint16_t> statuses;
  while (true) {
    const std::size_t comma = text.find(',');
    const auto status = parse_integer(text.substr(0, comma));
    if (!status || *status < 100 || *status > 599) return std::nullopt;
    statuses.push_back(static_cast<std::uint16_t>(*status));
    if (comma == std::string_view::npos) break;
    text = text.substr(comma + 1);
  }
  std::sort(statuses.begin(), statuses.end());
  statuses.erase(std::unique(statuses.begin(), statuses.end()), statuses.end());
  return statuses;
}

std::optional<HashKey> parse_hash_key(std::string_view text) {
  struct Source {
    std::string_view word;
    HashKey::Source source;
    bool named;
  };
  static constexpr std::array<Source, 6> kSources{{{"client", HashKey::Source::Client, false},
                                                   {"path", HashKey::Source::Path, false},
                                                   {"uri", HashKey::Source::Uri, false},
                                                   {"query", HashKey::Source::Query, true},
                                                   {"cookie", HashKey::Source::Cookie, true},
                                                   {"header", HashKey::Source::Header, true}}};
  const std::size_t colon = text.find(':');
  const std::string_view name = colon == std::string_view::npos ? std::string_view{} : text.substr(colon + 1);
  for (const Source& known : kSources) {
    if (!base::iequals(text.substr(0, colon), known.word)) continue;
    if (known.named != (colon != std::string_view::npos) || known.named == name.empty() || !base::is_visible(name)) return std::nullopt;
    return HashKey{known.source, std::string(name)};
  }
  return std::nullopt;
}

std::optional<StickyNames> parse_sticky_names(std::string_view text) noexcept {
  const std::size_t bar = text.find('|');
  const StickyNames names{text.substr(0, bar), bar == std::string_view::npos ? text : text.substr(bar + 1)};
  const auto is_name = [](std::string_view name) {
    return !name.empty() && base::is_visible(name) && name.find_first_of("=;,&?\"") == std::string_view::npos;
  };
  return is_name(names.cookie) && is_name(names.parameter) ? std::optional(names) : std::nullopt;
}

std::int64_t combine_status(std::int64_t earlier, std::int64_t later) noexcept {
  const std::uint32_t set = (to_set(earlier) & ~to_clear(later)) | to_set(later);
  const std::uint32_t clear = (to_clear(earlier) & ~to_set(later)) | to_clear(later);
  return pack(set, clear);
}

std::uint32_t apply_status(std::uint32_t flags, std::int64_t said) noexcept { return (flags & ~to_clear(said)) | to_set(said); }

}  // namespace cxxproxy::config
