// What the engine asks of the client side; implemented over httpd's request_rec, and by scripts in tests.
//
// WHAT    The request's facts, its body, and a place for the answer. The engine never sees a
//         request_rec, a brigade or a pool.
// SHAPES  Memory lent by lend_buffer() belongs to the downstream; bytes given by send_borrowed() stay
//         valid until pass() or finish() returned. Nothing is written to the client before pass().
// ERRORS  A bool that is false means: the client is gone, stop.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "balancer/balancer.h"
#include "base/clock.h"
#include "base/error.h"
#include "config/spec.h"
#include "http/response_head_parser.h"
#include "upstream/byte_stream.h"

namespace cxxproxy::exchange {

// How the request's body is delimited.
enum class BodyKind : std::uint8_t { None, Length, Chunked };

struct RequestFacts {
  bool head_request = false;
  bool idempotent = false;        // may be repeated (RFC 9110 9.2.2)
  bool expects_continue = false;  // and the client waits for a 100
  BodyKind body = BodyKind::None;  // as the client declared it
  std::uint64_t length = 0;        // when body is Length
  bool length_is_exact = true;     // false: an input filter may change the body's size
  bool safe = false;               // asks for no change (RFC 9110 9.2.1)
  bool declared = true;            // false: only reading tells whether there is a body (HTTP/2)
  // What the administrator asked of this request by environment variables (mod_proxy's names).
  bool keep_alive = true;          // proxy-nokeepalive: no kept connection, none afterwards
  bool fresh_connection = false;   // proxy-initial-not-pooled, first request of a client connection
  bool http10 = false;             // force-proxy-request-1.0; the body then has a length
  bool suppress_interim = false;   // proxy-interim-response Suppress
  std::string_view upgrade{};      // protocols that the client would like to switch to, a comma list
  http::BadHeaderRule bad_header = http::BadHeaderRule::Refuse;
};

// How this attempt's head must describe the body.
struct HeadPlan {
  BodyKind body = BodyKind::None;
  std::uint64_t length = 0;
  bool keep_alive = true;
  bool expect_continue = false;
  bool http10 = false;
  std::string_view upgrade{};  // the protocol to ask for, empty for none
};

struct BodyPart {
  enum class Kind : std::uint8_t { Data, End, WouldBlock, Failed };
  Kind kind = Kind::End;
  std::span<const upstream::ConstBuffer> parts{};  // valid until the next read_body()
  std::size_t bytes = 0;
  bool last = false;  // Data, and nothing follows
  bool dry = false;   // Data, and the next read would block as far as can be known
  base::ProxyErrc error = base::ProxyErrc::None;
};

struct AnswerHead {
  const http::ResponseHead& head;
  bool body_follows = false;
  std::optional<std::uint64_t> length{};  // of the body that follows, where it is known
  bool request_taken = true;  // false: the client may still be sending, its connection cannot be kept
};

enum class AttemptEnd : std::uint8_t { Replay, NextMember, GaveUp };

struct AttemptReport {
  base::Error error{};
  AttemptEnd end = AttemptEnd::GaveUp;
  const config::MemberSpec* member = nullptr;
  unsigned number = 1;  // first attempt is 1
  bool reused = false;
  bool answer_begun = false;       // the client may have seen a part of the answer
  balancer::RestReason rested = balancer::RestReason::None;  // this attempt took the member out of use
  base::Duration rest{};           // for so long
  std::string_view detail{};       // the parser's or resolver's own words
  base::Duration limit{};          // the deadline that passed, for timeouts
};

// Why a tunnel is over: for access logs, and for the log line.
struct TunnelEnd {
  std::string_view word;
  std::string_view sentence;
};

namespace tunnel_end {
inline constexpr TunnelEnd kBothClosed{"tunnel-closed", "both sides have closed"};
inline constexpr TunnelEnd kBackendClosed{"tunnel-closed", "the backend has closed"};
inline constexpr TunnelEnd kBackendReset{"tunnel-backend-reset", "the backend reset the connection"};
inline constexpr TunnelEnd kBackendFull{"tunnel-backend-reset", "the backend takes no more"};
inline constexpr TunnelEnd kClientGone{"tunnel-client-gone", "the client went away"};
inline constexpr TunnelEnd kClientReset{"tunnel-client-gone", "the client reset the connection"};
inline constexpr TunnelEnd kIdle{"tunnel-idle", "nothing was sent for too long"};
inline constexpr TunnelEnd kStopped{"tunnel-stopped", "the server is being stopped"};
}  // namespace tunnel_end

// A tunnel that is over.
struct TunnelReport {
  const config::MemberSpec* member = nullptr;
  std::string_view protocol{};
  std::uint64_t bytes_up = 0;    // from the client
  std::uint64_t bytes_down = 0;  // to the client
  TunnelEnd end{};
};

class Downstream {
 public:
  virtual ~Downstream() = default;

  virtual const RequestFacts& facts() const = 0;
  virtual base::ProxyErrc write_request_head(const config::MemberSpec& member, const HeadPlan& plan, std::string& head) = 0;
  virtual BodyPart read_body(std::size_t at_most) = 0;

  virtual bool send_interim(const http::ResponseHead& head) = 0;
  virtual void send_head(const AnswerHead& answer) = 0;
  // Asked right after send_head(): the client gets another answer in place of this one (ProxyErrorOverride), so its
  // body is dropped and nothing of it is passed.
  virtual bool replaces_answer() const { return false; }
  // So many bytes would leave here at once, or may wait for the client.
  virtual bool has_room(std::size_t) { return false; }
  virtual std::span<char> lend_buffer(std::size_t want) = 0;
  virtual void send_lent(std::size_t offset, std::size_t size) = 0;
  virtual void send_borrowed(std::string_view bytes) = 0;
  virtual bool pass(bool flush) = 0;
  virtual bool finish() = 0;
  // False: the client has not taken all that was passed, and the driver can wait until it does
  // (kClientWritable). A downstream that waits inside pass() always answers true.
  virtual bool drained() { return true; }
  // The exchange will wait without a thread: keep nothing that can be had again.
  virtual void about_to_wait() {}
  // The answer stops here although more was announced: make that visible to the client.
  virtual void cut() = 0;

  // The backend has switched protocols: tell the client. From here on read_tunnel(), send_*() and pass()
  // carry bytes as they are.
  virtual bool start_tunnel(const http::ResponseHead&) { return false; }
  virtual BodyPart read_tunnel(std::size_t) { return {.kind = BodyPart::Kind::Failed}; }
  // Nothing more will be sent. False: this client's connection cannot be closed by half.
  virtual bool end_sending() { return false; }
  virtual void tunnel_ended(const TunnelReport&) {}

  virtual balancer::PickObserver* pick_observer() = 0;
  // What the balancer's method and its sessions need to know of the request.
  virtual balancer::PickHint pick_hint() { return {}; }
  virtual void member_chosen(const config::MemberSpec& member, std::size_t index) = 0;
  // The first answer after a time in which every member had failed.
  virtual void balancer_recovered() = 0;
  virtual void report(const AttemptReport& attempt) = 0;
  // An answer that is passed on has taken its member out of use.
  virtual void member_rests(const config::MemberSpec&, int /*status*/, const balancer::Consequence&) {}
};

}  // namespace cxxproxy::exchange
