#include "httpd/child_state.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <climits>
#include <optional>

#include "httpd/config_hooks.h"
#include "httpd/guard.h"
#include "httpd/keep_alive.h"
#include "httpd/parker.h"
#include "httpd/reactor.h"
#include "httpd/session_keys.h"
#include "httpd/shared_state.h"
#include "net/descriptor_room.h"
#include "httpd/httpd_api.h"

namespace cxxproxy::httpd {
namespace {

ChildState* g_child = nullptr;

// Kept connections to one member; with more threads than that, one for each.
constexpr std::size_t kLeastIdle = 64;

}  // namespace

ChildState::ChildState(const config::ResolvedConfig& config, const net::SharedSegment& segment,
                       const balancer::SlotPlaces& places, std::uint32_t process) {
  members_.reserve(config.members.size());
  // A burst of parked requests must not leave its connections behind for good.
  int threads = 0;
  if (ap_mpm_query(AP_MPMQ_MAX_THREADS, &threads) == APR_SUCCESS && threads > 0) threads_ = static_cast<unsigned>(threads);
  const std::size_t max_idle = std::max<std::size_t>(kLeastIdle, threads_);
  for (const config::MemberSpec* member : config.members) {
    members_.push_back(std::make_unique<upstream::MemberUpstream>(*member, resolver_, max_idle));
    member_pointers_.push_back(members_.back().get());
  }
  balancer::Flights flights = segment.flights();
  place_ = flights.claim(process);
  limits_ = segment.limits();
  parked_ = std::make_unique<balancer::ParkedList>(segment.parked(), place_);
  bells_ = std::make_unique<net::Bells>(limits_, place_);
  groups_.reserve(config.balancers.size());
  for (const auto& spec : config.balancers) {
    Group group;
    std::vector<balancer::MemberSlot*> slots;
    std::vector<std::uint32_t> rows;
    for (const config::MemberSpec& member : spec->members) {
      rows.push_back(places.members.at(member.member_id));
      slots.push_back(&segment.members()[rows.back()]);
      group.members.push_back(member_pointers_.at(member.member_id));
    }
    const std::uint32_t slot = places.balancers.at(spec->balancer_id);
    const balancer::Shared shared{segment.balancers()[slot], slots, flights, place_, segment.balancer_row(slot), rows};
    group.balancer = std::make_unique<balancer::Balancer>(*spec, shared);
    group.tokens = httpd::session_tokens(*spec);
    balancer::LineSetup setup{.bound = spec->queue, .row = shared.balancer_row};
    for (std::size_t i = 0; i < rows.size(); ++i) setup.members.push_back({rows[i], spec->members[i].max_total});
    group.line = make_line(std::move(setup));
    groups_.push_back(std::move(group));
  }
  lone_lines_.resize(config.members.size());
  for (const auto& member : config.plain) {
    if (member->max == 0 && member->max_total == 0) continue;
    const std::uint32_t row = places.members.at(member->member_id);
    balancer::LineSetup setup{.row = row};
    setup.members.push_back({row, member->max_total});
    lone_lines_[member->member_id] = make_line(std::move(setup));
  }
}

std::unique_ptr<balancer::WaitingLine> ChildState::make_line(balancer::LineSetup setup) {
  setup.limits = limits_;
  setup.place = place_;
  setup.ringer = bells_.get();
  auto line = std::make_unique<balancer::WaitingLine>(std::move(setup));
  if (line->has_totals()) rung_.push_back(line.get());
  return line;
}

bool ChildState::listen() {
  return rung_.empty() || bells_->start([this] {
    for (balancer::WaitingLine* const line : rung_) line->call_firsts();
  });
}

exchange::Destination ChildState::destination(const config::Target& target) const {
  if (target.balancer != nullptr) {
    const Group& group = groups_.at(target.balancer->balancer_id);
    return {group.balancer.get(), group.members, group.line.get()};
  }
  const std::uint32_t id = target.member->member_id;
  return {nullptr, std::span(member_pointers_).subspan(id, 1), lone_lines_[id].get()};
}

bool ChildState::open_parking_lot(unsigned capacity, base::Duration park_after) {
  lot_ = std::make_unique<net::ParkingLot>(clock_, capacity);
  if (!lot_->start()) {
    lot_.reset();
    return false;
  }
  park_after_ = park_after;
  // A wait inside one receive is over when the request may be parked.
  connector_.set_patience(std::max(park_after, base::Duration(std::chrono::milliseconds(1))));
  return true;
}

// The lot itself stays: connections that are cleaned up later still ask for it.
void ChildState::stop_threads() noexcept {
  stop_reactor();
  end_watch_.stop();
  bells_->stop();
  if (lot_) lot_->stop();
  if (idle_) idle_->stop();
}

bool ChildState::watch_for_end(std::optional<base::Duration> tunnels) {
  const bool started = end_watch_.start([this, tunnels] {
    if (!server_stops()) return true;
    if (tunnels && tunnels_end_at() == base::Instant::max()) {
      tunnels_end_at_.store((clock_.now() + *tunnels).time_since_epoch().count(), std::memory_order_relaxed);
      if (lot_) lot_->wake_all(net::kWakeStop);
    }
    end_adoptions();
    return true;  // those that were busy then are idle later
  });
  drains_tunnels_ = started && tunnels.has_value();
  return started;
}

bool ChildState::guard_idle_connections() {
  idle_ = std::make_unique<net::IdleConnections>(clock_, server_stops);
  if (idle_->start()) return true;
  idle_.reset();
  return false;
}

namespace {

// As long as clients on one machine or network take for their next request; far below what a user would notice.
constexpr base::Duration kKeepAliveStay = std::chrono::milliseconds(5);

// Descriptors that the rest of the server needs: logs, listeners, kept connections, files being sent.
constexpr rlim_t kOtherDescriptors = 256;
// That is parked: client, backend, and the spot's own.
constexpr rlim_t kDescriptorsOfOne = 3;
constexpr rlim_t kMostDescriptors = 1'000'000;

// The soft limit, which distributions set low. What it comes to is there for clients, but for the rest of the server.
void raise_descriptor_limit() noexcept {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  rlimit raised = limit;
  raised.rlim_cur = std::max(limit.rlim_cur, std::min(limit.rlim_max, kMostDescriptors));
  if (raised.rlim_cur != limit.rlim_cur && ::setrlimit(RLIMIT_NOFILE, &raised) == 0) limit = raised;
  net::g_descriptor_room.set_most(static_cast<unsigned>(std::clamp(limit.rlim_cur, kOtherDescriptors, kMostDescriptors) - kOtherDescriptors));
}

// The system's table of a process's descriptors grows by doubling, and in a process with threads everybody who wants a descriptor
// waits for that, 20 ms have been seen: in the middle of a crowd. Before there are threads it costs nothing, and it never shrinks.
// 16,384 take 130 KiB.
void make_descriptor_table(rlim_t wanted) noexcept {
  constexpr rlim_t kMostAtFirst = 16'384;
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  const rlim_t number = std::min({wanted, limit.rlim_cur, kMostAtFirst});
  const int last = ::fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, static_cast<int>(number) - 1);
  if (last >= 0) ::close(last);
}

// Before the pools of the child's connections go.
apr_status_t child_ends(void*) noexcept {
  if (g_child != nullptr) g_child->stop_threads();
  return APR_SUCCESS;
}

}  // namespace

unsigned parking_room(std::optional<unsigned> asked) noexcept {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return asked.value_or(1000);
  const rlim_t descriptors = std::min(limit.rlim_max, kMostDescriptors);
  const rlim_t room = descriptors > kOtherDescriptors ? (descriptors - kOtherDescriptors) / kDescriptorsOfOne : 0;
  return static_cast<unsigned>(std::min<rlim_t>(room, asked.value_or(100'000)));
}

void make_child_state(apr_pool_t* pchild, server_rec* main_server) noexcept {
  (void)guard("child_init", 0, [&] {
    const auto segment = shared_segment();
    if (!segment) {
      ap_log_error(APLOG_MARK, APLOG_CRIT, 0, main_server, "CXP0012: the shared memory of this server generation is missing");
      return 0;
    }
    g_child = new ChildState(resolved_config(main_server), *segment, slot_places(), static_cast<std::uint32_t>(::getpid()));
    const config::VhostConfig& main = vhost_config(main_server);
    raise_descriptor_limit();
    const auto reactor = main.reactor.value_or(config::Reactor::Auto);
    bool loops = false;
    if (main.park_max.value_or(1) != 0 && mpm_can_park()) {
      const unsigned room = parking_room(main.park_max.value);
      make_descriptor_table(kOtherDescriptors + room * kDescriptorsOfOne);
      const bool opened = room != 0 && g_child->open_parking_lot(room, main.park_after.value_or(std::chrono::milliseconds(1)));
      if (!opened) ap_log_error(APLOG_MARK, APLOG_WARNING, 0, main_server, "CXP0061: waiting requests cannot be parked in this child");
      g_child->set_stay(main.keep_alive_stay.value_or(kKeepAliveStay));
      loops = opened && reactor != config::Reactor::Off && start_reactor(g_child->clock(), main.park_max.value.value_or(UINT_MAX));
      if (opened && mpm_can_wait_for_clients() && main.keep_alive_guard.value_or(true)) (void)g_child->guard_idle_connections();
    }
    const auto drain = mpm_can_drain() ? main.tunnel_drain.value : std::nullopt;
    if (loops || drain) loops = g_child->watch_for_end(drain) && loops;
    if (reactor == config::Reactor::On && !loops) {
      ap_log_error(APLOG_MARK, APLOG_WARNING, 0, main_server, "CXP0065: no event loop in this child: it takes the event MPM of httpd 2.4.63 or later, and ProxyParkMax above 0");
    }
    if (!g_child->listen()) ap_log_error(APLOG_MARK, APLOG_WARNING, 0, main_server, "CXP0070: no thread to hear other child processes, waiting requests look for free connections by themselves");
    apr_pool_pre_cleanup_register(pchild, nullptr, child_ends);
    return 0;
  });
}

ChildState* child_state() noexcept { return g_child; }

}  // namespace cxxproxy::httpd
