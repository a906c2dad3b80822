#include "httpd/inline_driver.h"

#include <poll.h>

#include <algorithm>
#include <optional>

#include <apr_portable.h>

#include "httpd/httpd_api.h"

namespace cxxproxy::httpd {
namespace {

using base::Duration;
using base::Instant;
using exchange::Step;

// Filters such as mod_reqtimeout's look at the clock only when they are asked for input.
constexpr Duration kLongestClientWait = std::chrono::seconds(1);
constexpr Duration kLongestSlotWait = std::chrono::milliseconds(250);

int client_descriptor(const conn_rec& connection) {
  if (connection.master != nullptr) return -1;
  apr_socket_t* socket = ap_get_conn_socket(const_cast<conn_rec*>(&connection));
  apr_os_sock_t descriptor = -1;
  return socket != nullptr && apr_os_sock_get(&descriptor, socket) == APR_SUCCESS ? descriptor : -1;
}

int to_milliseconds(Duration span) {
  const auto rounded_up = std::chrono::ceil<std::chrono::milliseconds>(std::max(span, Duration::zero())).count();
  return static_cast<int>(std::min<long long>(rounded_up, 3'600'000));
}

class Waiter {
 public:
  Waiter(const conn_rec& connection, const base::Clock& clock)
      : connection_(connection), client_(client_descriptor(connection)), clock_(clock) {}

  // False when the client is gone.
  bool wait(const Step& step, bool body_complete) {
    if (connection_.aborted != 0) return false;
    Instant until = step.deadline;
    const Instant now = clock_.now();
    if (client_ < 0) until = std::min(until, now + kStreamLook);
    if ((step.needs & exchange::kClientReadable) != 0) until = std::min(until, now + kLongestClientWait);
    if (half_closed_at_) {
      if (now - *half_closed_at_ >= kHalfCloseGrace) return false;
      until = std::min(until, *half_closed_at_ + kHalfCloseGrace);
    }
    if (step.pool != nullptr) {
      (void)step.pool->wait_for_slot(std::clamp(until - now, Duration::zero(), kLongestSlotWait));
      until = now;  // and look at the client without waiting
    }
    return poll_both(step, until - now, body_complete);
  }

 private:
  bool poll_both(const Step& step, Duration span, bool body_complete) {
    pollfd descriptors[2]{};
    nfds_t count = 0;
    short upstream_events = 0;
    if ((step.needs & exchange::kUpstreamReadable) != 0) upstream_events |= POLLIN;
    if ((step.needs & exchange::kUpstreamWritable) != 0) upstream_events |= POLLOUT;
    if (upstream_events != 0) descriptors[count++] = {step.upstream_descriptor, upstream_events, 0};
    const bool body_wanted = (step.needs & exchange::kClientReadable) != 0;
    const nfds_t client_place = count;
    if (client_ >= 0) {
      short events = body_wanted ? POLLIN : 0;
      if (!half_closed_at_ && !body_wanted) events |= POLLRDHUP;
      descriptors[count++] = {client_, events, 0};
    }
    if (count == 0 || ::poll(descriptors, count, to_milliseconds(span)) <= 0 || client_ < 0) return true;
    const short client = descriptors[client_place].revents;
    // The end of a client's stream may be far behind the request body that is still being read.
    if (half_closed_at_ && !body_complete) half_closed_at_ = clock_.now();
    if (body_wanted) return true;  // reading the body tells what happened
    if ((client & (POLLHUP | POLLERR | POLLNVAL)) != 0) return false;
    if ((client & POLLRDHUP) != 0) half_closed_at_ = clock_.now();
    return true;
  }

  const conn_rec& connection_;
  const int client_;
  const base::Clock& clock_;
  std::optional<Instant> half_closed_at_;
};

}  // namespace

void run_inline(exchange::Exchange& exchange, request_rec* r, const base::Clock& clock) {
  Waiter waiter(*r->connection, clock);
  for (Step step = exchange.step(); !step.done; step = exchange.step()) {
    if (!waiter.wait(step, exchange.body_complete())) exchange.client_gone();
  }
}

}  // namespace cxxproxy::httpd
