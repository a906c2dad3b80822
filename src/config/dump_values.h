// What a directive comes to in one scope, as text: for dumps, and for the matrix of merges.
//
// WHAT    effective_value() gives the value of a directive that has one value, after merging, with the line it
//         comes from. Directives that add to lists (rules, members, sections) have none.
// SHAPES  The switch has a case for each DirectiveId and no default, so that a new directive does not compile
//         until somebody has said here what it comes to; tests/unit/config/merge_matrix_test.cpp wants its row then.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "config/directive_rows.h"
#include "config/location_config.h"
#include "config/parameter_rows.h"
#include "config/vhost_config.h"

namespace cxxproxy::config {

struct EffectiveValue {
  std::string text;  // as it could be written in a file; the row's default if nobody said anything
  bool said = false;
  SourceLine where;
};

std::optional<EffectiveValue> effective_value(const DirectiveRow& row, const VhostConfig& server, const LocationConfig& scope);

// "250ms", "5", "2min"
std::string duration_as_written(base::Duration duration);

// Letters of the status parameter, "none" without any.
std::string status_letters(std::uint32_t flags);

// FILE:LINE, or "default".
std::string source_text(bool said, SourceLine where);

}  // namespace cxxproxy::config
