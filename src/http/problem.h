// What a parser or a writer of this room found wrong.
//
// WHAT    The code decides about answer and retry (base/error.h); the detail is for the log line only.
// SHAPES  detail always views a string literal, so a Problem may be copied and kept freely.
#pragma once

#include <string_view>

#include "base/error.h"

namespace cxxproxy::http {

struct Problem {
  base::ProxyErrc code = base::ProxyErrc::None;
  std::string_view detail;

  explicit operator bool() const noexcept { return code != base::ProxyErrc::None; }
};

}  // namespace cxxproxy::http
