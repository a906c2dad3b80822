// Directives: one table that httpd's command table, messages and the reference page all read.
//
// WHAT    A row gives a directive its two names (standard and Cxx…, same meaning), its arguments and
//         the scopes it may stand in. Rows that are not supported yet are registered too, so that
//         configtest names the reason instead of "Invalid command".
// SHAPES  Plain constant data: the table is read while modules are loaded, before anything else runs.
// SOURCE  Names and scopes: httpd's manual of the mod_proxy family 2.4.
#pragma once

#include <array>
#include <cstdint>

namespace cxxproxy::config {

enum class DirectiveId : std::uint8_t {
  ProxyPass,
  ProxyPassMatch,
  ProxyPassInherit,
  ProxyPassInterpolateEnv,
  BalancerInherit,
  BalancerPersist,
  ProxyMatchSection,
  ProxyPassReverse,
  ProxyPassReverseCookieDomain,
  ProxyPassReverseCookiePath,
  ProxyPassReverseMode,
  ProxyCookieFlags,
  ProxyPreserveHost,
  ProxyAddHeaders,
  ProxyForwardedFields,
  ProxyForwardedTrust,
  ProxyVia,
  ProxyErrorOverride,
  ProxyMaxForwards,
  ProxyIOBufferSize,
  ProxyReceiveBufferSize,
  ProxySourceAddress,
  ProxyTimeout,
  Proxy100Continue,
  ProxyBadHeader,
  ProxyStatus,
  ProxyPark,
  ProxyParkAfter,
  ProxyParkMax,
  ProxyKeepAliveGuard,
  ProxyKeepAliveStay,
  ProxyReactor,
  ProxyTunnelDrain,
  ProxyWebsocketFallback,
  ProxyWebsocketIdleTimeout,
  ProxyRequests,
  ProxySection,
  BalancerMember,
  ProxySet,
  ProxyCheckNames,
  ProxyExplain,
  NotYet,
};

enum class Arguments : std::uint8_t { Flag, One, Raw };

inline constexpr unsigned kInServer = 1;    // server config and <VirtualHost>
inline constexpr unsigned kInLocation = 2;  // <Location>, <Proxy>
inline constexpr unsigned kAnywhere = kInServer | kInLocation;

struct DirectiveRow {
  DirectiveId id;
  const char* standard_name;
  const char* own_name;
  Arguments arguments;
  unsigned contexts;
  const char* syntax;        // arguments as the reference shows them
  const char* default_text;  // "" where there is none
  const char* help;

  constexpr bool is_supported() const noexcept { return id != DirectiveId::NotYet; }
};

#define CXXPROXY_NAMES(name) name, "Cxx" name
#define CXXPROXY_NOT_YET(name, contexts, help) \
  DirectiveRow { DirectiveId::NotYet, CXXPROXY_NAMES(name), Arguments::Raw, contexts, "", "", help }

inline constexpr auto kDirectiveRows = std::to_array<DirectiveRow>({
    {DirectiveId::ProxyPass, CXXPROXY_NAMES("ProxyPass"), Arguments::Raw, kAnywhere, "[path] !|url [key=value ...]", "",
     "a path and the backend URL or balancer it is passed to, or ! to keep it here; with ~ in front of the path, and in `<LocationMatch>`, "
     "the path is a regular expression as for ProxyPassMatch"},
    {DirectiveId::ProxyPassMatch, CXXPROXY_NAMES("ProxyPassMatch"), Arguments::Raw, kAnywhere, "[regex] !|url [key=value ...]", "",
     "the same for paths that match a regular expression; `$0` to `$9` in the URL are what its groups matched, and a URL without any of "
     "them gets the whole path appended"},
    {DirectiveId::ProxyPassReverse, CXXPROXY_NAMES("ProxyPassReverse"), Arguments::Raw, kAnywhere, "[path] url [interpolate]", "",
     "a path and the backend URL, path or balancer that answers may name in Location, Content-Location, URI, Destination and Refresh: they name "
     "this server then. A URL that is only a path covers values without a host, and URLs of any host by their path"},
    {DirectiveId::ProxyPassReverseCookieDomain, CXXPROXY_NAMES("ProxyPassReverseCookieDomain"), Arguments::Raw, kAnywhere,
     "backend-domain public-domain [interpolate]", "",
     "replaces the Domain of a cookie that begins with the backend's domain (as the backend spells it, with or without a dot in front)"},
    {DirectiveId::ProxyPassReverseCookiePath, CXXPROXY_NAMES("ProxyPassReverseCookiePath"), Arguments::Raw, kAnywhere,
     "backend-path public-path [interpolate]", "", "replaces the Path of a cookie that begins with the backend's path"},
    {DirectiveId::ProxyPassReverseMode, CXXPROXY_NAMES("ProxyPassReverseMode"), Arguments::One, kAnywhere, "Segment|Text", "Segment",
     "how the three directives for answers compare: Segment ends at a segment of a path or a label of a domain, joins paths with exactly one "
     "slash, and maps Refresh and //host/path as well; Text compares and joins plain text, as mod_proxy does"},
    {DirectiveId::ProxyCookieFlags, CXXPROXY_NAMES("ProxyCookieFlags"), Arguments::Raw, kAnywhere, "Off|[cookie] flag ...", "",
     "sets flags of the cookies of answers: Secure, HttpOnly, Partitioned, SameSite=Strict|Lax|None; NoSecure, NoHttpOnly, NoPartitioned and "
     "NoSameSite take one away. The name of the cookie may hold * and ?, without it all cookies are meant. The first line that names the "
     "cookie decides, the lines of an inner section come first; Off leaves cookies alone"},
    {DirectiveId::ProxyPreserveHost, CXXPROXY_NAMES("ProxyPreserveHost"), Arguments::Flag, kAnywhere, "On|Off", "Off",
     "On sends the client's Host to the backend instead of the backend's own name"},
    {DirectiveId::ProxyAddHeaders, CXXPROXY_NAMES("ProxyAddHeaders"), Arguments::Flag, kAnywhere, "On|Off", "On",
     "On adds X-Forwarded-For, X-Forwarded-Host, X-Forwarded-Server and X-Forwarded-Proto"},
    {DirectiveId::ProxyForwardedFields, CXXPROXY_NAMES("ProxyForwardedFields"), Arguments::Raw, kAnywhere,
     "For|Host|Server|Proto|Port|Forwarded ...", "For Host Server Proto",
     "which fields ProxyAddHeaders adds: X-Forwarded-For, -Host, -Server, -Proto, -Port, and Forwarded of RFC 7239; the line of an inner section "
     "replaces the outer one"},
    {DirectiveId::ProxyForwardedTrust, CXXPROXY_NAMES("ProxyForwardedTrust"), Arguments::Raw, kAnywhere, "All|None|address[/bits] ...", "All",
     "whose X-Forwarded-For, -Host, -Server, -Proto, -Port and Forwarded are passed on, and extended by ours: of all clients, of none, or of those "
     "that connect from these addresses (proxies in front of this one). Of any other client they are removed, and the backend gets only ours"},
    {DirectiveId::ProxyVia, CXXPROXY_NAMES("ProxyVia"), Arguments::One, kInServer, "Off|On|Full|Block", "Off",
     "On adds this server to the field Via of requests and answers, Full with its version as well, Block removes Via from requests"},
    {DirectiveId::ProxyErrorOverride, CXXPROXY_NAMES("ProxyErrorOverride"), Arguments::Raw, kAnywhere, "Off|On [code ...]", "Off",
     "On replaces answers with a status from 400 to 599 by httpd's own page or ErrorDocument, with codes only those; codes of inner sections add "
     "to the outer ones"},
    {DirectiveId::ProxyMaxForwards, CXXPROXY_NAMES("ProxyMaxForwards"), Arguments::One, kInServer, "number", "-1",
     "the value of Max-Forwards for requests that have none; below 0 they get none"},
    {DirectiveId::ProxyPassInterpolateEnv, CXXPROXY_NAMES("ProxyPassInterpolateEnv"), Arguments::Flag, kAnywhere, "On|Off", "Off",
     "On fills `${NAME}` in rules that have the word interpolate from the environment of the request, as SetEnvIf and RewriteRule [E] set it"},
    {DirectiveId::ProxyPassInherit, CXXPROXY_NAMES("ProxyPassInherit"), Arguments::Flag, kInServer, "On|Off", "On",
     "Off, together with BalancerInherit Off, hides the main server's backends and balancers from a virtual host; its rules are inherited "
     "in any case"},
    {DirectiveId::BalancerInherit, CXXPROXY_NAMES("BalancerInherit"), Arguments::Flag, kInServer, "On|Off", "On",
     "see ProxyPassInherit"},
    {DirectiveId::BalancerPersist, CXXPROXY_NAMES("BalancerPersist"), Arguments::Flag, kInServer, "On|Off", "Off",
     "On keeps the state of this server's members over a restart and a stop as well, in the file cxxproxy-state of DefaultRuntimeDir; a reload "
     "keeps it in any case"},
    {DirectiveId::ProxyIOBufferSize, CXXPROXY_NAMES("ProxyIOBufferSize"), Arguments::One, kInServer, "bytes", "65536",
     "how much of a body is moved at once, at most, where the backend has no iobuffersize of its own; unless it is set, up to 131072 of an answer and 262144 of a request while neither side is waited for"},
    {DirectiveId::ProxyReceiveBufferSize, CXXPROXY_NAMES("ProxyReceiveBufferSize"), Arguments::One, kInServer, "bytes", "0",
     "the receive buffer of connections to backends (SO_RCVBUF), where the backend has no receivebuffersize of its own; 0 is the system's"},
    {DirectiveId::ProxySourceAddress, CXXPROXY_NAMES("ProxySourceAddress"), Arguments::One, kInServer, "address", "",
     "the own IP address that connections to backends come from; backend addresses of the other family (IPv4, IPv6) cannot be reached then"},
    {DirectiveId::ProxyTimeout, CXXPROXY_NAMES("ProxyTimeout"), Arguments::One, kAnywhere, "duration", "Timeout",
     "the longest wait for one read from or write to a backend, where the backend has no timeout of its own"},
    {DirectiveId::Proxy100Continue, CXXPROXY_NAMES("Proxy100Continue"), Arguments::Flag, kAnywhere, "On|Off", "On",
     "On passes Expect: 100-continue to the backend and its 100 to the client, Off answers 100 here"},
    {DirectiveId::ProxyBadHeader, CXXPROXY_NAMES("ProxyBadHeader"), Arguments::One, kInServer, "IsError|Ignore|StartBody", "IsError",
     "a line in the head of an answer that is no field: IsError answers 502, Ignore leaves the line out, StartBody lets the body begin "
     "with it if it has no colon"},
    {DirectiveId::ProxyStatus, CXXPROXY_NAMES("ProxyStatus"), Arguments::One, kInServer, "Off|On|Full", "Off",
     "On and Full show the balancers of this server in the page of mod_status, Full with the settings of each member"},
    {DirectiveId::ProxyPark, CXXPROXY_NAMES("ProxyPark"), Arguments::Flag, kAnywhere, "On|Off", "On",
     "On lets a request that waits, and a tunnel, give its thread back until there is something to do (event MPM only)"},
    {DirectiveId::ProxyParkAfter, CXXPROXY_NAMES("ProxyParkAfter"), Arguments::One, kInServer, "duration", "1ms",
     "how long a wait is spent on the thread before the request is parked; in the main server only"},
    {DirectiveId::ProxyParkMax, CXXPROXY_NAMES("ProxyParkMax"), Arguments::One, kInServer, "number", "by descriptors",
     "the most requests and tunnels that are parked at a time in each child process; in the main server only"},
    {DirectiveId::ProxyKeepAliveGuard, CXXPROXY_NAMES("ProxyKeepAliveGuard"), Arguments::Flag, kInServer, "On|Off", "On",
     "On keeps the event MPM (of httpd 2.4.63 and later) from closing kept client connections while all its threads are busy; in the main "
     "server only"},
    {DirectiveId::ProxyKeepAliveStay, CXXPROXY_NAMES("ProxyKeepAliveStay"), Arguments::One, kInServer, "duration", "5ms",
     "how long a thread of the event MPM waits for the next request of its client, while at least a quarter of the threads is idle; 0 for "
     "not at all; in the main server only"},
    {DirectiveId::ProxyReactor, CXXPROXY_NAMES("ProxyReactor"), Arguments::One, kInServer, "On|Off|Auto", "Auto",
     "whether kept client connections are served by an event loop in each child process (event MPM of httpd 2.4.63 and later); Auto "
     "does so where it can, On says in the log where it cannot; in the main server only"},
    {DirectiveId::ProxyTunnelDrain, CXXPROXY_NAMES("ProxyTunnelDrain"), Arguments::One, kInServer, "duration", "none",
     "how long tunnels may last in a child that is to stop after `graceful`; without it they last as long as both sides want; in the main "
     "server only"},
    {DirectiveId::ProxyWebsocketFallback, CXXPROXY_NAMES("ProxyWebsocketFallbackToProxyHttp"), Arguments::Flag, kAnywhere, "On|Off", "On",
     "accepted for the sake of existing configurations: ws:// backends are always served by the HTTP engine"},
    {DirectiveId::ProxyWebsocketIdleTimeout, CXXPROXY_NAMES("ProxyWebsocketIdleTimeout"), Arguments::One, kAnywhere, "duration", "timeout",
     "a tunnel through which nothing passes for so long is closed"},
    {DirectiveId::ProxyRequests, CXXPROXY_NAMES("ProxyRequests"), Arguments::Flag, kInServer, "Off", "Off",
     "Off, the only value: this module is a reverse proxy"},
    {DirectiveId::ProxySection, "<Proxy", "<CxxProxy", Arguments::Raw, kInServer, "url [key=value ...]>", "",
     "a section for one backend URL, a wildcard pattern of URLs, or a balancer://name; with ~ in front, for URLs that match a regular "
     "expression as in `<ProxyMatch>`"},
    {DirectiveId::ProxyMatchSection, "<ProxyMatch", "<CxxProxyMatch", Arguments::Raw, kInServer, "regex>", "",
     "a section for backend URLs that match a regular expression; a named group is the environment variable MATCH_NAME"},
    {DirectiveId::BalancerMember, CXXPROXY_NAMES("BalancerMember"), Arguments::Raw, kAnywhere,
     "[balancer://name] url [key=value ...]", "", "a backend URL that becomes a member of a balancer"},
    {DirectiveId::ProxySet, CXXPROXY_NAMES("ProxySet"), Arguments::Raw, kAnywhere, "[url] key=value ...", "",
     "parameters of a backend URL or of a balancer"},
    {DirectiveId::ProxyCheckNames, CXXPROXY_NAMES("ProxyCheckNames"), Arguments::Flag, kInServer, "On|Off", "On",
     "Off keeps configtest from asking the resolver for the host names of backends; for the whole server"},
    {DirectiveId::ProxyExplain, CXXPROXY_NAMES("ProxyExplain"), Arguments::One, kInServer, "url", "",
     "a URL of a client that apachectl -t -D DUMP_CXXPROXY_EXPLAIN explains: its rule, and what the backend would see"},

    CXXPROXY_NOT_YET("BalancerGrowth", kAnywhere, "room for balancers made at run time"),
    CXXPROXY_NOT_YET("ProxyRemote", kAnywhere, "a further proxy on the way to the backend"),
    CXXPROXY_NOT_YET("ProxyRemoteMatch", kAnywhere, "a further proxy on the way to the backend, by regular expression"),
    CXXPROXY_NOT_YET("NoProxy", kAnywhere, "hosts that are reached without the further proxy"),
    CXXPROXY_NOT_YET("ProxyBlock", kAnywhere, "backend hosts that are refused"),
    CXXPROXY_NOT_YET("ProxyDomain", kAnywhere, "default domain of a forward proxy"),
    CXXPROXY_NOT_YET("AllowCONNECT", kAnywhere, "ports that CONNECT may reach"),
    CXXPROXY_NOT_YET("ProxyWebsocketAsync", kAnywhere, "tunnels without a thread each"),
    CXXPROXY_NOT_YET("ProxyWebsocketAsyncDelay", kAnywhere, "when a tunnel gives its thread back"),
    CXXPROXY_NOT_YET("ProxyAsyncDelay", kAnywhere, "when a waiting request gives its thread back"),
    CXXPROXY_NOT_YET("ProxyAsyncIdleTimeout", kAnywhere, "idle limit of a request without a thread"),
    CXXPROXY_NOT_YET("ProxyFCGIBackendType", kAnywhere, "kind of FastCGI backend"),
    CXXPROXY_NOT_YET("ProxyFCGISetEnvIf", kAnywhere, "FastCGI parameters by expression"),
    CXXPROXY_NOT_YET("ProxySCGISendfile", kAnywhere, "X-Sendfile of SCGI answers"),
    CXXPROXY_NOT_YET("ProxySCGIInternalRedirect", kAnywhere, "internal redirects of SCGI answers"),
    CXXPROXY_NOT_YET("ProxyFtpListOnWildcard", kAnywhere, "FTP listings by wildcard"),
    CXXPROXY_NOT_YET("ProxyFtpEscapeWildcards", kAnywhere, "FTP wildcards in names"),
    CXXPROXY_NOT_YET("ProxyFtpDirCharset", kAnywhere, "character set of FTP listings"),
    CXXPROXY_NOT_YET("ProxyHCExpr", kAnywhere, "condition for a health check's answer"),
    CXXPROXY_NOT_YET("ProxyHCTemplate", kAnywhere, "named health check parameters"),
    CXXPROXY_NOT_YET("ProxyHCTPsize", kAnywhere, "threads for health checks"),
    CXXPROXY_NOT_YET("ProxyExpressEnable", kAnywhere, "host to backend by database"),
    CXXPROXY_NOT_YET("ProxyExpressDBMFile", kAnywhere, "the database of hosts"),
    CXXPROXY_NOT_YET("ProxyExpressDBMType", kAnywhere, "type of that database"),
});

#undef CXXPROXY_NOT_YET
#undef CXXPROXY_NAMES

}  // namespace cxxproxy::config
