#include "balancer/request_key.h"

#include "base/ascii.h"

namespace cxxproxy::balancer {

namespace {

std::optional<std::string_view> find(std::string_view text, std::string_view name, char separator, bool trims) noexcept {
  while (!text.empty()) {
    const std::size_t end = text.find(separator);
    std::string_view part = text.substr(0, end);
    text = end == std::string_view::npos ? std::string_view{} : text.substr(end + 1);
    if (trims) part = base::trim(part);
    if (part.size() <= name.size() || part[name.size()] != '=' || part.substr(0, name.size()) != name) continue;
    return part.substr(name.size() + 1);
  }
  return std::nullopt;
}

}  // namespace

std::optional<std::string_view> find_cookie(std::string_view field, std::string_view name) noexcept {
  std::optional<std::string_view> value = find(field, name, ';', true);
  if (value && value->size() >= 2 && value->front() == '"' && value->back() == '"') value = value->substr(1, value->size() - 2);
  return value;
}

std::optional<std::string_view> find_parameter(std::string_view text, std::string_view name, char separator) noexcept {
  return find(text, name, separator, false);
}

}  // namespace cxxproxy::balancer
