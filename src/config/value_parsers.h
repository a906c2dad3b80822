// One reader for each kind of value; rows say which one and give the range.
//
// WHAT    Text to number, without range checks (parse_value() in parameter_rows.h adds those).
// SHAPES  Durations in microseconds: "5" and "5s" are five seconds, "250ms", "1min", "2h". Load
//         factors times 100. Status letters as two masks: what to set in the low 32 bits, what to
//         clear in the high 32 bits. Case of letters and units does not matter.
// ERRORS  nullopt: the text is nothing of that kind, or too large for the type.
// SOURCE  httpd's manual of mod_proxy for units and letters; ms, min and h are accepted everywhere.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

#include "config/spec.h"

namespace cxxproxy::config {

std::optional<bool> parse_flag(std::string_view text) noexcept;
std::optional<std::int64_t> parse_integer(std::string_view text) noexcept;
std::optional<std::int64_t> parse_duration(std::string_view text) noexcept;
std::optional<std::int64_t> parse_load_factor(std::string_view text) noexcept;
std::optional<std::int64_t> parse_status(std::string_view text) noexcept;

// "500,503": statuses from 100 to 599, sorted.
std::optional<std::vector<std::uint16_t>> parse_status_list(std::string_view text);

// "client", "cookie:NAME" ... Names are kept as they are written.
std::optional<HashKey> parse_hash_key(std::string_view text);

// "NAME" for cookie and parameter of the URL, or "NAME|URLNAME".
struct StickyNames {
  std::string_view cookie;
  std::string_view parameter;
};
std::optional<StickyNames> parse_sticky_names(std::string_view text) noexcept;

// `earlier` followed by `later`, both as parse_status() answers them.
std::int64_t combine_status(std::int64_t earlier, std::int64_t later) noexcept;

// The flags that remain when `said` is applied to `flags`.
std::uint32_t apply_status(std::uint32_t flags, std::int64_t said) noexcept;

}  // namespace cxxproxy::config
