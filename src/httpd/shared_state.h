// The shared segment of this server: made by the first configuration, used by all later ones.
//
// WHAT    make_shared_state() runs after the configuration was resolved, on the real pass only: a
//         configtest maps nothing. It gives each member and balancer a slot (balancer/slot_places.h) and makes
//         the segment, at the start and when the present one is too small.
//         The parent notes which children live and of which generation they are: only so it knows when a slot is free
//         again, and whether a configuration comes by a reload or by a restart, which ends all children first.
// SHAPES  The module's own memory is gone after each reload, so {pool, address, size} and the list of children live in
//         httpd's retained data as plain values.
// ERRORS  500 stops the start, with one log line.
#pragma once

#include "httpd/httpd_api.h"
#include "net/shared_segment.h"

namespace cxxproxy::httpd {

int make_shared_state(apr_pool_t* pconf, apr_pool_t* plog, apr_pool_t* ptemp, server_rec* main_server) noexcept;

// child_status hook, in the parent: notes who lives, and takes back what a child that ended had in flight.
void note_child(server_rec* server, pid_t process, ap_generation_t generation, int slot, mpm_child_status status) noexcept;

// The segment, nothing before post_config and in a configtest.
std::optional<net::SharedSegment> shared_segment() noexcept;
// Of this configuration. Only where shared_segment() gives something.
const balancer::SlotPlaces& slot_places() noexcept;

}  // namespace cxxproxy::httpd
