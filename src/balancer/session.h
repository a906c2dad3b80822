// Which route a request's session belongs to: stickysession, stickysessionsep, scolonpathdelim; stickycookie.
//
// WHAT    find_session looks for stickysession's parameter in the URL, and if it is not there for its
//         cookie. Names must be equal as a whole. The route is a part of the value behind a separator: behind
//         the last one if that is a route of this balancer, else behind the first one, else behind any other.
//         With tokens it looks for the cookie of stickycookie instead, which counts only when it is one of them.
// SHAPES  `url` is the path and query that the backend is asked for, encoded. A parameter begins behind `;`,
//         `?` or `&` and ends in front of `?` or `&`, in the path also of `/`, and of `;` where
//         scolonpathdelim is On. A cookie ends at `;` or `,` (httpd joins several Cookie fields with commas), spaces
//         and a pair of quotes around its value do not count. Of several values of the name the first with a known
//         route counts. The answer's views point into the arguments. All linear, no allocation: the client
//         writes these texts.
// SOURCE  mod_proxy_balancer's manual, "Load balancer stickyness"; RFC 6265 4.2.1, 5.2.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string_view>

#include "balancer/session_tokens.h"
#include "config/spec.h"

namespace cxxproxy::balancer {

struct Session {
  std::string_view name;                   // of the parameter or cookie that holds the session
  std::optional<std::string_view> route;   // as the request has it, known or not; with stickycookie its member's, if that has one
  std::size_t index = config::kNoRoute;    // in BalancerSpec::routes
};

Session find_session(const config::BalancerSpec& balancer, std::string_view url, std::span<const std::string_view> cookies) noexcept;
Session find_session(const config::BalancerSpec& balancer, const SessionTokens& tokens, std::span<const std::string_view> cookies) noexcept;

}  // namespace cxxproxy::balancer
