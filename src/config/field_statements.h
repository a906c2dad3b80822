// Directives about the fields of requests and answers, one function each: words in, configuration changed or a
// sentence why not.
//
// WHAT    The meaning of what field_settings.h and answer_rules.h keep, without httpd.
// SHAPES  As config/statements.h: words never hold the directive's own name.
// ERRORS  Problem, as there.
// SOURCE  httpd's manual of mod_proxy; nginx's proxy_cookie_flags.
#pragma once

#include <string_view>
#include <vector>

#include "config/answer_rules.h"
#include "config/field_settings.h"
#include "config/statements.h"

namespace cxxproxy::config {

// ProxyPassReverseCookieDomain and -Path: the backend's side, the public side, and perhaps "interpolate".
Problem say_cookie_rule(std::vector<SaidCookieRule>& rules, const Statement& said, http::CookieAttribute attribute, Words words);

// ProxyCookieFlags Off | [pattern] flag ...
Problem say_cookie_flags(std::vector<SaidCookieFlags>& rules, const Statement& said, Words words);

// ProxyForwardedFields For|Host|Server|Proto|Port|Forwarded ...
Problem say_forwarded_fields(Setting<unsigned>& fields, const Statement& said, Words words);

// ProxyForwardedTrust All|None|address[/bits] ...; the server keeps the list.
Problem say_forwarded_trust(Declarations& lists, Setting<const ForwardedTrust*>& trust, const Statement& said, Words words);

// ProxyErrorOverride Off|On [code ...]; codes may also be joined by commas.
Problem say_error_override(FieldSettings& fields, const Statement& said, Words words);

// ProxyVia Off|On|Full|Block
Problem say_via(Setting<Via>& via, const Statement& said, std::string_view text);

// ProxyIOBufferSize and ProxyReceiveBufferSize; the range is that of the parameter.
Problem say_buffer_size(Setting<std::int64_t>& size, const Statement& said, ParameterId like, std::string_view text);

// ProxySourceAddress address
Problem say_source_address(Setting<base::IpAddress>& source, const Statement& said, std::string_view text);

// ProxyMaxForwards number
Problem say_max_forwards(Setting<std::int64_t>& max_forwards, const Statement& said, std::string_view text);

// ProxyPassReverseMode Segment|Text
Problem say_reverse_mode(Setting<http::Boundary>& mode, const Statement& said, std::string_view text);

}  // namespace cxxproxy::config
