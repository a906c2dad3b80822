// Who asked: the names of the X-Forwarded fields, and the element of RFC 7239's Forwarded field.
//
// WHAT    append_forwarded() writes one element, for=...;host=...;proto=..., with quotes where the grammar wants them.
// SHAPES  An empty text leaves its parameter out. IPv6 addresses come without brackets and get them, in
//         quotes. Text that no quoted string can hold (controls) leaves the parameter out as well.
// SOURCE  RFC 7239 4, 5, 6.
#pragma once

#include <string>
#include <string_view>

namespace cxxproxy::http {

// Bits: which fields a request to a backend gets.
enum ForwardedField : unsigned {
  kForwardedFor = 1u << 0,
  kForwardedHost = 1u << 1,
  kForwardedServer = 1u << 2,
  kForwardedProto = 1u << 3,
  kForwardedPort = 1u << 4,
  kForwardedElement = 1u << 5,  // the Forwarded field
};
inline constexpr unsigned kUsualForwarded = kForwardedFor | kForwardedHost | kForwardedServer | kForwardedProto;

struct ForwardedElement {
  std::string_view client_ip;
  std::string_view host;
  std::string_view proto;
};

void append_forwarded(std::string& out, const ForwardedElement& element);

}  // namespace cxxproxy::http
