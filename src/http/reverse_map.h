// ProxyPassReverse: URLs of a backend back into paths of the proxy.
//
// WHAT    map_back() finds the first rule whose real URL is a prefix of a Location value and gives
//         the path on this server; the caller puts its own scheme://host in front. A rule's real URL
//         is absolute (http://host:port/path) or a path; one with a path covers relative values and, as in
//         mod_proxy, the path of an absolute URL on any host. "unix:/socket|" in front of a real URL is left out.
// SHAPES  Scheme and host compare without case and by port number (http://h:80/ is http://h/), the
//         path without case, as mod_proxy compares it. Boundary::Segment (default) lets a prefix
//         end only between segments and never doubles or loses the slash where prefix and rest
//         meet, and takes //host/path for a URL with the rule's own scheme; Boundary::Text compares
//         and concatenates paths as plain text and maps no //host/path, as mod_proxy does.
//         URLs with userinfo are never mapped.
// SOURCE  mod_proxy's documented ProxyPassReverse behaviour; Refresh: HTML, "shared declarative refresh steps".
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"
#include "http/url.h"

namespace cxxproxy::http {

struct ReverseRule {
  Url real;  // scheme empty: the rule is about paths only, real.path is the path
  std::string public_path;
};

// The error is one sentence for configtest.
base::Result<ReverseRule, UrlError> make_reverse_rule(std::string_view real, std::string_view public_path);

enum class Boundary : std::uint8_t { Segment, Text };

std::optional<std::string> map_back(std::string_view location, std::span<const ReverseRule> rules,
                                    Boundary boundary = Boundary::Segment);

// Where the URL stands in a Refresh value ("5; url=http://h/x"); size 0 if there is none.
struct Place {
  std::size_t begin = 0;
  std::size_t size = 0;
};
Place url_in_refresh(std::string_view refresh) noexcept;

}  // namespace cxxproxy::http
