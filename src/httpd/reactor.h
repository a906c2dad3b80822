// Requests that begin, wait and end on the child's event loop.
//
// WHAT    A client connection whose last request was proxied is adopted: the loop waits for its next request, and for the backend
//         meanwhile, so that a request takes no hand-over between threads and no system call but the four that move its
//         bytes. httpd reads, maps, filters and logs it as on a worker, on a thread of the loop.
//         So is one whose request waits, when it would be parked: the request goes on there.
//         The MPM keeps the connection in its poll set, with a descriptor of ours in its socket object, and gets it back through
//         that for whatever the loop does not do: the end of the connection, a request that cannot be read whole, bodies that
//         are still to come. It counts it, times it out and ends it like any other.
//         A hook or filter that blocks does not hold the loop (net/loop_threads.h); a connection, and the backend it asks
//         for, that did so more than once is served by workers for a while.
// SHAPES  The event MPM of httpd 2.4.63 and later. One loop for each child. An adopted connection costs a descriptor and what it
//         costs anyway. When there is no room for one that speaks, one that has been idle for a second goes back to the MPM.
//         At any time one owner: a worker, or whoever holds the connection's place in the loop.
// ERRORS  Where it cannot be, the connection is left to the MPM and its workers.
// SOURCE  docs/decisions/0018-reactor.md
#pragma once

#include "base/clock.h"
#include "config/resolved_vhost.h"
#include "httpd/httpd_api.h"

namespace cxxproxy::httpd {

struct Seat;
class ServedRequest;

// In child_init, after the parking lot. False: this server cannot, or the loop does not do what it must. At most `room`
// connections are adopted, and no more than there are descriptors for (net/descriptor_room.h).
bool start_reactor(const base::Clock& clock, unsigned room);
// The server is to end: what is idle is given back.
void end_adoptions() noexcept;
void stop_reactor() noexcept;

// After a request on a worker: would the loop take this connection?
bool can_adopt(const Seat& seat) noexcept;
// How many requests wait there at the moment.
unsigned requests_on_loop() noexcept;
// It takes it, once the MPM has it. False: it cannot.
bool adopt_next(Seat& seat);

// In the handler: takes it with its request, which waits.
bool adopt_waiting(Seat& seat, const ServedRequest& served);
// After that handler, when the connection is to be left to the MPM. False: there was nothing of the kind.
bool waits_on_loop(const Seat& seat) noexcept;

// The MPM's hooks, in their order.
void adoption_begins(Seat& seat);  // suspend_connection
void adoption_ends(Seat& seat) noexcept;  // resume_connection, and whatever else ends it

// On a worker again. True: nothing is left to do before the MPM polls again, or closes.
bool came_back(Seat& seat);

// In hooks of a request: this thread is the loop's.
bool on_loop(const request_rec* r) noexcept;
// What follows may block.
void may_block(const request_rec* r) noexcept;
// Of a connection on the loop: it is too late for its request to wait there.
bool is_late(const Seat& seat) noexcept;
// Whom the request asks.
void note_asked(const request_rec* r, const config::Target& target) noexcept;

void register_reactor();

}  // namespace cxxproxy::httpd
