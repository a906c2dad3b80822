#include "http/url.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <utility>

#include "base/ascii.h"

namespace cxxproxy::http {
namespace {

struct KnownScheme {
  std::string_view name;
  std::uint16_t port;  // 0: known, not spoken yet
};
constexpr std::array<KnownScheme, 13> kSchemes{{
    {"http", 80},
    {"https", 443},
    {"ws", 80},
    {"wss", 443},
    {"ajp", 0},
    {"connect", 0},
    {"fcgi", 0},
    {"fd", 0},
    {"ftp", 0},
    {"h2", 0},
    {"h2c", 0},
    {"scgi", 0},
    {"uwsgi", 0},
}};

const KnownScheme* find_scheme(std::string_view name) noexcept {
  const auto* found = std::ranges::find(kSchemes, name, &KnownScheme::name);
  return found == kSchemes.end() ? nullptr : found;
}

UrlError malformed(std::string text) { return {UrlProblem::Malformed, std::move(text)}; }

std::string lower(std::string_view text) {
  std::string out(text);
  std::ranges::transform(out, out.begin(), base::to_lower);
  return out;
}

bool is_scheme(std::string_view text) noexcept {
  return !text.empty() && base::is_alpha(text.front()) &&
         std::ranges::all_of(text, [](char c) { return base::is_alnum(c) || c == '+' || c == '-' || c == '.'; });
}

// Decimal octets "a.b.c.d" without leading zeros.
bool is_ipv4(std::string_view text) noexcept {
  for (int part = 0; part < 4; ++part) {
    const std::size_t end = part < 3 ? text.find('.') : text.size();
    if (end == std::string_view::npos || end == 0 || end > 3) return false;
    int value = 0;
    for (const char c : text.substr(0, end)) {
      if (!base::is_digit(c)) return false;
      value = value * 10 + (c - '0');
    }
    if (value > 255 || (end > 1 && text.front() == '0')) return false;
    text.remove_prefix(part < 3 ? end + 1 : end);
  }
  return text.empty();
}

// Colon-separated groups of one half of an IPv6 address; -1 if malformed. "" has none.
int count_groups(std::string_view text, bool may_end_with_ipv4) noexcept {
  if (text.empty()) return 0;
  int groups = 0;
  for (;;) {
    const std::size_t colon = text.find(':');
    const std::string_view group = text.substr(0, colon);
    if (colon == std::string_view::npos && may_end_with_ipv4 && is_ipv4(group)) return groups + 2;
    const bool hex = std::ranges::all_of(group, [](char c) { return base::hex_value(c) >= 0; });
    if (group.empty() || group.size() > 4 || !hex) return -1;
    ++groups;
    if (colon == std::string_view::npos) return groups;
    text.remove_prefix(colon + 1);
  }
}

bool is_ipv6(std::string_view text) noexcept {
  const std::size_t gap = text.find("::");
  if (gap == std::string_view::npos) return count_groups(text, true) == 8;
  const int before = count_groups(text.substr(0, gap), false);
  const int after = count_groups(text.substr(gap + 2), true);
  return before >= 0 && after >= 0 && before + after <= 7;
}

bool is_host_char(char c) noexcept { return base::is_alnum(c) || c == '-' || c == '.' || c == '_'; }

// Nothing wrong: an empty string.
std::string take_port(std::string_view digits, Url& url) {
  if (digits.empty()) return "the port after ':' is missing";
  unsigned value = 0;
  for (const char c : digits) {
    if (!base::is_digit(c)) return "the port is not a number";
    value = std::min(value * 10 + static_cast<unsigned>(c - '0'), 100000u);
  }
  if (value == 0 || value > 65535) return "the port is not within 1..65535";
  url.port = static_cast<std::uint16_t>(value);
  url.default_port = url.port == default_port_of(url.scheme);
  return {};
}

std::string take_authority(std::string_view authority, Url& url) {
  if (authority.find('@') != std::string_view::npos) return "user or password in the URL is not allowed";
  std::size_t end = 0;
  if (authority.starts_with('[')) {
    const std::size_t bracket = authority.find(']');
    if (bracket == std::string_view::npos) return "the ']' of the IPv6 address is missing";
    const std::string_view address = authority.substr(1, bracket - 1);
    if (address.find('%') != std::string_view::npos) return "an IPv6 zone is not supported";
    if (!is_ipv6(address)) return "the address in brackets is not an IPv6 address";
    url.ipv6 = true;
    url.host = lower(address);
    end = bracket + 1;
    if (end < authority.size() && authority[end] != ':') return "only ':' and a port may follow the ']'";
  } else {
    end = std::min(authority.find(':'), authority.size());
    const std::string_view host = authority.substr(0, end);
    if (end < authority.size() && authority.find(':', end + 1) != std::string_view::npos) {
      return "the authority has more than one ':' (an IPv6 address is written in brackets)";
    }
    if (host.empty()) return "the host name is missing";
    if (host.size() > 253) return "the host name is longer than 253 characters";
    if (!std::ranges::all_of(host, is_host_char)) {
      return "the host name may hold letters, digits, '-', '.' and '_' only";
    }
    url.host = lower(host);
  }
  url.port = default_port_of(url.scheme);
  url.default_port = true;
  return end < authority.size() ? take_port(authority.substr(end + 1), url) : std::string{};
}

std::string check_socket(std::string_view socket) {
  if (socket.empty()) return "the path of the unix socket is missing";
  if (socket.starts_with("//")) return "a unix socket has a path and no host";
  if (socket.size() > kLongestSocketPath) return "the path of the unix socket is longer than 107 characters";
  if (std::ranges::any_of(socket, base::is_control)) return "the path of the unix socket holds a control character";
  return {};
}

std::string check_path(std::string_view rest) {
  for (const char c : rest) {
    if (base::is_control(c)) return "the URL holds a control character";
    if (c == ' ') return "the URL holds a space (write %20)";
    if (c == '#') return "a fragment ('#') has no meaning in a backend URL";
  }
  return {};
}

}  // namespace

std::uint16_t default_port_of(std::string_view lower_case_scheme) noexcept {
  const KnownScheme* known = find_scheme(lower_case_scheme);
  return known == nullptr ? std::uint16_t{0} : known->port;
}

std::string Url::authority() const {
  std::string out;  // most are short enough to lie in it
  if (ipv6) out += '[';
  out += host;
  if (ipv6) out += ']';
  if (!default_port) {
    out += ':';
    out += std::to_string(port);
  }
  return out;
}

std::string Url::text() const { return scheme + "://" + authority() + path; }

std::string Url::name() const { return socket.empty() ? text() : "unix:" + socket + '|' + text(); }

SocketUrl split_socket(std::string_view text) noexcept {
  constexpr std::string_view kPrefix = "unix:";
  if (!base::istarts_with(text, kPrefix)) return {{}, text};
  const std::size_t bar = text.find('|');
  if (bar == std::string_view::npos) return {{}, text};
  std::string_view socket = text.substr(kPrefix.size(), bar - kPrefix.size());
  if (socket.starts_with("///")) socket.remove_prefix(2);  // an empty host in front of the path
  return {socket, text.substr(bar + 1)};
}

std::size_t origin_end(std::string_view url) noexcept {
  const std::size_t scheme = url.find("://");
  return scheme == std::string_view::npos ? url.size() : std::min(url.find_first_of("/?#", scheme + 3), url.size());
}

base::Result<Origin, UrlError> parse_origin(std::string_view text) {
  const std::size_t colon = text.find(':');
  const std::string_view scheme = text.substr(0, colon == std::string_view::npos ? 0 : colon);
  if (!is_scheme(scheme) || !text.substr(colon).starts_with("://")) {
    return malformed("the URL does not start with scheme://");
  }
  Origin origin;
  origin.url.scheme = lower(scheme);
  const KnownScheme* known = find_scheme(origin.url.scheme);
  if (known == nullptr) {
    return UrlError{UrlProblem::UnknownScheme, "the scheme '" + origin.url.scheme + "' is not known"};
  }
  if (known->port == 0) {
    return UrlError{UrlProblem::NotSupportedYet, "the scheme '" + origin.url.scheme + "' is not supported yet"};
  }
  const std::size_t authority = colon + 3;
  const std::size_t end = origin_end(text);
  if (std::string wrong = take_authority(text.substr(authority, end - authority), origin.url); !wrong.empty()) {
    return malformed(std::move(wrong));
  }
  origin.rest = text.substr(end);
  return origin;
}

base::Result<Url, UrlError> parse_url(std::string_view text) {
  const SocketUrl parts = split_socket(text);
  if (base::istarts_with(text, "unix:")) {
    if (parts.rest.size() == text.size()) return malformed("the '|' behind the socket's path is missing (unix:/path|http://host)");
    if (std::string wrong = check_socket(parts.socket); !wrong.empty()) return malformed(std::move(wrong));
  }
  const bool no_host = !parts.socket.empty() && parts.rest.ends_with(':');  // "unix:/path|http:"
  const std::string filled = no_host ? std::string(parts.rest) + "//localhost" : std::string();
  auto origin = parse_origin(no_host ? std::string_view(filled) : parts.rest);
  if (!origin) return origin.error();
  if (std::string wrong = check_path(origin->rest); !wrong.empty()) return malformed(std::move(wrong));
  Url url = std::move(origin->url);
  url.socket = parts.socket;
  if (origin->rest.starts_with('?')) url.path = '/';
  url.path += origin->rest;
  return url;
}

}  // namespace cxxproxy::http
