// What is parked, told in the log.
//
// WHAT    Once a minute, while anything is parked, the parent writes one line for all backends and one for each member where something
//         waits (CXP0064, info): the numbers of the shared segment, so those of all processes.
// SHAPES  httpd calls the hook about every ten seconds.
// ERRORS  None.
#pragma once

#include <string>

#include "balancer/parked_counts.h"
#include "base/clock.h"
#include "httpd/httpd_api.h"

namespace cxxproxy::httpd {

// "3 requests, the oldest for 2 s, and 1 tunnel, the oldest for 60 s"
std::string parked_text(const balancer::ParkedBoth& parked, base::Instant now);

// monitor hook
int log_parked(apr_pool_t* pool, server_rec* main_server) noexcept;

}  // namespace cxxproxy::httpd
