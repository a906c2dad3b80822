#include "net/parking_lot.h"

#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "net/descriptor_room.h"
#include "net/quiet_thread.h"

namespace cxxproxy::net {
namespace {

constexpr std::size_t kFreeWithSet = 256;
// The kernel refuses to let one descriptor wake more than 500 sets that are themselves polled.
constexpr std::size_t kSharing = 256;

enum Member : std::uint32_t { kUpstream, kClient, kReady };

bool change(int set, int operation, int descriptor, Member member, unsigned events) noexcept {
  epoll_event event{};
  event.events = events;
  event.data.u32 = member;
  return ::epoll_ctl(set, operation, descriptor, &event) == 0;
}

// `known`: it is in the set, unless it was closed and its number is now another's.
bool watch_in(int set, int descriptor, Member member, unsigned events, bool known) noexcept {
  return (known && change(set, EPOLL_CTL_MOD, descriptor, member, events)) || change(set, EPOLL_CTL_ADD, descriptor, member, events);
}

// False also for a descriptor that was closed meanwhile.
bool remove_from(int set, int descriptor) noexcept { return ::epoll_ctl(set, EPOLL_CTL_DEL, descriptor, nullptr) == 0; }

unsigned upstream_events(const Watch& watch) noexcept {
  return (watch.upstream_readable ? EPOLLIN | EPOLLRDHUP : 0u) | (watch.upstream_writable ? EPOLLOUT : 0u);
}

unsigned client_events(const Watch& watch) noexcept {
  return (watch.client_readable ? EPOLLIN | EPOLLRDHUP : 0u) | (watch.client_writable ? EPOLLOUT : 0u) | (watch.client_closing ? EPOLLRDHUP : 0u);
}

unsigned wake_bits(const epoll_event& event) noexcept {
  if (event.data.u32 == kReady) return 0;
  return event.data.u32 == kUpstream ? unsigned{kWakeUpstream} : client_wake_bits(event.events);
}

}  // namespace

bool ParkingLot::start() {
  nudge_ = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  const bool started = nudge_ >= 0 && start_quiet_thread(thread_, [this] { run(); });
  if (!started) stop();
  return started;
}

void ParkingLot::stop() {
  if (thread_.joinable()) {
    stopping_.store(true);
    signal_event(nudge_);
    thread_.join();
  }
  const base::MutexLock lock(mutex_);
  if (nudge_ >= 0) ::close(std::exchange(nudge_, -1));
}

// Not in stop(): whoever still polls a spot must not find another file behind its number.
ParkingLot::~ParkingLot() {
  stop();
  for (const Place& place : places_) {
    if (place.set >= 0) close_counted(place.set);
  }
  for (const int descriptor : ready_) ::close(descriptor);
}

// A place without a set, for who rents.
ParkingLot::Spot ParkingLot::bare_spot() {
  if (bare_.empty() && (places_.size() >= capacity_ || ready_for(static_cast<Spot>(places_.size())) < 0)) return kNone;
  if (bare_.empty()) {
    bare_.push_back(static_cast<Spot>(places_.size()));
    places_.emplace_back();
  }
  const Spot spot = bare_.back();
  bare_.pop_back();
  return spot;
}

ParkingLot::Spot ParkingLot::rent() {
  Spot spot = kNone;
  Place* place = nullptr;
  {
    const base::MutexLock lock(mutex_);
    if (nudge_ < 0 || stopping_.load(std::memory_order_relaxed)) return kNone;
    if (!free_.empty()) {
      spot = free_.back();
      free_.pop_back();
      return spot;
    }
    spot = bare_spot();
    if (spot == kNone) return kNone;
    place = &places_[spot];
  }
  // Many threads rent at once in a burst: no call to the system while they wait for each other.
  place->set = ::epoll_create1(EPOLL_CLOEXEC);
  if (place->set >= 0) {
    g_descriptor_room.take();
    return spot;
  }
  const base::MutexLock lock(mutex_);
  bare_.push_back(spot);
  return kNone;
}

unsigned ParkingLot::room() const {
  const base::MutexLock lock(mutex_);
  return capacity_ - static_cast<unsigned>(places_.size() - free_.size() - bare_.size());
}

// A spot is never without one: that is seen to when it is made.
int ParkingLot::ready_for(Spot spot) {
  const std::size_t index = spot / kSharing;
  if (index < ready_.size()) return ready_[index];
  const int descriptor = ::eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK);
  if (descriptor >= 0) ready_.push_back(descriptor);
  return descriptor;
}

void ParkingLot::give_back(Spot spot) {
  Place* place = nullptr;
  bool keep = false;
  {
    const base::MutexLock lock(mutex_);
    if (nudge_ < 0) return;
    place = &places_[spot];
    keep = free_.size() < kFreeWithSet;  // a burst must not keep its descriptors for good
  }
  // What was closed has left the set, unless another process has inherited it: only a set that is certainly empty is used again.
  const int upstream = std::exchange(place->upstream, -1);
  const int client = std::exchange(place->client, -1);
  if (upstream >= 0) keep = keep && remove_from(place->set, upstream);
  if (client >= 0) keep = keep && remove_from(place->set, client);
  if (!keep) close_counted(std::exchange(place->set, -1));
  const base::MutexLock lock(mutex_);
  (keep ? free_ : bare_).push_back(spot);
}

int ParkingLot::descriptor(Spot spot) const {
  const base::MutexLock lock(mutex_);
  return places_[spot].set;
}

void ParkingLot::enter(Spot spot, const Watch& watch) {
  bool nudge = false;
  Place* place = nullptr;
  {
    const base::MutexLock lock(mutex_);
    place = &places_[spot];
    place->entered = true;
    place->fired = false;
    place->why = 0;
    place->until = watch.until;
    ++entered_;
    heap_insert(spot);
    nudge = heap_.front() == spot && watch.until < sleeping_until_;
  }
  const unsigned upstream = upstream_events(watch);
  const int wanted = upstream != 0 ? watch.upstream : -1;
  // Not left there without events: its end would be told all the same.
  if (place->upstream >= 0 && place->upstream != wanted) (void)remove_from(place->set, place->upstream);
  const bool known = place->upstream == wanted;
  place->upstream = wanted;
  // A descriptor that cannot be watched (it can, unless memory is gone) wakes at once: the owner looks itself.
  if (wanted >= 0 && !watch_in(place->set, wanted, kUpstream, upstream, known)) wake(spot, kWakeUpstream);

  // The client's is the same as long as the spot is rented.
  const unsigned client = client_events(watch);
  if (watch.client >= 0 && (place->client != watch.client || place->client_events != client)) {
    if (!watch_in(place->set, watch.client, kClient, client, place->client == watch.client)) wake(spot, kWakeClient);
    place->client = watch.client;
    place->client_events = client;
  }
  if (nudge) signal_event(nudge_);
}

unsigned ParkingLot::leave(Spot spot) {
  unsigned why = 0;
  int set = -1;
  int ready = -1;
  {
    const base::MutexLock lock(mutex_);
    Place& place = places_[spot];
    if (!place.entered) return 0;
    place.entered = false;
    heap_remove(spot);
    --entered_;
    why = place.why;
    set = place.set;
    if (place.fired) ready = ready_for(spot);
  }
  epoll_event events[3];
  const int count = ::epoll_wait(set, events, 3, 0);
  for (int i = 0; i < count; ++i) why |= wake_bits(events[i]);
  if (ready >= 0) (void)remove_from(set, ready);
  return why;
}

void ParkingLot::wake(Spot spot, unsigned why) {
  const base::MutexLock lock(mutex_);
  if (places_[spot].entered) fire(spot, why);
}

void ParkingLot::wake_all(unsigned why) {
  const base::MutexLock lock(mutex_);
  for (Spot spot = 0; spot < places_.size(); ++spot) {
    if (places_[spot].entered) fire(spot, why);
  }
}

unsigned ParkingLot::entered() const {
  const base::MutexLock lock(mutex_);
  return entered_;
}

// ---------------------------------------------------------------- the thread

void ParkingLot::run() {
  while (!stopping_.load()) {
    int timeout = 0;
    {
      const base::MutexLock lock(mutex_);
      timeout = next_timeout();
    }
    pollfd nudge{nudge_, POLLIN, 0};
    if (::poll(&nudge, 1, timeout) > 0) clear_event(nudge_);
    const base::MutexLock lock(mutex_);
    fire_expired();
  }
}

void ParkingLot::fire(Spot spot, unsigned why) {
  Place& place = places_[spot];
  place.why |= why;
  if (!std::exchange(place.fired, true)) (void)change(place.set, EPOLL_CTL_ADD, ready_for(spot), kReady, EPOLLIN);
}

int ParkingLot::next_timeout() {
  const Sleep sleep(clock_.now(), heap_.empty() ? base::Instant::max() : places_[heap_.front()].until);
  sleeping_until_ = sleep.until;
  return sleep.milliseconds();
}

void ParkingLot::fire_expired() {
  const base::Instant now = clock_.now();
  while (!heap_.empty() && places_[heap_.front()].until <= now) {
    const Spot spot = heap_.front();
    heap_remove(spot);
    fire(spot, kWakeTime);
  }
}

// ---------------------------------------------------------------- a binary heap that knows where each spot is

void ParkingLot::heap_place(std::uint32_t index, Spot spot) {
  heap_[index] = spot;
  places_[spot].heap_index = index;
}

void ParkingLot::heap_up(std::uint32_t index) {
  const Spot spot = heap_[index];
  while (index > 0) {
    const std::uint32_t parent = (index - 1) / 2;
    if (places_[heap_[parent]].until <= places_[spot].until) break;
    heap_place(index, heap_[parent]);
    index = parent;
  }
  heap_place(index, spot);
}

void ParkingLot::heap_down(std::uint32_t index) {
  const Spot spot = heap_[index];
  for (;;) {
    std::size_t child = 2 * static_cast<std::size_t>(index) + 1;
    if (child >= heap_.size()) break;
    if (child + 1 < heap_.size() && places_[heap_[child + 1]].until < places_[heap_[child]].until) ++child;
    if (places_[spot].until <= places_[heap_[child]].until) break;
    heap_place(index, heap_[child]);
    index = static_cast<std::uint32_t>(child);
  }
  heap_place(index, spot);
}

void ParkingLot::heap_insert(Spot spot) {
  heap_.push_back(spot);
  heap_up(static_cast<std::uint32_t>(heap_.size() - 1));
}

void ParkingLot::heap_remove(Spot spot) {
  const std::uint32_t index = places_[spot].heap_index;
  if (index == UINT32_MAX) return;
  places_[spot].heap_index = UINT32_MAX;
  const Spot last = heap_.back();
  heap_.pop_back();
  if (last == spot) return;
  heap_place(index, last);
  heap_up(index);
  heap_down(places_[last].heap_index);
}

}  // namespace cxxproxy::net
