#include "httpd/reactor.h"

#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <memory>
#include <thread>
#include <utility>

#include <apr_portable.h>

#include "base/mutex.h"
#include "httpd/bans.h"
#include "httpd/child_state.h"
#include "httpd/client_inlet.h"
#include "httpd/client_socket.h"
#include "httpd/guard.h"
#include "httpd/parker.h"
#include "httpd/pool_object.h"
#include "httpd/seat.h"
#include "net/event_loop.h"
#include "net/loop_threads.h"
#include "httpd/httpd_api.h"

namespace cxxproxy::httpd {

using base::Duration;
using base::Instant;
using net::EventLoop;
using net::LoopThreads;

namespace {

// Between two looks at the leader: what blocks the loop unforeseen holds the others for one or two of them.
constexpr Duration kLook = std::chrono::milliseconds(2);
// Requests of one client in a row, before others have their turn.
constexpr unsigned kInARow = 16;
constexpr unsigned kAnswersHeld = 4;
constexpr unsigned kStrikesOfConnection = 2;
constexpr unsigned kMostAdopted = 200'000;  // fewer than the loop has places
// How often in a row a connection may be given back for a request that the loop does not serve.
constexpr unsigned kMostInVain = 3;
// A request that waits for longer is counted as parked.
constexpr Duration kParkedAfter = std::chrono::milliseconds(100);

// Of the process; g_loop is null where there is no reactor.
EventLoop* g_loop = nullptr;
Bans* g_bans = nullptr;
module* g_mpm = nullptr;
unsigned g_room = 0;
std::atomic<unsigned> g_requests{0};
// Of no row in the scoreboard. httpd's error log says "client" only for connections that have a handle.
ap_sb_handle_t* g_no_row = nullptr;
// Stands for the MPM's record of a connection, of which it is larger. What the MPM's hooks write here nobody reads.
alignas(16) char g_shield[1024];

#if AP_MODULE_MAGIC_AT_LEAST(20120211, 135)
constexpr conn_state_e kWaitState = CONN_STATE_ASYNC_WAITIO;
#else
constexpr conn_state_e kWaitState = CONN_STATE_WRITE_COMPLETION;  // never used: mpm_can_wait_for_clients() is false
#endif

// Why the MPM has a connection back.
enum class Back : std::uint8_t {
  None,
  Bounce,  // it would have timed it out: the loop takes it again at once
  AsIs,    // in the state that its last request left it in
  Close,
  Bytes,   // a request is waiting, or a part of one
};

class LoopWaker final : public balancer::Waker {
 public:
  void wake() noexcept override { g_loop->wake(place, net::kWakeSlot); }
  EventLoop::Place place = EventLoop::kNone;
};

}  // namespace

struct Adoption final : net::LoopActor {
  explicit Adoption(Seat& its_seat) noexcept : seat(its_seat) {}
  ~Adoption() {
    if (event >= 0) ::close(event);
  }

  bool prepare();
  void begin();
  void end() noexcept;
  void leave_state_in(conn_state_t& state) const noexcept {
    state.state = own_state_.state;
    state.sense = own_state_.sense;
  }
  void run(unsigned why) noexcept override;

  Seat& seat;
  ClientInlet* inlet = nullptr;
  EventLoop::Place place = EventLoop::kNone;
  int event = -1;       // what the MPM polls meanwhile
  bool begins = false;  // once the MPM has the connection
  bool adopted = false;
  Back back = Back::None;
  unsigned strikes = 0;
  unsigned in_vain = 0;

 private:
  void use_socket(apr_socket_t* socket, const apr_socket_t* instead_of) noexcept;
  Back turn(unsigned why);
  bool go_on_serving(unsigned why);
  Back next_requests();
  bool serve_next();
  void wait_for_exchange();
  Back settle();
  Back wait_for_client();
  void leave(Back kind) noexcept;
  bool goes_on() const noexcept;
  void count(bool waits) noexcept;

  core_net_rec* net_ = nullptr;
  apr_socket_t* socket_ = nullptr;  // the MPM's
  apr_socket_t* alias_ = nullptr;   // the client's descriptor once more, for httpd's filters
  apr_os_sock_t client_ = -1;
  conn_state_t* mpm_state_ = nullptr;
  conn_state_t own_state_{};
  void* mpm_config_ = nullptr;
  Instant bounce_at_{};
  Instant idle_until_{};
  Instant parked_at_{};  // of the request that waits: when it is counted as parked
  bool stopping_ = false;
  bool counted_ = false;  // in g_requests
  bool answered_ = false;  // a request was begun here since the last look at what to wait for
  LoopWaker waker_{};
};

// ---------------------------------------------------------------- to the loop and back

// What httpd reads from and writes to.
void Adoption::use_socket(apr_socket_t* socket, const apr_socket_t* instead_of) noexcept {
  net_->client_socket = socket;
  ap_set_core_module_config(seat.connection->conn_config, socket);
  if (net_->in_ctx == nullptr || net_->in_ctx->b == nullptr) return;
  apr_bucket_brigade* const read = net_->in_ctx->b;
  for (apr_bucket* bucket = APR_BRIGADE_FIRST(read); bucket != APR_BRIGADE_SENTINEL(read); bucket = APR_BUCKET_NEXT(bucket)) {
    if (APR_BUCKET_IS_SOCKET(bucket) && bucket->data == instead_of) bucket->data = socket;
  }
}

// On a worker, whatever can fail.
bool Adoption::prepare() {
  conn_rec* const c = seat.connection;
  if (event < 0) event = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  net_ = core_net(c);
  socket_ = ap_get_conn_socket(c);
  if (event < 0 || net_ == nullptr || apr_os_sock_get(&client_, socket_) != APR_SUCCESS) return false;
  inlet = seat.inlet = seat.inlet != nullptr ? seat.inlet : ClientInlet::make(c, nullptr);
  if (inlet == nullptr) return false;
  if (alias_ == nullptr) {
    apr_interval_time_t timeout = 0;
    if (apr_os_sock_put(&alias_, &client_, c->pool) != APR_SUCCESS) return false;
    (void)apr_socket_timeout_get(socket_, &timeout);
    (void)apr_socket_timeout_set(alias_, timeout);
  }
  return inlet->drain_core();
}

// The MPM has done with the connection but for polling it. The loop may run, and even be done with it, before it does
// so: all that the MPM looks at from here on is its own.
void Adoption::begin() {
  begins = false;
  conn_rec* const c = seat.connection;
  const ChildState& child = *child_state();
  place = g_loop->attach(*this, client_);
  if (place == EventLoop::kNone) {
    back = Back::Bytes;  // the MPM polls the client itself
    return;
  }
  use_socket(alias_, socket_);
  (void)apr_os_sock_put(&socket_, &event, c->pool);
  mpm_state_ = c->cs;
  own_state_ = *c->cs;
  own_state_.state = CONN_STATE_WRITE_COMPLETION;
  c->cs = &own_state_;
  // What the MPM notes of each request would be read by its listener meanwhile.
  mpm_config_ = ap_get_module_config(c->conn_config, g_mpm);
  ap_set_module_config(c->conn_config, g_mpm, g_shield);
  c->sbh = nullptr;
  inlet->on_loop(true);
  inlet->more_has_come();
  adopted = true;
  waker_.place = place;
  const Instant now = child.clock().now();
  bounce_at_ = now + Duration(seat.keep_alive.polled) * 7 / 10;
  if (back != Back::Bounce) idle_until_ = now + Duration(seat.keep_alive.timeout);
  count(seat.served != nullptr);
  const bool goes_on_at_once = back == Back::Bounce || !inlet->empty();
  back = Back::None;
  g_loop->set_until(place, std::min(idle_until_, bounce_at_));
  g_loop->release(place, goes_on_at_once ? net::kWakeAgain : 0u);
}

// On the loop, the last that it does with the connection.
void Adoption::leave(Back kind) noexcept {
  conn_rec* const c = seat.connection;
  back = kind;
  inlet->on_loop(false);
  if (!inlet->empty()) c->data_in_input_filters = 1;  // or the MPM would wait for the client
  ap_set_module_config(c->conn_config, g_mpm, mpm_config_);
  c->cs = mpm_state_;
  c->sbh = nullptr;
  const std::uint64_t one = 1;
  (void)!::write(event, &one, sizeof one);
  // Whoever resumes the connection waits for this.
  g_loop->detach(place);
}

// The MPM has it back, because it was told to or of itself.
void Adoption::end() noexcept {
  if (!adopted) return;
  adopted = false;
  conn_rec* const c = seat.connection;
  if (g_loop->seize(place, *this)) {
    if (seat.served != nullptr) leave_line(seat);
    back = Back::Bounce;
    inlet->on_loop(false);
    ap_set_module_config(c->conn_config, g_mpm, mpm_config_);
    c->cs = mpm_state_;
    g_loop->detach(place);
  }
  count(false);
  if (c->sbh == g_no_row) c->sbh = nullptr;
  place = EventLoop::kNone;
  use_socket(socket_, alias_);
  (void)apr_os_sock_put(&socket_, &client_, c->pool);
  std::uint64_t told = 0;
  (void)!::read(event, &told, sizeof told);
}

// ---------------------------------------------------------------- on the loop

void Adoption::run(unsigned why) noexcept {
  LoopThreads::runs_for(seat.asked);  // probably it asks the same again
  const Back kind = guard("event loop", Back::Close, [&] { return turn(why); });
  if (LoopThreads::was_taken()) ++strikes;
  if (kind != Back::None) leave(kind);
}

// Back::None: the loop keeps it.
Back Adoption::turn(unsigned why) {
  seat.connection->current_thread = ap_thread_current();
  if ((why & (net::kWakeClient | net::kWakeClientClosed | net::kWakeClientGone)) != 0) inlet->more_has_come();
  if ((why & (net::kWakeClientClosed | net::kWakeClientGone)) != 0) inlet->end_has_come();
  if ((why & net::kWakeStop) != 0) stopping_ = true;
  if (seat.served != nullptr) {
    const Instant now = child_state()->clock().now();
    if (now >= bounce_at_) {
      leave_line(seat);
      return Back::Bounce;
    }
    if (now >= parked_at_) {
      parked_at_ = Instant::max();
      seat.served->waits_without_thread();
    }
    if (go_on_serving(why)) return Back::None;
  }
  return next_requests();
}

// True: it waits further.
bool Adoption::go_on_serving(unsigned why) {
  leave_line(seat);
  if ((seat.served->step().needs & exchange::kClientReadable) != 0) (void)inlet->fill();
  seat.why = why;
  seat.connection->sbh = g_no_row;
  if (!go_on(seat, false, Driver::Loop)) {
    count(false);
    return false;
  }
  wait_for_exchange();
  return true;
}

void Adoption::wait_for_exchange() {
  const ServedRequest& served = *seat.served;
  const exchange::Step& step = served.step();
  if ((step.needs & (exchange::kUpstreamReadable | exchange::kUpstreamWritable)) != 0 && !g_loop->use_stream(place, *step.upstream)) {
    g_loop->wake(place, net::kWakeUpstream);
  }
  if (step.pause) {
    g_loop->wake(place, net::kWakeAgain);
  } else if ((step.needs & exchange::kClientWritable) != 0) {
    g_loop->await_writable(place);
  }
  g_loop->set_until(place, std::min({served.until(), bounce_at_, parked_at_}));
  if (step.line != nullptr && !step.line->watch(*step.waiter, waker_)) g_loop->wake(place, net::kWakeSlot);
}

void Adoption::count(bool waits) noexcept {
  if (counted_ == waits) return;
  counted_ = waits;
  (void)(waits ? g_requests.fetch_add(1, std::memory_order_relaxed) : g_requests.fetch_sub(1, std::memory_order_relaxed));
}

// The connection lives after its last request.
bool Adoption::goes_on() const noexcept {
  const conn_rec* const c = seat.connection;
  return own_state_.state == CONN_STATE_WRITE_COMPLETION && c->keepalive == AP_CONN_KEEPALIVE && c->aborted == 0;
}

Back Adoption::next_requests() {
  for (unsigned number = 0;; ++number) {
    if (!goes_on()) return Back::AsIs;
    if (inlet->empty() && inlet->may_have_more()) (void)inlet->fill();
    if (inlet->empty()) return settle();
    if (inlet->scan() != http::RequestScan::Whole || g_bans->is_barred(seat.asked, child_state()->clock().now())) {
      ++in_vain;
      (void)answer_is_out(seat.connection);  // its client may wait for it
      return Back::Bytes;
    }
    // Few answers in one write save writes; with more of them the core would wait for the client.
    if (number % kAnswersHeld == 0 && seat.connection->data_in_output_filters != 0 && !answer_is_out(seat.connection)) return wait_for_client();
    if (number == kInARow) {
      g_loop->wake(place, net::kWakeAgain);
      return Back::None;
    }
    if (serve_next()) {
      parked_at_ = child_state()->clock().now() + kParkedAfter;
      count(true);
      wait_for_exchange();
      return Back::None;
    }
  }
}

// Through httpd's own hooks, as on a worker. True: the request waits.
bool Adoption::serve_next() {
  conn_rec* const c = seat.connection;
  client_spoke(seat.keep_alive);
  answered_ = true;
  own_state_.state = CONN_STATE_READ_REQUEST_LINE;
  own_state_.sense = CONN_SENSE_DEFAULT;
  c->sbh = nullptr;
  ++seat.depth;
  (void)ap_run_process_connection(c);
  --seat.depth;
  return seat.served != nullptr && own_state_.state == CONN_STATE_SUSPENDED;
}

// It takes no more of its answers at the moment. For how long is the MPM's to say.
Back Adoption::wait_for_client() {
  if (seat.connection->aborted != 0 || child_state()->clock().now() >= bounce_at_) return Back::AsIs;
  g_loop->await_writable(place);
  g_loop->set_until(place, bounce_at_);
  return Back::None;
}

// Nothing is there to be read.
Back Adoption::settle() {
  if (!answer_is_out(seat.connection)) return wait_for_client();
  if (inlet->ended()) return Back::Close;
  if (stopping_) {
    // What had reached the server before it stops is answered.
    (void)inlet->fill();
    if (inlet->empty()) return Back::Close;
    g_loop->wake(place, net::kWakeAgain);
    return Back::None;
  }
  const Instant now = child_state()->clock().now();
  if (std::exchange(answered_, false)) {
    if (!seat.keep_alive.proxied || strikes >= kStrikesOfConnection) return Back::AsIs;
    in_vain = 0;
    idle_until_ = now + Duration(seat.keep_alive.timeout);
  }
  if (now >= idle_until_) return Back::Close;
  if (now >= bounce_at_) return Back::Bounce;
  g_loop->set_until(place, std::min(idle_until_, bounce_at_));
  return Back::None;
}

// ---------------------------------------------------------------- for the hooks

bool can_adopt(const Seat& seat) noexcept {
  if (g_loop == nullptr || seat.connection->master != nullptr || g_loop->count() >= g_room) return false;
  const Adoption* const adoption = seat.adoption;
  if (adoption != nullptr && (adoption->strikes >= kStrikesOfConnection || adoption->in_vain >= kMostInVain)) return false;
  return !g_bans->is_barred(seat.asked, child_state()->clock().now());
}

unsigned requests_on_loop() noexcept { return g_requests.load(std::memory_order_relaxed); }

bool adopt_next(Seat& seat) {
  conn_rec* const c = seat.connection;
  if (seat.adoption == nullptr) seat.adoption = own_in_pool(c->pool, std::make_unique<Adoption>(seat));
  if (!seat.adoption->prepare()) return false;
  seat.adoption->begins = true;
  c->cs->sense = CONN_SENSE_WANT_READ;
  c->cs->state = kWaitState;
  return true;
}

void adoption_begins(Seat& seat) {
  if (seat.adoption != nullptr && seat.adoption->begins) seat.adoption->begin();
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
    case Back::Bounce: break;
  }
  seat.adoption->back = Back::Bounce;
  seat.adoption->begins = true;
  c->cs->sense = CONN_SENSE_WANT_READ;
  c->cs->state = kWaitState;
  return true;
}

bool on_loop(const request_rec* r) noexcept {
  if (g_loop == nullptr || !LoopThreads::is_one()) return false;
  const Seat* const seat = r->connection->master == nullptr ? seat_of(r->connection) : nullptr;
  return seat != nullptr && seat->adoption != nullptr && seat->adoption->adopted;
}

void may_block(const request_rec* r) noexcept {
  if (on_loop(r)) LoopThreads::let_others_go_on();
}

void note_asked(const request_rec* r, const config::Target& target) noexcept {
  Seat* const seat = g_loop != nullptr && r->connection->master == nullptr ? seat_of(r->connection) : nullptr;
  if (seat == nullptr) return;
  seat->asked = target.balancer != nullptr ? &target.balancer->name : &target.member->name;
  LoopThreads::runs_for(seat->asked);
}

namespace {

// ---------------------------------------------------------------- counted like a worker's requests

// A row of the scoreboard that no worker has, if there is one, else the last worker's.
worker_score* board_of(const conn_rec* c) noexcept {
  int threads = 0;
  int limit = 0;
  (void)ap_mpm_query(AP_MPMQ_MAX_THREADS, &threads);
  (void)ap_mpm_query(AP_MPMQ_HARD_LIMIT_THREADS, &limit);
  if (threads <= 0 || limit <= 0) return nullptr;
  return ap_get_scoreboard_worker_from_indexes(static_cast<int>(c->id / limit), std::min(threads, limit - 1));
}

template <class T, class N>
void add(T& counter, N number) noexcept {
  std::atomic_ref(counter).fetch_add(static_cast<T>(number), std::memory_order_relaxed);
}

// The core counts by a connection's handle before and after these two hooks, and does not expect one without a row.
int quick_handler(request_rec* r, int) noexcept {
  if (on_loop(r)) r->connection->sbh = g_no_row;
  return kDeclined;
}

// Another request of the connection, whose answer waits behind this one's, is still being handled.
apr_status_t handle_again(void* connection) noexcept {
  static_cast<conn_rec*>(connection)->sbh = g_no_row;
  return APR_SUCCESS;
}

int logging_begins(request_rec* r) noexcept {
  conn_rec* const c = r->connection;
  if (g_no_row == nullptr || c->sbh != g_no_row) return kDeclined;
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
  board->last_used = now;
  add(board->duration, now - r->request_time);
  return kDeclined;
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
  if (!g_bans->strike(asked, child_state()->clock().now())) return;
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
  g_mpm = ap_find_linked_module("event.c");
  if (g_mpm == nullptr || !mpm_can_wait_for_clients()) return false;
  g_bans = new Bans();
  // As many that block as the workers could serve.
  auto loop = std::make_unique<EventLoop>(clock, kLook, std::max(EventLoop::kMostThreads, child_state()->threads()));
  if (!loop->start(thread_begins, {}, has_blocked)) return false;
  if (!Probe().works(*loop)) return false;
  ap_create_sb_handle(&g_no_row, ap_server_conf->process->pool, -1, -1);
  g_room = std::min(room, kMostAdopted);
  g_loop = loop.release();  // until the process ends, like ChildState
  return true;
}

void stop_reactor() noexcept {
  if (g_loop != nullptr) g_loop->stop();
}

void end_adoptions() noexcept {
  if (g_loop != nullptr) g_loop->wake_all(net::kWakeStop);
}

void register_reactor() {
  register_client_inlet();
  ap_hook_check_authn(check_authn, nullptr, nullptr, APR_HOOK_REALLY_FIRST, AP_AUTH_INTERNAL_PER_CONF);
  ap_hook_quick_handler(quick_handler, nullptr, nullptr, APR_HOOK_REALLY_FIRST);
  ap_hook_log_transaction(logging_begins, nullptr, nullptr, APR_HOOK_REALLY_FIRST - 10);
  ap_hook_log_transaction(log_transaction, nullptr, nullptr, APR_HOOK_REALLY_LAST);
}

}  // namespace cxxproxy::httpd
