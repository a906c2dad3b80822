// The fields that a proxy must know by their names.
//
// WHAT    field_name() tells which one a name is, whatever its case; any other is Other. One look at a name answers all that
//         readers and writers of heads want to know of it.
// SOURCE  RFC 9110 7.6.1, 7.6.3, 11.7; RFC 7239; the X-Forwarded fields of mod_proxy.
#pragma once

#include <cstdint>
#include <string_view>

namespace cxxproxy::http {

enum class FieldName : std::uint8_t {
  Other,
  // They end at this proxy.
  Connection,
  Http2Settings,
  KeepAlive,
  ProxyAuthenticate,
  ProxyAuthenticationInfo,
  ProxyAuthorization,
  ProxyConnection,
  Te,
  Trailer,
  TransferEncoding,
  Upgrade,
  // They tell whom a request has come by.
  Via,
  ForwardedFor,
  ForwardedHost,
  ForwardedServer,
  ForwardedProto,
  ForwardedPort,
  Forwarded,

  ContentLength,
  Expect,
  Host,
};

FieldName field_name(std::string_view name) noexcept;

constexpr bool is_hop_by_hop(FieldName name) noexcept { return name >= FieldName::Connection && name <= FieldName::Upgrade; }

}  // namespace cxxproxy::http
