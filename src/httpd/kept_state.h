// The state file of BalancerPersist On, read at the start and written whenever a configuration ends.
//
// WHAT    recall_state() puts what the file has into slots that were just started. keep_state_at_end() sees to it that the file is
//         written at a reload and a restart (then only a crash of the parent would need it) and when the server stops.
// SHAPES  In the parent. The file is cxxproxy-state in DefaultRuntimeDir. Its checks and its format: net/state_file.h.
//         At a stop everything that belongs to the server's pools is torn down in an order of its own, the log and the
//         segment before the configuration; so it is written before any of that, by a pre-cleanup of the process pool. At
//         a reload it is the cleanup of the configuration, which also takes the other one back: it would outlive this
//         module's code.
// ERRORS  One line in the log; the server starts and stops as without the file.
#pragma once

#include "httpd/httpd_api.h"
#include "net/shared_segment.h"

namespace cxxproxy::httpd {

// Whether any member of the configuration is to survive a restart.
bool persists(const config::ResolvedConfig& config) noexcept;

void recall_state(server_rec* main_server, const config::ResolvedConfig& config, balancer::Slots& slots, balancer::SlotPlaces& places);

void keep_state_at_end(apr_pool_t* pconf, server_rec* main_server, std::uint64_t generation);

}  // namespace cxxproxy::httpd
