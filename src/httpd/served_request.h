// One proxied request while it is served, by whichever driver.
//
// WHAT    Owns what an exchange needs and the exchange itself, so that it outlives the handler that began
//         it. begin() makes the exchange; drive() runs it until it is done or, when the caller can
//         park it, until it would wait long; finish() gives httpd's status and frees everything.
// SHAPES  Lives in the request's pool, used by one thread at a time. A wait that the caller can park is
//         spent on the thread for the inline time first: most backends answer within it, and parking
//         costs them two wake-ups.
// ERRORS  finish() answers the status of a failure that happened before a byte of the answer went out.
#pragma once

#include <memory>
#include <optional>

#include "balancer/parked_list.h"
#include "exchange/exchange.h"
#include "httpd/client_side.h"
#include "httpd/inline_driver.h"
#include "httpd/httpd_api.h"

namespace cxxproxy::httpd {

class ChildState;

// A backend that only a RewriteRule or a handler names: no kept connections, no state.
struct Undeclared {
  config::MemberSpec spec;
  std::unique_ptr<upstream::MemberUpstream> member;
  upstream::MemberUpstream* pointer = nullptr;
};

// How the caller can wait.
enum class Driver : std::uint8_t {
  Thread,  // only here
  Park,    // here for a moment, then without a thread
  Loop,    // not at all: an event loop calls again
};

class ServedRequest {
 public:
  ServedRequest(request_rec* r, ChildState& child, const Errand& errand);
  ~ServedRequest();
  ServedRequest(const ServedRequest&) = delete;
  ServedRequest& operator=(const ServedRequest&) = delete;

  // Kept until the request ends.
  Undeclared& undeclared() {
    undeclared_ = std::make_unique<Undeclared>();
    return *undeclared_;
  }

  // kOk when there is something to drive, else the status to answer.
  int begin(const exchange::Destination& destination);
  enum class Outcome : std::uint8_t { Done, Park };
  Outcome drive(Driver driver);
  int finish();
  // It waits without a thread from now on: counted as parked, where step() says, until it is over. Again with each such wait.
  void waits_without_thread() noexcept;
  void client_gone() { exchange_->client_gone(); }
  void client_half_closed() { waiter_->client_half_closed(); }
  void woken() { waiter_->body_moves(exchange_->body_complete()); }

  request_rec* request() const noexcept { return r_; }
  // It still takes the request's content from its client.
  bool takes_content() const noexcept { return !step_.tunnel && !exchange_->body_complete(); }
  // After drive() answered Park: what is waited for, and until when the driver must call again.
  const exchange::Step& step() const noexcept { return step_; }
  base::Instant until() const { return waiter_->limit(step_); }
  bool wants_half_close() const { return waiter_->watches_half_close(step_); }
  int client_descriptor() const noexcept { return waiter_->client(); }

 private:
  Outcome drive_on_loop();

  request_rec* const r_;
  ChildState& child_;
  const Errand errand_;
  const RequestSettings settings_;
  std::unique_ptr<Undeclared> undeclared_;
  std::optional<ClientSide> client_;
  std::optional<exchange::Exchange> exchange_;
  std::optional<Waiter> waiter_;
  exchange::Step step_{};
  balancer::ParkedList::Entry parked_{};
};

}  // namespace cxxproxy::httpd
