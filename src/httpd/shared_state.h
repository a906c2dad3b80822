// The shared segment of this server generation, made in post_config and kept over reloads.
//
// WHAT    make_shared_state() runs after the configuration was resolved, on the real pass only: a
//         configtest maps nothing. It starts one slot for each balancer and member and takes over
//         what the former generation knew of those that are still there.
// SHAPES  The module's own memory is gone after each reload, so {pool, address, size} live in
//         httpd's retained data as plain values.
// ERRORS  500 stops the start, with one log line.
#pragma once

#include "httpd/httpd_api.h"
#include "net/shared_segment.h"

namespace cxxproxy::httpd {

int make_shared_state(apr_pool_t* pconf, apr_pool_t* plog, apr_pool_t* ptemp, server_rec* main_server) noexcept;

// child_status hook, in the parent: takes back what the child had in flight.
void child_has_ended(server_rec* server, pid_t process, ap_generation_t generation, int slot, mpm_child_status status) noexcept;

// The segment of this generation, nothing before post_config and in a configtest.
std::optional<net::SharedSegment> shared_segment() noexcept;

}  // namespace cxxproxy::httpd
