#include "http/field_name.h"

#include <algorithm>
#include <array>
#include <cstddef>

#include "base/ascii.h"

namespace cxxproxy::http {
namespace {

struct Row {
  std::string_view text;
  FieldName name;
};

constexpr Row kRows[] = {  // by length
    {"TE", FieldName::Te},
    {"Via", FieldName::Via},
    {"Host", FieldName::Host},
    {"Expect", FieldName::Expect},
    {"Trailer", FieldName::Trailer},
    {"Upgrade", FieldName::Upgrade},
    {"Forwarded", FieldName::Forwarded},
    {"Connection", FieldName::Connection},
    {"Keep-Alive", FieldName::KeepAlive},
    {"Content-Length", FieldName::ContentLength},
    {"HTTP2-Settings", FieldName::Http2Settings},
    {"X-Forwarded-For", FieldName::ForwardedFor},
    {"Proxy-Connection", FieldName::ProxyConnection},
    {"X-Forwarded-Host", FieldName::ForwardedHost},
    {"X-Forwarded-Port", FieldName::ForwardedPort},
    {"Transfer-Encoding", FieldName::TransferEncoding},
    {"X-Forwarded-Proto", FieldName::ForwardedProto},
    {"Proxy-Authenticate", FieldName::ProxyAuthenticate},
    {"X-Forwarded-Server", FieldName::ForwardedServer},
    {"Proxy-Authorization", FieldName::ProxyAuthorization},
    {"Proxy-Authentication-Info", FieldName::ProxyAuthenticationInfo},
};
constexpr auto size_of = [](const Row& row) { return row.text.size(); };
static_assert(std::ranges::is_sorted(kRows, {}, size_of));

constexpr std::size_t kLongest = std::ranges::max(kRows, {}, size_of).text.size();

// Names of which only the middle differs are rare, and a comparison is a call.
bool same_ends(std::string_view a, std::string_view b) noexcept {
  constexpr int kCaseBit = 0x20;
  return (((a.front() ^ b.front()) | (a.back() ^ b.back())) & ~kCaseBit) == 0;
}

// Which row is the first of a length, or of the next one that there is.
constexpr auto kFirst = [] {
  std::array<std::uint8_t, kLongest + 2> first{};
  for (std::size_t size = 0; size < first.size(); ++size) {
    first[size] = static_cast<std::uint8_t>(std::ranges::lower_bound(kRows, size, {}, size_of) - std::begin(kRows));
  }
  return first;
}();

}  // namespace

FieldName field_name(std::string_view name) noexcept {
  if (name.size() > kLongest) return FieldName::Other;
  const Row* const end = kRows + kFirst[name.size() + 1];
  for (const Row* row = kRows + kFirst[name.size()]; row < end; ++row) {
    if (same_ends(name, row->text) && base::iequals(name, row->text)) return row->name;
  }
  return FieldName::Other;
}

}  // namespace cxxproxy::http
