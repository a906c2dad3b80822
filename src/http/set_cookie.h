// Set-Cookie fields of an answer: domain, path and flags as the public side needs them.
//
// WHAT    rewrite_cookie_attributes() changes the value of the real Domain or Path attributes, set_cookie_flags()
//         adds, replaces and removes flags (Secure, HttpOnly, SameSite, Partitioned). Everything else
//         of the field stays as it is, byte for byte.
// SHAPES  A field is split at every ';' as browsers do; the first part is the cookie itself and never an attribute,
//         whatever its name. Names compare without case, blanks around names and values do not count,
//         a value in double quotes is compared without them and stays in quotes. Each attribute of that name is
//         looked at. As with mod_proxy the whole value is replaced where its beginning matches: with
//         Boundary::Segment (default) the beginning must end at a segment of the path or a label of the
//         domain, Boundary::Text takes any beginning. Paths compare with case, domains without.
// SOURCE  RFC 6265 5.2 (how a browser reads Set-Cookie); mod_proxy's ProxyPassReverseCookieDomain and -Path;
//         flags: nginx's proxy_cookie_flags; CVE-2026-34356 (lengths computed by hand).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "http/reverse_map.h"

namespace cxxproxy::http {

enum class CookieAttribute : std::uint8_t { Domain, Path };

// Does a rule whose backend side is `from` cover this value of the attribute?
bool covers_cookie_value(CookieAttribute attribute, std::string_view from, std::string_view value, Boundary boundary) noexcept;

// The value to write instead of `value`, nothing where no rule covers it.
class CookieValueMap {
 public:
  virtual std::optional<std::string> mapped(CookieAttribute attribute, std::string_view value) const = 0;

 protected:
  ~CookieValueMap() = default;
};

// The field's new value, nothing if it stays as it is.
std::optional<std::string> rewrite_cookie_attributes(std::string_view field, const CookieValueMap& map);

enum class SameSite : std::uint8_t { Keep, Remove, Strict, Lax, None };
enum class FlagChange : std::uint8_t { Keep, Add, Remove };

struct CookieFlags {
  FlagChange secure = FlagChange::Keep;
  FlagChange http_only = FlagChange::Keep;
  FlagChange partitioned = FlagChange::Keep;
  SameSite same_site = SameSite::Keep;
};

// One of secure, httponly, partitioned, samesite=strict|lax|none and the same with "no" in front, in any case.
bool take_cookie_flag(CookieFlags& flags, std::string_view word) noexcept;

// The cookie's name: what stands before the first '=' of the field's first part, without blanks around it.
std::string_view cookie_name(std::string_view field) noexcept;

// '*' stands for any number of characters, '?' for one; names of cookies compare with case.
bool cookie_name_matches(std::string_view pattern, std::string_view name) noexcept;

std::optional<std::string> set_cookie_flags(std::string_view field, const CookieFlags& flags);

}  // namespace cxxproxy::http
