// ProxyPassReverse: URLs of a backend back into paths of the proxy.
//
// WHAT    map_back() finds the first rule whose real URL is a prefix of a Location value and gives
//         the path on this server; the caller puts its own scheme://host in front. A rule's real URL
//         is absolute (http://host:port/path) or a path (for relative Location values).
// SHAPES  Scheme and host compare without case and by port number (http://h:80/ is http://h/), the
//         path without case, as mod_proxy compares it. Boundary::Segment (default) lets a prefix
//         end only between segments and never doubles or loses the slash where prefix and rest
//         meet; Boundary::Text compares and concatenates as plain text, as mod_proxy does.
//         //host/... and URLs with userinfo are never mapped.
// SOURCE  mod_proxy's documented ProxyPassReverse behaviour.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"
#include "http/url.h"

namespace cxxproxy::http {

struct ReverseRule {
  Url real;  // scheme empty: the rule is about path-only values, real.path is the path
  std::string public_path;
};

// The error is one sentence for configtest.
base::Result<ReverseRule, UrlError> make_reverse_rule(std::string_view real, std::string_view public_path);

enum class Boundary : std::uint8_t { Segment, Text };

std::optional<std::string> map_back(std::string_view location, std::span<const ReverseRule> rules,
                                    Boundary boundary = Boundary::Segment);

}  // namespace cxxproxy::http
