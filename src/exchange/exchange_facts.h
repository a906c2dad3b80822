// What an exchange knows of itself, for logs.
//
// WHAT    The numbers of one exchange, kept while it runs and read when it is over.
// SHAPES  Times are since the exchange began, but for `connect`, which is what the last new connection took. A time that was not
//         measured is unset: no new connection was made, or no byte came. Bytes are those of all attempts together, as
//         they went over the wire: heads, framing and bodies, and what a tunnel carried.
// ERRORS  None.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/clock.h"

namespace cxxproxy::exchange {

struct ExchangeFacts {
  std::string address;           // of the last backend connection that stood; empty: there was none
  std::uint16_t local_port = 0;  // ours of it; 0 with a unix socket
  bool reused = false;           // it had been kept
  std::optional<base::Duration> connect;
  std::optional<base::Duration> first_byte;
  std::uint64_t bytes_up = 0;    // to the backends
  std::uint64_t bytes_down = 0;  // from them
};

}  // namespace cxxproxy::exchange
