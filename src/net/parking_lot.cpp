#include "net/parking_lot.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "net/quiet_thread.h"

namespace cxxproxy::net {
namespace {

constexpr int kBatch = 64;
constexpr std::size_t kFreeWithEvent = 256;
constexpr std::uint64_t kNudge = UINT64_MAX;
constexpr base::Duration kLongestSleep = std::chrono::seconds(60);

// generation (31 bits), which descriptor, spot
std::uint64_t tag_of(std::uint32_t generation, bool client, std::uint32_t spot) noexcept {
  return (static_cast<std::uint64_t>(generation & 0x7fffffffu) << 33) | (static_cast<std::uint64_t>(client) << 32) | spot;
}

void signal_event(int event) noexcept {
  const std::uint64_t one = 1;
  (void)!::write(event, &one, sizeof one);
}

void clear_event(int event) noexcept {
  std::uint64_t count = 0;
  (void)!::read(event, &count, sizeof count);
}

}  // namespace

bool ParkingLot::start() {
  epoll_ = ::epoll_create1(EPOLL_CLOEXEC);
  nudge_ = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.u64 = kNudge;
  if (epoll_ < 0 || nudge_ < 0 || ::epoll_ctl(epoll_, EPOLL_CTL_ADD, nudge_, &event) != 0) {
    stop();
    return false;
  }
  const bool started = start_quiet_thread(thread_, [this] { run(); });
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
  if (epoll_ >= 0) ::close(std::exchange(epoll_, -1));
  if (nudge_ >= 0) ::close(std::exchange(nudge_, -1));
}

// Not in stop(): whoever still polls a spot must not find another file behind its number.
ParkingLot::~ParkingLot() {
  stop();
  for (const Place& place : places_) {
    if (place.event >= 0) ::close(place.event);
  }
}

ParkingLot::Spot ParkingLot::rent() {
  const base::MutexLock lock(mutex_);
  if (epoll_ < 0 || stopping_.load(std::memory_order_relaxed)) return kNone;
  if (!free_.empty()) {
    const Spot spot = free_.back();
    free_.pop_back();
    return spot;
  }
  if (bare_.empty() && places_.size() >= capacity_) return kNone;
  const int event = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (event < 0) return kNone;
  if (bare_.empty()) {
    bare_.push_back(static_cast<Spot>(places_.size()));
    places_.emplace_back();
  }
  const Spot spot = bare_.back();
  bare_.pop_back();
  places_[spot].event = event;
  return spot;
}

void ParkingLot::give_back(Spot spot) {
  const base::MutexLock lock(mutex_);
  if (epoll_ < 0) return;
  // A burst must not keep its descriptors for good.
  if (free_.size() >= kFreeWithEvent) ::close(std::exchange(places_[spot].event, -1));
  (places_[spot].event >= 0 ? free_ : bare_).push_back(spot);
}

int ParkingLot::descriptor(Spot spot) const {
  const base::MutexLock lock(mutex_);
  return places_[spot].event;
}

void ParkingLot::enter(Spot spot, const Watch& watch) {
  bool nudge = false;
  std::uint32_t generation = 0;
  {
    const base::MutexLock lock(mutex_);
    Place& place = places_[spot];
    generation = ++place.generation;
    place.entered = true;
    place.fired = false;
    place.why = 0;
    place.upstream = watch.upstream_readable || watch.upstream_writable ? watch.upstream : -1;
    place.client = watch.client;
    place.until = watch.until;
    ++entered_;
    heap_insert(spot);
    nudge = heap_.front() == spot && watch.until < sleeping_until_;
  }
  const auto add = [&](int descriptor, unsigned events, bool client) {
    if (descriptor < 0) return;
    epoll_event event{};
    event.events = events | EPOLLONESHOT;
    event.data.u64 = tag_of(generation, client, spot);
    // A descriptor that cannot be watched (it can, unless memory is gone) wakes at once: the owner looks itself.
    if (::epoll_ctl(epoll_, EPOLL_CTL_ADD, descriptor, &event) != 0) wake(spot, client ? kWakeClient : kWakeUpstream);
  };
  add(watch.upstream_readable || watch.upstream_writable ? watch.upstream : -1,
      (watch.upstream_readable ? EPOLLIN | EPOLLRDHUP : 0u) | (watch.upstream_writable ? EPOLLOUT : 0u), false);
  add(watch.client,
      (watch.client_readable ? EPOLLIN | EPOLLRDHUP : 0u) | (watch.client_writable ? EPOLLOUT : 0u) | (watch.client_closing ? EPOLLRDHUP : 0u),
      true);
  if (nudge) signal_event(nudge_);
}

unsigned ParkingLot::leave(Spot spot) {
  int upstream = -1;
  int client = -1;
  unsigned why = 0;
  bool fired = false;
  int event = -1;
  {
    const base::MutexLock lock(mutex_);
    Place& place = places_[spot];
    if (!place.entered) return 0;
    place.entered = false;
    ++place.generation;
    heap_remove(spot);
    --entered_;
    upstream = place.upstream;
    client = place.client;
    why = place.why;
    fired = place.fired;
    event = place.event;
  }
  if (epoll_ >= 0 && upstream >= 0) (void)::epoll_ctl(epoll_, EPOLL_CTL_DEL, upstream, nullptr);
  if (epoll_ >= 0 && client >= 0) (void)::epoll_ctl(epoll_, EPOLL_CTL_DEL, client, nullptr);
  if (fired && event >= 0) clear_event(event);
  return why;
}

void ParkingLot::wake(Spot spot, unsigned why) {
  const base::MutexLock lock(mutex_);
  Place& place = places_[spot];
  if (place.entered) fire(place, why);
}

void ParkingLot::wake_all(unsigned why) {
  const base::MutexLock lock(mutex_);
  for (Place& place : places_) {
    if (place.entered) fire(place, why);
  }
}

unsigned ParkingLot::entered() const {
  const base::MutexLock lock(mutex_);
  return entered_;
}

// ---------------------------------------------------------------- the thread

void ParkingLot::run() {
  epoll_event events[kBatch];
  while (!stopping_.load()) {
    int timeout = 0;
    {
      const base::MutexLock lock(mutex_);
      timeout = next_timeout();
    }
    const int count = ::epoll_wait(epoll_, events, kBatch, timeout);
    const base::MutexLock lock(mutex_);
    for (int i = 0; i < count; ++i) {
      if (events[i].data.u64 == kNudge) {
        clear_event(nudge_);
      } else {
        take_event(events[i].data.u64, events[i].events);
      }
    }
    fire_expired();
  }
}

void ParkingLot::fire(Place& place, unsigned why) {
  place.why |= why;
  if (!std::exchange(place.fired, true)) signal_event(place.event);
}

void ParkingLot::take_event(std::uint64_t tag, unsigned events) {
  const auto spot = static_cast<Spot>(tag & 0xffffffffu);
  const bool client = ((tag >> 32) & 1u) != 0;
  Place& place = places_[spot];
  if (!place.entered || tag != tag_of(place.generation, client, spot)) return;
  if (!client) {
    fire(place, kWakeUpstream);
    return;
  }
  unsigned why = 0;
  if ((events & (EPOLLHUP | EPOLLERR)) != 0) why |= kWakeClientGone;
  if ((events & EPOLLRDHUP) != 0) why |= kWakeClientClosed;
  if ((events & (EPOLLIN | EPOLLOUT)) != 0) why |= kWakeClient;
  fire(place, why);
}

int ParkingLot::next_timeout() {
  const base::Instant now = clock_.now();
  base::Duration span = kLongestSleep;
  if (!heap_.empty()) span = std::clamp(std::chrono::duration_cast<base::Duration>(places_[heap_.front()].until - now), base::Duration::zero(), kLongestSleep);
  sleeping_until_ = now + span;
  return static_cast<int>(std::chrono::ceil<std::chrono::milliseconds>(span).count());
}

void ParkingLot::fire_expired() {
  const base::Instant now = clock_.now();
  while (!heap_.empty() && places_[heap_.front()].until <= now) {
    const Spot spot = heap_.front();
    heap_remove(spot);
    fire(places_[spot], kWakeTime);
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
