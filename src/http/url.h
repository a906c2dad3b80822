// Backend URLs as directives, rewriting rules and Location fields spell them.
//
// WHAT    Url is an absolute URL of a backend in canonical form. parse_url() takes a whole URL as a
//         directive gives it; parse_origin() only scheme and authority and leaves the rest alone,
//         for URLs that carry a decoded request path (mod_rewrite) and for Location values.
//         "unix:/path|http://host/base" is a backend behind a unix socket: only parse_url() takes it,
//         so that no URL which a request had a part in can name one.
// SHAPES  Schemes http (80), https (443), ws (80), wss (443). host is lower case, an IPv6 address
//         without brackets; registered names hold letters, digits, '-', '.', '_' only. path is "" or
//         starts with '/' and may hold a query, as in a ProxyPass target; never '#', a space or CTL.
// ERRORS  UrlError: kind tells a scheme we know of but do not speak yet (configtest says so) from a
//         scheme nobody knows (the caller may try its own, balancer://) and from a malformed URL.
//         text is one sentence without the URL, for configtest and the log.
// SOURCE  RFC 3986 3.1-3.3; RFC 9110 4.2.4 (no userinfo).
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace cxxproxy::http {

struct Url {
  std::string scheme;  // lower case
  std::string host;    // lower case, IPv6 without brackets
  bool ipv6 = false;
  std::uint16_t port = 0;
  bool default_port = true;
  std::string path;  // "" or starts with '/'; may hold "?query"
  std::string socket;  // unix socket that is connected to instead of host and port; "" for TCP

  // The Host field: IPv6 in brackets, the port only when it is not the scheme's default.
  std::string authority() const;
  // scheme://authority + path
  std::string text() const;
  // The same, behind "unix:/path|" if there is a socket: what logs show.
  std::string name() const;
};

enum class UrlProblem : std::uint8_t {
  Malformed,
  NotSupportedYet,  // ajp, fcgi, scgi, uwsgi, h2, h2c, ftp, fdpass, connect
  UnknownScheme,
};

struct UrlError {
  UrlProblem kind = UrlProblem::Malformed;
  std::string text;
};

base::Result<Url, UrlError> parse_url(std::string_view text);

// sockaddr_un holds 108 bytes with the NUL at the end.
inline constexpr std::size_t kLongestSocketPath = 107;

// "unix:/path|rest" in its two parts; `socket` is empty when the text is none of these.
struct SocketUrl {
  std::string_view socket;
  std::string_view rest;
};
SocketUrl split_socket(std::string_view text) noexcept;

// Where scheme, host and port of a URL end: before the first '/', '?' or '#' behind "://", at its end where there is none.
std::size_t origin_end(std::string_view url) noexcept;

struct Origin {
  Url url;                // path is empty
  std::string_view rest;  // what follows the authority: "", "/...", "?..." or "#..."; view into the argument
};
base::Result<Origin, UrlError> parse_origin(std::string_view text);

// Default port of a scheme that Url can hold, 0 for any other.
std::uint16_t default_port_of(std::string_view lower_case_scheme) noexcept;

}  // namespace cxxproxy::http
