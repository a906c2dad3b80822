// The log lines of an exchange: one for each thing that an administrator may want to know.
//
// WHAT    Every line is `CXPnnnn: <balancer> <member>: <reason> (<attempt>), <what happened next>`.
//         Tags are registered in src/log_tags.txt and explained in docs/log-messages.md.
// SHAPES  Levels: error when a client got an error for it, warn when a member was taken out of use,
//         info for what nobody noticed (a replay) and for what clients do.
#pragma once

#include <string>
#include <string_view>

#include "exchange/downstream.h"
#include "httpd/httpd_api.h"

namespace cxxproxy::httpd {

// How a line names a span of time, and whom it is about.
std::string seconds(base::Duration span);
std::string subject(const config::BalancerSpec* balancer, const config::MemberSpec* member);

void log_attempt(request_rec* r, const config::BalancerSpec* balancer, const exchange::AttemptReport& attempt) noexcept;
void log_member_change(request_rec* r, const config::BalancerSpec& balancer, const config::MemberSpec& member, const char* what) noexcept;
void log_all_failed(request_rec* r, const config::BalancerSpec& balancer) noexcept;
void log_rest(request_rec* r, const config::BalancerSpec& balancer, const config::MemberSpec& member, int status,
              const balancer::Consequence& consequence) noexcept;
void log_panic(request_rec* r, const config::BalancerSpec& balancer) noexcept;
void log_panic_is_over(request_rec* r, const config::BalancerSpec& balancer) noexcept;
void log_recovered(request_rec* r, const config::BalancerSpec& balancer, const config::MemberSpec& member) noexcept;
void log_tunnel(request_rec* r, const config::BalancerSpec* balancer, const exchange::TunnelReport& tunnel) noexcept;
void log_refused_request(request_rec* r, std::string_view why) noexcept;

}  // namespace cxxproxy::httpd
