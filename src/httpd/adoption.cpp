#include "httpd/adoption.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include <apr_portable.h>

#include "httpd/child_state.h"
#include "httpd/client_socket.h"
#include "httpd/guard.h"
#include "httpd/keep_alive.h"
#include "httpd/served_request.h"
#include "net/descriptor_room.h"
#include "net/loop_threads.h"
#include "httpd/httpd_api.h"

namespace cxxproxy::httpd {

using base::Duration;
using base::Instant;
using net::EventLoop;
using net::LoopThreads;

namespace {

// Requests of one client in a row, before others have their turn.
constexpr unsigned kInARow = 16;
constexpr unsigned kAnswersHeld = 4;
// By far longer than the MPM needs.
constexpr Duration kMpmLetsGo = std::chrono::milliseconds(50);
// A request that waits for longer is counted as parked.
constexpr Duration kParkedAfter = std::chrono::milliseconds(100);

// Stands for the MPM's record of a connection, of which it is larger. What the MPM's hooks write here nobody reads.
alignas(16) char g_shield[1024];

}  // namespace

constinit Reactor g_reactor;

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

void Adoption::close_event() noexcept {
  if (event >= 0) net::close_counted(std::exchange(event, -1));
}

bool Adoption::prepare(request_rec* within) {
  conn_rec* const c = seat.connection;
  if (event < 0) {
    event = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (event >= 0) net::g_descriptor_room.take();
  }
  net_ = core_net(c);
  socket_ = ap_get_conn_socket(c);
  if (event < 0 || net_ == nullptr || apr_os_sock_get(&client_, socket_) != APR_SUCCESS) return false;
  if (seat.inlet == nullptr) seat.inlet = ClientInlet::make(c, within);
  if (seat.inlet == nullptr) return false;
  if (alias_ == nullptr) {
    apr_interval_time_t timeout = 0;
    if (apr_os_sock_put(&alias_, &client_, c->pool) != APR_SUCCESS) return false;
    (void)apr_socket_timeout_get(socket_, &timeout);
    (void)apr_socket_timeout_set(alias_, timeout);
  }
  return inlet().drain_core();
}

// The MPM has done with the connection but for polling it. The loop may run, and even be done with it, before it does
// so: all that the MPM looks at from here on is its own.
void Adoption::begin() {
  conn_rec* const c = seat.connection;
  const ChildState& child = *child_state();
  place = g_reactor.loop->attach(*this, client_);
  if (place == EventLoop::kNone) {
    // The MPM polls the client itself.
    back = seat.served != nullptr ? Back::Bounce : Back::Bytes;
    return;
  }
  use_socket(alias_, socket_);
  (void)apr_os_sock_put(&socket_, &event, c->pool);
  mpm_state_ = c->cs;
  own_state_ = *c->cs;
  own_state_.state = CONN_STATE_WRITE_COMPLETION;
  own_state_.sense = CONN_SENSE_DEFAULT;
  c->cs = &own_state_;
  // What the MPM notes of each request would be read by its listener meanwhile.
  mpm_config_ = ap_get_module_config(c->conn_config, g_reactor.mpm);
  ap_set_module_config(c->conn_config, g_reactor.mpm, g_shield);
  const Instant now = child.clock().now();
  mpm_lets_go_by_ = c->sbh != nullptr ? now + kMpmLetsGo : Instant::min();
  inlet().on_loop(true);
  inlet().more_has_come();
  adopted = true;
  waker_.place = place;
  bounce_at_ = now + Duration(seat.keep_alive.polled) * 7 / 10;
  if (back != Back::Bounce) idle_until_ = now + Duration(seat.keep_alive.timeout);
  count(seat.served != nullptr);
  const bool bounced = std::exchange(back, Back::None) == Back::Bounce;
  if (seat.served != nullptr && !bounced) {
    answered_ = true;
    parked_at_ = Instant::max();
    seat.served->waits_without_thread();
    wait_for_exchange();
  } else {
    g_reactor.loop->set_until(place, std::min(idle_until_, bounce_at_));
  }
  g_reactor.loop->release(place, bounced || (seat.served == nullptr && !inlet().empty()) ? net::kWakeAgain : 0u);
}

// What the MPM's hooks look at is as it was.
void Adoption::give_up(Back kind) noexcept {
  conn_rec* const c = seat.connection;
  back = kind;
  inlet().on_loop(false);
  ap_set_module_config(c->conn_config, g_reactor.mpm, mpm_config_);
  c->cs = mpm_state_;
}

// On the loop, the last that it does with the connection.
void Adoption::leave(Back kind) noexcept {
  conn_rec* const c = seat.connection;
  give_up(kind);
  if (!inlet().holds_nothing()) c->data_in_input_filters = 1;  // or the MPM would wait for the client
  c->sbh = nullptr;
  net::signal_event(event);
  // Whoever resumes the connection waits for this.
  g_reactor.loop->detach(place);
}

// The MPM has it back, because it was told to or of itself.
void Adoption::end() noexcept {
  if (!adopted) return;
  conn_rec* const c = seat.connection;
  if (g_reactor.loop->seize(place, *this)) {
    if (seat.served != nullptr) leave_line(seat);
    give_up(Back::Bounce);
    g_reactor.loop->detach(place);
  }
  adopted = false;  // not before: what runs there asks for it
  count(false);
  if (c->sbh == g_reactor.no_row) c->sbh = nullptr;
  place = EventLoop::kNone;
  use_socket(socket_, alias_);
  apr_os_sock_t polled = -1;
  if (apr_os_sock_get(&polled, socket_) == APR_SUCCESS && polled == event) {
    (void)apr_os_sock_put(&socket_, &client_, c->pool);
    net::clear_event(event);
    const bool wanted = back == Back::Room || !net::g_descriptor_room.for_request();
    if (wanted && back != Back::Bounce) close_event();
  } else {  // the MPM could not poll it, and has closed it
    event = -1;
    net::g_descriptor_room.give_back();
    ::close(client_);
  }
}

// ---------------------------------------------------------------- on the loop

namespace {

// While a request runs, what blocks is its doing, and its backend's: probably it asks the same as the last one. When connections
// end, thousands at a time, the loop's thread may wait for memory or a mutex too, and that is nobody's fault.
class Blame {
 public:
  explicit Blame(Adoption& adoption) noexcept : adoption_(adoption), taken_before_(LoopThreads::runs_for(adoption.seat.asked)) {}
  ~Blame() {
    if (LoopThreads::runs_for(nullptr) && !taken_before_) adoption_.strikes.strike(child_state()->clock().now());
  }
  Blame(const Blame&) = delete;
  Blame& operator=(const Blame&) = delete;

 private:
  Adoption& adoption_;
  const bool taken_before_;
};

}  // namespace

// The last that the MPM does to a connection which it puts away is to take its row of the scoreboard away, and after its hooks:
// what the loop wrote there before would be lost. For this it would have to be quicker than a thread that has a call to return from.
bool Adoption::mpm_has_let_go() noexcept {
  if (mpm_lets_go_by_ == Instant::min()) return true;
  const Instant now = child_state()->clock().now();
  if (std::atomic_ref(seat.connection->sbh).load(std::memory_order_acquire) != nullptr && now < mpm_lets_go_by_) {
    g_reactor.loop->set_until(place, now + std::chrono::milliseconds(1));
    return false;
  }
  mpm_lets_go_by_ = Instant::min();
  return true;
}

void Adoption::run(unsigned why) noexcept {
  woken_ |= why;
  if (!mpm_has_let_go()) return;
  why = std::exchange(woken_, 0);
  const Back kind = guard("event loop", Back::Close, [&] { return turn(why); });
  if (kind != Back::None) leave(kind);
}

// Back::None: the loop keeps it.
Back Adoption::turn(unsigned why) {
  seat.connection->current_thread = ap_thread_current();
  if ((why & (net::kWakeClient | net::kWakeClientClosed | net::kWakeClientGone)) != 0) inlet().more_has_come();
  if ((why & (net::kWakeClientClosed | net::kWakeClientGone)) != 0) inlet().end_has_come();
  if ((why & net::kWakeStop) != 0) stopping_ = true;
  yields_ = (why & net::kWakeRoom) != 0;
  if (seat.served != nullptr) {
    const Instant now = g_reactor.loop->round_at();
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
  const Blame blame(*this);
  leave_line(seat);
  if ((seat.served->step().needs & exchange::kClientReadable) != 0) inlet().fill();
  seat.why = why;
  seat.connection->sbh = g_reactor.no_row;
  if (!go_on(seat, false, Driver::Loop)) {
    count(false);
    return false;
  }
  // It may have become a tunnel, or gone to another member.
  if (parked_at_ == Instant::max()) seat.served->waits_without_thread();
  wait_for_exchange();
  return true;
}

void Adoption::wait_for_exchange() {
  g_reactor.loop->idle(place, Instant::max());
  const ServedRequest& served = *seat.served;
  const exchange::Step& step = served.step();
  const bool writes = (step.needs & exchange::kUpstreamWritable) != 0;
  if ((writes || (step.needs & exchange::kUpstreamReadable) != 0) && !g_reactor.loop->use_stream(place, *step.upstream, writes)) {
    g_reactor.loop->wake(place, net::kWakeUpstream);
  }
  // No event will tell of what the inlet had no room for.
  const bool more = (step.needs & exchange::kClientReadable) != 0 && inlet().may_have_more();
  if (step.pause || more) {
    g_reactor.loop->wake(place, net::kWakeAgain);
  } else if ((step.needs & exchange::kClientWritable) != 0) {
    g_reactor.loop->await_writable(place);
  }
  g_reactor.loop->set_until(place, std::min({served.until(), bounce_at_, parked_at_}));
  if (step.line != nullptr && !step.line->watch(*step.waiter, waker_)) g_reactor.loop->wake(place, net::kWakeSlot);
}

bool Adoption::is_late() const noexcept { return !LoopThreads::leads() && child_state()->clock().now() >= bounce_at_; }

void Adoption::count(bool waits) noexcept {
  if (counted_ == waits) return;
  counted_ = waits;
  (void)(waits ? g_reactor.requests.fetch_add(1, std::memory_order_relaxed) : g_reactor.requests.fetch_sub(1, std::memory_order_relaxed));
}

// The connection lives after its last request.
bool Adoption::goes_on() const noexcept {
  const conn_rec* const c = seat.connection;
  return own_state_.state == CONN_STATE_WRITE_COMPLETION && c->keepalive == AP_CONN_KEEPALIVE && c->aborted == 0;
}

Back Adoption::next_requests() {
  for (unsigned number = 0;; ++number) {
    if (!goes_on()) return Back::AsIs;
    if (inlet().empty() && inlet().may_have_more()) inlet().fill();
    if (inlet().empty()) return settle();
    const Instant now = g_reactor.loop->round_at();
    const http::ScannedRequest request = inlet().scan();
    const bool room = net::g_descriptor_room.for_request();  // else it waits for a thread
    if (!room || request.scan != http::RequestScan::Whole || strikes.is_barred(now) || g_reactor.bans->is_barred(seat.asked, now)) {
      if (room) ++in_vain;
      (void)answer_is_out(seat.connection);  // its client may wait for it
      return Back::Bytes;
    }
    // Few answers in one write save writes; with more of them the core would wait for the client.
    if (number % kAnswersHeld == 0 && seat.connection->data_in_output_filters != 0 && !answer_is_out(seat.connection)) return wait_for_client();
    if (number == kInARow) {
      g_reactor.loop->wake(place, net::kWakeAgain);
      return Back::None;
    }
    if (serve_next(request.host)) {
      parked_at_ = now + kParkedAfter;
      count(true);
      wait_for_exchange();
      return Back::None;
    }
  }
}

// Through httpd's own hooks, as on a worker. True: the request waits.
bool Adoption::serve_next(std::string_view host) {
  const Blame blame(*this);
  conn_rec* const c = seat.connection;
  client_spoke(seat.keep_alive);
  answered_ = true;
  own_state_.state = CONN_STATE_READ_REQUEST_LINE;
  own_state_.sense = CONN_SENSE_DEFAULT;
  c->sbh = nullptr;
  known_host.begins(*c, host);
  ++seat.depth;
  (void)ap_run_process_connection(c);
  --seat.depth;
  known_host.ends(*c);
  return seat.served != nullptr && own_state_.state == CONN_STATE_SUSPENDED;
}

// It takes no more of its answers at the moment. For how long is the MPM's to say.
Back Adoption::wait_for_client() {
  if (seat.connection->aborted != 0 || g_reactor.loop->round_at() >= bounce_at_) return Back::AsIs;
  g_reactor.loop->await_writable(place);
  g_reactor.loop->set_until(place, bounce_at_);
  return Back::None;
}

// Nothing is there to be read.
Back Adoption::settle() {
  if (!answer_is_out(seat.connection)) return wait_for_client();
  if (inlet().ended()) return Back::Close;
  if (stopping_) {
    // What had reached the server before it stops is answered.
    inlet().fill();
    if (inlet().empty()) return Back::Close;
    g_reactor.loop->wake(place, net::kWakeAgain);
    return Back::None;
  }
  const Instant now = g_reactor.loop->round_at();
  if (std::exchange(answered_, false)) {
    if (!seat.keep_alive.proxied || strikes.is_barred(now)) return Back::AsIs;
    in_vain = 0;
    idle_until_ = now + Duration(seat.keep_alive.timeout);
    seat.keep_alive.idle_since = now;
    g_reactor.loop->idle(place, now);
  }
  if (now >= idle_until_) return Back::Close;
  if (now >= bounce_at_) return Back::Bounce;
  // It may have spoken since it was chosen.
  if (yields_ && (now - seat.keep_alive.idle_since >= kIdle || !net::g_descriptor_room.for_request())) return Back::Room;
  g_reactor.loop->set_until(place, std::min(idle_until_, bounce_at_));
  return Back::None;
}

}  // namespace cxxproxy::httpd
