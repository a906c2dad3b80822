// Values by exact name out of cookies and query strings, for keys and sessions.
//
// WHAT    find_cookie looks through one Cookie field, find_parameter through a query string (or any list of
//         name=value with the given separator). The name must be equal as a whole: XSID is not SID.
// SHAPES  Values are views into the text, as they were sent: neither decoded nor unquoted (a pair of
//         quotes around a cookie's value is left out). The first one of a name counts.
// SOURCE  RFC 6265 4.2.1 and 5.2; names of cookies are case-sensitive.
#pragma once

#include <optional>
#include <string_view>

namespace cxxproxy::balancer {

std::optional<std::string_view> find_cookie(std::string_view field, std::string_view name) noexcept;
std::optional<std::string_view> find_parameter(std::string_view text, std::string_view name, char separator = '&') noexcept;

}  // namespace cxxproxy::balancer
