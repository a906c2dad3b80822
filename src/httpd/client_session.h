// The session of a request, and what other modules are told of it.
//
// WHAT    session_of() looks for stickysession in the request's URL and cookies. tell_chosen() sets mod_proxy's
//         variables for a chosen member: BALANCER_WORKER_NAME, BALANCER_WORKER_ROUTE, BALANCER_SESSION_STICKY,
//         BALANCER_SESSION_ROUTE, BALANCER_ROUTE_CHANGED, and the notes session-sticky and session-route.
//         set_session_cookie() adds the cookie of stickycookie to an answer whose member is not the session's.
// SHAPES  `url` is path and query as the backend is asked for them; the answer's views point into it and into
//         the request's fields. tell_chosen() is called for each attempt, the last one counts.
//         An answer with our cookie says no-cache="Set-Cookie": a cache may keep the answer, but not the cookie, or it would
//         send all its clients to one member.
// SOURCE  httpd's manual of mod_proxy_balancer, "Exported Environment Variables".
#pragma once

#include <string_view>

#include "balancer/session.h"
#include "config/spec.h"
#include "httpd/httpd_api.h"

namespace cxxproxy::httpd {

balancer::Session session_of(const request_rec* r, const config::BalancerSpec& balancer, const balancer::SessionTokens& tokens,
                             std::string_view url);
// The name of a member as mod_proxy tells it: without the socket of "unix:/path|http://host".
const char* url_of(const config::MemberSpec& member) noexcept;
void tell_chosen(request_rec* r, const config::BalancerSpec& balancer, const config::MemberSpec& member, const balancer::Session& session);
void set_session_cookie(request_rec* r, const config::BalancerSpec& balancer, const balancer::SessionTokens& tokens,
                        const config::MemberSpec& member, const balancer::Session& session);

}  // namespace cxxproxy::httpd
