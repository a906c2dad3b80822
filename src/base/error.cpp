#include "base/error.h"

#include <array>
#include <cstddef>

namespace cxxproxy::base {
namespace {

using E = ProxyErrc;
using S = Side;

constexpr std::array<ErrcInfo, static_cast<std::size_t>(E::Count)> kTable{{
    {E::None, 100, S::Internal, 200, "ok", "no failure"},
    {E::NameNotResolved, 101, S::Upstream, 502, "name-not-resolved", "the host name does not resolve"},
    {E::ConnectRefused, 102, S::Upstream, 503, "connect-refused", "connection refused"},
    {E::ConnectTimeout, 103, S::Upstream, 504, "connect-timeout", "no connection in time"},
    {E::ConnectFailed, 104, S::Upstream, 503, "connect-failed", "cannot connect"},
    {E::SendFailed, 105, S::Upstream, 502, "send-failed", "the backend closed the connection while the request was sent"},
    {E::SendTimeout, 106, S::Upstream, 504, "send-timeout", "the backend did not take the request in time"},
    {E::ClosedBeforeHead, 107, S::Upstream, 502, "closed-before-head", "the backend closed the connection without an answer"},
    {E::ResetBeforeHead, 108, S::Upstream, 502, "reset-before-head", "the backend reset the connection without an answer"},
    {E::HeadTimeout, 109, S::Upstream, 504, "head-timeout", "no response head in time"},
    {E::ContinueTimeout, 137, S::Upstream, 503, "continue-timeout", "no 100 Continue in time"},
    {E::HeadIncomplete, 110, S::Upstream, 502, "head-incomplete", "the backend closed the connection inside the response head"},
    {E::BadStatusLine, 111, S::Upstream, 502, "bad-status-line", "the status line is not HTTP/1"},
    {E::BadField, 112, S::Upstream, 502, "bad-field", "a response field is malformed"},
    {E::FieldTooLarge, 113, S::Upstream, 502, "field-too-large", "a response field is longer than allowed"},
    {E::HeadTooLarge, 114, S::Upstream, 502, "head-too-large", "the response head is longer than allowed"},
    {E::TooManyFields, 115, S::Upstream, 502, "too-many-fields", "the response has more fields than allowed"},
    {E::BadFraming, 116, S::Upstream, 502, "bad-framing", "the length of the response body is ambiguous"},
    {E::TooManyInterim, 117, S::Upstream, 502, "too-many-interim", "too many interim responses"},
    {E::UnexpectedSwitch, 118, S::Upstream, 502, "unexpected-switch", "the backend switched protocols without being asked"},
    {E::BodyTruncated, 119, S::Upstream, 502, "body-truncated", "the response body ended early"},
    {E::BodyReset, 120, S::Upstream, 502, "body-reset", "the backend reset the connection inside the response body"},
    {E::BodyTimeout, 121, S::Upstream, 504, "body-timeout", "no more of the response body in time"},
    {E::BadChunk, 122, S::Upstream, 502, "bad-chunk", "the chunked coding of the response is malformed"},
    {E::ClientGone, 123, S::Client, 499, "client-gone", "the client went away"},
    {E::ClientBodyIncomplete, 124, S::Client, 400, "client-body-incomplete", "the request body ended early or is malformed"},
    {E::ClientBodyTimeout, 125, S::Client, 408, "client-body-timeout", "the client did not send its request body in time"},
    {E::ClientBodyTooLarge, 126, S::Client, 413, "client-body-too-large", "the request body is larger than allowed"},
    {E::BadTarget, 127, S::Client, 400, "bad-target", "the request target cannot be forwarded"},
    {E::BadRequestField, 128, S::Client, 400, "bad-request-field", "a request field cannot be forwarded"},
    {E::BadRequestFraming, 129, S::Client, 400, "bad-request-framing", "the length of the request body is ambiguous"},
    {E::ExpectationFailed, 130, S::Client, 417, "expectation-failed", "the expectation is not supported"},
    {E::NoUsableMember, 131, S::Upstream, 503, "no-usable-member", "no member of the balancer is usable"},
    {E::PoolExhausted, 132, S::Upstream, 503, "pool-exhausted", "all connections allowed to the backend are in use"},
    {E::TotalTimeout, 133, S::Upstream, 504, "total-timeout", "the exchange took longer than its total timeout"},
    {E::NoSuchBalancer, 134, S::Internal, 503, "no-such-balancer", "no balancer of this name with members is configured"},
    {E::UnsupportedScheme, 135, S::Internal, 500, "unsupported-scheme", "the scheme of the backend URL is not supported"},
    {E::Internal, 136, S::Internal, 500, "internal", "internal failure"},
    {E::QueueFull, 138, S::Upstream, 503, "queue-full", "all connections allowed to the members are in use, and as many requests wait as may"},
}};

constexpr bool table_is_in_order() {
  for (std::size_t i = 0; i < kTable.size(); ++i) {
    if (static_cast<std::size_t>(kTable[i].code) != i) return false;
  }
  return true;
}
static_assert(table_is_in_order());

}  // namespace

const ErrcInfo& info(ProxyErrc code) noexcept {
  const auto index = static_cast<std::size_t>(code);
  return kTable[index < kTable.size() ? index : static_cast<std::size_t>(E::Internal)];
}

std::string_view to_string(Phase phase) noexcept {
  switch (phase) {
    case Phase::Route: return "route";
    case Phase::Resolve: return "resolve";
    case Phase::Connect: return "connect";
    case Phase::Tls: return "tls";
    case Phase::Send: return "send";
    case Phase::Head: return "head";
    case Phase::Body: return "body";
    case Phase::Tunnel: return "tunnel";
  }
  return "internal";
}

}  // namespace cxxproxy::base
