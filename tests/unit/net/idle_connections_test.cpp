#include <catch2/catch.hpp>

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <stdexcept>
#include <thread>
#include <vector>

#include "net/idle_connections.h"

using namespace cxxproxy;
using namespace std::chrono_literals;
using net::IdleConnections;

namespace {

base::SteadyClock clock_;
std::atomic<bool> stopping_{false};
bool stops() noexcept { return stopping_.load(); }

struct Pair {
  std::array<int, 2> ends{-1, -1};
  IdleConnections::Entry entry{};
  // Catch2's assertions are for one thread, and pairs are made in several.
  explicit Pair(base::Duration span) {
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) != 0) throw std::runtime_error("socketpair");
    entry.descriptor = ends[0];
    entry.until = clock_.now() + span;
  }
  ~Pair() {
    for (const int end : ends) ::close(end);
  }
  Pair(const Pair&) = delete;
  Pair& operator=(const Pair&) = delete;
  // What the MPM sees: readable, and nothing to read.
  bool ended(int milliseconds) const {
    pollfd event{ends[0], POLLIN, 0};
    char byte = 0;
    return ::poll(&event, 1, milliseconds) == 1 && ::recv(ends[0], &byte, 1, MSG_DONTWAIT | MSG_PEEK) == 0;
  }
};

}  // namespace

TEST_CASE("an idle connection ends when its time is over, not before, and not after it has left", "[idle]") {
  stopping_ = false;
  IdleConnections idle(clock_, stops);
  REQUIRE(idle.start());
  Pair shortly(100ms);
  Pair later(60s);
  Pair left(100ms);
  for (Pair* pair : {&shortly, &later, &left}) idle.enter(pair->entry);
  CHECK(idle.count() == 3);
  idle.leave(left.entry);
  CHECK(shortly.ended(5000));
  CHECK_FALSE(later.ended(0));
  CHECK_FALSE(left.ended(0));
  idle.leave(shortly.entry);
  idle.leave(shortly.entry);  // once more does no harm
  idle.leave(later.entry);
  CHECK(idle.count() == 0);
}

TEST_CASE("all of them end when the server stops, and what was sent before is read", "[idle]") {
  stopping_ = false;
  IdleConnections idle(clock_, stops);
  REQUIRE(idle.start());
  Pair quiet(60s);
  Pair busy(60s);
  REQUIRE(::write(busy.ends[1], "x", 1) == 1);
  idle.enter(quiet.entry);
  idle.enter(busy.entry);
  stopping_ = true;
  CHECK(quiet.ended(5000));
  char byte = 0;
  CHECK(::recv(busy.ends[0], &byte, 1, 0) == 1);
  CHECK(::recv(busy.ends[0], &byte, 1, 0) == 0);
  idle.leave(quiet.entry);
  idle.leave(busy.entry);
}

TEST_CASE("connections come and go from many threads", "[idle]") {
  stopping_ = false;
  IdleConnections idle(clock_, stops);
  REQUIRE(idle.start());
  std::vector<std::thread> threads;
  for (unsigned number = 0; number < 4; ++number) {
    threads.emplace_back([&] {
      Pair first(0ms);
      Pair second(60s);
      for (unsigned i = 0; i < 20000; ++i) {
        idle.enter(first.entry);
        idle.enter(second.entry);
        idle.leave(first.entry);
        idle.leave(second.entry);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  CHECK(idle.count() == 0);
}
