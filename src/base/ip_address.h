// IP addresses and ranges of them, as configurations write them.
//
// WHAT    parse_ip_address() reads "192.0.2.1" and "2001:db8::1" (brackets are allowed), parse_ip_range() those and
//         "192.0.2.0/24", "192.0.2", "2001:db8::/32". No names: nothing here asks a resolver.
// SHAPES  Plain values. An IPv4 address that came mapped into IPv6 (::ffff:192.0.2.1) is the IPv4 address, in a
//         range and in an address, so both compare as people mean it.
// ERRORS  nothing when the text is no address; host bits behind a prefix length are an error, since one
//         of both is wrong then.
// SOURCE  RFC 4291 2.2, 2.5.5.2; RFC 4632.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace cxxproxy::base {

struct IpAddress {
  bool v6 = false;
  std::array<std::uint8_t, 16> bytes{};  // network order; IPv4 uses the first four

  bool operator==(const IpAddress&) const = default;
};

struct IpRange {
  IpAddress first;
  unsigned prefix = 0;  // bits that count, 0..32 or 0..128

  bool contains(const IpAddress& address) const noexcept;
};

// From the bytes of a socket address: 4 or 16 of them.
IpAddress ip_address_of(const void* bytes, bool v6) noexcept;

std::string text_of(const IpAddress& address);
std::optional<IpAddress> parse_ip_address(std::string_view text) noexcept;
std::optional<IpRange> parse_ip_range(std::string_view text) noexcept;

}  // namespace cxxproxy::base
