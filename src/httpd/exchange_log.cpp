#include "httpd/exchange_log.h"

#include <cstring>
#include <string>

#include "httpd/httpd_api.h"

namespace cxxproxy::httpd {

using base::Phase;
using base::ProxyErrc;
using exchange::AttemptEnd;
using exchange::AttemptReport;
using balancer::RestReason;

std::string seconds(base::Duration span) {
  const auto milliseconds = std::chrono::duration_cast<std::chrono::milliseconds>(span).count();
  if (milliseconds % 1000 == 0) return std::to_string(milliseconds / 1000) + " s";
  return std::to_string(milliseconds) + " ms";
}

std::string subject(const config::BalancerSpec* balancer, const config::MemberSpec* member) {
  std::string text;
  if (balancer != nullptr) text.append("balancer://").append(balancer->name);
  if (member != nullptr) {
    if (!text.empty()) text += ' ';
    text += member->url.path == "/" ? std::string_view(member->name).substr(0, member->name.size() - 1) : std::string_view(member->name);
  }
  return text.empty() ? std::string("request") : text;
}

namespace {

// A wait of our own for something to become free.
bool lacks_slot(ProxyErrc code) noexcept { return code == ProxyErrc::PoolExhausted || code == ProxyErrc::NoUsableMember; }

bool is_timeout(ProxyErrc code) noexcept {
  return code == ProxyErrc::ConnectTimeout || code == ProxyErrc::SendTimeout || code == ProxyErrc::HeadTimeout ||
         code == ProxyErrc::BodyTimeout || code == ProxyErrc::ContinueTimeout || code == ProxyErrc::ClientBodyTimeout || lacks_slot(code);
}

std::string reason(const AttemptReport& attempt) {
  std::string_view sentence = base::info(attempt.error.code).sentence;
  const bool limited = is_timeout(attempt.error.code) && attempt.limit.count() > 0;
  constexpr std::string_view kInTime = " in time";
  if (limited && sentence.ends_with(kInTime)) sentence.remove_suffix(kInTime.size());
  std::string text(sentence);
  if (!attempt.detail.empty()) text.append(": ").append(attempt.detail);
  if (attempt.error.code == ProxyErrc::TotalTimeout) text.append(" of ").append(seconds(attempt.limit));
  if (limited) text.append(lacks_slot(attempt.error.code) ? " for " : " within ").append(seconds(attempt.limit));
  const int os_error = attempt.error.os_error;
  // 13 is what SELinux answers; without the hint administrators search for hours.
  const bool is_socket = attempt.member != nullptr && !attempt.member->url.socket.empty();
  if (is_socket && attempt.error.phase == Phase::Connect && os_error == EACCES) {
    text += ": permission denied (httpd's user needs write access to the socket and search access to its folders)";
  } else if (attempt.error.phase == Phase::Connect && os_error == EACCES) text += ": permission denied (SELinux: setsebool httpd_can_network_connect on)";
  else if (os_error != 0 && attempt.error.code == ProxyErrc::ConnectFailed) text.append(": ").append(std::strerror(os_error));
  return text;
}

std::string_view because(RestReason reason) noexcept {
  switch (reason) {
    case RestReason::Timeout: return "(failontimeout) ";
    case RestReason::FailuresInARow: return "(ejected, too many failures in a row) ";
    case RestReason::FailureRate: return "(ejected, too many failures in the window) ";
    default: return "";
  }
}

std::string outcome(const config::BalancerSpec* balancer, const AttemptReport& attempt) {
  std::string text;
  switch (attempt.end) {
    case AttemptEnd::Replay: text = "sent again on a new connection"; break;
    case AttemptEnd::NextMember: text = "trying the next member"; break;
    case AttemptEnd::GaveUp:
      if (attempt.error.code == ProxyErrc::ClientGone) text = "gave up";
      else if (attempt.answer_begun) text = "cut the answer to the client";
      else text = "answered " + std::to_string(base::status_for(attempt.error));
      break;
  }
  if (attempt.rested != RestReason::None && balancer != nullptr) {
    text.append("; the member ").append(because(attempt.rested)).append("rests for ").append(seconds(attempt.rest));
  }
  return text;
}

int level_of(const AttemptReport& attempt) noexcept {
  if (base::info(attempt.error.code).side == base::Side::Client) return APLOG_INFO;
  if (attempt.end == AttemptEnd::GaveUp) return APLOG_ERR;
  return attempt.rested != RestReason::None ? APLOG_WARNING : APLOG_INFO;
}

}  // namespace

void log_attempt(request_rec* r, const config::BalancerSpec* balancer, const AttemptReport& attempt) noexcept {
  const int level = level_of(attempt);
  if (!APLOG_R_IS_LEVEL(r, level)) return;
  std::string attempts = "attempt " + std::to_string(attempt.number);
  if (balancer != nullptr) attempts += " of " + std::to_string(balancer->members.size());
  if (attempt.reused) attempts += ", reused connection";
  attempts.append(", phase ").append(base::to_string(attempt.error.phase));
  ap_log_rerror(APLOG_MARK, level, 0, r, "CXP%04u: %s: %s (%s), %s", static_cast<unsigned>(base::info(attempt.error.code).tag),
                subject(balancer, attempt.member).c_str(), reason(attempt).c_str(), attempts.c_str(),
                outcome(balancer, attempt).c_str());
}

void log_member_change(request_rec* r, const config::BalancerSpec& balancer, const config::MemberSpec& member, const char* what) noexcept {
  ap_log_rerror(APLOG_MARK, APLOG_NOTICE, 0, r, "CXP0020: %s: %s", subject(&balancer, &member).c_str(), what);
}

void log_all_failed(request_rec* r, const config::BalancerSpec& balancer) noexcept {
  ap_log_rerror(APLOG_MARK, APLOG_WARNING, 0, r, "CXP0021: %s: every member has failed, they are tried all the same",
                subject(&balancer, nullptr).c_str());
}

void log_rest(request_rec* r, const config::BalancerSpec& balancer, const config::MemberSpec& member, int status,
              const balancer::Consequence& consequence) noexcept {
  const char* why = "failed";
  switch (consequence.rest) {
    case balancer::RestReason::Status: why = "failonstatus"; break;
    case balancer::RestReason::FailuresInARow: why = "ejected, too many failures in a row"; break;
    case balancer::RestReason::FailureRate: why = "ejected, too many failures in the window"; break;
    default: break;
  }
  ap_log_rerror(APLOG_MARK, APLOG_WARNING, 0, r, "CXP0024: %s: answered %d (%s); the member rests for %s",
                subject(&balancer, &member).c_str(), status, why, seconds(consequence.rest_for).c_str());
}

void log_panic(request_rec* r, const config::BalancerSpec& balancer) noexcept {
  ap_log_rerror(APLOG_MARK, APLOG_WARNING, 0, r, "CXP0025: %s: too few members are left, ejections do not count",
                subject(&balancer, nullptr).c_str());
}

void log_panic_is_over(request_rec* r, const config::BalancerSpec& balancer) noexcept {
  ap_log_rerror(APLOG_MARK, APLOG_NOTICE, 0, r, "CXP0026: %s: enough members are left again, ejections count", subject(&balancer, nullptr).c_str());
}

void log_recovered(request_rec* r, const config::BalancerSpec& balancer, const config::MemberSpec& member) noexcept {
  ap_log_rerror(APLOG_MARK, APLOG_NOTICE, 0, r, "CXP0023: %s: answers again, all members are offered", subject(&balancer, &member).c_str());
}

void log_tunnel(request_rec* r, const config::BalancerSpec* balancer, const exchange::TunnelReport& tunnel) noexcept {
  if (!APLOG_R_IS_LEVEL(r, APLOG_INFO)) return;
  ap_log_rerror(APLOG_MARK, APLOG_INFO, 0, r, "CXP0060: %s: the tunnel (%.*s) has ended: %.*s; %" APR_UINT64_T_FMT " bytes to the backend, %" APR_UINT64_T_FMT " to the client",
                subject(balancer, tunnel.member).c_str(), static_cast<int>(tunnel.protocol.size()), tunnel.protocol.data(),
                static_cast<int>(tunnel.end.sentence.size()), tunnel.end.sentence.data(), static_cast<apr_uint64_t>(tunnel.bytes_up),
                static_cast<apr_uint64_t>(tunnel.bytes_down));
}

void log_refused_request(request_rec* r, std::string_view why) noexcept {
  ap_log_rerror(APLOG_MARK, APLOG_INFO, 0, r, "CXP0022: the request cannot be forwarded: %.*s", static_cast<int>(why.size()), why.data());
}

}  // namespace cxxproxy::httpd
