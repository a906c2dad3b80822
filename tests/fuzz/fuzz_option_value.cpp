// Values of parameters: what is accepted is what its text says and within the promised range; what is
// refused gets a clean sentence that names the range; status letters combine as they apply.
//
// Input: one byte that chooses a row, then the text; 0xff separates a second text.
#include <optional>
#include <string>

#include "base/ascii.h"
#include "config/parameter_rows.h"
#include "config/value_parsers.h"
#include "fuzz_input.h"

namespace {

using namespace cxxproxy;
using namespace cxxproxy::config;
using fuzz::require;

// A second way to read a duration: the unit is taken off the end, the rest are digits.
std::optional<std::uint64_t> plain_duration(std::string text) {
  for (char& c : text) c = base::to_lower(c);
  std::uint64_t unit = 1'000'000;
  if (text.ends_with("ms")) unit = 1'000, text.resize(text.size() - 2);
  else if (text.ends_with("min")) unit = 60'000'000, text.resize(text.size() - 3);
  else if (text.ends_with("s")) text.resize(text.size() - 1);
  else if (text.ends_with("h")) unit = 3'600'000'000, text.resize(text.size() - 1);
  if (text.empty() || text.find_first_not_of("0123456789") != std::string::npos) return std::nullopt;
  const std::uint64_t most = 0x7fffffffffffffffu / unit;
  std::uint64_t number = 0;
  for (const char c : text) {
    number = number * 10 + static_cast<unsigned>(c - '0');
    if (number > most) return std::nullopt;
  }
  return number * unit;
}

void check_status(std::string_view one, std::string_view two) {
  const auto first = parse_status(one);
  const auto second = parse_status(two);
  if (!first || !second) return;
  for (const std::uint32_t flags : {0u, 0xffu, 0x55u}) {
    require(apply_status(apply_status(flags, *first), *second) == apply_status(flags, combine_status(*first, *second)));
  }
  const auto both = parse_status(std::string(one) + (two[0] == '+' || two[0] == '-' ? "" : "+") + std::string(two));
  require(both && *both == combine_status(*first, *second));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::Input input(data, size);
  const auto rows = parameter_rows();
  const ParameterRow& row = rows[input.byte() % rows.size()];
  const std::string text(input.piece());
  const std::string other(input.rest());

  const auto value = parse_value(row, text);
  if (!value) {
    require(!value.error().empty() && base::is_field_value(value.error()));
  } else {
    require(row.is_supported() && !text.empty());
    const bool says_default = row.kind == ValueKind::BufferSize && *value == 0;
    if (row.min < row.max && !says_default) require(*value >= row.min && *value <= row.max);
    const bool may_have_blanks = row.kind == ValueKind::FileName;
    require(may_have_blanks || base::is_visible(text));
  }
  const auto duration = parse_duration(text);
  const auto plain = plain_duration(text);
  require(duration.has_value() == plain.has_value());
  if (duration) require(static_cast<std::uint64_t>(*duration) == *plain);
  if (const auto number = parse_integer(text)) {
    require(*number >= 0 && text.find_first_not_of("0123456789") == std::string::npos);
    const auto factor = parse_load_factor(text);
    require(factor ? *factor == *number * 100 : *number > 1'000'000);
  }
  if (!other.empty()) check_status(text, other);
  return 0;
}
