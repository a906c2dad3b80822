#include "http/upgrade.h"

#include "base/ascii.h"
#include "http/field.h"

namespace cxxproxy::http {
namespace {

bool is_never_forwarded(std::string_view token) noexcept {
  const std::string_view name = token.substr(0, token.find('/'));
  for (const std::string_view refused : {"h2c", "h2", "HTTP", "TLS"}) {
    if (base::iequals(name, refused)) return true;
  }
  return !base::is_token(name) || (name.size() < token.size() && !base::is_token(token.substr(name.size() + 1)));
}

}  // namespace

std::string_view choose_upgrade(std::string_view offered, std::string_view allowed) noexcept {
  if (allowed.empty() || base::iequals(allowed, "NONE")) return {};
  const bool any = base::iequals(allowed, "ANY");
  TokenList tokens(offered);
  for (std::string_view token = tokens.next(); !token.empty(); token = tokens.next()) {
    if (is_never_forwarded(token)) continue;
    if (any || list_has(allowed, token)) return token;
  }
  return {};
}

}  // namespace cxxproxy::http
