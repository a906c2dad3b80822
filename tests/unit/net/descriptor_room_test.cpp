#include <catch2/catch.hpp>

#include <dirent.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <memory>
#include <vector>

#include "net/descriptor_room.h"
#include "net/parking_lot.h"
#include "net/socket_stream.h"

using namespace cxxproxy;
using namespace std::chrono_literals;
using net::DescriptorRoom;

namespace {

std::size_t open_descriptors() {
  DIR* const folder = ::opendir("/proc/self/fd");
  REQUIRE(folder != nullptr);
  std::size_t count = 0;
  while (::readdir(folder) != nullptr) ++count;
  ::closedir(folder);
  return count;
}

}  // namespace

TEST_CASE("clients that have spoken once get all descriptors but the last quarter, the others but the last eighth, requests all", "[descriptors]") {
  DescriptorRoom room;
  CHECK(room.for_new_client());
  CHECK(room.for_active_client());
  room.set_most(80);
  for (unsigned used = 0; used < 80; ++used) {
    CAPTURE(used);
    CHECK(room.used() == used);
    CHECK(room.for_request());
    CHECK(room.for_new_client() == (used < 60));
    CHECK(room.for_active_client() == (used < 70));
    room.take();
  }
  CHECK_FALSE(room.for_request());
  room.give_back();
  CHECK(room.for_request());
  room.set_most(0);
  CHECK_FALSE(room.for_request());
  CHECK_FALSE(room.for_new_client());
  CHECK_FALSE(room.for_active_client());
}

TEST_CASE("connections to backends and parked requests are counted while they are open", "[descriptors]") {
  const unsigned before = net::g_descriptor_room.used();
  const std::size_t open_before = open_descriptors();
  {
    std::vector<std::unique_ptr<net::SocketStream>> streams;
    std::vector<std::unique_ptr<net::SocketStream>> peers;
    for (int i = 0; i < 5; ++i) {
      std::array<int, 2> ends{};
      REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) == 0);
      streams.push_back(std::make_unique<net::SocketStream>(ends[0], true, 200ms, "peer"));
      peers.push_back(std::make_unique<net::SocketStream>(ends[1], true, 200ms, "peer"));
    }
    CHECK(net::g_descriptor_room.used() - before == 10);
    CHECK(open_descriptors() - open_before == 10);
    peers.clear();
    CHECK(net::g_descriptor_room.used() - before == 5);

    base::SteadyClock clock;
    net::ParkingLot lot(clock, 1000);
    REQUIRE(lot.start());
    std::vector<net::ParkingLot::Spot> spots;
    for (int i = 0; i < 600; ++i) spots.push_back(lot.rent());
    CHECK(net::g_descriptor_room.used() - before == 605);
    for (const net::ParkingLot::Spot spot : spots) lot.give_back(spot);
    const unsigned kept = net::g_descriptor_room.used() - before - 5;
    CHECK(kept < 600);
    CHECK(open_descriptors() - open_before - 5 - kept < 10);  // the lot's own
  }
  CHECK(net::g_descriptor_room.used() == before);
  CHECK(open_descriptors() == open_before);
}
