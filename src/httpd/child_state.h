// All that one child process keeps at run time.
//
// WHAT    For each member its addresses and kept connections, for each balancer its order; made in
//         child_init, used by all worker threads. It ends with the process, not before: prefork ends a
//         child inside a signal handler, perhaps in the middle of a request, and must find nothing to free.
// SHAPES  Indexed by member_id and balancer_id of the resolved configuration. One pointer of static
//         storage finds it; everything hangs from there.
#pragma once

#include <atomic>
#include <memory>
#include <optional>
#include <vector>

#include "balancer/balancer.h"
#include "balancer/parked_list.h"
#include "balancer/session_tokens.h"
#include "balancer/waiting_line.h"
#include "config/resolved_vhost.h"
#include "exchange/exchange.h"
#include "httpd/httpd_api.h"
#include "net/bells.h"
#include "net/idle_connections.h"
#include "net/parking_lot.h"
#include "net/periodic_thread.h"
#include "net/shared_segment.h"
#include "net/socket_stream.h"
#include "upstream/member_upstream.h"

namespace cxxproxy::httpd {

class ChildState {
 public:
  ChildState(const config::ResolvedConfig& config, const net::SharedSegment& segment, const balancer::SlotPlaces& places,
             std::uint32_t process);

  // A balancer's members, or the one member; valid as long as the child.
  exchange::Destination destination(const config::Target& target) const;

  // Of a balancer with stickycookie; empty for others.
  const balancer::SessionTokens& session_tokens(const config::BalancerSpec& balancer) const { return groups_[balancer.balancer_id].tokens; }

  const upstream::ConnectionPool& pool_of(std::uint32_t member_id) const { return members_[member_id]->pool; }

  net::SystemResolver& resolver() noexcept { return resolver_; }
  net::SocketConnector& connector() noexcept { return connector_; }
  const base::SteadyClock& clock() const noexcept { return clock_; }

  // What waits without a thread in this child, by whichever driver.
  balancer::ParkedList& parked() noexcept { return *parked_; }

  // Null where nothing is parked in this child.
  net::ParkingLot* parking_lot() const noexcept { return lot_.get(); }
  // False: the system refused what it takes.
  bool open_parking_lot(unsigned capacity, base::Duration park_after);
  // Other children can call from here on, where there is a limit over all of them.
  bool listen();
  // When the child ends, before the pools of its connections go.
  void stop_threads() noexcept;
  // How long a wait is spent on the thread before the request is parked.
  base::Duration park_after() const noexcept { return park_after_; }

  // From the moment in which this child is to stop, connections that the event loop has idle are given back, and tunnels may
  // last for so long.
  bool watch_for_end(std::optional<base::Duration> tunnels);
  bool drains_tunnels() const noexcept { return drains_tunnels_; }
  base::Instant tunnels_end_at() const noexcept { return base::Instant(base::Duration(tunnels_end_at_.load(std::memory_order_relaxed))); }

  // keep_alive.h. Null where nobody is guarded.
  net::IdleConnections* idle_connections() const noexcept { return idle_.get(); }
  bool guard_idle_connections();
  base::Duration stay() const noexcept { return stay_; }
  void set_stay(base::Duration stay) noexcept { stay_ = stay; }
  unsigned threads() const noexcept { return threads_; }

 private:
  struct Group {
    std::unique_ptr<balancer::Balancer> balancer;
    std::vector<upstream::MemberUpstream*> members;
    balancer::SessionTokens tokens;
    std::unique_ptr<balancer::WaitingLine> line;
  };

  std::unique_ptr<balancer::WaitingLine> make_line(balancer::LineSetup setup);

  base::SteadyClock clock_;
  net::SystemResolver resolver_;
  net::SocketConnector connector_;
  std::vector<std::unique_ptr<upstream::MemberUpstream>> members_;
  std::vector<upstream::MemberUpstream*> member_pointers_;  // so that one member is a span too
  std::vector<Group> groups_;
  std::vector<std::unique_ptr<balancer::WaitingLine>> lone_lines_;  // by member_id; only where a lone backend has a limit
  balancer::Limits limits_;
  std::uint32_t place_ = 0;
  std::unique_ptr<balancer::ParkedList> parked_;
  std::unique_ptr<net::Bells> bells_;
  std::vector<balancer::WaitingLine*> rung_;  // lines that the bell is for
  std::unique_ptr<net::ParkingLot> lot_;
  base::Duration park_after_{};
  std::unique_ptr<net::IdleConnections> idle_;
  std::atomic<base::Duration::rep> tunnels_end_at_{base::Instant::max().time_since_epoch().count()};
  bool drains_tunnels_ = false;
  net::PeriodicThread end_watch_;
  base::Duration stay_{};
  unsigned threads_ = 1;
};

// How many requests a child can park: what was asked for, or what the hard limit of descriptors allows.
unsigned parking_room(std::optional<unsigned> asked) noexcept;

void make_child_state(apr_pool_t* pchild, server_rec* main_server) noexcept;

// Null only when child_init failed, which it has logged.
ChildState* child_state() noexcept;

}  // namespace cxxproxy::httpd
