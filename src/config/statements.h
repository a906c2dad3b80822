// Directives, one function each: words in, configuration changed or a sentence why not.
//
// WHAT    The meaning of every supported directive, without httpd. The adapter splits the line into
//         words, finds the scope and passes both on.
// SHAPES  words never hold the directive's own name. Rules of mod_proxy that are kept: an object is
//         made by whatever names it first; ProxySet and BalancerMember work in any order, the later
//         value wins; parameters on a second ProxyPass to the same URL have no effect (they are
//         remembered for a warning).
// ERRORS  Problem: the text for configtest, starting with the directive as it was typed. The
//         configuration may be half changed then; httpd stops anyway.
// SOURCE  httpd's manual of mod_proxy; section "Workers" and "Balancers".
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "config/location_config.h"
#include "config/pattern.h"
#include "config/vhost_config.h"

namespace cxxproxy::config {

using Problem = std::optional<std::string>;
using Words = std::span<const std::string_view>;

struct Statement {
  std::string_view directive;  // as typed
  SourceLine where;
  const Surroundings* surroundings = nullptr;  // without one there are no expressions
};

// What a ProxyPass line compares with the path of a request.
enum class RuleKind : std::uint8_t { Prefix, Expression };

// ProxyPass path !|url [key=value ...] in a server, and without path in a <Location>. `kind` is Expression
// for ProxyPassMatch, and in a section whose path is one.
Problem say_proxy_pass(VhostConfig& server, const Statement& said, RuleKind kind, Words words);
Problem say_location_pass(VhostConfig& server, LocationConfig& location, const Statement& said, RuleKind kind, std::string_view path,
                          Words words);

// ProxyPassReverse path url [interpolate]; the adapter gives the path of a <Location>.
Problem say_reverse(std::vector<SaidReverse>& rules, const Statement& said, std::string_view path, std::string_view url,
                    bool interpolate = false);

// BalancerMember [balancer://name] url [key=value ...]; section is the URL of the <Proxy> around it.
Problem say_member(VhostConfig& server, const Statement& said, std::string_view section, Words words);

// ProxySet [url] key=value ...
Problem say_set(VhostConfig& server, const Statement& said, std::string_view section, Words words);

// <Proxy url [key=value ...]>, words without the '>'. Declares what it names, unless it is a pattern.
// The adapter compiles the expression of <ProxyMatch> and <Proxy ~>: it stands in words alone.
Problem say_section(VhostConfig& server, const Statement& said, Words words);
Problem say_match_section(const Statement& said, Words words);

// One word each; the adapter gives the setting of the scope around it.
Problem say_timeout(Setting<base::Duration>& timeout, const Statement& said, std::string_view text);
Problem say_show_status(Setting<ShowStatus>& show_status, const Statement& said, std::string_view text);
// ProxyParkAfter and ProxyKeepAliveStay: how long a thread is spent on waiting.
Problem say_thread_wait(Setting<base::Duration>& setting, const Statement& said, std::string_view text);
Problem say_park_max(Setting<unsigned>& setting, const Statement& said, std::string_view text);
Problem say_reactor(Setting<Reactor>& reactor, const Statement& said, std::string_view text);
Problem say_bad_header(Setting<BadHeader>& bad_header, const Statement& said, std::string_view text);

// ProxyExplain url: http[s]://host[:port]/path
Problem say_explain(VhostConfig& server, const Statement& said, std::string_view url);

// "D: … is not supported yet by mod_cxxproxy"
std::string not_supported_yet(std::string_view what);

// A pattern of a <Proxy> section that holds one of * ? [
bool is_wildcard(std::string_view pattern) noexcept;

bool is_balancer_url(std::string_view url) noexcept;

}  // namespace cxxproxy::config
