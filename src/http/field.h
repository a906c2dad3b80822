// Fields of a message head as views, and comma lists inside their values.
//
// WHAT    FieldView points into somebody's buffer; nothing here allocates or keeps anything.
// SHAPES  Names compare without regard to case. Values come without surrounding blanks from our
//         parser; functions here trim what they split off. TokenList is for lists of plain tokens
//         (Connection, Transfer-Encoding, Upgrade ...): a quote has no meaning in it, any junk
//         between two commas is one element, empty elements are skipped.
// SOURCE  RFC 9110 5.1 (names), 5.6.1 (lists).
#pragma once

#include <cstddef>
#include <span>
#include <string_view>

#include "base/ascii.h"

namespace cxxproxy::http {

struct FieldView {
  std::string_view name;
  std::string_view value;
};

using Fields = std::span<const FieldView>;

// First field of this name, nullptr without one.
inline const FieldView* find_field(Fields fields, std::string_view name) noexcept {
  for (const FieldView& field : fields) {
    if (base::iequals(field.name, name)) return &field;
  }
  return nullptr;
}

inline std::size_t count_fields(Fields fields, std::string_view name) noexcept {
  std::size_t count = 0;
  for (const FieldView& field : fields) count += base::iequals(field.name, name) ? 1u : 0u;
  return count;
}

class TokenList {
 public:
  explicit constexpr TokenList(std::string_view list) noexcept : rest_(list) {}

  // The next element that is not empty, trimmed; an empty view at the end.
  constexpr std::string_view next() noexcept {
    while (!rest_.empty()) {
      const std::size_t comma = rest_.find(',');
      const std::string_view element = base::trim(rest_.substr(0, comma));
      rest_ = comma == std::string_view::npos ? std::string_view{} : rest_.substr(comma + 1);
      if (!element.empty()) return element;
    }
    return {};
  }

 private:
  std::string_view rest_;
};

constexpr bool list_has(std::string_view list, std::string_view token) noexcept {
  TokenList elements(list);
  for (std::string_view element = elements.next(); !element.empty(); element = elements.next()) {
    if (base::iequals(element, token)) return true;
  }
  return false;
}

// Does any field of this name list the token?
inline bool fields_list(Fields fields, std::string_view name, std::string_view token) noexcept {
  for (const FieldView& field : fields) {
    if (base::iequals(field.name, name) && list_has(field.value, token)) return true;
  }
  return false;
}

}  // namespace cxxproxy::http
