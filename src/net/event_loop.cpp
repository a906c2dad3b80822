#include "net/event_loop.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <thread>
#include <utility>

namespace cxxproxy::net {
namespace {

constexpr base::Duration kSeizeLook = std::chrono::microseconds(200);

// What an epoll event belongs to: kind (1 bit), generation (31 bits), number.
constexpr std::uint64_t kStreamTag = std::uint64_t{1} << 63;
constexpr std::uint64_t kNudgeTag = UINT64_MAX;
constexpr std::uint32_t kGenerationBits = 0x7fffffff;

std::uint64_t tag_of(std::uint64_t kind, std::uint32_t generation, std::uint32_t number) noexcept {
  return kind | (static_cast<std::uint64_t>(generation & kGenerationBits) << 32) | number;
}
std::uint32_t generation_in(std::uint64_t tag) noexcept { return static_cast<std::uint32_t>(tag >> 32) & kGenerationBits; }
std::uint32_t number_in(std::uint64_t tag) noexcept { return static_cast<std::uint32_t>(tag); }

std::uint32_t generation_of(std::uint64_t word) noexcept { return static_cast<std::uint32_t>(word >> 32) & kGenerationBits; }

// Kinds of tasks.
constexpr unsigned kPosted = 1u << 31;

// Not EPOLLOUT until somebody waits for it: that a fresh socket takes bytes is no news.
constexpr unsigned kReadEvents = EPOLLIN | EPOLLRDHUP | EPOLLET;

}  // namespace

bool EventLoop::start(std::function<void()> begin, std::function<void()> end, std::function<void(const void*)> blocked) {
  blocked_ = std::move(blocked);
  epoll_ = ::epoll_create1(EPOLL_CLOEXEC);
  nudge_ = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  const bool ready = epoll_ >= 0 && nudge_ >= 0 && watch(EPOLL_CTL_ADD, nudge_, EPOLLIN | EPOLLET, kNudgeTag);
  return ready && threads_.start(std::move(begin), std::move(end));
}

void EventLoop::stop() { threads_.stop(); }

// Not in stop(): streams that are closed later still know the loop.
EventLoop::~EventLoop() {
  stop();
  if (epoll_ >= 0) ::close(epoll_);
  if (nudge_ >= 0) ::close(nudge_);
}

// Edge-triggered: it need not be read.
void EventLoop::nudge() noexcept { signal_event(nudge_); }

bool EventLoop::watch(int operation, int descriptor, unsigned events, std::uint64_t tag) noexcept {
  epoll_event event{};
  event.events = events;
  event.data.u64 = tag;
  return ::epoll_ctl(epoll_, operation, descriptor, &event) == 0;
}

// ---------------------------------------------------------------- places

EventLoop::Place EventLoop::attach(LoopActor& actor, int client) {
  const Place place = places_.rent();
  if (place == kNone) return kNone;
  PlaceState& state = places_.at(place);
  state.actor.store(&actor);
  state.client = client;
  state.watched = false;
  idle(place, clock_.now());
  const Word generation = state.word.load() & ~(kHeld | kAttached | kWhy);
  state.word.store(generation | kAttached | kHeld);
  count_.fetch_add(1, std::memory_order_relaxed);
  return place;
}

void EventLoop::release(Place place, unsigned why) {
  PlaceState& state = places_.at(place);
  const std::uint32_t generation = generation_of(state.word.load());
  if (!std::exchange(state.watched, true) && !watch(EPOLL_CTL_ADD, state.client, kReadEvents, tag_of(0, generation, place))) why |= kWakeStop;
  let_go(place, generation, why);
}

void EventLoop::detach(Place place) {
  PlaceState& state = places_.at(place);
  if (state.watched) (void)::epoll_ctl(epoll_, EPOLL_CTL_DEL, state.client, nullptr);
  set_until(place, base::Instant::max());
  state.actor.store(nullptr);
  const Word next = (state.word.load() | (kHeld | kAttached | kWhy)) + 1;  // the next generation, and nothing else
  state.word.store(next & ~(kHeld | kAttached | kWhy));
  count_.fetch_sub(1, std::memory_order_relaxed);
  places_.give_back(place);
}

bool EventLoop::seize(Place place, const LoopActor& actor) {
  PlaceState& state = places_.at(place);
  for (;;) {
    Word word = state.word.load();
    if ((word & kAttached) == 0 || state.actor.load() != &actor) return false;
    if ((word & kHeld) == 0 && state.word.compare_exchange_weak(word, word | kHeld)) return true;
    if ((word & kHeld) != 0) std::this_thread::sleep_for(kSeizeLook);
  }
}

// False: the place has no actor.
bool EventLoop::note(Place place, unsigned why) noexcept {
  std::atomic<Word>& word = places_.at(place).word;
  for (Word seen = word.load();;) {
    if ((seen & kAttached) == 0) return false;
    if (word.compare_exchange_weak(seen, seen | why)) return true;
  }
}

void EventLoop::wake(Place place, unsigned why) {
  if (note(place, why)) post(place);
}

void EventLoop::wake_all(unsigned why) {
  const std::uint32_t made = places_.made();
  for (Place place = 0; place < made; ++place) wake(place, why);
}

// Who runs just now looks idle too: the actor sees to that.
bool EventLoop::wake_idle(base::Instant before, unsigned why) {
  constexpr unsigned kLooks = 16;
  const std::uint32_t made = places_.made();
  for (unsigned look = 0; look < std::min(kLooks, made); ++look) {
    const Place place = looked_at_.fetch_add(1, std::memory_order_relaxed) % made;
    const PlaceState& state = places_.at(place);
    if ((state.word.load() & kAttached) == 0 || state.idle_since.load(std::memory_order_relaxed) > base::micros(before)) continue;
    wake(place, why);
    return true;
  }
  return false;
}

// What was noted while the place was held is a reason to run it again, after the others.
void EventLoop::let_go(Place place, std::uint32_t generation, unsigned why) noexcept {
  std::atomic<Word>& word = places_.at(place).word;
  for (Word seen = word.load();;) {
    if (generation_of(seen) != generation || (seen & kAttached) == 0) return;  // it has detached itself
    const Word next = (seen | why) & ~kHeld;
    if (!word.compare_exchange_weak(seen, next)) continue;
    if ((next & kWhy) != 0) post(place);
    return;
  }
}

void EventLoop::run_held(Place place, std::uint32_t generation, unsigned why) noexcept {
  places_.at(place).actor.load()->run(why);
  let_go(place, generation, 0);
}

void EventLoop::deliver(Place place, std::uint32_t generation, unsigned why) noexcept {
  std::atomic<Word>& word = places_.at(place).word;
  for (Word seen = word.load();;) {
    if ((seen & kAttached) == 0 || generation_of(seen) != generation) return;
    const bool held = (seen & kHeld) != 0;
    const Word next = held ? seen | why : (seen & ~kWhy) | kHeld;
    if (!word.compare_exchange_weak(seen, next)) continue;
    if (!held) run_held(place, generation, static_cast<unsigned>(seen & kWhy) | why);
    return;
  }
}

void EventLoop::await_writable(Place place) {
  PlaceState& state = places_.at(place);
  if (!watch(EPOLL_CTL_MOD, state.client, kReadEvents | EPOLLOUT, tag_of(0, generation_of(state.word.load()), place))) wake(place, kWakeClient);
}

// ---------------------------------------------------------------- streams

bool EventLoop::watch_stream(Stream& stream, int descriptor, int operation) noexcept {
  const unsigned events = kReadEvents | (stream.writable ? EPOLLOUT : 0u);
  return watch(operation, descriptor, events, tag_of(kStreamTag, stream.generation.load(), stream.number));
}

bool EventLoop::use_stream(Place place, upstream::ByteStream& stream, bool writable) {
  const std::uint64_t user = tag_of(0, generation_of(places_.at(place).word.load()), place) + 1;
  if (upstream::StreamNotes* const notes = stream.notes(); notes != nullptr) {
    Stream& known = *static_cast<Stream*>(notes);
    known.user.store(user);
    // It may have happened before, and was nobody's business.
    if (notes->events.load() != notes->seen) wake(place, kWakeUpstream);
    if (!writable || known.writable) return true;
    known.writable = true;
    return watch_stream(known, stream.descriptor(), EPOLL_CTL_MOD);
  }
  const std::uint32_t number = streams_.rent();
  if (number == StableSlots<Stream>::kNone) return false;
  Stream& fresh = streams_.at(number);
  fresh.number = number;
  fresh.events.store(0);
  fresh.ending.store(false);
  fresh.seen = 0;
  fresh.user.store(user);
  fresh.writable = writable;
  if (!watch_stream(fresh, stream.descriptor(), EPOLL_CTL_ADD)) {
    streams_.give_back(number);
    return false;
  }
  stream.watched_by(*this, fresh);
  return true;
}

// Before its descriptor is closed, which takes it out of the epoll set.
void EventLoop::stream_ends(upstream::StreamNotes& notes) noexcept {
  Stream& stream = static_cast<Stream&>(notes);
  stream.user.store(0);
  stream.generation.fetch_add(1);
  streams_.give_back(stream.number);
}

// ---------------------------------------------------------------- tasks

bool EventLoop::next_task(LoopTask& task) noexcept {
  if (next_event_ < fetched_) {
    const epoll_event& event = events_[next_event_++];
    if (event.data.u64 == kNudgeTag) return false;
    task = {event.data.u64, event.events};
    return true;
  }
  if (!round_.empty()) {
    task = {round_.front(), kPosted};
    round_.pop_front();
    return true;
  }
  wait_for_events();
  return false;
}

void EventLoop::wait_for_events() noexcept {
  next_event_ = fetched_ = 0;
  // The order between this and the looks is what keeps a place or a sooner time from coming unheard.
  sleeps_.store(true);
  int timeout = next_timeout();
  if (any_posted_.load()) timeout = 0;
  fetched_ = std::max(::epoll_wait(epoll_, events_, kBatch, timeout), 0);
  sleeps_.store(false);
  const base::Instant now = clock_.now();
  round_at_.store(base::micros(now), std::memory_order_relaxed);
  take_posted();
  fire_timers(now);
}

void EventLoop::run_task(const LoopTask& task) noexcept {
  const std::uint32_t number = number_in(task.tag);
  if (task.what == kPosted) {
    run_posted(number);
  } else if ((task.tag & kStreamTag) != 0) {
    run_stream(number, generation_in(task.tag), task.what);
  } else {
    deliver(number, generation_in(task.tag), client_wake_bits(task.what));
  }
}

void EventLoop::run_stream(std::uint32_t number, std::uint32_t generation, unsigned events) noexcept {
  Stream& stream = streams_.at(number);
  if ((stream.generation.load() & kGenerationBits) != generation) return;
  if ((events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0) stream.ending.store(true);
  stream.events.fetch_add(1);
  if (const std::uint64_t user = stream.user.load(); user != 0) deliver(number_in(user - 1), generation_in(user - 1), kWakeUpstream);
}

void EventLoop::run_posted(Place place) noexcept {
  std::atomic<Word>& word = places_.at(place).word;
  for (Word seen = word.load();;) {
    // Who holds it posts it again.
    if ((seen & kAttached) == 0 || (seen & kHeld) != 0 || (seen & kWhy) == 0) return;
    if (!word.compare_exchange_weak(seen, (seen & ~kWhy) | kHeld)) continue;
    run_held(place, generation_of(seen), static_cast<unsigned>(seen & kWhy));
    return;
  }
}

void EventLoop::post(Place place) noexcept {
  {
    const base::MutexLock lock(posted_mutex_);
    posted_.push_back(place);
  }
  any_posted_.store(true);
  if (sleeps_.load()) nudge();
}

void EventLoop::take_posted() noexcept {
  if (!any_posted_.load()) return;
  const base::MutexLock lock(posted_mutex_);
  any_posted_.store(false);
  round_.insert(round_.end(), posted_.begin(), posted_.end());
  posted_.clear();
}

// ---------------------------------------------------------------- time

void EventLoop::set_until(Place place, base::Instant until) {
  PlaceState& state = places_.at(place);
  bool sooner = false;
  // The order between this and the look is what keeps a timer that fires meanwhile from missing it: it has taken itself out of
  // `queued`, or it will see this.
  state.until.store(until);
  if (until >= state.queued.load()) return;
  {
    const base::MutexLock lock(timers_mutex_);
    if (until >= state.queued.load()) return;
    state.queued.store(until);
    timers_.push({until, place});
    sooner = base::micros(until) < sleeping_until_.load(std::memory_order_relaxed);
  }
  if (sooner && sleeps_.load()) nudge();
}

int EventLoop::next_timeout() noexcept {
  const base::MutexLock lock(timers_mutex_);
  const Sleep sleep(clock_.now(), timers_.empty() ? base::Instant::max() : timers_.top().at);
  sleeping_until_.store(base::micros(sleep.until), std::memory_order_relaxed);
  return sleep.milliseconds();
}

void EventLoop::fire_timers(base::Instant now) noexcept {
  const base::MutexLock lock(timers_mutex_);
  while (!timers_.empty() && timers_.top().at <= now) {
    const Timer timer = timers_.top();
    timers_.pop();
    PlaceState& state = places_.at(timer.place);
    if (timer.at != state.queued.load()) continue;  // a sooner one has taken its part
    state.queued.store(base::Instant::max());
    const base::Instant until = state.until.load();
    if (until <= now) {
      if (note(timer.place, kWakeTime)) round_.push_back(timer.place);
    } else if (until != base::Instant::max()) {
      state.queued.store(until);
      timers_.push({until, timer.place});
    }
  }
}

}  // namespace cxxproxy::net
