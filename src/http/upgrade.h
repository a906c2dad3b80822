// Which of the protocols that a client offers to switch to is asked of the backend.
//
// WHAT    choose_upgrade() picks the first offered token that is allowed. Tokens that would turn the
//         backend connection into something that our rules are not applied to any more are never
//         chosen, whatever is allowed: HTTP itself in other clothes (h2c smuggling) and TLS.
// SHAPES  `allowed` is a comma list of tokens, or NONE, or ANY. The result views into `offered`, empty for none.
// SOURCE  RFC 9110 7.8; CVE-2019-17567, CVE-2025-49812.
#pragma once

#include <string_view>

namespace cxxproxy::http {

std::string_view choose_upgrade(std::string_view offered, std::string_view allowed) noexcept;

}  // namespace cxxproxy::http
