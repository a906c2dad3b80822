#include "httpd/inline_driver.h"

#include <poll.h>

#include <algorithm>

#include "httpd/client_socket.h"
#include "httpd/httpd_api.h"

namespace cxxproxy::httpd {
namespace {

using base::Duration;
using base::Instant;
using exchange::Step;

// Filters such as mod_reqtimeout's look at the clock only when they are asked for input.
constexpr Duration kLongestClientWait = std::chrono::seconds(1);
// A tunnel over an HTTP/2 stream has no socket to poll: its client is asked from time to time.
constexpr Duration kBlindTunnelWait = std::chrono::milliseconds(10);
constexpr Duration kLongestSlotWait = std::chrono::milliseconds(250);

int to_milliseconds(Duration span) {
  const auto rounded_up = std::chrono::ceil<std::chrono::milliseconds>(std::max(span, Duration::zero())).count();
  return static_cast<int>(std::min<long long>(rounded_up, 3'600'000));
}

}  // namespace

Waiter::Waiter(const conn_rec& connection, const base::Clock& clock)
    : connection_(connection), client_(client_descriptor(connection)), clock_(clock) {}

Instant Waiter::limit(const Step& step) const {
  Instant until = step.deadline;
  if (client_ < 0) until = std::min(until, clock_.now() + kStreamLook);
  if (step.tunnel) return client_ >= 0 ? until : std::min(until, clock_.now() + kBlindTunnelWait);
  if ((step.needs & exchange::kClientReadable) != 0) until = std::min(until, clock_.now() + kLongestClientWait);
  if (half_closed_at_) until = std::min(until, *half_closed_at_ + kHalfCloseGrace);
  return until;
}

bool Waiter::watches_half_close(const Step& step) const noexcept {
  return !half_closed_at_ && !step.tunnel && (step.needs & exchange::kClientReadable) == 0;
}

bool Waiter::has_left(const Step& step) const noexcept {
  if (connection_.aborted != 0) return true;
  return !step.tunnel && half_closed_at_ && clock_.now() - *half_closed_at_ >= kHalfCloseGrace;
}

Waiter::Result Waiter::wait(const Step& step, bool body_complete, Duration at_most) {
  if (has_left(step)) return Result::ClientGone;
  const Instant now = clock_.now();
  Duration span = std::min(std::chrono::duration_cast<Duration>(limit(step) - now), at_most);
  if (step.line != nullptr) {
    if (step.line->wait(*step.waiter, std::clamp(span, Duration::zero(), kLongestSlotWait))) return Result::Ready;
    span = Duration::zero();  // and look at the client without waiting
  } else if (at_most == Duration::zero()) {
    return Result::Nothing;  // it is parked, and woken at once if there is something
  }
  return poll_both(step, body_complete, span);
}

Waiter::Result Waiter::poll_both(const Step& step, bool body_complete, Duration span) {
  pollfd descriptors[2]{};
  nfds_t count = 0;
  short upstream_events = 0;
  if ((step.needs & exchange::kUpstreamReadable) != 0) upstream_events |= POLLIN;
  if ((step.needs & exchange::kUpstreamWritable) != 0) upstream_events |= POLLOUT;
  if (upstream_events != 0) descriptors[count++] = {step.upstream->descriptor(), upstream_events, 0};
  const bool body_wanted = (step.needs & exchange::kClientReadable) != 0;
  const nfds_t client_place = count;
  if (client_ >= 0) {
    short events = body_wanted ? POLLIN : 0;
    if ((step.needs & exchange::kClientWritable) != 0) events |= POLLOUT;
    if (watches_half_close(step)) events |= POLLRDHUP;
    descriptors[count++] = {client_, events, 0};
  }
  if (count == 0) return Result::Ready;
  if (::poll(descriptors, count, to_milliseconds(span)) <= 0) return Result::Nothing;
  if (client_ < 0) return Result::Ready;
  body_moves(body_complete);
  if (body_wanted) return Result::Ready;  // reading the body tells what happened
  const short client = descriptors[client_place].revents;
  if ((client & (POLLHUP | POLLERR | POLLNVAL)) != 0) return Result::ClientGone;
  if ((client & POLLRDHUP) != 0) client_half_closed();
  return Result::Ready;
}

}  // namespace cxxproxy::httpd
