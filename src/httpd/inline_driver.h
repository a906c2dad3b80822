// How a thread waits for its own exchange: polling the backend and the client together.
//
// WHAT    Most waits happen inside one blocking receive of the stream (its patience); longer ones poll
//         backend and client, so that a client that went away ends the backend's work. The same object
//         tells a parking lot what to watch.
// SHAPES  A client that closed its sending side may only have half-closed: it still gets an answer
//         that comes within kHalfCloseGrace, counted anew while the rest of its request still moves.
//         An HTTP/2 stream has no socket of its own: mod_http2 marks its connection as aborted, which
//         is looked at kStreamLook apart.
#pragma once

#include <optional>

#include "exchange/exchange.h"
#include "httpd/httpd_api.h"

namespace cxxproxy::httpd {

inline constexpr base::Duration kHalfCloseGrace = std::chrono::milliseconds(700);
inline constexpr base::Duration kStreamLook = std::chrono::milliseconds(500);

class Waiter {
 public:
  enum class Result : std::uint8_t { Ready, Nothing, ClientGone };

  Waiter(const conn_rec& connection, const base::Clock& clock);

  // Waits on the calling thread, at most this long. Nothing: nothing happened in that time.
  Result wait(const exchange::Step& step, bool body_complete, base::Duration at_most);

  // When step() must be called again although nothing happened.
  base::Instant limit(const exchange::Step& step) const;
  // A client that closes its sending side should be noticed.
  bool watches_half_close(const exchange::Step& step) const noexcept;
  void client_half_closed() noexcept { half_closed_at_ = clock_.now(); }
  // The end of a client's stream may be far behind the request body that is still being read.
  void body_moves(bool complete) noexcept {
    if (half_closed_at_ && !complete) half_closed_at_ = clock_.now();
  }
  // Its connection has failed, or the grace of its half close is over.
  bool has_left(const exchange::Step& step) const noexcept;
  int client() const noexcept { return client_; }

 private:
  Result poll_both(const exchange::Step& step, bool body_complete, base::Duration span);

  const conn_rec& connection_;
  const int client_;  // -1: not to be polled
  const base::Clock& clock_;
  std::optional<base::Instant> half_closed_at_;
};

}  // namespace cxxproxy::httpd
