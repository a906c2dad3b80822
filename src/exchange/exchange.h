// One client request and its answer, through its attempts.
//
// WHAT    A state machine: pick a member, lease a connection, send the request, relay the answer,
//         repeat on another connection or member where that is safe. It never blocks by itself,
//         knows no thread and no httpd; a driver calls step() and waits for what it asks.
//         Sending and receiving run side by side, so an early answer is seen during an upload.
// SHAPES  With Services::may_wait a read may take one stream patience (200 ms) instead of answering
//         WouldBlock; the driver must then be a thread that has nothing else to do.
//         Memory: what holds the request's head until it is sent, a head buffer of kHeadBuffer bytes that
//         grows with the head up to its limit, the first kPrefetch bytes of the request body or all of it up to the member's `replaybody` (so
//         that it can be sent again), and one body buffer (kBodyBuffer, or up to
//         kLargestPiece and kLargestAnswerPiece, unless it is set otherwise) lent by the downstream.
// ERRORS  failure() after Done. Every failed attempt is reported once to the downstream.
// SOURCE  What may be repeated: RFC 9110 9.2.2; docs/decisions/0003-replay-and-failover.md.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "balancer/balancer.h"
#include "balancer/flight.h"
#include "balancer/waiting_line.h"
#include "base/clock.h"
#include "codec/http1/http1_codec.h"
#include "exchange/downstream.h"
#include "exchange/exchange_facts.h"
#include "upstream/member_upstream.h"

namespace cxxproxy::exchange {

// What is read with the head of an answer goes to the client at once, so it stays below what httpd's core may hold for one, unless
// the client has room for more and the member's answers are that large.
inline constexpr std::size_t kUsualHeadRead = 56 * 1024;
inline constexpr std::size_t kHeadBuffer = 120 * 1024;    // the allocator would ask the system for a larger one each time
inline constexpr std::size_t kHeadRead = 16 * 1024;       // at most, where bodies are to be moved in smaller pieces
inline constexpr std::size_t kWaitingHead = 4 * 1024;     // for a part of a head while no thread waits
inline constexpr std::size_t kBodyBuffer = 64 * 1024;
// A body moves in larger pieces while one side sends and the other takes without a wait.
inline constexpr std::size_t kLargestPiece = 256 * 1024;
// A client that stops reading leaves the last one with httpd's filters.
inline constexpr std::size_t kLargestAnswerPiece = 128 * 1024;
inline constexpr std::size_t kPrefetch = 16 * 1024;
inline constexpr std::size_t kPrefetchEnough = kPrefetch - 80;  // mod_proxy's limit between length and chunks
inline constexpr std::size_t kTunnelBuffer = 16 * 1024;
// So much of an answer is moved in one go where the exchange can be parked: then others may want the thread.
inline constexpr std::size_t kOneGo = 512 * 1024;
inline constexpr unsigned kMaxInterim = 10;
inline constexpr base::Duration kContinueWait = std::chrono::seconds(1);
// A head without a byte of its body waits this long for company: backends that write both apart then
// cost one write to the client, and one that dies in between can still be replaced by another.
inline constexpr base::Duration kHeadHold = std::chrono::milliseconds(10);

// The body of an answer that is replaced is read to its end if it is short and comes at once: the connection is
// kept then. A longer or slower one would cost more than a new connection.
inline constexpr std::size_t kDiscardedBody = 64 * 1024;
inline constexpr base::Duration kDiscardWait = std::chrono::milliseconds(100);

// Where the request goes: one member, or the members of a balancer in its order.
struct Destination {
  balancer::Balancer* balancer = nullptr;  // null: exactly one member
  std::span<upstream::MemberUpstream* const> members;
  balancer::WaitingLine* line = nullptr;  // null: nobody waits for a slot, and there is no limit over all children
};

struct Services {
  const base::Clock& clock;
  upstream::Connector& connector;
  base::Duration default_timeout;  // for members that set none
  bool may_wait = false;
  std::optional<base::Duration> tunnel_timeout{};  // unset: the member's timeout
  std::size_t body_buffer = 0;             // for members that set none: at most this much of a body is moved at once; 0 is the engine's choice
  int receive_buffer = 0;                  // for members that set none: SO_RCVBUF, 0 is the system's
  const base::IpAddress* source = nullptr;  // the own address of connections to backends
};

enum Need : unsigned {
  kUpstreamReadable = 1u << 0,
  kUpstreamWritable = 1u << 1,
  kClientReadable = 1u << 2,
  kPoolSlot = 1u << 3,
  kClientWritable = 1u << 4,
};

struct Step {
  bool done = false;
  unsigned needs = 0;  // Need bits; any of them, or the deadline, is a reason to call step() again
  base::Instant deadline{};
  upstream::ByteStream* upstream = nullptr;  // the connection to the backend, where there is one
  bool tunnel = false;  // bytes of another protocol are relayed
  const config::MemberSpec* member = nullptr;  // where it waits; null: none is chosen yet
  bool waited = false;  // the thread has already waited one stream patience for it, or it is not worth it
  bool pause = false;  // there is more to do: nothing is waited for, but kOneGo was moved
  balancer::WaitingLine* line = nullptr;  // for kPoolSlot: where the waiter stands
  balancer::Waiter* waiter = nullptr;
};

// The head, and what of head and body is on its way to the backend.
struct Outgoing {
  std::string head;
  std::vector<upstream::ConstBuffer> queue;
  std::size_t at = 0;
  char frame_head[24]{};
  bool is_sent() const noexcept { return at == queue.size(); }
};

class Exchange {
 public:
  Exchange(const Destination& destination, Downstream& downstream, const Services& services);
  ~Exchange() {
    leave_slot(false);
    drop_buffer();
    drop_outgoing();
  }

  Step step();

  // The client went away while the driver was waiting: give up now.
  void client_gone();
  // See Services::may_wait; a driver may change its mind between two steps.
  void set_may_wait(bool may_wait) noexcept { may_wait_ = may_wait; }
  // The driver is an event loop that watches the streams which it was given by a Step.
  void set_told(bool told) noexcept { told_ = told; }
  // The driver has something better than a wait that is probably in vain.
  void set_can_park(bool can_park) noexcept { can_park_ = can_park; }
  // A tunnel ends at this time at the latest.
  void end_tunnel_by(base::Instant instant) noexcept { tunnel_deadline_ = instant; }
  // Gives memory back that only a running exchange needs.
  void about_to_wait();

  const ExchangeFacts& facts() const noexcept { return facts_; }
  base::Instant started() const noexcept { return started_; }
  const base::Error& failure() const noexcept { return failure_; }
  bool answer_started() const noexcept { return answer_started_; }
  // After a failure for want of a slot: how long the client had better wait.
  std::chrono::seconds retry_after() const noexcept;
  // The request body was taken from the client to its end.
  bool body_complete() const noexcept { return body_complete_; }

 private:
  enum class State : std::uint8_t { Prefetch, Pick, Slot, Connecting, Running, Discarding, Tunnel, Done };
  enum class Flow : std::uint8_t { Progress, Waiting };

  Flow prefetch(unsigned& needs);
  void choose_member(const balancer::PickHint& hint);
  Flow pick(unsigned& needs);
  struct Search;
  Search find_slot();
  bool take_slot(std::size_t index, const balancer::MemberSet& barred);
  const balancer::TriedSet& tried() const noexcept;
  balancer::Waiter& waiter() { return waiter_ ? *waiter_ : waiter_.emplace(); }
  bool waits() const noexcept { return waiter_ && waiter_->waits(); }
  void leave_line() noexcept {
    if (waiter_) waiter_->leave();
  }
  bool has_room(std::size_t index) const;
  balancer::MemberSet members_without_slot(const balancer::MemberSet& barred);
  balancer::PickHint pick_hint();
  Flow give_up_pick(base::ProxyErrc reason);
  Flow wait_in_line(const Search& search, unsigned& needs);
  base::Duration longest_wait(base::ProxyErrc reason) const;
  void leave_slot(bool keep) noexcept;
  Flow begin_attempt();
  Flow use_slot();
  Flow connect(unsigned& needs);
  Flow start_connect();
  Flow begin_request();
  Flow run(unsigned& needs);
  Flow send(unsigned& needs);
  Flow write_queue(unsigned& needs);
  bool queue_more_body(unsigned& needs);
  Flow receive(unsigned& needs);
  Flow receive_head(unsigned& needs);
  Flow receive_body(unsigned& needs);
  Flow digest_head();
  Flow digest_body(std::span<char> bytes, bool lent);
  Flow on_interim();
  Flow on_head();
  Flow on_stream_end(const upstream::IoResult& result);
  Flow complete(bool clean);
  void give_back(bool clean);
  void provide_buffer();
  std::size_t head_read();
  void drop_buffer() noexcept;
  void provide_outgoing();
  void drop_outgoing() noexcept;
  void shrink_buffer();
  Flow start_discarding();
  Flow discard(unsigned& needs);
  Flow end_discarding(bool clean);

  Flow start_tunnel();
  Flow tunnel(unsigned& needs);
  Flow relay_down(unsigned& needs);
  Flow relay_up(unsigned& needs);
  Flow tunnel_over(const TunnelEnd& end);
  bool pass(bool flush);

  void count_sent(std::uint64_t bytes) noexcept;
  void count_received(std::uint64_t bytes) noexcept;
  void queue_frame(std::span<const upstream::ConstBuffer> parts, std::size_t bytes);
  void queue_body_end();
  void keep_body(std::span<const upstream::ConstBuffer> parts, std::size_t bytes);
  bool count_body(std::size_t bytes);
  bool is_last(const BodyPart& part) const;

  Flow attempt_failed(base::ProxyErrc code, base::Phase phase, int os_error = 0, std::string_view detail = {});
  AttemptEnd after_failure(const base::Error& error, bool reused) const;
  bool member_is_to_blame(const base::Error& error, bool reused) const;
  void tell_balancer(AttemptReport& report);
  balancer::Failure failure_for_member(const base::Error& error, bool reused) const;
  Flow give_up(const base::Error& error);
  Flow deadline_passed();
  Flow total_time_over();
  bool may_be_sent_again(const base::Error& error) const;
  base::Phase phase() const noexcept;

  base::Instant step_time() noexcept;
  void arm(base::Duration limit, base::Instant now);
  void arm(base::Duration limit) { arm(limit, services_.clock.now()); }
  upstream::Wait wait_mode();
  upstream::Wait no_wait() const noexcept { return told_ ? upstream::Wait::Told : upstream::Wait::No; }
  upstream::IoResult read_upstream(std::span<char> into);
  upstream::MemberUpstream& member() const { return *destination_.members[member_index_]; }
  base::Duration timeout() const;
  base::Instant longest_total_deadline() const;
  std::size_t body_buffer(std::size_t unless_set) const;

  const Destination destination_;
  Downstream& downstream_;
  const Services services_;
  bool may_wait_;
  bool can_park_ = false;
  bool told_ = false;

  State state_ = State::Prefetch;
  base::Error failure_{};
  unsigned attempts_ = 0;
  std::size_t member_index_ = 0;
  std::optional<std::size_t> next_member_;  // chosen when the attempt before it failed
  std::optional<balancer::TriedSet> tried_;  // members that have failed
  balancer::Flight flight_;     // this attempt, where a balancer counts it
  bool replayed_ = false;       // this member was already tried again on a new connection

  upstream::Lease lease_;
  balancer::Permit permit_;     // where the member has a limit over all children
  std::optional<balancer::Waiter> waiter_;  // of a request that had to stand in the line
  std::size_t lane_ = balancer::WaitingLine::kAnyMember;
  base::Instant wait_began_{};
  base::Instant look_again_{};  // the first of a lane looks now and then
  base::ProxyErrc wait_reason_ = base::ProxyErrc::None;
  upstream::AddressBook::List addresses_;
  std::size_t address_index_ = 0;
  std::string resolver_error_;

  ExchangeFacts facts_{};
  base::Instant connect_began_{};
  const base::Instant started_;
  std::optional<base::Instant> step_time_;  // of this step, where that is asked for
  base::Instant total_deadline_;
  base::Instant deadline_{};
  base::Duration limit_{};
  bool armed_ = false;

  // request
  HeadPlan plan_{};
  std::string kept_;
  bool body_complete_ = false;
  bool body_beyond_kept_ = false;  // bytes were passed on that are not in kept_
  std::uint64_t body_read_ = 0;
  std::size_t up_piece_ = kBodyBuffer;  // of the body, for the next read
  std::uint64_t sent_bytes_ = 0;   // on this attempt
  std::unique_ptr<Outgoing> out_;  // there while sending_, until the next wait after that
  bool kept_queued_ = false;
  bool end_queued_ = false;
  bool sending_ = false;
  bool send_broken_ = false;
  bool await_continue_ = false;  // the body waits for a 100, or for continue_deadline_
  base::Instant continue_deadline_{};

  // answer
  std::optional<codec::Http1Codec> codec_;
  std::unique_ptr<char[]> buffer_;
  std::size_t capacity_ = 0;
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
  bool in_head_ = true;
  bool received_any_ = false;
  bool answer_started_ = false;
  bool head_held_ = false;  // the head is ready for the client, but nothing was passed yet
  base::Instant held_until_{};
  std::size_t discarded_ = 0;
  unsigned interims_ = 0;

  // tunnel
  std::string up_pending_;  // from the client, the backend has not taken it yet
  std::uint64_t bytes_up_ = 0;
  std::uint64_t bytes_down_ = 0;
  base::Instant tunnel_deadline_ = base::Instant::max();
  bool up_ended_ = false;    // the client sends no more
  bool down_ended_ = false;  // the backend sends no more
  bool down_dry_ = false;    // nothing was left there, in this step
  bool up_dry_ = false;
  bool hopes_ = false;       // the backend of a tunnel may answer, or a client take something, at once
  upstream::InlineWaits hope_;
  bool unflushed_ = false;  // something was passed to the client that it may not have seen yet
  bool waited_ = false;          // the last read waited in the kernel, as far as it was worth it
  std::size_t down_piece_ = kBodyBuffer;  // for the next read
  std::size_t moved_ = 0;        // of the answer, in this step
  bool pauses_ = false;
  bool client_is_slow_ = false;  // the last wait was for the client to take what it has
};

}  // namespace cxxproxy::exchange
