#include "config/dump_values.h"

#include <array>
#include <utility>

#include "config/spec.h"

namespace cxxproxy::config {
namespace {

template <class T, class F>
EffectiveValue value_of(const DirectiveRow& row, const Setting<T>& setting, F&& text) {
  if (!setting.is_set()) return {row.default_text, false, {}};
  return {text(*setting.value), true, setting.where};
}

EffectiveValue flag(const DirectiveRow& row, const Setting<bool>& setting) {
  return value_of(row, setting, [](bool on) { return std::string(on ? "On" : "Off"); });
}

EffectiveValue duration(const DirectiveRow& row, const Setting<base::Duration>& setting) { return value_of(row, setting, duration_as_written); }

std::string bad_header_text(BadHeader value) {
  return value == BadHeader::Refuse ? "IsError" : value == BadHeader::Skip ? "Ignore" : "StartBody";
}

std::string show_status_text(ShowStatus value) { return value == ShowStatus::Off ? "Off" : value == ShowStatus::On ? "On" : "Full"; }

std::string reactor_text(Reactor value) { return value == Reactor::Off ? "Off" : value == Reactor::On ? "On" : "Auto"; }

std::string via_text(Via value) {
  constexpr std::array<const char*, 4> kWords{"Off", "On", "Full", "Block"};
  return kWords[static_cast<std::size_t>(value)];
}

std::string forwarded_text(unsigned fields) {
  constexpr std::array<const char*, 6> kWords{"For", "Host", "Server", "Proto", "Port", "Forwarded"};  // by bit
  std::string text;
  for (std::size_t bit = 0; bit < kWords.size(); ++bit) {
    if ((fields >> bit & 1u) != 0) text.append(text.empty() ? "" : " ").append(kWords[bit]);
  }
  return text;
}

std::string override_text(bool on, const ErrorCodes& codes) {
  std::string text = on ? "On" : "Off";
  for (int code = ErrorCodes::kFirst; on && code <= ErrorCodes::kLast; ++code) {
    if (codes.has(code)) text.append(" ").append(std::to_string(code));
  }
  return text;
}

std::string boundary_text(http::Boundary value) { return value == http::Boundary::Segment ? "Segment" : "Text"; }

}  // namespace

std::string duration_as_written(base::Duration duration) {
  const auto microseconds = duration.count();
  if (microseconds % 60'000'000 == 0 && microseconds >= 120'000'000) return std::to_string(microseconds / 60'000'000) + "min";
  if (microseconds % 1'000'000 == 0) return std::to_string(microseconds / 1'000'000);
  return std::to_string(microseconds / 1'000) + "ms";
}

std::string status_letters(std::uint32_t flags) {
  constexpr std::array<std::pair<StatusFlag, char>, 8> kLetters{{{StatusFlag::Disabled, 'D'},
                                                                 {StatusFlag::Stopped, 'S'},
                                                                 {StatusFlag::IgnoreErrors, 'I'},
                                                                 {StatusFlag::HotSpare, 'R'},
                                                                 {StatusFlag::HotStandby, 'H'},
                                                                 {StatusFlag::InError, 'E'},
                                                                 {StatusFlag::Drain, 'N'},
                                                                 {StatusFlag::CheckFailed, 'C'}}};
  std::string letters;
  for (const auto& [known, letter] : kLetters) {
    if ((flags & bit(known)) != 0) letters += letter;
  }
  return letters.empty() ? "none" : letters;
}

std::string source_text(bool said, SourceLine where) {
  return said ? std::string(where.file) + ':' + std::to_string(where.line) : std::string("default");
}

std::optional<EffectiveValue> effective_value(const DirectiveRow& row, const VhostConfig& server, const LocationConfig& scope) {
  switch (row.id) {
    case DirectiveId::ProxyPreserveHost:
      return flag(row, scope.preserve_host);
    case DirectiveId::ProxyAddHeaders:
      return flag(row, scope.add_headers);
    case DirectiveId::Proxy100Continue:
      return flag(row, scope.continue_from_backend);
    case DirectiveId::ProxyTimeout:
      return duration(row, scope.proxy_timeout.is_set() ? scope.proxy_timeout : server.proxy_timeout);
    case DirectiveId::ProxyPassReverseMode:
      return value_of(row, scope.fields.reverse_mode, boundary_text);
    case DirectiveId::ProxyBadHeader:
      return value_of(row, server.bad_header, bad_header_text);
    case DirectiveId::ProxyStatus:
      return value_of(row, server.show_status, show_status_text);
    case DirectiveId::ProxyPassInterpolateEnv:
      return flag(row, scope.interpolate);
    case DirectiveId::ProxyPassInherit:
      return flag(row, server.rule_inherit);
    case DirectiveId::BalancerInherit:
      return flag(row, server.balancer_inherit);
    case DirectiveId::BalancerPersist:
      return flag(row, server.persist);
    case DirectiveId::ProxyCheckNames:
      return flag(row, server.check_names);
    case DirectiveId::ProxyForwardedFields:
      return value_of(row, scope.fields.forwarded_fields, forwarded_text);
    case DirectiveId::ProxyForwardedTrust:
      return value_of(row, scope.fields.forwarded_trust, [](const ForwardedTrust* trust) { return trust->text; });
    case DirectiveId::ProxyErrorOverride:
      return value_of(row, scope.fields.error_override, [&](bool on) { return override_text(on, scope.fields.error_codes); });
    case DirectiveId::ProxyVia:
      return value_of(row, server.via, via_text);
    case DirectiveId::ProxyIOBufferSize:
      return value_of(row, server.io_buffer_size, [](std::int64_t bytes) { return std::to_string(bytes); });
    case DirectiveId::ProxyReceiveBufferSize:
      return value_of(row, server.receive_buffer_size, [](std::int64_t bytes) { return std::to_string(bytes); });
    case DirectiveId::ProxySourceAddress:
      return value_of(row, server.source_address, [](const base::IpAddress& address) { return base::text_of(address); });
    case DirectiveId::ProxyMaxForwards:
      return value_of(row, server.max_forwards, [](std::int64_t number) { return std::to_string(number); });
    case DirectiveId::ProxyPark:
      return flag(row, scope.park);
    case DirectiveId::ProxyParkAfter:
      return duration(row, server.park_after);
    case DirectiveId::ProxyKeepAliveGuard:
      return flag(row, server.keep_alive_guard);
    case DirectiveId::ProxyKeepAliveStay:
      return duration(row, server.keep_alive_stay);
    case DirectiveId::ProxyReactor:
      return value_of(row, server.reactor, reactor_text);
    case DirectiveId::ProxyTunnelDrain:
      return duration(row, server.tunnel_drain);
    case DirectiveId::ProxyParkMax:
      return value_of(row, server.park_max, [](unsigned number) { return std::to_string(number); });
    case DirectiveId::ProxyWebsocketIdleTimeout:
      return duration(row, scope.tunnel_timeout);
    // These add to lists, or have one value only.
    case DirectiveId::ProxyWebsocketFallback:
    case DirectiveId::ProxyPass:
    case DirectiveId::ProxyPassMatch:
    case DirectiveId::ProxyMatchSection:
    case DirectiveId::ProxyPassReverse:
    case DirectiveId::ProxyPassReverseCookieDomain:
    case DirectiveId::ProxyPassReverseCookiePath:
    case DirectiveId::ProxyCookieFlags:
    case DirectiveId::ProxyRequests:
    case DirectiveId::ProxySection:
    case DirectiveId::BalancerMember:
    case DirectiveId::ProxySet:
    case DirectiveId::ProxyExplain:
    case DirectiveId::NotYet:
      return std::nullopt;
  }
  return std::nullopt;
}

}  // namespace cxxproxy::config
