// Every failure of an exchange has one name, one sentence, one side and one answer.
//
// WHAT    ProxyErrc names the failure; the table behind info() says whose side it happened on, which
//         status the client gets while nothing of an answer has gone out, and the sentence that the
//         log line carries. Error adds the phase, the operating system's errno and whether any byte
//         of the request had left for the backend.
// SHAPES  Log tag numbers (CXPnnnn) are unique, never reused and explained in docs/log-messages.md;
//         src/log_tags.txt is their register.
// SOURCE  Status choices: RFC 9110 15.6 (502 bad answer, 503 nobody there, 504 time ran out).
#pragma once

#include <cstdint>
#include <string_view>

namespace cxxproxy::base {

enum class ProxyErrc : std::uint8_t {
  None,
  // resolve
  NameNotResolved,
  // connect
  ConnectRefused,
  ConnectTimeout,
  ConnectFailed,
  // send
  SendFailed,
  SendTimeout,
  // head
  ClosedBeforeHead,
  ResetBeforeHead,
  HeadTimeout,
  ContinueTimeout,
  HeadIncomplete,
  BadStatusLine,
  BadField,
  FieldTooLarge,
  HeadTooLarge,
  TooManyFields,
  BadFraming,
  TooManyInterim,
  UnexpectedSwitch,
  // body of the answer
  BodyTruncated,
  BodyReset,
  BodyTimeout,
  BadChunk,
  // client
  ClientGone,
  ClientBodyIncomplete,
  ClientBodyTimeout,
  ClientBodyTooLarge,
  BadTarget,
  BadRequestField,
  BadRequestFraming,
  ExpectationFailed,
  // balancing and limits
  NoUsableMember,
  PoolExhausted,
  TotalTimeout,
  NoSuchBalancer,
  UnsupportedScheme,
  Internal,
  QueueFull,
  Count,  // number of values, not a failure
};

enum class Side : std::uint8_t { Client, Upstream, Internal };

enum class Phase : std::uint8_t { Route, Resolve, Connect, Tls, Send, Head, Body, Tunnel };

struct ErrcInfo {
  ProxyErrc code;
  std::uint16_t tag;  // nnnn of CXPnnnn
  Side side;
  int status;  // what the client gets before a byte of an answer went out
  std::string_view word;  // for access logs, docs/log-messages.md has the list
  std::string_view sentence;
};

struct Error {
  ProxyErrc code = ProxyErrc::None;
  Phase phase = Phase::Route;
  bool nothing_sent = true;  // no byte of the request has left for the backend, or only a head that asked first (ping)
  int os_error = 0;          // errno, 0 where the system said nothing

  explicit operator bool() const noexcept { return code != ProxyErrc::None; }
};

const ErrcInfo& info(ProxyErrc code) noexcept;
std::string_view to_string(Phase phase) noexcept;

// The one place that turns a failure into a status (400, 403, 413, 500, 502, 503, 504).
inline int status_for(const Error& error) noexcept { return info(error.code).status; }

}  // namespace cxxproxy::base
