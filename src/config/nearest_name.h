// "Did you mean": the known name that is closest to a misspelt one.
//
// WHAT    Counts insertions, deletions, replacements and swaps of neighbours, case folded.
// SHAPES  Answers an empty view when nothing is near: more than two edits, or more than a third of
//         the name.
#pragma once

#include <span>
#include <string_view>

namespace cxxproxy::config {

std::size_t edit_distance(std::string_view a, std::string_view b);
std::string_view nearest_name(std::string_view name, std::span<const std::string_view> known);

}  // namespace cxxproxy::config
