// What a request method promises.
//
// WHAT    Decides whether a request may be sent a second time. Method names are case-sensitive; a
//         method we do not know promises nothing.
// SOURCE  RFC 9110 9.2.1, 9.2.2, 9.3; RFC 4918 and RFC 3253 (WebDAV), RFC 5789 (PATCH is neither).
#pragma once

#include <string_view>

namespace cxxproxy::http {

// Asks for nothing to change: GET, HEAD, OPTIONS, TRACE, PROPFIND, REPORT, SEARCH.
bool is_safe_method(std::string_view method) noexcept;

// Doing it twice has the effect of doing it once: the safe ones, PUT, DELETE.
bool is_idempotent_method(std::string_view method) noexcept;

}  // namespace cxxproxy::http
