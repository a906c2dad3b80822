// The end of a connection whose client has nothing more to say.
//
// WHAT    httpd ends connections with a lingering close: after its last byte it waits for the client's end, because the system
//         would answer what still comes with a reset, which may cost the client its answer. That is another turn through the
//         MPM's listener and a thread. A client that has asked for the close and sent no content may send nothing after it; such
//         a connection is closed at once, as nginx does.
// SHAPES  note_last_word() looks while there is the request, close_at_once() when the MPM is about to close.
// ERRORS  Whoever did send more, or has filters of its own (TLS), gets the lingering close.
// SOURCE  RFC 9112 9.6 (tear-down), 9.3 (HTTP/1.0)
#pragma once

#include "httpd/httpd_api.h"

namespace cxxproxy::httpd {

struct Seat;

void note_last_word(const request_rec* r) noexcept;
// Makes the core take the connection for one that is closed on the client's side already.
void close_at_once(Seat& seat) noexcept;

}  // namespace cxxproxy::httpd
