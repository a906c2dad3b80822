// base::is_field_value() for the bulk of a message: eight bytes a step.
//
// SHAPES  The same answer for every text; field values are most of a head, so this is where a parser
//         and a writer spend their time.
#pragma once

#include <string_view>

namespace cxxproxy::http {

bool is_clean_text(std::string_view text) noexcept;

}  // namespace cxxproxy::http
