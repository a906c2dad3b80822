// The driver that every MPM has: the worker thread waits for its own exchange.
//
// WHAT    Runs an Exchange to its end on the calling thread. Most waits happen inside one blocking
//         receive of the stream (its patience); longer ones poll the backend and the client together,
//         so that a client that went away ends the backend's work.
// SHAPES  A client that closed its sending side may only have half-closed: it still gets an answer
//         that comes within kHalfCloseGrace, counted anew while the rest of its request still moves.
//         An HTTP/2 stream has no socket of its own: mod_http2 marks its connection as aborted, which
//         is looked at kStreamLook apart.
#pragma once

#include "exchange/exchange.h"
#include "httpd/httpd_api.h"

namespace cxxproxy::httpd {

inline constexpr base::Duration kHalfCloseGrace = std::chrono::milliseconds(700);
inline constexpr base::Duration kStreamLook = std::chrono::milliseconds(500);

void run_inline(exchange::Exchange& exchange, request_rec* r, const base::Clock& clock);

}  // namespace cxxproxy::httpd
