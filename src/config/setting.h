// A value that somebody may have said, and where they said it.
//
// WHAT    Setting<T> is empty until a directive fills it; `where` then names file and line, so that
//         every message and every dump can say where a value came from. merged() is the one rule for
//         single values: the inner scope wins.
// SHAPES  `file` points into memory that lives as long as the configuration (a literal in tests);
//         Setting of a trivial type is therefore trivially copyable and cheap to merge per request.
#pragma once

#include <optional>

namespace cxxproxy::config {

struct SourceLine {
  const char* file = "";
  unsigned line = 0;
};

template <class T>
struct Setting {
  std::optional<T> value;
  SourceLine where;

  bool is_set() const noexcept { return value.has_value(); }
  T value_or(T fallback) const { return value.value_or(fallback); }
  void set(T new_value, SourceLine at) {
    value = std::move(new_value);
    where = at;
  }
};

template <class T>
const Setting<T>& merged(const Setting<T>& parent, const Setting<T>& child) noexcept {
  return child.is_set() ? child : parent;
}

}  // namespace cxxproxy::config
