#include "httpd/reactor.h"

#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <memory>
#include <thread>
#include <utility>

#include "httpd/adoption.h"
#include "httpd/child_state.h"
#include "httpd/guard.h"
#include "httpd/keep_alive.h"
#include "httpd/parker.h"
#include "httpd/pool_object.h"
#include "net/descriptor_room.h"
#include "net/loop_threads.h"
#include "httpd/httpd_api.h"

namespace cxxproxy::httpd {

using base::Duration;
using net::EventLoop;
using net::LoopThreads;

namespace {

// Between two looks at the leader: what blocks the loop unforeseen holds the others for one or two of them.
constexpr Duration kLook = std::chrono::milliseconds(2);
constexpr unsigned kMostAdopted = 200'000;  // fewer than the loop has places

#if AP_MODULE_MAGIC_AT_LEAST(20120211, 135)
constexpr conn_state_e kWaitState = CONN_STATE_ASYNC_WAITIO;
#else
constexpr conn_state_e kWaitState = CONN_STATE_WRITE_COMPLETION;  // never used: mpm_can_wait_for_clients() is false
#endif

}  // namespace

// ---------------------------------------------------------------- for the hooks

namespace {

// For one more, with its request that waits or idle. Who speaks takes the place of who does not, with its next request.
bool has_room(const Seat& seat, bool waits, base::Instant now) noexcept {
  const net::DescriptorRoom& descriptors = net::g_descriptor_room;
  const bool for_request = descriptors.for_request();
  const bool costs_none = seat.adoption != nullptr && seat.adoption->has_event();
  const auto for_client = [&] { return seat.connection->keepalives > 1 ? descriptors.for_active_client() : descriptors.for_new_client(); };
  if (g_reactor.loop->count() < g_reactor.room && (waits || costs_none ? for_request : for_client())) return true;
  (void)g_reactor.loop->wake_idle(for_request ? now - kIdle : now, net::kWakeRoom);
  return false;
}

bool can_adopt(const Seat& seat, bool waits) noexcept {
  if (g_reactor.loop == nullptr || seat.connection->master != nullptr) return false;
  const Adoption* const adoption = seat.adoption;
  const base::Instant now = child_state()->clock().now();
  return (adoption == nullptr || adoption->may_begin(now)) && !g_reactor.bans->is_barred(seat.asked, now) && has_room(seat, waits, now);
}

}  // namespace

bool can_adopt(const Seat& seat) noexcept { return can_adopt(seat, false); }

unsigned requests_on_loop() noexcept { return g_reactor.requests.load(std::memory_order_relaxed); }

namespace {

bool prepare_adoption(Seat& seat, request_rec* within) {
  if (seat.adoption == nullptr) seat.adoption = own_in_pool(seat.connection->pool, std::make_unique<Adoption>(seat));
  return seat.adoption->begins = seat.adoption->prepare(within);
}

// The MPM polls what the loop writes to.
void wait_for_loop(conn_rec* c) noexcept {
  c->cs->sense = CONN_SENSE_WANT_READ;
  c->cs->state = kWaitState;
}

}  // namespace

bool adopt_next(Seat& seat) {
  if (!prepare_adoption(seat, nullptr)) return false;
  wait_for_loop(seat.connection);
  return true;
}

// A request that still takes content from its client stays with the workers, which read it in larger pieces.
bool adopt_waiting(Seat& seat, const ServedRequest& served) {
  if (served.takes_content() || !can_adopt(seat, true) || !prepare_adoption(seat, served.request())) return false;
  seat.adoption->count(true);  // from now on, or many at once would find the same room
  return true;
}

bool waits_on_loop(const Seat& seat) noexcept {
  if (seat.adoption == nullptr || !seat.adoption->begins) return false;
  wait_for_loop(seat.connection);
  return true;
}

// A connection that has failed is suspended too, to be closed: that one stays the MPM's.
void adoption_begins(Seat& seat) {
  if (seat.adoption == nullptr || !std::exchange(seat.adoption->begins, false)) return;
  if (seat.connection->cs->state == kWaitState) seat.adoption->begin();
}

void adoption_ends(Seat& seat) noexcept {
  if (seat.adoption != nullptr) seat.adoption->end();
}

bool came_back(Seat& seat) {
  if (seat.adoption == nullptr) return false;
  conn_rec* const c = seat.connection;
  switch (std::exchange(seat.adoption->back, Back::None)) {
    case Back::None: return false;
    case Back::Bytes: c->cs->state = CONN_STATE_READ_REQUEST_LINE; return false;
    case Back::Close: c->cs->state = CONN_STATE_LINGER; return true;
    case Back::AsIs: seat.adoption->leave_state_in(*c->cs); return true;
    case Back::Room:
      seat.adoption->leave_state_in(*c->cs);
      leave_to_mpm(c, seat.keep_alive);
      return true;
    case Back::Bounce: break;
  }
  seat.adoption->back = Back::Bounce;
  seat.adoption->begins = true;
  wait_for_loop(c);
  return true;
}

bool on_loop(const request_rec* r) noexcept {
  if (g_reactor.loop == nullptr || !LoopThreads::is_one()) return false;
  const Seat* const seat = r->connection->master == nullptr ? seat_of(r->connection) : nullptr;
  return seat != nullptr && seat->adoption != nullptr && seat->adoption->adopted;
}

void may_block(const request_rec* r) noexcept {
  if (on_loop(r)) LoopThreads::let_others_go_on();
}

bool is_late(const Seat& seat) noexcept { return seat.adoption->is_late(); }

void note_asked(const request_rec* r, const config::Target& target) noexcept {
  Seat* const seat = g_reactor.loop != nullptr && r->connection->master == nullptr ? seat_of(r->connection) : nullptr;
  if (seat == nullptr) return;
  seat->asked = target.balancer != nullptr ? &target.balancer->name : &target.member->name;
  (void)LoopThreads::runs_for(seat->asked);
}

namespace {

// ---------------------------------------------------------------- counted like a worker's requests

// A row of the scoreboard that no worker has, if there is one, else the last worker's.
worker_score* board_of(const conn_rec* c) noexcept {
  const int limit = g_reactor.thread_limit;
  if (limit <= 0) return nullptr;
  const int threads = static_cast<int>(child_state()->threads());
  return ap_get_scoreboard_worker_from_indexes(static_cast<int>(c->id / limit), std::min(threads, limit - 1));
}

template <class T, class N>
void add(T& counter, N number) noexcept {
  std::atomic_ref(counter).fetch_add(static_cast<T>(number), std::memory_order_relaxed);
}

// The core counts by a connection's handle before and after these two hooks, and does not expect one without a row.
int quick_handler(request_rec* r, int lookup) noexcept {
  if (lookup == 0 && r->main == nullptr && on_loop(r)) r->connection->sbh = g_reactor.no_row;
  return kDeclined;
}

// Another request of the connection, whose answer waits behind this one's, is still being handled.
apr_status_t handle_again(void* connection) noexcept {
  static_cast<conn_rec*>(connection)->sbh = g_reactor.no_row;
  return APR_SUCCESS;
}

int logging_begins(request_rec* r) noexcept {
  conn_rec* const c = r->connection;
  if (g_reactor.no_row == nullptr || c->sbh != g_reactor.no_row) return kDeclined;
  c->sbh = nullptr;
  apr_pool_pre_cleanup_register(r->pool, c, handle_again);
  return kDeclined;
}

// As ap_increment_counts, without asking the system for the processor's time: the connection has no row of its own while
// it is the loop's.
int log_transaction(request_rec* r) noexcept {
  if (ap_extended_status == 0 || !on_loop(r) || r->connection->sbh != nullptr) return kDeclined;
  worker_score* const board = board_of(r->connection);
  if (board == nullptr) return kDeclined;
  const apr_off_t bytes = r->bytes_sent;
  add(board->access_count, 1);
  add(board->my_access_count, 1);
  add(board->bytes_served, bytes);
  add(board->my_bytes_served, bytes);
  const apr_time_t now = apr_time_now();
  std::atomic_ref(board->last_used).store(now, std::memory_order_relaxed);
  add(board->duration, now - r->request_time);
  return kDeclined;
}

int post_read_request(request_rec* r) noexcept {
  if (!on_loop(r)) return kDeclined;
  return guard("post_read_request", HTTP_INTERNAL_SERVER_ERROR, [r] {
    if (seat_of(r->connection)->adoption->known_host.is_read(*r)) return kDeclined;
    ap_log_rerror(APLOG_MARK, APLOG_WARNING, 0, r, "CXP0067: httpd has read another Host than the event loop, the request is refused");
    return HTTP_BAD_REQUEST;
  });
}

// Whoever asks for a password may ask a database or compute for a while.
int check_authn(request_rec* r) noexcept {
  may_block(r);
  return kDeclined;
}

// ---------------------------------------------------------------- begin and end

// Does a loop on this system do what it must? One client that speaks.
class Probe final : public net::LoopActor {
 public:
  void run(unsigned why) noexcept override {
    if ((why & net::kWakeClient) != 0) heard_.store(true);
  }
  bool works(EventLoop& loop) {
    int ends[2];
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) return false;
    const EventLoop::Place place = loop.attach(*this, ends[0]);
    if (place != EventLoop::kNone) {
      loop.release(place, 0);
      (void)!::write(ends[1], "x", 1);
      for (unsigned looks = 0; looks < kLooks && !heard_.load(); ++looks) std::this_thread::sleep_for(std::chrono::milliseconds(1));
      if (loop.seize(place, *this)) loop.detach(place);
    }
    ::close(ends[0]);
    ::close(ends[1]);
    return heard_.load();
  }

 private:
  static constexpr unsigned kLooks = 2000;
  std::atomic<bool> heard_{false};
};

// On the loop's watchman: a request to this backend blocks a thread of the loop.
void has_blocked(const void* asked) noexcept {
  if (!g_reactor.bans->strike(asked, child_state()->clock().now())) return;
  ap_log_error(APLOG_MARK, APLOG_NOTICE, 0, ap_server_conf, "CXP0066: requests to %s have blocked the event loop, worker threads serve them for the next minute",
               static_cast<const std::string*>(asked)->c_str());
}

// So that httpd knows the thread as one of its own.
void thread_begins() {
  apr_pool_t* pool = nullptr;
  apr_thread_t* thread = nullptr;
  if (apr_pool_create(&pool, nullptr) == APR_SUCCESS) (void)ap_thread_current_create(&thread, nullptr, pool);
}

}  // namespace

bool start_reactor(const base::Clock& clock, unsigned room) {
  g_reactor.mpm = ap_find_linked_module("event.c");
  if (g_reactor.mpm == nullptr || !mpm_can_wait_for_clients()) return false;
  g_reactor.bans = new net::Bans();
  // As many that block as the workers could serve.
  auto loop = std::make_unique<EventLoop>(clock, kLook, std::max(EventLoop::kMostThreads, child_state()->threads()));
  if (!loop->start(thread_begins, {}, has_blocked)) return false;
  if (!Probe().works(*loop)) return false;
  ap_create_sb_handle(&g_reactor.no_row, ap_server_conf->process->pool, -1, -1);
  (void)ap_mpm_query(AP_MPMQ_HARD_LIMIT_THREADS, &g_reactor.thread_limit);
  g_reactor.room = std::min(room, kMostAdopted);
  g_reactor.loop = loop.release();  // until the process ends, like ChildState
  return true;
}

void stop_reactor() noexcept {
  if (g_reactor.loop != nullptr) g_reactor.loop->stop();
}

void end_adoptions() noexcept {
  if (g_reactor.loop != nullptr) g_reactor.loop->wake_all(net::kWakeStop);
}

void register_reactor() {
  register_client_inlet();
  ap_hook_post_read_request(post_read_request, nullptr, nullptr, APR_HOOK_REALLY_FIRST - 10);
  ap_hook_check_authn(check_authn, nullptr, nullptr, APR_HOOK_REALLY_FIRST, AP_AUTH_INTERNAL_PER_CONF);
  ap_hook_quick_handler(quick_handler, nullptr, nullptr, APR_HOOK_REALLY_FIRST);
  ap_hook_log_transaction(logging_begins, nullptr, nullptr, APR_HOOK_REALLY_FIRST - 10);
  ap_hook_log_transaction(log_transaction, nullptr, nullptr, APR_HOOK_REALLY_LAST);
}

}  // namespace cxxproxy::httpd
