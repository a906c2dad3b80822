#include "http/method.h"

#include <algorithm>
#include <array>

namespace cxxproxy::http {
namespace {

using Names = std::string_view;
constexpr std::array<Names, 7> kSafe{"GET", "HEAD", "OPTIONS", "TRACE", "PROPFIND", "REPORT", "SEARCH"};

}  // namespace

bool is_safe_method(std::string_view method) noexcept { return std::ranges::find(kSafe, method) != kSafe.end(); }

bool is_idempotent_method(std::string_view method) noexcept {
  return is_safe_method(method) || method == "PUT" || method == "DELETE";
}

}  // namespace cxxproxy::http
