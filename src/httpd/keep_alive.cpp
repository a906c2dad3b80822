#include "httpd/keep_alive.h"

#include <poll.h>

#include <algorithm>
#include <atomic>

#include "httpd/child_state.h"
#include "httpd/client_socket.h"
#include "httpd/reactor.h"
#include "httpd/seat.h"
#include "httpd/httpd_api.h"

namespace cxxproxy::httpd {
namespace {

constexpr unsigned kMissesToGiveUp = 2;
// With so few a thread each is the quickest; with more of them the event loop is, and beside it threads would only take turns.
constexpr unsigned kFewAtWork = 2;

std::atomic<unsigned> g_at_work{0};

// A quarter of the threads is kept for connections that nobody stays with.
bool threads_to_spare(const ChildState& child) noexcept {
  return g_at_work.load(std::memory_order_relaxed) <= child.threads() - child.threads() / 4;
}

bool stays(const ChildState& child) noexcept { return child.stay() != base::Duration::zero() && threads_to_spare(child); }

// Whatever else is to be done with the connection is the MPM's work: the rest of an answer, what was read
// too much, a lingering close.
bool only_waits(conn_rec* c, const KeepAlive& state) noexcept {
  return state.proxied && c->cs->state == CONN_STATE_WRITE_COMPLETION && c->keepalive == AP_CONN_KEEPALIVE && c->aborted == 0 &&
         c->clogging_input_filters == 0 && c->data_in_input_filters == 0;
}

bool is_crowded() noexcept { return g_at_work.load(std::memory_order_relaxed) > kFewAtWork || requests_on_loop() > 0; }

}  // namespace

bool answer_is_out(conn_rec* c) noexcept {
  ap_filter_t* const last = last_output_filter(*c);
  return last->frec->filter_func.out_func(last, nullptr) == APR_SUCCESS && c->data_in_output_filters == 0 && c->aborted == 0;
}

bool threads_are_scarce(const ChildState& child) noexcept {
  return g_at_work.load(std::memory_order_relaxed) + child.threads() / 16 >= child.threads();
}

bool server_stops() noexcept {
  int state = 0;
  return ap_mpm_query(AP_MPMQ_MPM_STATE, &state) != APR_SUCCESS || state == AP_MPMQ_STOPPING;
}

ThreadAtWork::ThreadAtWork() noexcept { g_at_work.fetch_add(1, std::memory_order_relaxed); }
ThreadAtWork::~ThreadAtWork() { g_at_work.fetch_sub(1, std::memory_order_relaxed); }

void note_proxied(KeepAlive& state, const request_rec* r) noexcept {
  state.proxied = true;
  state.timeout = r->server->keep_alive_timeout;
  // The MPM takes the timeout of the connection's server, or of the last request's.
  state.polled = std::min(r->server->timeout, r->connection->base_server->timeout);
}

namespace {

bool is_quick(const conn_rec* c, KeepAlive& state, const ChildState& child) noexcept {
  if (state.misses >= kMissesToGiveUp || !stays(child)) return false;
  const base::Duration span = std::min(child.stay(), base::Duration(state.timeout));
  pollfd client{client_descriptor(*c), POLLIN, 0};
  const auto milliseconds = std::chrono::ceil<std::chrono::milliseconds>(span).count();
  const bool came = ::poll(&client, 1, static_cast<int>(milliseconds)) == 1;
  state.misses = came ? 0 : state.misses + 1;
  return came;
}

#if AP_MODULE_MAGIC_AT_LEAST(20120211, 135)
void put_under_guard(conn_rec* c, KeepAlive& state, const ChildState& child) noexcept {
  // The MPM must not give up before the keep-alive timeout has passed.
  if (child.idle_connections() == nullptr || state.timeout >= state.polled * 7 / 10) return;
  state.guarded = true;
  state.entry.until = state.idle_since + base::Duration(state.timeout);
  c->cs->sense = CONN_SENSE_WANT_READ;
  c->cs->state = CONN_STATE_ASYNC_WAITIO;
}
#else
void put_under_guard(conn_rec*, KeepAlive&, const ChildState&) noexcept {}
#endif

}  // namespace

AfterRequest after_request(Seat& seat) noexcept {
  conn_rec* const c = seat.connection;
  KeepAlive& state = seat.keep_alive;
  const ChildState& child = *child_state();
  if (!only_waits(c, state) || !answer_is_out(c) || server_stops()) return AfterRequest::Mpm;
  state.idle_since = child.clock().now();
  // Only asked where it would be adopted: where there is no room others are asked to make some.
  if (is_crowded() && can_adopt(seat)) return AfterRequest::Adopt;
  if (is_quick(c, state, child)) {
    state.proxied = false;
    c->cs->state = CONN_STATE_READ_REQUEST_LINE;
    return AfterRequest::Here;
  }
  // A client that was late once may be quick again.
  if ((state.misses >= kMissesToGiveUp || !stays(child)) && can_adopt(seat)) return AfterRequest::Adopt;
  put_under_guard(c, state, child);
  return AfterRequest::Mpm;
}

void leave_to_mpm(conn_rec* c, KeepAlive& state) noexcept { put_under_guard(c, state, *child_state()); }

void guard_begins(conn_rec* c, KeepAlive& state) noexcept {
  net::IdleConnections* const idle = child_state()->idle_connections();
  state.entry.descriptor = client_descriptor(*c);
  if (idle != nullptr && state.entry.descriptor >= 0) idle->enter(state.entry);
}

void guard_ends(KeepAlive& state) noexcept {
  if (net::IdleConnections* const idle = child_state()->idle_connections(); idle != nullptr) idle->leave(state.entry);
}

void client_spoke(KeepAlive& state) noexcept {
  const ChildState& child = *child_state();
  if (state.proxied && state.misses != 0 && child.clock().now() - state.idle_since <= child.stay()) state.misses = 0;
  state.guarded = state.proxied = state.last_word = false;
}

}  // namespace cxxproxy::httpd
