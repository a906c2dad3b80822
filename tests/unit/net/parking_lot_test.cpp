#include <catch2/catch.hpp>

#include <fcntl.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <thread>
#include <vector>

#include "net/parking_lot.h"

using namespace cxxproxy;
using namespace std::chrono_literals;
using net::ParkingLot;
using net::Watch;

namespace {

struct Pair {
  std::array<int, 2> ends{-1, -1};
  Pair() { REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) == 0); }
  ~Pair() { close_both(); }
  Pair(const Pair&) = delete;
  Pair& operator=(const Pair&) = delete;
  int ours() const { return ends[0]; }
  void hear() const {
    char byte = 0;
    REQUIRE(::read(ends[0], &byte, 1) == 1);
  }
  void say() const { REQUIRE(::write(ends[1], "x", 1) == 1); }
  void close_peer() { ::close(std::exchange(ends[1], -1)); }
  void close_both() {
    for (int& end : ends) {
      if (end >= 0) ::close(std::exchange(end, -1));
    }
  }
};

// What the MPM does: waits until the spot's descriptor is readable.
bool woken(const ParkingLot& lot, ParkingLot::Spot spot, int milliseconds) {
  pollfd event{lot.descriptor(spot), POLLIN, 0};
  return ::poll(&event, 1, milliseconds) == 1;
}

constexpr int kPatience = 5000;
base::SteadyClock clock_;

Watch upstream_watch(int descriptor, base::Duration span = 60s) {
  Watch watch;
  watch.upstream = descriptor;
  watch.upstream_readable = true;
  watch.until = clock_.now() + span;
  return watch;
}

}  // namespace

TEST_CASE("a spot is woken by its backend, and by nothing else when it is entered again", "[parking]") {
  ParkingLot lot(clock_, 8);
  REQUIRE(lot.start());
  Pair backend;
  const auto spot = lot.rent();
  lot.enter(spot, upstream_watch(backend.ours()));
  CHECK_FALSE(woken(lot, spot, 20));
  CHECK(lot.entered() == 1);
  backend.say();
  REQUIRE(woken(lot, spot, kPatience));
  CHECK(lot.leave(spot) == net::kWakeUpstream);
  CHECK(lot.entered() == 0);
  CHECK(lot.leave(spot) == 0);  // leaving twice is harmless
  backend.hear();
  for (int round = 0; round < 3; ++round) {
    lot.enter(spot, upstream_watch(backend.ours()));
    CHECK_FALSE(woken(lot, spot, 0));
    backend.say();
    REQUIRE(woken(lot, spot, kPatience));
    CHECK(lot.leave(spot) == net::kWakeUpstream);
    backend.hear();
  }
  lot.give_back(spot);
}

TEST_CASE("a backend that is not waited for does not wake, not even by its end", "[parking]") {
  ParkingLot lot(clock_, 8);
  REQUIRE(lot.start());
  Pair backend;
  Pair client;
  const auto spot = lot.rent();
  lot.enter(spot, upstream_watch(backend.ours()));
  CHECK(lot.leave(spot) == 0);
  backend.close_peer();
  Watch watch;
  watch.client = client.ours();
  watch.client_readable = true;
  watch.until = clock_.now() + 60s;
  lot.enter(spot, watch);
  CHECK_FALSE(woken(lot, spot, 20));
  client.say();
  REQUIRE(woken(lot, spot, kPatience));
  CHECK(lot.leave(spot) == net::kWakeClient);
}

TEST_CASE("another backend under the same number is watched", "[parking]") {
  ParkingLot lot(clock_, 8);
  REQUIRE(lot.start());
  const auto spot = lot.rent();
  Pair first;
  Pair second;
  lot.enter(spot, upstream_watch(first.ours()));
  CHECK(lot.leave(spot) == 0);
  REQUIRE(::dup3(second.ours(), first.ours(), O_CLOEXEC) == first.ours());
  lot.enter(spot, upstream_watch(first.ours()));
  REQUIRE(::write(second.ends[1], "x", 1) == 1);
  REQUIRE(woken(lot, spot, kPatience));
  CHECK(lot.leave(spot) == net::kWakeUpstream);
}

TEST_CASE("who rents a spot hears nothing of who had it before", "[parking]") {
  ParkingLot lot(clock_, 1);
  REQUIRE(lot.start());
  Pair backend;
  Pair client;
  Pair other;
  auto spot = lot.rent();
  Watch watch = upstream_watch(backend.ours());
  watch.client = client.ours();
  watch.client_closing = true;
  lot.enter(spot, watch);
  CHECK(lot.leave(spot) == 0);
  lot.give_back(spot);  // the connections live on: one goes to its pool, the other waits for a request
  REQUIRE((spot = lot.rent()) != ParkingLot::kNone);
  backend.say();
  client.close_peer();
  lot.enter(spot, upstream_watch(other.ours()));
  CHECK_FALSE(woken(lot, spot, 20));
  other.say();
  REQUIRE(woken(lot, spot, kPatience));
  CHECK(lot.leave(spot) == net::kWakeUpstream);
}

// The kernel limits how many polled sets one descriptor may wake.
TEST_CASE("hundreds of spots are woken at once", "[parking]") {
  constexpr unsigned kSpots = 700;
  ParkingLot lot(clock_, kSpots);
  REQUIRE(lot.start());
  const int mpm = ::epoll_create1(EPOLL_CLOEXEC);
  REQUIRE(mpm >= 0);
  Watch watch;
  watch.until = clock_.now() + 60s;
  for (unsigned i = 0; i < kSpots; ++i) {
    const auto spot = lot.rent();
    REQUIRE(spot != ParkingLot::kNone);
    lot.enter(spot, watch);
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.u32 = spot;
    REQUIRE(::epoll_ctl(mpm, EPOLL_CTL_ADD, lot.descriptor(spot), &event) == 0);
  }
  lot.wake_all(net::kWakeStop);
  std::vector<epoll_event> events(kSpots);
  CHECK(::epoll_wait(mpm, events.data(), static_cast<int>(kSpots), kPatience) == static_cast<int>(kSpots));
  unsigned stopped = 0;
  for (const epoll_event& event : events) stopped += lot.leave(event.data.u32) == net::kWakeStop;
  CHECK(stopped == kSpots);
  ::close(mpm);
}

TEST_CASE("time wakes the spots in the order of their deadlines", "[parking]") {
  ParkingLot lot(clock_, 64);
  REQUIRE(lot.start());
  std::vector<ParkingLot::Spot> spots;
  Pair silent;
  for (int i = 0; i < 20; ++i) {
    spots.push_back(lot.rent());
    Watch watch;
    watch.until = clock_.now() + (i % 2 == 0 ? base::Duration(1h) : base::Duration(i * 1ms));
    lot.enter(spots.back(), watch);
  }
  for (int i = 1; i < 20; i += 2) {
    REQUIRE(woken(lot, spots[static_cast<std::size_t>(i)], kPatience));
    CHECK(lot.leave(spots[static_cast<std::size_t>(i)]) == net::kWakeTime);
  }
  for (int i = 0; i < 20; i += 2) CHECK(lot.leave(spots[static_cast<std::size_t>(i)]) == 0);
}

TEST_CASE("a client that closes its sending side is told from one that is gone", "[parking]") {
  ParkingLot lot(clock_, 8);
  REQUIRE(lot.start());
  Pair client;
  const auto spot = lot.rent();
  Watch watch;
  watch.client = client.ours();
  watch.client_closing = true;
  watch.until = clock_.now() + 60s;
  lot.enter(spot, watch);
  REQUIRE(::shutdown(client.ends[1], SHUT_WR) == 0);
  REQUIRE(woken(lot, spot, kPatience));
  CHECK(lot.leave(spot) == net::kWakeClientClosed);
  watch.client_closing = false;  // known by now: it must not wake again
  lot.enter(spot, watch);
  CHECK_FALSE(woken(lot, spot, 20));
  client.close_peer();
  REQUIRE(woken(lot, spot, kPatience));
  CHECK((lot.leave(spot) & net::kWakeClientGone) != 0);
}

TEST_CASE("an event for a wait that is over wakes nobody", "[parking]") {
  ParkingLot lot(clock_, 8);
  REQUIRE(lot.start());
  Pair first;
  Pair second;
  const auto spot = lot.rent();
  for (int round = 0; round < 200; ++round) {
    lot.enter(spot, upstream_watch(first.ours()));
    first.say();
    (void)lot.leave(spot);  // perhaps before, perhaps after the lot has seen it
    lot.enter(spot, upstream_watch(second.ours()));
    REQUIRE_FALSE(woken(lot, spot, 0));
    CHECK(lot.leave(spot) == 0);
    char byte = 0;
    REQUIRE(::read(first.ours(), &byte, 1) == 1);
  }
}

TEST_CASE("the lot has a capacity, and spots are used again", "[parking]") {
  ParkingLot lot(clock_, 3);
  REQUIRE(lot.start());
  std::array<ParkingLot::Spot, 3> spots{};
  for (auto& spot : spots) spot = lot.rent();
  CHECK(lot.rent() == ParkingLot::kNone);
  lot.give_back(spots[1]);
  CHECK(lot.rent() == spots[1]);
  lot.stop();
  CHECK(lot.rent() == ParkingLot::kNone);
}

TEST_CASE("many threads enter, wake and leave", "[parking][threads]") {
  ParkingLot lot(clock_, 64);
  REQUIRE(lot.start());
  std::vector<std::thread> threads;
  std::atomic<int> lost{0};
  for (int t = 0; t < 8; ++t) {
    threads.emplace_back([&lot, &lost, t] {
      int ends[2];
      if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) return;
      const auto spot = lot.rent();
      for (int round = 0; round < 300; ++round) {
        lot.enter(spot, upstream_watch(ends[0], (round + t) % 7 == 0 ? base::Duration(1ms) : base::Duration(60s)));
        if (round % 5 == 0) lot.wake(spot, net::kWakeSlot);
        if (::write(ends[1], "x", 1) != 1 || !woken(lot, spot, kPatience)) ++lost;
        (void)lot.leave(spot);
        char byte = 0;
        if (::read(ends[0], &byte, 1) != 1) ++lost;
      }
      lot.give_back(spot);
      ::close(ends[0]);
      ::close(ends[1]);
    });
  }
  for (auto& thread : threads) thread.join();
  CHECK(lost == 0);
  CHECK(lot.entered() == 0);
}
