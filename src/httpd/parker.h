// How a request leaves its worker and comes back, inside an httpd 2.4 that has no call for it.
//
// WHAT    mod_http2 waits without a thread by returning from process_connection in a state in which the
//         MPM polls the client's socket. We need the MPM to poll something else: between
//         suspend_connection and resume_connection, which the MPM runs around its polling, the socket
//         object of the connection holds the descriptor of a parking spot. The MPM sees it readable,
//         runs process_connection on a worker, and the exchange goes on; when it has ended, the
//         connection is where httpd expects it after any handler: keep-alive, pipelining, lingering
//         close, graceful restart, accounting stay the MPM's.
//         The only code that knows of connection states, the swap and the lot.
// SHAPES  At any time one owner: a worker, or the MPM's poll set. A seat lives in the connection's pool.
//         CONN_STATE_ASYNC_WAITIO (httpd 2.4.63) where the MPM has it, else the combination that
//         mod_http2 uses there: WRITE_COMPLETION, CONN_SENSE_WANT_READ and clogging_input_filters.
// ERRORS  Where a request may not be parked (worker and prefork MPM, HTTP/2 streams, subrequests, internal
//         redirects, a full lot) driver_for() says so and the driver waits on its thread.
#pragma once

#include "httpd/served_request.h"
#include "httpd/httpd_api.h"

namespace cxxproxy::httpd {

// In the handler: how can this request wait?
Driver driver_for(request_rec* r) noexcept;
// In the handler: park it. The handler answers kSuspended and touches nothing afterwards; false: no spot is free.
bool park(request_rec* r, ServedRequest& served);

// Does this server's MPM allow it at all? Asked once a child.
bool mpm_can_park() noexcept;
// Has it threads, which wait on while it stops?
bool mpm_can_drain() noexcept;
// After that: can the MPM wait for a client and give it to a thread in any case?
bool mpm_can_wait_for_clients() noexcept;

void register_parker();

}  // namespace cxxproxy::httpd
