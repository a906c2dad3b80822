// The key of a request for lbmethod=hash: hashkey says where it is.
//
// SHAPES  A value is hashed as it was sent; a request without it has no key (nothing, not an empty one).
//         The path is the one httpd has decoded and cleaned, without the query string.
#pragma once

#include <cstdint>
#include <optional>

#include "config/spec.h"
#include "httpd/httpd_api.h"

namespace cxxproxy::httpd {

std::optional<std::uint64_t> request_key(const request_rec* r, const config::BalancerSpec& balancer) noexcept;

}  // namespace cxxproxy::httpd
