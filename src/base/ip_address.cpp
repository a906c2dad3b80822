#include "base/ip_address.h"

#include <arpa/inet.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <system_error>

namespace cxxproxy::base {
namespace {

constexpr unsigned kMappedBits = 96;
constexpr std::array<std::uint8_t, 12> kMapped{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

bool is_mapped(const std::array<std::uint8_t, 16>& bytes) noexcept { return std::equal(kMapped.begin(), kMapped.end(), bytes.begin()); }

bool read_address(std::string_view text, IpAddress& address) noexcept {
  std::array<char, 48> buffer{};
  if (text.empty() || text.size() >= buffer.size()) return false;
  std::memcpy(buffer.data(), text.data(), text.size());
  address = {};
  address.v6 = text.find(':') != std::string_view::npos;
  return ::inet_pton(address.v6 ? AF_INET6 : AF_INET, buffer.data(), address.bytes.data()) == 1;
}

IpAddress unmapped(const IpAddress& address) noexcept {
  if (!address.v6 || !is_mapped(address.bytes)) return address;
  IpAddress v4;
  std::copy_n(address.bytes.begin() + 12, 4, v4.bytes.begin());
  return v4;
}

std::optional<unsigned> read_number(std::string_view text, unsigned max) noexcept {
  unsigned value = 0;
  const auto read = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || read.ec != std::errc{} || read.ptr != text.data() + text.size() || value > max) return std::nullopt;
  return value;
}

// "10", "10.1", "10.1.2": the leading bytes of IPv4 addresses.
std::optional<IpRange> parse_leading_bytes(std::string_view text) noexcept {
  IpRange range;
  for (unsigned part = 0; part < 4; ++part) {
    const auto dot = text.find('.');
    const auto value = read_number(text.substr(0, dot), 255);
    if (!value) return std::nullopt;
    range.first.bytes[part] = static_cast<std::uint8_t>(*value);
    range.prefix += 8;
    if (dot == std::string_view::npos) return range;
    text.remove_prefix(dot + 1);
  }
  return std::nullopt;
}

bool bits_equal(const std::array<std::uint8_t, 16>& a, const std::array<std::uint8_t, 16>& b, unsigned bits) noexcept {
  const unsigned whole = bits / 8;
  if (!std::equal(a.begin(), a.begin() + whole, b.begin())) return false;
  const unsigned rest = bits % 8;
  return rest == 0 || (a[whole] ^ b[whole]) >> (8 - rest) == 0;
}

bool has_host_bits(const IpRange& range) noexcept {
  IpAddress network;
  for (unsigned bit = 0; bit < range.prefix; ++bit) {
    network.bytes[bit / 8] = static_cast<std::uint8_t>(network.bytes[bit / 8] | (range.first.bytes[bit / 8] & (0x80u >> bit % 8)));
  }
  return network.bytes != range.first.bytes;
}

}  // namespace

bool IpRange::contains(const IpAddress& address) const noexcept {
  return first.v6 == address.v6 && bits_equal(first.bytes, address.bytes, prefix);
}

IpAddress ip_address_of(const void* bytes, bool v6) noexcept {
  IpAddress address;
  address.v6 = v6;
  std::memcpy(address.bytes.data(), bytes, v6 ? 16 : 4);
  return unmapped(address);
}

std::string text_of(const IpAddress& address) {
  std::array<char, INET6_ADDRSTRLEN> buffer{};
  const char* const text = ::inet_ntop(address.v6 ? AF_INET6 : AF_INET, address.bytes.data(), buffer.data(), buffer.size());
  return text != nullptr ? text : "";
}

std::optional<IpAddress> parse_ip_address(std::string_view text) noexcept {
  if (text.size() > 2 && text.front() == '[' && text.back() == ']' && text.find(':') != std::string_view::npos) {
    text = text.substr(1, text.size() - 2);
  }
  IpAddress address;
  if (!read_address(text, address)) return std::nullopt;
  return unmapped(address);
}

std::optional<IpRange> parse_ip_range(std::string_view text) noexcept {
  const auto slash = text.find('/');
  IpRange range;
  if (!read_address(text.substr(0, slash), range.first)) {
    return slash == std::string_view::npos ? parse_leading_bytes(text) : std::nullopt;
  }
  const unsigned longest = range.first.v6 ? 128 : 32;
  range.prefix = longest;
  if (slash != std::string_view::npos) {
    const auto prefix = read_number(text.substr(slash + 1), longest);
    if (!prefix) return std::nullopt;
    range.prefix = *prefix;
  }
  if (has_host_bits(range)) return std::nullopt;
  if (range.first.v6 && is_mapped(range.first.bytes) && range.prefix >= kMappedBits) {
    range.first = unmapped(range.first);
    range.prefix -= kMappedBits;
  }
  return range;
}

}  // namespace cxxproxy::base
