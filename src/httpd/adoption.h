// One client connection and the event loop: how it gets there, what it does there, how it comes back.
//
// WHAT    The mechanism behind reactor.h, and the only code that knows which of httpd's pointers are exchanged while a
//         connection is the loop's.
// SHAPES  An Adoption lives in the connection's pool from the first time that the loop takes the connection. prepare(), begin()
//         and end() are called by whoever has the connection for the MPM, run() by the loop; the place in the loop says who may
//         touch the rest.
// SOURCE  docs/decisions/0018-reactor.md
#pragma once

#include <atomic>

#include "balancer/waiting_line.h"
#include "base/clock.h"
#include "httpd/client_inlet.h"
#include "httpd/known_host.h"
#include "httpd/seat.h"
#include "net/bans.h"
#include "net/event_loop.h"
#include "httpd/httpd_api.h"

namespace cxxproxy::httpd {

// Without a request for so long, a client gives its place on the loop to another.
inline constexpr base::Duration kIdle = std::chrono::seconds(1);

// Of the process; `loop` is null where there is no reactor.
struct Reactor {
  net::EventLoop* loop = nullptr;
  net::Bans* bans = nullptr;
  module* mpm = nullptr;
  unsigned room = 0;                  // at most so many connections are adopted, if there are descriptors
  std::atomic<unsigned> requests{0};  // that wait on the loop
  int thread_limit = 0;
  // Of no row in the scoreboard. httpd's error log says "client" only for connections that have a handle.
  ap_sb_handle_t* no_row = nullptr;
};
extern Reactor g_reactor;

// Why the MPM has a connection back.
enum class Back : std::uint8_t {
  None,
  Bounce,  // it would have timed it out: the loop takes it again at once
  AsIs,    // in the state that its last request left it in
  Room,    // it is idle, and another one had no room
  Close,
  Bytes,   // a request is waiting, or a part of one
};

class LoopWaker final : public balancer::Waker {
 public:
  void wake() noexcept override { g_reactor.loop->wake(place, net::kWakeSlot); }
  net::EventLoop::Place place = net::EventLoop::kNone;
};

struct Adoption final : net::LoopActor {
  // How often in a row it may be given back for a request that the loop does not serve.
  static constexpr unsigned kMostInVain = 3;

  explicit Adoption(Seat& its_seat) noexcept : seat(its_seat) {}
  ~Adoption() {
    count(false);
    close_event();
  }

  // What the MPM polls is there already.
  bool has_event() const noexcept { return event >= 0; }
  // It has not blocked the loop or come back in vain too often.
  bool may_begin(base::Instant now) const noexcept { return !strikes.is_barred(now) && in_vain < kMostInVain; }
  // On a worker, whatever can fail; between two requests, or within one that is about to wait.
  bool prepare(request_rec* within);
  void begin();
  void end() noexcept;
  void leave_state_in(conn_state_t& state) const noexcept {
    state.state = own_state_.state;
    state.sense = own_state_.sense;
  }
  void run(unsigned why) noexcept override;
  // Its request was held by what blocks for so long that the MPM may close the connection any moment.
  bool is_late() const noexcept;
  // Its request waits here, or is about to.
  void count(bool waits) noexcept;

  Seat& seat;
  net::EventLoop::Place place = net::EventLoop::kNone;
  int event = -1;       // what the MPM polls meanwhile
  bool begins = false;  // once the MPM has the connection
  bool adopted = false;
  Back back = Back::None;
  net::Strikes strikes;
  unsigned in_vain = 0;
  KnownHost known_host;

 private:
  void close_event() noexcept;
  bool mpm_has_let_go() noexcept;
  void use_socket(apr_socket_t* socket, const apr_socket_t* instead_of) noexcept;
  Back turn(unsigned why);
  bool go_on_serving(unsigned why);
  Back next_requests();
  bool serve_next(std::string_view host);
  void wait_for_exchange();
  Back settle();
  Back wait_for_client();
  void leave(Back kind) noexcept;
  void give_up(Back kind) noexcept;
  ClientInlet& inlet() const noexcept { return *seat.inlet; }
  bool goes_on() const noexcept;

  core_net_rec* net_ = nullptr;
  apr_socket_t* socket_ = nullptr;  // the MPM's
  apr_socket_t* alias_ = nullptr;   // the client's descriptor once more, for httpd's filters
  apr_os_sock_t client_ = -1;
  conn_state_t* mpm_state_ = nullptr;
  conn_state_t own_state_{};
  void* mpm_config_ = nullptr;
  base::Instant bounce_at_{};
  base::Instant idle_until_{};
  base::Instant parked_at_{};  // of the request that waits: when it is counted as parked
  base::Instant mpm_lets_go_by_ = base::Instant::min();
  unsigned woken_ = 0;  // for what, before the MPM has let go
  bool stopping_ = false;
  bool yields_ = false;   // its place is wanted
  bool counted_ = false;  // in g_reactor.requests
  bool answered_ = false;  // a request was begun, or taken over, since the last look at what to wait for
  LoopWaker waker_{};
};

}  // namespace cxxproxy::httpd
