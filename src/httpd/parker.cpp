#include "httpd/parker.h"

#include <algorithm>
#include <atomic>
#include <optional>
#include <string>

#include <apr_portable.h>

#include "httpd/child_state.h"
#include "httpd/guard.h"
#include "httpd/keep_alive.h"
#include "httpd/last_word.h"
#include "httpd/parked_report.h"
#include "httpd/reactor.h"
#include "httpd/seat.h"
#include "httpd/served_request.h"
#include "httpd/tsan.h"
#include "net/descriptor_room.h"
#include "httpd/httpd_api.h"

namespace cxxproxy::httpd {
namespace {

using net::ParkingLot;

ParkingLot* lot() noexcept {
  ChildState* child = child_state();
  return child != nullptr ? child->parking_lot() : nullptr;
}

bool g_waitio = false;  // the MPM has CONN_STATE_ASYNC_WAITIO

void swap_back(Seat& seat) noexcept {
  if (!seat.swapped) return;
  seat.swapped = false;
  leave_line(seat);
  apr_socket_t* socket = ap_get_conn_socket(seat.connection);
  (void)apr_os_sock_put(&socket, &seat.client, seat.connection->pool);
}

void leave_spot(Seat& seat) noexcept {
  if (seat.spot == ParkingLot::kNone) return;
  if (ParkingLot* const place = lot(); place != nullptr) {
    (void)place->leave(seat.spot);
    place->give_back(seat.spot);
  }
  seat.spot = ParkingLot::kNone;
}

// The connection ends while it is swapped (the MPM could not poll it): its socket must close the client's descriptor.
apr_status_t seat_ends(void* data) noexcept {
  Seat& seat = *static_cast<Seat*>(data);
  adoption_ends(seat);
  guard_ends(seat.keep_alive);
  swap_back(seat);
  leave_spot(seat);
  net::g_descriptor_room.give_back();
  return APR_SUCCESS;
}

Seat& make_seat(conn_rec* c) {
  if (Seat* const seat = seat_of(c); seat != nullptr) return *seat;
  auto* const seat = new (apr_palloc(c->pool, sizeof(Seat))) Seat();
  seat->connection = c;
  // The MPM's listener, which wakes what is parked, stays for every connection that a thread had begun with before the child was
  // told to stop, but not for one that was still in the queue then.
  seat->may_park = !server_stops();
  ap_set_module_config(c->conn_config, &cxxproxy_module, seat);
  net::g_descriptor_room.take();
  apr_pool_pre_cleanup_register(c->pool, seat, seat_ends);
  return *seat;
}

// Leaves the connection in the state in which the MPM polls its socket for readability.
void hand_to_mpm(Seat& seat) noexcept {
  conn_rec* const c = seat.connection;
  seat.waiting = true;
  c->cs->sense = CONN_SENSE_WANT_READ;
#if AP_MODULE_MAGIC_AT_LEAST(20120211, 135)
  if (g_waitio) {
    c->cs->state = CONN_STATE_ASYNC_WAITIO;
    return;
  }
#endif
  seat.clogging = c->clogging_input_filters;
  c->clogging_input_filters = 1u;
  c->cs->state = CONN_STATE_WRITE_COMPLETION;
}

void take_from_mpm(Seat& seat) noexcept {
  seat.waiting = false;
  if (!g_waitio) seat.connection->clogging_input_filters = (seat.clogging & 1u) != 0;
  seat.connection->cs->state = CONN_STATE_HANDLER;
}

net::Watch watch_of(const Seat& seat) {
  const ServedRequest& served = *seat.served;
  const exchange::Step& step = served.step();
  net::Watch watch;
  if (step.upstream != nullptr) watch.upstream = step.upstream->descriptor();
  watch.upstream_readable = (step.needs & exchange::kUpstreamReadable) != 0;
  watch.upstream_writable = (step.needs & exchange::kUpstreamWritable) != 0;
  watch.client = seat.client;
  watch.client_readable = (step.needs & exchange::kClientReadable) != 0;
  watch.client_writable = (step.needs & exchange::kClientWritable) != 0;
  watch.client_closing = served.wants_half_close();
  // The MPM closes what it has polled for Timeout: come back before that.
  const apr_interval_time_t timeout = std::min(seat.connection->base_server->timeout, served.request()->server->timeout);
  const base::Instant bounce = child_state()->clock().now() + base::Duration(timeout * 7 / 10);
  watch.until = std::min(served.until(), bounce);
  return watch;
}

// What http_core does after a handler. The request is gone afterwards.
void end_request(request_rec* r, int status) {
  if (status == kOk || status == kDone) {
    ap_finalize_request_protocol(r);
  } else {
    r->status = HTTP_OK;
    ap_die(status, r);
  }
  ap_process_request_after_handler(r);
}

// The rest of the hooks: reads a request and serves it. True: it is parked.
bool serve_next(Seat& seat, int& result) {
  ++seat.depth;
  result = ap_run_process_connection(seat.connection);
  --seat.depth;
  return seat.served != nullptr && seat.connection->cs->state == CONN_STATE_SUSPENDED;
}

int wrap_process_connection(conn_rec* c) {
  if (c->master != nullptr || c->cs == nullptr || lot() == nullptr) return kDeclined;
  Seat& seat = make_seat(c);
  if (seat.depth > 0) return kDeclined;
  const ThreadAtWork at_work;
  int result = kOk;
  bool parked = false;
  if (seat.waiting) {
    take_from_mpm(seat);
    parked = go_on(seat, false, Driver::Park);
  } else if (came_back(seat)) {
    return kOk;
  } else {
    client_spoke(seat.keep_alive);
    parked = serve_next(seat, result);
  }
  while (!parked) {
    const AfterRequest next = after_request(seat);
    if (next == AfterRequest::Adopt && !adopt_next(seat)) leave_to_mpm(c, seat.keep_alive);
    if (next != AfterRequest::Here) break;
    parked = serve_next(seat, result);
  }
  if (parked && !waits_on_loop(seat)) hand_to_mpm(seat);
  return result;
}

int process_connection(conn_rec* c) noexcept {
  const HasConnection turn(c);
  return guard("process_connection", kDeclined, [&] { return wrap_process_connection(c); });
}

void suspend_connection(conn_rec* c, request_rec*) noexcept {
  const HasConnection turn(c);
  (void)guard("suspend_connection", 0, [&] {
    Seat* const seat = c->master == nullptr ? seat_of(c) : nullptr;
    if (seat != nullptr && seat->keep_alive.guarded) guard_begins(c, seat->keep_alive);
    if (seat != nullptr) adoption_begins(*seat);
    if (seat == nullptr || !seat->waiting || seat->swapped) return 0;
    ParkingLot* const place = lot();
    apr_socket_t* socket = ap_get_conn_socket(c);
    if (place == nullptr || apr_os_sock_get(&seat->client, socket) != APR_SUCCESS) return 0;
    apr_os_sock_t spot = place->descriptor(seat->spot);
    (void)apr_os_sock_put(&socket, &spot, c->pool);
    seat->swapped = true;
    seat->served->waits_without_thread();
    // From here on another thread may wake the connection, but only the MPM can give it to a worker.
    place->enter(seat->spot, watch_of(*seat));
    if (const exchange::Step& step = seat->served->step(); step.line != nullptr) {
      seat->waker.spot = seat->spot;
      if (!step.line->watch(*step.waiter, seat->waker)) place->wake(seat->spot, net::kWakeSlot);
    }
    return 0;
  });
}

void resume_connection(conn_rec* c, request_rec*) noexcept {
  const HasConnection turn(c);
  (void)guard("resume_connection", 0, [&] {
    Seat* const seat = c->master == nullptr ? seat_of(c) : nullptr;
    // First, for the loop may still work with the seat.
    if (seat != nullptr) adoption_ends(*seat);
    if (seat != nullptr && seat->keep_alive.guarded) guard_ends(seat->keep_alive);
    if (seat == nullptr || !seat->swapped) return 0;
    if (ParkingLot* const place = lot(); place != nullptr) seat->why = place->leave(seat->spot);
    swap_back(*seat);
    return 0;
  });
}

// The MPM ends a connection whose request is still parked: it is over, and it is logged.
int pre_close_connection(conn_rec* c) noexcept {
  const HasConnection turn(c);
  return guard("pre_close_connection", kOk, [&] {
    Seat* const seat = c->master == nullptr ? seat_of(c) : nullptr;
    if (seat == nullptr || seat->served == nullptr) return kOk;
    swap_back(*seat);
    seat->waiting = false;
    (void)go_on(*seat, true, Driver::Thread);
    return kOk;
  });
}

// After everybody else's hook: nothing that they still send may get lost.
int last_pre_close_connection(conn_rec* c) noexcept {
  const HasConnection turn(c);
  Seat* const seat = c->master == nullptr ? seat_of(c) : nullptr;
  if (seat != nullptr) close_at_once(*seat);
  return kOk;
}

bool rent_spot(Seat& seat) {
  seat.spot = lot()->rent();
  return seat.spot != ParkingLot::kNone;
}

// Once a minute and child: it is a state, not an event of this request.
void tell_that_it_is_full(request_rec* r) {
  static std::atomic<apr_time_t> next{0};
  apr_time_t due = next.load(std::memory_order_relaxed);
  if (r->request_time < due || !next.compare_exchange_strong(due, r->request_time + apr_time_from_sec(60))) return;
  const std::string parked = parked_text(child_state()->parked().here(), child_state()->clock().now());
  ap_log_rerror(APLOG_MARK, APLOG_WARNING, 0, r, "CXP0062: no room to park a request, it waits on its thread (see ProxyParkMax and the limit of open files); parked in this process: %s",
                parked.c_str());
}

}  // namespace

Seat* seat_of(const conn_rec* c) noexcept { return static_cast<Seat*>(ap_get_module_config(c->conn_config, &cxxproxy_module)); }

void SpotWaker::wake() noexcept {
  if (ParkingLot* const place = lot(); place != nullptr) place->wake(spot, net::kWakeSlot);
}

void leave_line(Seat& seat) noexcept {
  if (seat.served != nullptr && seat.served->step().line != nullptr) seat.served->step().line->unwatch(*seat.served->step().waiter);
}

namespace {

// In the row of the thread that has it now: httpd adds up how long requests last, by the row's time of begin.
void count_from_its_begin(request_rec* r) noexcept {
  auto* const board = static_cast<ap_sb_handle_t*>(r->connection->sbh);
  ap_update_child_status(board, SERVER_BUSY_WRITE, r);
  if (worker_score* const row = ap_extended_status != 0 ? ap_get_scoreboard_worker(board) : nullptr; row != nullptr) row->start_time = r->request_time;
}

// One thread at a time works on a request. The mutex lives in its pool, which ends with the request.
class Invocation {
 public:
  explicit Invocation(const request_rec* r) noexcept : mutex_(r->invoke_mtx) {
    if (mutex_ != nullptr) apr_thread_mutex_lock(mutex_);
  }
  ~Invocation() {
    if (mutex_ != nullptr) apr_thread_mutex_unlock(mutex_);
  }
  Invocation(const Invocation&) = delete;
  Invocation& operator=(const Invocation&) = delete;

 private:
  apr_thread_mutex_t* const mutex_;
};

// The handler's result, or none while the request waits further.
std::optional<int> drive(Seat& seat, bool client_gone, Driver driver) {
  ServedRequest& served = *seat.served;
  request_rec* const r = served.request();
  const Invocation invocation(r);
  count_from_its_begin(r);
  served.woken();
  if ((seat.why & net::kWakeClientClosed) != 0 && served.wants_half_close()) served.client_half_closed();
  if (client_gone || (seat.why & net::kWakeClientGone) != 0) served.client_gone();
  if (served.drive(client_gone ? Driver::Thread : driver) == ServedRequest::Outcome::Park) return std::nullopt;
  return served.finish();
}

}  // namespace

bool go_on(Seat& seat, bool client_gone, Driver driver) {
  request_rec* const r = seat.served->request();
  const std::optional<int> status = drive(seat, client_gone, driver);
  if (!status) return true;
  seat.served = nullptr;
  leave_spot(seat);
  end_request(r, *status);
  return false;
}

bool mpm_can_park() noexcept {
  int async = 0;
  if (ap_mpm_query(AP_MPMQ_IS_ASYNC, &async) != APR_SUCCESS || async == 0) return false;
#ifdef AP_MPMQ_CAN_WAITIO
  int waitio = 0;
  g_waitio = ap_mpm_query(AP_MPMQ_CAN_WAITIO, &waitio) == APR_SUCCESS && waitio != 0 && !ap_exists_config_define("CXXPROXY_OLD_PARKING");
#endif
  return true;
}

bool mpm_can_drain() noexcept {
  int threaded = 0;
  return ap_mpm_query(AP_MPMQ_IS_THREADED, &threaded) == APR_SUCCESS && threaded != AP_MPMQ_NOT_SUPPORTED;
}

bool mpm_can_wait_for_clients() noexcept { return g_waitio; }

Driver driver_for(request_rec* r) noexcept {
  const conn_rec* c = r->connection;
  if (c->master != nullptr || c->cs == nullptr || r->main != nullptr || r->prev != nullptr || lot() == nullptr) return Driver::Thread;
  Seat* const seat = seat_of(c);
  if (seat == nullptr) return Driver::Thread;
  note_proxied(seat->keep_alive, r);
  if (seat->depth != 1 || c->clogging_input_filters != 0) return Driver::Thread;
  if (on_loop(r)) return is_late(*seat) ? Driver::Thread : Driver::Loop;
  return seat->may_park ? Driver::Park : Driver::Thread;
}

bool park(request_rec* r, ServedRequest& served) {
  Seat& seat = *seat_of(r->connection);
  if (on_loop(r)) {
    seat.served = &served;
    return true;
  }
  const bool room = requests_on_loop() < lot()->room() && net::g_descriptor_room.for_request();
  if (!room || !(adopt_waiting(seat, served) || rent_spot(seat))) {
    tell_that_it_is_full(r);
    return false;
  }
  seat.served = &served;
  seat.why = 0;
  return true;
}

void register_parker() {
  ap_hook_process_connection(process_connection, nullptr, nullptr, APR_HOOK_REALLY_FIRST);
  ap_hook_suspend_connection(suspend_connection, nullptr, nullptr, APR_HOOK_REALLY_LAST);
  ap_hook_resume_connection(resume_connection, nullptr, nullptr, APR_HOOK_REALLY_FIRST);
  ap_hook_pre_close_connection(pre_close_connection, nullptr, nullptr, APR_HOOK_FIRST);
  ap_hook_pre_close_connection(last_pre_close_connection, nullptr, nullptr, APR_HOOK_REALLY_LAST);
}

}  // namespace cxxproxy::httpd
