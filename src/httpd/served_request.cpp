#include "httpd/served_request.h"

#include "httpd/child_state.h"
#include "httpd/client_inlet.h"
#include "httpd/config_hooks.h"
#include "httpd/facts_readers.h"
#include "httpd/keep_alive.h"
#include "httpd/last_word.h"
#include "httpd/mapping.h"
#include "httpd/pool_text.h"
#include "httpd/reactor.h"
#include "httpd/shared_state.h"
#include "httpd/upstream_facts.h"
#include "httpd/httpd_api.h"

namespace cxxproxy::httpd {

using base::Duration;
using base::ProxyErrc;
using exchange::Step;

namespace {
// Nobody wakes a thread that waits when the server is to stop.
constexpr Duration kLookForStop = std::chrono::seconds(1);
}  // namespace

ServedRequest::ServedRequest(request_rec* r, ChildState& child, const Errand& errand)
    : r_(r), child_(child), errand_(errand), settings_(request_settings(r)) {}

ServedRequest::~ServedRequest() { child_.parked().leave(parked_); }

int ServedRequest::begin(const exchange::Destination& destination) {
  ClientSide& client = client_.emplace(r_, errand_, settings_);
  if (client.problem() != ProxyErrc::None) {
    tell_end(r_, client.problem());
    r_->connection->keepalive = AP_CONN_CLOSE;
    return refuse(r_, base::info(client.problem()).status, "the request's body framing is not understood");
  }
  if (client.has_much_content() && !is_tls(r_)) read_in_large_pieces(r_);
  if (client.needs_spool()) may_block(r_);
  if (!client.prepare_body()) {
    tell_end(r_, client.problem());
    return client.filter_status();
  }
  const Duration server_timeout(r_->server->timeout);
  const config::ResolvedVhost& vhost = resolved_vhost(r_->server);
  exchange_.emplace(destination, client,
                    exchange::Services{.clock = child_.clock(),
                                       .connector = child_.connector(),
                                       .default_timeout = settings_.proxy_timeout.value_or(server_timeout),
                                       .may_wait = true,
                                       .tunnel_timeout = settings_.tunnel_timeout,
                                       .body_buffer = vhost.io_buffer_size,
                                       .receive_buffer = vhost.receive_buffer_size,
                                       .source = vhost.source_address ? &*vhost.source_address : nullptr});
  waiter_.emplace(*r_->connection, child_.clock());
  return kOk;
}

ServedRequest::Outcome ServedRequest::drive(Driver driver) {
  if (driver == Driver::Loop) return drive_on_loop();
  const bool can_park = driver == Driver::Park && settings_.park;
  exchange_->set_told(false);
  client_->never_block(can_park);
  exchange_->set_can_park(can_park);
  const Duration inline_wait = child_.park_after();
  const Duration longest_wait = child_.drains_tunnels() ? kLookForStop : Duration::max();
  for (;;) {
    if (step_.tunnel) exchange_->end_tunnel_by(child_.tunnels_end_at());
    const bool wanted = can_park && threads_are_scarce(child_);  // others wait for a thread: none for this one's waits
    exchange_->set_may_wait(!wanted);
    step_ = exchange_->step();
    if (step_.done) return Outcome::Done;
    if (step_.pause && !wanted) continue;
    const Duration at_most = !can_park ? longest_wait : wanted || step_.waited ? Duration::zero() : inline_wait;
    switch (waiter_->wait(step_, exchange_->body_complete(), at_most)) {
      case Waiter::Result::Ready: continue;
      case Waiter::Result::ClientGone: exchange_->client_gone(); continue;
      case Waiter::Result::Nothing: break;
    }
    if (!can_park || child_.clock().now() >= step_.deadline) continue;
    exchange_->about_to_wait();
    return Outcome::Park;
  }
}

// One step: whatever it waits for, the loop tells.
ServedRequest::Outcome ServedRequest::drive_on_loop() {
  exchange_->set_told(true);
  exchange_->set_may_wait(false);
  exchange_->set_can_park(true);
  client_->never_block(true);
  if (step_.tunnel) exchange_->end_tunnel_by(child_.tunnels_end_at());
  if (waiter_->has_left(step_)) exchange_->client_gone();
  step_ = exchange_->step();
  if (step_.done) return Outcome::Done;
  exchange_->about_to_wait();
  return Outcome::Park;
}

namespace {

int status_of(request_rec* r, const exchange::Exchange& exchange, const ClientSide& client) {
  const base::Error& error = exchange.failure();
  if (!exchange.body_complete()) r->connection->keepalive = AP_CONN_CLOSE;
  if (!error && client.replaced_status() != 0) return client.replaced_status();
  if (!error || exchange.answer_started()) return kOk;
  if (client.filter_status() != 0 && base::info(error.code).side == base::Side::Client && error.code != ProxyErrc::ClientGone) {
    return client.filter_status();
  }
  const int status = base::status_for(error);
  r->status_line = nullptr;  // of an answer that never went out
  if (error.code == ProxyErrc::PoolExhausted || error.code == ProxyErrc::QueueFull) {
    apr_table_setn(r->err_headers_out, "Retry-After", apr_psprintf(r->pool, "%d", static_cast<int>(exchange.retry_after().count())));
  }
  if (error.code == ProxyErrc::ClientGone) {
    r->connection->aborted = 1;
    r->status = status;
    return kDone;
  }
  if (status == HTTP_BAD_GATEWAY) {
    const std::string_view sentence = base::info(error.code).sentence;
    const char* why = apr_pstrmemdup(r->pool, sentence.data(), sentence.size());
    apr_table_setn(r->notes, "error-notes", apr_pstrcat(r->pool, "Reason: <strong>", why, "</strong>", nullptr));
  }
  return status;
}

// One of the words of docs/log-messages.md.
std::string_view end_word(const exchange::Exchange& exchange, const ClientSide& client) noexcept {
  if (const base::Error& error = exchange.failure(); error) return base::info(error.code).word;
  if (!client.tunnel_end().empty()) return client.tunnel_end();
  return client.replaced_status() != 0 ? std::string_view("overridden") : base::info(ProxyErrc::None).word;
}

std::int64_t microseconds(std::optional<Duration> span) noexcept { return span ? span->count() : -1; }

// Everything in the request's pool: the exchange is gone when the request is logged.
void keep_facts(request_rec* r, const exchange::Exchange& exchange, const ClientSide& client, Duration total) {
  const exchange::ExchangeFacts& known = exchange.facts();
  UpstreamFacts& facts = facts_of(r);
  facts.exchanged = true;
  const std::string_view end = end_word(exchange, client);
  facts.end = end.data();
  if (client.member_name() != nullptr) {
    facts.member = client.member_name();
    const std::string& failed = client.failed_attempts();
    if (exchange.failure()) {
      facts.attempts = failed.empty() ? nullptr : apr_pstrmemdup(r->pool, failed.data(), failed.size());
    } else {
      facts.attempts = joined_in(r->pool, {failed, failed.empty() ? "" : ", ", facts.member, " ", end});
    }
  }
  if (!known.address.empty()) facts.address = apr_pstrmemdup(r->pool, known.address.data(), known.address.size());
  facts.connect = microseconds(known.connect);
  facts.first_byte = microseconds(known.first_byte);
  facts.total = total.count();
  facts.bytes_up = known.bytes_up;
  facts.bytes_down = known.bytes_down;
  facts.local_port = known.local_port;
  facts.reused = known.reused;
  facts.timed_out = client.timed_out();
}

}  // namespace

void ServedRequest::waits_without_thread() noexcept {
  balancer::ParkedList& parked = child_.parked();
  const bool declared = step_.member != nullptr && undeclared_ == nullptr;
  const std::uint32_t row = declared ? slot_places().members[step_.member->member_id] : parked.counts().no_member();
  parked.enter(parked_, row, step_.tunnel ? balancer::ParkedKind::Tunnel : balancer::ParkedKind::Request, child_.clock().now());
}

int ServedRequest::finish() {
  child_.parked().leave(parked_);
  const int status = status_of(r_, *exchange_, *client_);
  if (facts_have_readers()) {
    keep_facts(r_, *exchange_, *client_, std::chrono::duration_cast<Duration>(child_.clock().now() - exchange_->started()));
  }
  if (!step_.tunnel) note_last_word(r_);
  waiter_.reset();
  exchange_.reset();
  client_.reset();
  undeclared_.reset();
  return status;
}

}  // namespace cxxproxy::httpd
