// What becomes of a client connection between two requests, where the event MPM would treat it roughly.
//
// WHAT    Staying: while enough threads are idle, the thread that has answered waits a few milliseconds
//         for the next request of its client; a busy connection then costs no hand-over between threads.
//         A connection whose client is not that quick is not waited for, until it has been quick again.
//         Guard: the event MPM closes kept connections when all its threads are busy at the moment
//         in which their next request comes, or even before. A connection that waits in
//         CONN_STATE_ASYNC_WAITIO (httpd 2.4.63) is given to a thread instead, however long that takes;
//         its keep-alive timeout, and its end when the server stops, are kept by net/idle_connections.
// SHAPES  Only connections whose last request was proxied. One state for each, in its connection's memory.
// ERRORS  Where neither is possible the connection is left to the MPM as ever.
#pragma once

#include "net/idle_connections.h"
#include "httpd/httpd_api.h"

namespace cxxproxy::httpd {

struct Seat;

struct KeepAlive {
  bool proxied = false;  // the last request was
  bool guarded = false;  // the MPM has it, under guard
  bool last_word = false;  // last_word.h
  unsigned misses = 0;   // how often in a row nothing came while a thread stayed
  apr_interval_time_t timeout = 0;  // KeepAliveTimeout of the last request's server
  apr_interval_time_t polled = 0;   // for so long the MPM polls
  base::Instant idle_since{};
  net::IdleConnections::Entry entry{};
};

// Counts the threads that are inside connections.
class ThreadAtWork {
 public:
  ThreadAtWork() noexcept;
  ~ThreadAtWork();
  ThreadAtWork(const ThreadAtWork&) = delete;
  ThreadAtWork& operator=(const ThreadAtWork&) = delete;
};

class ChildState;
// (Almost) all of this child's are.
bool threads_are_scarce(const ChildState& child) noexcept;

// This child is to end when its clients have been served.
bool server_stops() noexcept;

// In the handler.
void note_proxied(KeepAlive& state, const request_rec* r) noexcept;

// What the MPM does first after a request. False: the client has not taken everything yet.
bool answer_is_out(conn_rec* c) noexcept;

enum class AfterRequest : std::uint8_t {
  Mpm,    // the connection is the MPM's, under guard if it is to be kept
  Here,   // the client has sent the next request, and the caller is to read it
  Adopt,  // the event loop is the better place to wait, and has room
};
AfterRequest after_request(Seat& seat) noexcept;
// The loop would not have it.
void leave_to_mpm(conn_rec* c, KeepAlive& state) noexcept;
// Around the MPM's polling.
void guard_begins(conn_rec* c, KeepAlive& state) noexcept;
void guard_ends(KeepAlive& state) noexcept;
// On a thread again.
void client_spoke(KeepAlive& state) noexcept;

}  // namespace cxxproxy::httpd
