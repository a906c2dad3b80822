#include <catch2/catch.hpp>

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <memory>
#include <string>
#include <utility>

#include "net/socket_stream.h"

using namespace cxxproxy;
using namespace std::chrono_literals;
using upstream::IoStatus;
using upstream::Wait;

namespace {

// Counts like a loop that watches the stream, when the test says so.
struct Watched final : upstream::StreamWatcher {
  Watched() {
    std::array<int, 2> ends{};
    REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) == 0);
    peer = ends[1];
    stream = std::make_unique<net::SocketStream>(ends[0], true, 200ms, "peer");
    stream->watched_by(*this, notes);
  }
  ~Watched() {
    stream.reset();
    if (peer >= 0) ::close(peer);
  }
  Watched(const Watched&) = delete;
  Watched& operator=(const Watched&) = delete;

  void stream_ends(upstream::StreamNotes&) noexcept override {}
  void say(std::string_view text) { REQUIRE(::write(peer, text.data(), text.size()) == static_cast<ssize_t>(text.size())); }
  void hang_up() { ::close(std::exchange(peer, -1)); }
  void tell() { notes.events.fetch_add(1); }
  // What a read gives: the text, or a word for why there is none.
  std::string read(Wait wait, std::size_t most = 100) {
    std::string text(most, '\0');
    const auto result = stream->read(text, wait);
    if (result.status == IoStatus::WouldBlock) return "nothing";
    if (result.status == IoStatus::Eof) return "end";
    return result.status == IoStatus::Ok ? text.substr(0, result.bytes) : "failed";
  }

  upstream::StreamNotes notes;
  int peer = -1;
  std::unique_ptr<net::SocketStream> stream;
};

}  // namespace

TEST_CASE("a reader that is told does not ask the system before that", "[stream]") {
  Watched world;
  world.say("words");
  CHECK(world.read(Wait::Told) == "nothing");
  world.tell();
  CHECK(world.read(Wait::Told) == "words");
  world.say("more");
  CHECK(world.read(Wait::Told) == "nothing");
  CHECK(world.read(Wait::No) == "more");  // who asks without waiting gets what is there
}

TEST_CASE("what a full read left behind is read without another word", "[stream]") {
  Watched world;
  world.say("0123456789");
  world.tell();
  CHECK(world.read(Wait::Told, 4) == "0123");
  CHECK(world.read(Wait::Told, 4) == "4567");
  CHECK(world.read(Wait::Told, 4) == "89");
  CHECK(world.read(Wait::Told, 4) == "nothing");
}

TEST_CASE("an exactly full read is followed by one that finds nothing", "[stream]") {
  Watched world;
  world.say("0123");
  world.tell();
  CHECK(world.read(Wait::Told, 4) == "0123");
  CHECK(world.read(Wait::Told, 4) == "nothing");
  world.say("late");
  CHECK(world.read(Wait::Told, 4) == "nothing");
  world.tell();
  CHECK(world.read(Wait::Told, 100) == "late");
}

TEST_CASE("what is told while a read is under way is not lost", "[stream]") {
  Watched world;
  world.tell();
  world.tell();
  CHECK(world.read(Wait::Told) == "nothing");
  world.tell();
  world.say("x");
  CHECK(world.read(Wait::Told) == "x");
}

TEST_CASE("the end is read once it was seen", "[stream]") {
  Watched world;
  world.say("last");
  world.hang_up();
  CHECK(world.read(Wait::Told) == "nothing");
  world.tell();
  world.notes.ending.store(true);
  CHECK(world.read(Wait::Told) == "last");
  CHECK(world.read(Wait::Told) == "end");
}

TEST_CASE("a kept connection is known to be idle while nothing was told", "[stream]") {
  Watched world;
  CHECK(world.stream->known_idle());
  world.tell();
  CHECK_FALSE(world.stream->known_idle());
  CHECK(world.stream->looks_idle());  // the event was about nothing that can be read
  CHECK(world.stream->known_idle());
  world.say("unasked");
  world.tell();
  CHECK_FALSE(world.stream->known_idle());
  CHECK_FALSE(world.stream->looks_idle());
  CHECK(world.read(Wait::No) == "unasked");
  CHECK(world.stream->known_idle());
  world.notes.ending.store(true);
  CHECK_FALSE(world.stream->known_idle());
}

TEST_CASE("the watcher hears of the end while the descriptor is open", "[stream]") {
  Watched world;
  auto* const stream = world.stream.get();
  CHECK(stream->notes() == &world.notes);
  struct Ending final : upstream::StreamWatcher {
    void stream_ends(upstream::StreamNotes&) noexcept override { open = ::fcntl(descriptor, F_GETFD) >= 0; }
    int descriptor = -1;
    bool open = false;
  } ending;
  ending.descriptor = stream->descriptor();
  stream->watched_by(ending, world.notes);
  world.stream.reset();
  CHECK(ending.open);
  CHECK(::fcntl(ending.descriptor, F_GETFD) < 0);
}

TEST_CASE("a stream that nobody watches is asked, and never known to be idle", "[stream]") {
  std::array<int, 2> ends{};
  REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) == 0);
  net::SocketStream stream(ends[0], true, 200ms, "peer");
  std::array<char, 8> bytes{};
  CHECK(stream.read(bytes, Wait::Told).status == IoStatus::WouldBlock);
  REQUIRE(::write(ends[1], "abc", 3) == 3);
  CHECK(stream.read(bytes, Wait::Told).bytes == 3);
  CHECK_FALSE(stream.known_idle());
  CHECK(stream.notes() == nullptr);
  ::close(ends[1]);
}
