#include <catch2/catch.hpp>

#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <functional>
#include <stdexcept>
#include <thread>
#include <vector>

#include "net/event_loop.h"
#include "net/socket_stream.h"

using namespace cxxproxy;
using namespace std::chrono_literals;
using net::EventLoop;
using net::LoopThreads;

namespace {

base::SteadyClock clock_;
constexpr base::Duration kLook = 2ms;
constexpr auto kPatience = 10s;

template <class Condition>
bool comes_true(Condition condition) {
  const base::Instant give_up = clock_.now() + kPatience;
  while (!condition()) {
    if (clock_.now() >= give_up) return false;
    std::this_thread::sleep_for(200us);
  }
  return true;
}

struct Pair {
  std::array<int, 2> ends{-1, -1};
  Pair() {
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) != 0) throw std::runtime_error("socketpair");
  }
  ~Pair() {
    for (const int end : ends) {
      if (end >= 0) ::close(end);
    }
  }
  Pair(const Pair&) = delete;
  Pair& operator=(const Pair&) = delete;
  bool say(std::string_view text) const { return ::write(ends[1], text.data(), text.size()) == static_cast<ssize_t>(text.size()); }
  // All that is there to read, without waiting: no event would tell of a rest.
  std::size_t take() const {
    char bytes[256];
    std::size_t all = 0;
    for (ssize_t got = 0; (got = ::recv(ends[0], bytes, sizeof bytes, MSG_DONTWAIT)) > 0;) all += static_cast<std::size_t>(got);
    return all;
  }
};

// Counts its runs, one at a time, and does what it is told.
struct Actor final : net::LoopActor {
  explicit Actor(EventLoop& its_loop) : loop(its_loop), place(its_loop.attach(*this, client.ends[0])) {}
  ~Actor() {
    if (loop.seize(place, *this)) loop.detach(place);
  }
  Actor(const Actor&) = delete;
  Actor& operator=(const Actor&) = delete;

  void run(unsigned why) noexcept override {
    if (inside.exchange(true)) overlapped.store(true);
    reasons.fetch_or(why);
    bytes.fetch_add(client.take());
    if (work) work(why);
    runs.fetch_add(1);
    inside.store(false);
  }
  bool runs_at_least(unsigned number) const {
    return comes_true([&] { return runs.load() >= number; });
  }

  EventLoop& loop;
  Pair client;
  EventLoop::Place place;
  std::function<void(unsigned)> work;
  std::atomic<unsigned> runs{0};
  std::atomic<unsigned> reasons{0};
  std::atomic<std::size_t> bytes{0};
  std::atomic<bool> inside{false};
  std::atomic<bool> overlapped{false};
};

struct Loop {
  EventLoop loop{clock_, kLook};
  Loop() {
    if (!loop.start()) throw std::runtime_error("no loop");
  }
  ~Loop() { loop.stop(); }
};

}  // namespace

TEST_CASE("an actor runs when its client speaks, not before, and not after it has left", "[loop]") {
  Loop world;
  Actor actor(world.loop);
  REQUIRE(actor.place != EventLoop::kNone);
  CHECK(world.loop.count() == 1);
  REQUIRE(actor.client.say("early"));
  std::this_thread::sleep_for(5ms);  // it is held: a run would be a fault
  CHECK(actor.runs == 0);
  world.loop.release(actor.place, 0);
  REQUIRE(actor.runs_at_least(1));
  CHECK(actor.bytes == 5);
  CHECK((actor.reasons & net::kWakeClient) != 0);
  REQUIRE(actor.client.say("more"));
  REQUIRE(comes_true([&] { return actor.bytes == 9; }));

  REQUIRE(world.loop.seize(actor.place, actor));
  const EventLoop::Place place = actor.place;
  world.loop.detach(place);
  CHECK(world.loop.count() == 0);
  CHECK_FALSE(world.loop.seize(place, actor));
  const unsigned runs = actor.runs;
  REQUIRE(actor.client.say("late"));
  world.loop.wake(place, net::kWakeSlot);
  // Another one, at the same place, is not told what was meant for the first.
  Actor next(world.loop);
  CHECK(next.place == place);
  CHECK_FALSE(world.loop.seize(place, actor));
  world.loop.release(next.place, 0);
  REQUIRE(next.client.say("x"));
  REQUIRE(next.runs_at_least(1));
  CHECK((next.reasons & net::kWakeSlot) == 0);
  CHECK(actor.runs == runs);
  CHECK(actor.client.take() == 4);
}

TEST_CASE("the end of a client is told apart from its words", "[loop]") {
  Loop world;
  Actor half(world.loop);
  Actor whole(world.loop);
  for (Actor* actor : {&half, &whole}) world.loop.release(actor->place, 0);
  REQUIRE(::shutdown(half.client.ends[1], SHUT_WR) == 0);
  REQUIRE(half.runs_at_least(1));
  CHECK((half.reasons & net::kWakeClientClosed) != 0);
  CHECK((half.reasons & net::kWakeClientGone) == 0);
  ::close(std::exchange(whole.client.ends[1], -1));
  REQUIRE(comes_true([&] { return (whole.reasons & net::kWakeClientGone) != 0; }));
}

TEST_CASE("deadlines: the last word counts, sooner or later", "[loop]") {
  Loop world;
  Actor sooner(world.loop);
  Actor later(world.loop);
  Actor never(world.loop);
  const base::Instant began = clock_.now();
  world.loop.set_until(sooner.place, began + 30s);
  world.loop.set_until(sooner.place, began + 20ms);
  world.loop.set_until(later.place, began + 20ms);
  world.loop.set_until(later.place, began + 120ms);
  world.loop.set_until(never.place, began + 10ms);
  world.loop.set_until(never.place, base::Instant::max());
  for (Actor* actor : {&sooner, &later, &never}) world.loop.release(actor->place, 0);
  REQUIRE(later.runs_at_least(1));
  CHECK(clock_.now() - began >= 120ms);
  CHECK(later.runs == 1);
  CHECK(sooner.runs == 1);
  CHECK(sooner.reasons == net::kWakeTime);
  CHECK(never.runs == 0);
  // And from outside while the loop sleeps far longer.
  REQUIRE(world.loop.seize(never.place, never));
  world.loop.set_until(never.place, clock_.now() + 10ms);
  world.loop.release(never.place, 0);
  REQUIRE(never.runs_at_least(1));
}

TEST_CASE("a deadline that is moved in the moment in which it passes is not missed", "[loop]") {
  Loop world;
  Actor actor(world.loop);
  world.loop.release(actor.place, 0);
  for (unsigned round = 0; round < 500; ++round) {
    REQUIRE(world.loop.seize(actor.place, actor));
    actor.reasons = 0;
    const base::Instant began = clock_.now();
    const base::Instant first = began + 900us + round % 10 * 20us;  // the loop sleeps for whole milliseconds
    world.loop.set_until(actor.place, first);
    while (clock_.now() < began + 1ms + round % 13 * 15us) {}
    world.loop.set_until(actor.place, clock_.now() + round % 3 * 200us);
    world.loop.release(actor.place, 0);
    REQUIRE(comes_true([&] { return (actor.reasons & net::kWakeTime) != 0; }));
  }
  CHECK_FALSE(actor.overlapped);
}

TEST_CASE("a client that takes no more is waited for", "[loop]") {
  Loop world;
  Actor actor(world.loop);
  std::vector<char> much(4096, 'x');
  while (::send(actor.client.ends[0], much.data(), much.size(), MSG_DONTWAIT) > 0) {}
  world.loop.release(actor.place, 0);
  REQUIRE(world.loop.seize(actor.place, actor));
  world.loop.await_writable(actor.place);
  world.loop.release(actor.place, 0);
  std::this_thread::sleep_for(5ms);
  CHECK(actor.runs == 0);
  while (::recv(actor.client.ends[1], much.data(), much.size(), MSG_DONTWAIT) > 0) {}
  REQUIRE(actor.runs_at_least(1));
  CHECK((actor.reasons & net::kWakeClient) != 0);
}

TEST_CASE("what happens while an actor runs makes it run again, and never beside itself", "[loop]") {
  Loop world;
  Actor actor(world.loop);
  actor.work = [](unsigned) { std::this_thread::sleep_for(100us); };
  world.loop.release(actor.place, 0);
  std::vector<std::thread> threads;
  for (unsigned t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (unsigned i = 0; i < 500; ++i) {
        if (t % 2 == 0) world.loop.wake(actor.place, net::kWakeSlot);
        else (void)actor.client.say("x");
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(comes_true([&] { return actor.bytes == 1000; }));
  CHECK_FALSE(actor.overlapped);
  REQUIRE(world.loop.seize(actor.place, actor));
  const unsigned runs = actor.runs;
  world.loop.wake(actor.place, net::kWakeStop);
  CHECK(actor.runs == runs);
  world.loop.release(actor.place, 0);
  REQUIRE(comes_true([&] { return (actor.reasons & net::kWakeStop) != 0; }));
}

namespace {

// `blocks` is inside its work until `let_it_go`; the others are served meanwhile.
void others_are_served(EventLoop& loop, Actor& blocks, std::atomic<bool>& let_it_go) {
  Actor other(loop);
  loop.release(other.place, 0);
  REQUIRE(blocks.client.say("x"));
  REQUIRE(comes_true([&] { return blocks.inside.load(); }));
  for (unsigned i = 1; i <= 20; ++i) {
    REQUIRE(other.client.say("y"));
    REQUIRE(comes_true([&] { return other.bytes == i; }));
  }
  CHECK(blocks.runs == 0);
  let_it_go.store(true);
  REQUIRE(blocks.runs_at_least(1));
  CHECK_FALSE(blocks.overlapped);
}

}  // namespace

TEST_CASE("an actor that blocks unforeseen does not hold the others", "[loop][threads]") {
  Loop world;
  std::atomic<bool> let_it_go{false};
  std::atomic<bool> taken{false};
  Actor blocks(world.loop);
  blocks.work = [&](unsigned) {
    while (!let_it_go.load()) std::this_thread::sleep_for(1ms);
    LoopThreads::let_others_go_on();  // too late, and that is not forgotten
    taken.store(LoopThreads::was_taken());
  };
  world.loop.release(blocks.place, 0);
  others_are_served(world.loop, blocks, let_it_go);
  CHECK(taken);
  CHECK(world.loop.threads().taken >= 1);
  CHECK(world.loop.threads().given == 0);
}

TEST_CASE("an actor that burns its processor does not hold the others", "[loop][threads]") {
  Loop world;
  std::atomic<bool> let_it_go{false};
  Actor burns(world.loop);
  burns.work = [&](unsigned) {
    while (!let_it_go.load()) {}
  };
  world.loop.release(burns.place, 0);
  others_are_served(world.loop, burns, let_it_go);
  CHECK(world.loop.threads().taken >= 1);
}

TEST_CASE("who says that it will block is not waited for", "[loop][threads]") {
  Loop world;
  std::atomic<bool> let_it_go{false};
  std::atomic<bool> taken{false};
  Actor blocks(world.loop);
  blocks.work = [&](unsigned) {
    LoopThreads::let_others_go_on();
    LoopThreads::let_others_go_on();  // once is enough
    while (!let_it_go.load()) std::this_thread::sleep_for(1ms);
    taken.store(LoopThreads::was_taken());
  };
  world.loop.release(blocks.place, 0);
  others_are_served(world.loop, blocks, let_it_go);
  CHECK_FALSE(taken);
  CHECK(world.loop.threads().given == 1);
  LoopThreads::let_others_go_on();  // not a thread of a loop: nothing
  CHECK_FALSE(LoopThreads::is_one());
}

TEST_CASE("for whom a blocked run was is told while it blocks, and not for what blocks on purpose", "[loop][threads]") {
  EventLoop loop(clock_, kLook);
  const int first = 0;
  const int second = 0;
  std::atomic<const void*> told{nullptr};
  std::atomic<unsigned> times{0};
  REQUIRE(loop.start({}, {}, [&](const void* cause) {
    told.store(cause);
    times.fetch_add(1);
  }));
  std::atomic<bool> let_it_go{false};
  {
    Actor blocks(loop);
    Actor warns(loop);
    Actor is_done(loop);
    blocks.work = [&](unsigned) {
      LoopThreads::runs_for(&first);
      LoopThreads::runs_for(&second);  // it knows better now
      while (!let_it_go.load()) std::this_thread::sleep_for(1ms);
      LoopThreads::runs_for(&first);  // not the leader any more
    };
    warns.work = [&](unsigned) {
      LoopThreads::runs_for(&first);
      LoopThreads::let_others_go_on();
      std::this_thread::sleep_for(4 * kLook);
    };
    // What it does after that is done for nobody.
    is_done.work = [&](unsigned) {
      LoopThreads::runs_for(&first);
      LoopThreads::runs_for(nullptr);
      while (!LoopThreads::was_taken()) std::this_thread::sleep_for(1ms);
    };
    loop.release(blocks.place, 0);
    loop.release(warns.place, 0);
    loop.release(is_done.place, 0);
    REQUIRE(is_done.client.say("x"));
    REQUIRE(is_done.runs_at_least(1));
    REQUIRE(blocks.client.say("x"));
    REQUIRE(comes_true([&] { return told.load() == &second; }));
    CHECK(blocks.runs == 0);
    REQUIRE(warns.client.say("x"));
    REQUIRE(warns.runs_at_least(1));
    let_it_go.store(true);
    REQUIRE(blocks.runs_at_least(1));
    CHECK(told.load() == &second);
    CHECK(times == 1);
  }
  loop.stop();
}

TEST_CASE("many that block at once: threads are made, up to the limit, and all come to an end", "[loop][threads]") {
  Loop world;
  std::vector<std::unique_ptr<Actor>> actors;
  for (unsigned i = 0; i < 40; ++i) {
    actors.push_back(std::make_unique<Actor>(world.loop));
    actors.back()->work = [i](unsigned) {
      if (i % 2 == 0) LoopThreads::let_others_go_on();
      std::this_thread::sleep_for(5ms);
    };
    world.loop.release(actors.back()->place, 0);
  }
  for (unsigned round = 1; round <= 3; ++round) {
    for (const auto& actor : actors) REQUIRE(actor->client.say("x"));
    for (const auto& actor : actors) REQUIRE(comes_true([&] { return actor->bytes == round; }));
  }
  CHECK(world.loop.threads().threads >= 3);
  CHECK(world.loop.threads().threads <= EventLoop::kMostThreads);
}

TEST_CASE("a stream wakes who uses it, and is known to be idle while nothing has happened", "[loop][stream]") {
  Loop world;
  Actor actor(world.loop);
  Pair backend;
  net::SocketStream stream(std::exchange(backend.ends[0], -1), true, 200ms, "backend");
  std::array<char, 64> bytes{};
  CHECK_FALSE(stream.known_idle());
  REQUIRE(world.loop.use_stream(actor.place, stream, false));
  world.loop.release(actor.place, 0);
  const auto hold = [&] { REQUIRE(world.loop.seize(actor.place, actor)); };
  const auto go = [&] { world.loop.release(actor.place, 0); };

  const unsigned before = actor.runs;
  REQUIRE(backend.say("answer"));
  REQUIRE(comes_true([&] { return actor.runs > before && (actor.reasons & net::kWakeUpstream) != 0; }));
  hold();
  CHECK_FALSE(stream.known_idle());  // not read yet
  CHECK(stream.read(bytes, upstream::Wait::No).bytes == 6);
  CHECK(stream.known_idle());
  CHECK(stream.looks_idle());

  // A read that was filled may have left something.
  REQUIRE(backend.say("123456"));
  go();
  REQUIRE(comes_true([&] { return stream.notes()->events.load() != stream.notes()->seen; }));
  hold();
  CHECK(stream.read(std::span(bytes).first(4), upstream::Wait::No).bytes == 4);
  CHECK_FALSE(stream.known_idle());
  CHECK_FALSE(stream.looks_idle());
  CHECK(stream.read(bytes, upstream::Wait::No).bytes == 2);
  CHECK(stream.known_idle());

  // What came before it was used again is told at once.
  const unsigned seen = stream.notes()->events.load();
  go();
  REQUIRE(backend.say("x"));
  REQUIRE(comes_true([&] { return stream.notes()->events.load() != seen; }));
  hold();
  actor.reasons.store(0);
  REQUIRE(world.loop.use_stream(actor.place, stream, false));
  go();
  REQUIRE(comes_true([&] { return (actor.reasons & net::kWakeUpstream) != 0; }));
  hold();
  CHECK(stream.read(bytes, upstream::Wait::No).bytes == 1);
  go();

  ::close(std::exchange(backend.ends[1], -1));
  REQUIRE(comes_true([&] { return stream.notes()->ending.load(); }));
  CHECK_FALSE(stream.known_idle());
}

TEST_CASE("a stream that takes more wakes who asked for that", "[loop][stream]") {
  Loop world;
  Actor actor(world.loop);
  Pair backend;
  net::SocketStream stream(std::exchange(backend.ends[0], -1), true, 200ms, "backend");
  REQUIRE(world.loop.use_stream(actor.place, stream, false));
  const std::string much(64 * 1024, 'x');
  const upstream::ConstBuffer part{much.data(), much.size()};
  while (stream.write({&part, 1}, upstream::Wait::No).status == upstream::IoStatus::Ok) {
  }
  for (unsigned round = 0; round < 3; ++round) {
    REQUIRE(world.loop.use_stream(actor.place, stream, true));
    actor.reasons.store(0);
    world.loop.release(actor.place, 0);
    std::array<char, 64 * 1024> bytes{};
    while (::recv(backend.ends[1], bytes.data(), bytes.size(), MSG_DONTWAIT) > 0) {
    }
    REQUIRE(comes_true([&] { return (actor.reasons & net::kWakeUpstream) != 0; }));
    REQUIRE(world.loop.seize(actor.place, actor));
    CHECK(stream.write({&part, 1}, upstream::Wait::No).status == upstream::IoStatus::Ok);
    while (stream.write({&part, 1}, upstream::Wait::No).status == upstream::IoStatus::Ok) {
    }
  }
  world.loop.release(actor.place, 0);
}

TEST_CASE("a stream that has ended is not mistaken for the next one", "[loop][stream]") {
  Loop world;
  Actor actor(world.loop);
  world.loop.release(actor.place, 0);
  for (unsigned round = 0; round < 200; ++round) {
    Pair backend;
    REQUIRE(world.loop.seize(actor.place, actor));
    net::SocketStream stream(std::exchange(backend.ends[0], -1), true, 200ms, "backend");
    REQUIRE(world.loop.use_stream(actor.place, stream, false));
    CHECK_FALSE(stream.notes()->ending.load());
    actor.reasons.store(0);
    world.loop.release(actor.place, 0);
    if (round % 2 == 0) {
      REQUIRE(backend.say("x"));
      REQUIRE(comes_true([&] { return (actor.reasons & net::kWakeUpstream) != 0; }));
    } else {
      ::close(std::exchange(backend.ends[1], -1));
    }
  }
}

TEST_CASE("all places are woken, and a loop that stops runs nobody afterwards", "[loop]") {
  Loop world;
  std::vector<std::unique_ptr<Actor>> actors;
  for (unsigned i = 0; i < 300; ++i) {
    actors.push_back(std::make_unique<Actor>(world.loop));
    world.loop.release(actors.back()->place, 0);
  }
  world.loop.wake_all(net::kWakeStop);
  for (const auto& actor : actors) REQUIRE(comes_true([&] { return (actor->reasons & net::kWakeStop) != 0; }));
  world.loop.stop();
  REQUIRE(world.loop.seize(actors.front()->place, *actors.front()));
  const unsigned runs = actors.front()->runs;
  world.loop.release(actors.front()->place, net::kWakeClient);
  CHECK(actors.front()->runs == runs);
}

TEST_CASE("those whose clients are idle are woken, one at a time and in turn", "[loop]") {
  Loop world;
  const base::Instant start = clock_.now();
  std::vector<std::unique_ptr<Actor>> actors;
  for (unsigned i = 0; i < 40; ++i) {
    actors.push_back(std::make_unique<Actor>(world.loop));
    world.loop.idle(actors.back()->place, i < 3 ? start - 10s : start);
    world.loop.release(actors.back()->place, 0);
  }
  const auto woken = [&] {
    unsigned sum = 0;
    for (const auto& actor : actors) sum += (actor->reasons.load() & net::kWakeRoom) != 0 ? 1 : 0;
    return sum;
  };
  // Each call looks at some of them only.
  unsigned found = 0;
  for (unsigned call = 0; call < 40 && found < 3; ++call) found += world.loop.wake_idle(start - 5s, net::kWakeRoom) ? 1 : 0;
  REQUIRE(found == 3);
  CHECK(comes_true([&] { return woken() == 3; }));
  for (unsigned i = 0; i < 3; ++i) CHECK(actors[i]->reasons == net::kWakeRoom);
  CHECK_FALSE(world.loop.wake_idle(start - 20s, net::kWakeRoom));
  actors.clear();
  CHECK_FALSE(world.loop.wake_idle(base::Instant::max(), net::kWakeRoom));
}
