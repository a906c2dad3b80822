// What the module keeps for one client connection between its requests and while one of them waits.
//
// WHAT    The seat of a connection, and how a request goes on that was begun earlier: with the exchange's next step, and to
//         the end that httpd's own handling of a request would have come to.
// SHAPES  Made in the connection's pool at its first request here. Of one owner at a time: a worker, the MPM's poll set, or a
//         thread of the event loop.
#pragma once

#include <string>

#include "balancer/waiting_line.h"
#include "httpd/keep_alive.h"
#include "httpd/served_request.h"
#include "net/parking_lot.h"
#include "httpd/httpd_api.h"

namespace cxxproxy::httpd {

class ClientInlet;
struct Adoption;

// For a request that is called from a waiting line.
class SpotWaker final : public balancer::Waker {
 public:
  void wake() noexcept override;
  net::ParkingLot::Spot spot = net::ParkingLot::kNone;
};

struct Seat {
  conn_rec* connection = nullptr;
  bool may_park = true;
  unsigned depth = 0;               // process_connection hooks of this connection on the stack
  ServedRequest* served = nullptr;  // waiting, or about to
  net::ParkingLot::Spot spot = net::ParkingLot::kNone;
  bool waiting = false;  // the connection is the MPM's until the spot is woken
  bool swapped = false;
  apr_os_sock_t client = -1;  // while swapped
  unsigned clogging = 0;      // what it was before the old way of waiting changed it
  unsigned why = 0;           // Wake bits of the last wait
  KeepAlive keep_alive{};
  SpotWaker waker{};
  ClientInlet* inlet = nullptr;  // made when it is first wanted
  apr_bucket_brigade* brigade = nullptr;  // for the answer of a request that has none yet
  Adoption* adoption = nullptr;  // reactor.h; made when it is first adopted
  const std::string* asked = nullptr;  // the name, in the configuration, of the backend or balancer of its last request
};

Seat* seat_of(const conn_rec* c) noexcept;

// The exchange goes on. True: it waits further. `driver` is how the caller can wait.
bool go_on(Seat& seat, bool client_gone, Driver driver);
// It has nothing to do with its line any more.
void leave_line(Seat& seat) noexcept;

}  // namespace cxxproxy::httpd
