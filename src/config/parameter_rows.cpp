#include "config/parameter_rows.h"

#include <algorithm>

#include "base/ascii.h"
#include "config/route_table.h"
#include "config/spec.h"
#include "config/value_parsers.h"

namespace cxxproxy::config {
namespace {

constexpr std::int64_t kMillisecond = 1'000;
constexpr std::int64_t kSecond = 1'000'000;
// Longest wait that fits a poll() argument (milliseconds in an int), as whole days.
constexpr std::int64_t kLongest = 24 * 86'400 * kSecond;
// mod_proxy has no limit; a backend that fills such a field costs this much memory for each request.
constexpr std::int64_t kLargestField = 16 * 1024 * 1024;
constexpr std::int64_t kLargestBody = 16 * 1024 * 1024;  // kept in memory, by each request that is under way

constexpr std::int64_t kLongestSlowStart = 3600 * kSecond;

constexpr ParameterRow not_yet(const char* name, Place place, const char* help) {
  return {ParameterId::NotYet, name, place, ValueKind::Text, 0, 0, "", help};
}

constexpr auto kRows = std::to_array<ParameterRow>({
    {ParameterId::LoadFactor, "loadfactor", Place::Member, ValueKind::LoadFactor, 100, 10'000, "1",
     "share of the requests, relative to the other members"},
    {ParameterId::Retry, "retry", Place::Member, ValueKind::Duration, 0, kLongest, "60",
     "how long a failed member of a balancer rests before it is tried again; 0 tries it at once"},
    {ParameterId::Timeout, "timeout", Place::Member, ValueKind::Duration, kMillisecond, kLongest, "ProxyTimeout",
     "the longest wait for one read from or write to this backend"},
    {ParameterId::ConnectionTimeout, "connectiontimeout", Place::Member, ValueKind::Duration, kMillisecond, kLongest, "timeout",
     "the longest wait for a new connection to this backend"},
    {ParameterId::Max, "max", Place::Member, ValueKind::Integer, 0, 1'000'000, "0",
     "connections to this backend per child process; 0 or unset: no limit; a request beyond waits (see acquire, queuetimeout)"},
    {ParameterId::MaxTotal, "maxtotal", Place::Member, ValueKind::Integer, 0, kLargestTotal, "0",
     "connections to this backend over all child processes; 0 or unset: no limit; a request beyond waits (see acquire, queuetimeout)"},
    {ParameterId::Ping, "ping", Place::Member, ValueKind::Duration, kMillisecond, kLongest, "none",
     "a request with a body asks first (Expect: 100-continue): a backend that says nothing for so long has failed, and the next member gets the "
     "request, or 503 is answered; requests without a body are sent as they are"},
    {ParameterId::AddressTtl, "addressttl", Place::Member, ValueKind::Lifetime, 0, kLongest, "30",
     "after so long the host name is looked up again for new connections, the old addresses stay while it does not resolve; 0: for each new "
     "connection, -1: never again"},
    {ParameterId::Ttl, "ttl", Place::Member, ValueKind::Duration, kMillisecond, kLongest, "none",
     "how long an unused connection to this backend is kept"},
    {ParameterId::KeepAlive, "keepalive", Place::Member, ValueKind::Flag, 0, 1, "Off",
     "On lets the operating system probe idle connections (SO_KEEPALIVE)"},
    {ParameterId::DisableReuse, "disablereuse", Place::Member, ValueKind::Flag, 0, 1, "Off",
     "On closes the connection to this backend after each request"},
    {ParameterId::EnableReuse, "enablereuse", Place::Member, ValueKind::Flag, 0, 1, "On",
     "the opposite of disablereuse; what is said last counts"},
    {ParameterId::Status, "status", Place::Member, ValueKind::Status, 0, 0, "none",
     "initial state: D disabled, S stopped, I errors ignored, R hot spare, H hot standby, E in error, N drain, "
     "C check failed; + adds (as no sign does) and - takes away"},
    {ParameterId::TotalTimeout, "totaltimeout", Place::Member, ValueKind::Duration, kMillisecond, kLongest, "none",
     "the longest time for a request as a whole, with all attempts and its body: 504, or the answer is cut"},
    {ParameterId::Replay, "replay", Place::Member, ValueKind::Replay, 0, 0, "on",
     "what is sent again on a new connection or to the next member: on: a request that may be repeated (its method is "
     "idempotent, or nothing of it was sent); safe: when nothing of it was sent, or the method is GET, HEAD, OPTIONS or "
     "TRACE; off: only after a refused connection"},
    {ParameterId::ReplayBody, "replaybody", Place::Member, ValueKind::Bytes, 0, kLargestBody, "65536",
     "a request with a longer body is not sent again once a part of it was sent; this much memory for each such request"},
    {ParameterId::ResponseFieldSize, "responsefieldsize", Place::Member, ValueKind::Bytes, 0, kLargestField, "16384",
     "the longest field line of an answer; 0 is the default"},
    {ParameterId::Upgrade, "upgrade", Place::Member, ValueKind::Tokens, 0, 0, "websocket",
     "the protocols that a client may switch to with this backend, a comma list; NONE for none, ANY for every one but HTTP/2 and TLS"},
    {ParameterId::LbSet, "lbset", Place::Member, ValueKind::Integer, 0, 99, "0",
     "the set of this member; the lowest set in which anybody is usable serves alone"},
    {ParameterId::SlowStart, "slowstart", Place::Member, ValueKind::Duration, 0, kLongestSlowStart, "0",
     "how long the share of a member grows after it was out of use; 0 gives it its whole share at once"},
    {ParameterId::RouteName, "route", Place::Member, ValueKind::Route, 0, 0, "none",
     "the label of this member's sessions: requests whose session ends with it go to this member (see stickysession)"},
    {ParameterId::Redirect, "redirect", Place::Member, ValueKind::Route, 0, 0, "none",
     "the route that gets this member's sessions while it is not usable"},

    {ParameterId::IoBufferSize, "iobuffersize", Place::Member, ValueKind::BufferSize, 512, kLargestField, "ProxyIOBufferSize",
     "how much of a body is moved at once, at most; 0 is the default"},
    {ParameterId::ReceiveBufferSize, "receivebuffersize", Place::Member, ValueKind::BufferSize, 512, kLargestField, "ProxyReceiveBufferSize",
     "the receive buffer of connections to this backend (SO_RCVBUF); 0 is the default"},
    {ParameterId::FlushPackets, "flushpackets", Place::Member, ValueKind::FlushWord, 0, 0, "off", "accepted without effect",
     "what a backend sends is passed on at once when nothing follows it, as mod_proxy does for http"},
    {ParameterId::FlushWait, "flushwait", Place::Member, ValueKind::Integer, 0, 1000, "10", "accepted without effect",
     "it belongs to flushpackets"},
    {ParameterId::Min, "min", Place::Member, ValueKind::Integer, 0, 1'000'000, "0",
     "so many unused connections of each child process are kept although their ttl is over; they are not made in advance"},
    {ParameterId::SoftMax, "smax", Place::Member, ValueKind::Integer, 0, 1'000'000, "0",
     "unused connections of each child process above this are closed when their ttl is over, without ttl at once; set it to keep so many"},
    {ParameterId::Acquire, "acquire", Place::Member, ValueKind::Milliseconds, kMillisecond, kLongest, "timeout",
     "the longest wait for a free connection where max or maxtotal are used up, then 503; the member is not marked as failed"},
    {ParameterId::LbMethod, "lbmethod", Place::Balancer, ValueKind::Method, 0, 0, "byrequests",
     "how a member is chosen: byrequests in turn, bytraffic fewest bytes, bybusyness fewest requests in flight of all, "
     "leastload fewest in flight of two, ewma soonest answer of two, hash by a key of the request, random, first in the file"},
    {ParameterId::HashKey, "hashkey", Place::Balancer, ValueKind::HashKey, 0, 0, "client",
     "the key of lbmethod=hash: client (its address), path, uri (path and query as sent), query:NAME, cookie:NAME or "
     "header:NAME; requests without it are spread by weight"},
    {ParameterId::HashFactor, "hashfactor", Place::Balancer, ValueKind::LoadFactor, 100, 10'000, "none",
     "lbmethod=hash: no member takes more than this times its share of the requests in flight, further keys go to the next "
     "members; 1.25 is usual"},
    {ParameterId::MaxAttempts, "maxattempts", Place::Balancer, ValueKind::Integer, 0, 1'000, "one for each other member",
     "further members that a request is tried on at most"},
    {ParameterId::FailOnStatus, "failonstatus", Place::Balancer, ValueKind::StatusList, 0, 0, "none",
     "a list of statuses (500,503): such an answer goes to the client, and its member rests for retry"},
    {ParameterId::FailOnTimeout, "failontimeout", Place::Balancer, ValueKind::Flag, 0, 1, "Off",
     "On: a member that does not answer in time rests for retry"},
    {ParameterId::ForceRecovery, "forcerecovery", Place::Balancer, ValueKind::Flag, 0, 1, "On",
     "On: failed members are tried when no other is left; Off: such a request is answered 503"},
    {ParameterId::NoFailover, "nofailover", Place::Balancer, ValueKind::Flag, 0, 1, "Off",
     "On: a request that belongs to a session is never given to another member, the answer is 503 when its own is not usable"},
    {ParameterId::StickySession, "stickysession", Place::Balancer, ValueKind::Sticky, 0, 0, "none",
     "the cookie, and parameter of the URL, that holds the route of a request's member: NAME for both, or NAME|URLNAME; the URL wins"},
    {ParameterId::StickySessionSep, "stickysessionsep", Place::Balancer, ValueKind::Separator, 0, 0, ".",
     "the character in front of the route in a session; Off: the whole value is the route"},
    {ParameterId::SemicolonEnds, "scolonpathdelim", Place::Balancer, ValueKind::Flag, 0, 1, "Off",
     "On: a session in the URL ends at `;` as well"},
    {ParameterId::StickyCookie, "stickycookie", Place::Balancer, ValueKind::CookieName, 0, 0, "none",
     "the name of a signed cookie that the proxy sets and reads itself, so that a client stays with its member; no route is needed"},
    {ParameterId::StickyCookieKey, "stickycookiekey", Place::Balancer, ValueKind::FileName, 0, 0, "made at the start of the server",
     "a file with the secret that signs the cookie of stickycookie, at least 32 bytes, absolute or below ServerRoot; servers with the same "
     "file know each other's cookies"},
    {ParameterId::StickyCookiePath, "stickycookiepath", Place::Balancer, ValueKind::CookiePath, 0, 0, "/", "Path of the cookie of stickycookie"},
    {ParameterId::StickyCookieSameSite, "stickycookiesamesite", Place::Balancer, ValueKind::SameSite, 0, 0, "lax",
     "SameSite of the cookie of stickycookie; off leaves it out"},
    {ParameterId::StickyCookieSecure, "stickycookiesecure", Place::Balancer, ValueKind::SecureWord, 0, 0, "auto",
     "Secure of the cookie of stickycookie; auto: for clients that speak TLS with this server"},
    {ParameterId::StickyCookieHttpOnly, "stickycookiehttponly", Place::Balancer, ValueKind::Flag, 0, 1, "On",
     "HttpOnly of the cookie of stickycookie"},
    {ParameterId::Queue, "queue", Place::Balancer, ValueKind::Integer, 0, kLargestTotal, "no bound",
     "requests that may wait at a time, over all child processes, because every usable member is at max or maxtotal; one more is answered "
     "503; 0: nobody waits"},
    {ParameterId::QueueTimeout, "queuetimeout", Place::Balancer, ValueKind::Duration, kMillisecond, kLongest, "acquire",
     "how long such a request waits, then 503; unset: as long as the longest acquire of the members"},
    {ParameterId::WaitForMember, "timeout", Place::Balancer, ValueKind::Duration, 0, kLongest, "0",
     "how long a request waits for a usable member when there is none (with forcerecovery=On that is when all are taken out); 0: 503 at once"},
    {ParameterId::RetryBudget, "retrybudget", Place::Balancer, ValueKind::Percent, 0, 1'000, "0",
     "further attempts in percent of the requests, so that failures do not multiply the load (100 can be saved up); 0: no limit"},
    {ParameterId::EjectFailures, "ejectfailures", Place::Balancer, ValueKind::Integer, 0, 1'000'000, "0",
     "so many failed attempts or 5xx answers in a row eject a member for a time; 0: never"},
    {ParameterId::EjectRate, "ejectrate", Place::Balancer, ValueKind::Percent, 0, 100, "0",
     "so many failed attempts or 5xx answers within ejectwindow, in percent, eject a member for a time; 0: never"},
    {ParameterId::EjectRequests, "ejectrequests", Place::Balancer, ValueKind::Integer, 1, 100'000, "20",
     "attempts within ejectwindow from which on ejectrate counts"},
    {ParameterId::EjectWindow, "ejectwindow", Place::Balancer, ValueKind::Duration, kMillisecond, 3600 * kSecond, "10",
     "the time that ejectrate looks at"},
    {ParameterId::EjectTime, "ejecttime", Place::Balancer, ValueKind::Duration, kMillisecond, kLongest, "30",
     "the rest of an ejected member, times the number of its ejections in a row"},
    {ParameterId::EjectMaxTime, "ejectmaxtime", Place::Balancer, ValueKind::Duration, kMillisecond, kLongest, "300",
     "the longest rest of an ejected member; after so much time without an ejection the count begins anew"},
    {ParameterId::EjectMax, "ejectmax", Place::Balancer, ValueKind::Percent, 0, 100, "50",
     "the part of the members that may be ejected at a time"},
    {ParameterId::EjectPanic, "ejectpanic", Place::Balancer, ValueKind::Percent, 0, 100, "50",
     "when fewer of the members than this are usable, ejections do not count"},
    {ParameterId::Growth, "growth", Place::Balancer, ValueKind::Integer, 1, 100, "none",
     "accepted, has no effect: members are not added at run time"},
    {ParameterId::NoCanon, "nocanon", Place::Rule, ValueKind::Word, 0, 0, "not set",
     "the path goes to the backend as the client sent it, not decoded and encoded again; without effect on a request whose path was "
     "changed by normalisation, and with mapping=servlet"},
    {ParameterId::NoQuery, "noquery", Place::Rule, ValueKind::Word, 0, 0, "not set", "the query string is not passed to the backend"},
    {ParameterId::Interpolate, "interpolate", Place::Rule, ValueKind::Word, 0, 0, "not set",
     "`${NAME}` in path and URL is the environment variable of the request, where ProxyPassInterpolateEnv is On"},
    {ParameterId::Mapping, "mapping", Place::Rule, ValueKind::Mapping, 0, 0, "not set",
     "encoded: the rule is compared with the path before it is decoded, earlier than all rules without mapping=; servlet: the same as a "
     "servlet container reads it, without `;parameters`, and access control sees the path without them"},

    not_yet("secret", Place::Member, "AJP shared secret"),
    not_yet("flusher", Place::Member, "provider of mod_proxy_fdpass"),
    not_yet("hcmethod", Place::Member, "health check method"),
    not_yet("hcpasses", Place::Member, "health checks to pass"),
    not_yet("hcfails", Place::Member, "health checks to fail"),
    not_yet("hcinterval", Place::Member, "time between health checks"),
    not_yet("hcuri", Place::Member, "path of the health check"),
    not_yet("hctemplate", Place::Member, "named health check parameters"),
    not_yet("hcexpr", Place::Member, "condition for the health check's answer"),

    not_yet("nonce", Place::Balancer, "secret of the manager page"),
});

// A text in the largest unit that divides it: 86400 s stays seconds, as plain numbers are.
std::string duration_text(std::int64_t microseconds) {
  if (microseconds % kSecond == 0) return std::to_string(microseconds / kSecond) + " s";
  return std::to_string(microseconds / kMillisecond) + " ms";
}

using Value = base::Result<std::int64_t, std::string>;

Value rejected(const char* why, const ParameterRow& row) { return Value(std::string(why) + " (" + allowed_values(row) + ")"); }

Value in_range(std::optional<std::int64_t> number, const char* not_one, const ParameterRow& row) {
  if (!number) return rejected(not_one, row);
  if (*number < row.min || *number > row.max) return rejected("out of range", row);
  return *number;
}

struct MethodName {
  std::string_view name;
  Method method;
};

constexpr MethodName kMethods[] = {
    {"byrequests", Method::ByRequests}, {"bytraffic", Method::ByTraffic}, {"bybusyness", Method::ByBusyness}, {"leastload", Method::LeastLoad},
    {"ewma", Method::Ewma},             {"hash", Method::Hash},           {"random", Method::Random},         {"first", Method::First},
};

Value parse_method(std::string_view text, const ParameterRow& row) {
  for (const MethodName& known : kMethods) {
    if (base::iequals(text, known.name)) return static_cast<std::int64_t>(known.method);
  }
  if (base::iequals(text, "heartbeat")) return Value(std::string("this method is not supported by mod_cxxproxy (try leastload)"));
  return rejected("unknown method", row);
}

bool is_token_list(std::string_view text) {
  constexpr std::size_t kLongestList = 64;
  if (text.empty() || text.size() > kLongestList) return false;
  while (!text.empty()) {
    const std::size_t comma = text.find(',');
    const std::string_view name = text.substr(0, comma);
    const std::size_t slash = name.find('/');
    if (!base::is_token(name.substr(0, slash)) || (slash != std::string_view::npos && !base::is_token(name.substr(slash + 1)))) return false;
    if (comma == std::string_view::npos) break;
    text.remove_prefix(comma + 1);
    if (text.empty()) return false;
  }
  return true;
}

template <std::size_t N>
Value parse_word(const std::string_view (&words)[N], std::string_view text, const ParameterRow& row) {
  for (std::size_t i = 0; i < N; ++i) {
    if (base::iequals(text, words[i])) return static_cast<std::int64_t>(i);
  }
  return rejected("unknown word", row);
}

// In the order of StickyCookie's values.
constexpr std::string_view kSameSite[] = {"lax", "strict", "none", "off"};
constexpr std::string_view kSecure[] = {"auto", "on", "off"};

bool is_cookie_path(std::string_view text) noexcept {
  constexpr std::size_t kLongestPath = 255;
  const auto is_plain = [](char c) { return c > ' ' && c < 0x7f && c != ';' && c != ',' && c != '"' && c != '\\'; };
  return text.starts_with('/') && text.size() <= kLongestPath && std::all_of(text.begin(), text.end(), is_plain);
}

Value parse_replay(std::string_view text, const ParameterRow& row) {
  if (base::iequals(text, "on")) return static_cast<std::int64_t>(Replay::On);
  if (base::iequals(text, "safe")) return static_cast<std::int64_t>(Replay::Safe);
  if (base::iequals(text, "off")) return static_cast<std::int64_t>(Replay::Off);
  return rejected("unknown word", row);
}

}  // namespace

std::span<const ParameterRow> parameter_rows() noexcept { return kRows; }

const ParameterRow* find_parameter(std::string_view name, Place place) noexcept {
  for (const auto& row : kRows) {
    if (row.place == place && base::iequals(row.name, name)) return &row;
  }
  return nullptr;
}

const ParameterRow& parameter_row(ParameterId id) noexcept {
  for (const auto& row : kRows) {
    if (row.id == id) return row;
  }
  return kRows.front();
}

std::string allowed_values(const ParameterRow& row) {
  switch (row.kind) {
    case ValueKind::Flag:
      return "On or Off";
    case ValueKind::Integer:
      return std::to_string(row.min) + " to " + std::to_string(row.max);
    case ValueKind::Percent:
      return std::to_string(row.min) + " to " + std::to_string(row.max) + " percent";
    case ValueKind::Bytes:
      return std::to_string(row.min) + " to " + std::to_string(row.max) + " bytes";
    case ValueKind::BufferSize:
      return "0, or " + std::to_string(row.min) + " to " + std::to_string(row.max) + " bytes";
    case ValueKind::FlushWord:
      return "on, off or auto";
    case ValueKind::Duration:
      return duration_text(row.min) + " to " + duration_text(row.max) + ", plain numbers are seconds, units ms s min h";
    case ValueKind::Lifetime:
      return "-1, or " + duration_text(row.min) + " to " + duration_text(row.max) + ", plain numbers are seconds, units ms s min h";
    case ValueKind::Milliseconds:
      return duration_text(row.min) + " to " + duration_text(row.max) + ", plain numbers are milliseconds, units ms s min h";
    case ValueKind::LoadFactor:
      return std::to_string(row.min / 100) + " to " + std::to_string(row.max / 100) + ", at most two decimals";
    case ValueKind::Status:
      return "letters D S I R H E N C, + or - may stand in front";
    case ValueKind::Method:
      return "byrequests, bytraffic, bybusyness, leastload, ewma, hash, random or first";
    case ValueKind::Replay:
      return "on, safe or off";
    case ValueKind::StatusList:
      return "100 to 599, several with commas between them";
    case ValueKind::HashKey:
      return "client, path, uri, query:NAME, cookie:NAME or header:NAME";
    case ValueKind::Route:
      return "1 to " + std::to_string(kLongestRoute) + " characters";
    case ValueKind::Sticky:
      return "NAME or NAME|URLNAME, at most " + std::to_string(kLongestRoute) + " characters";
    case ValueKind::Separator:
      return "one character or Off";
    case ValueKind::CookieName:
      return "letters, digits and !#$%&'*+-.^_`|~, at most " + std::to_string(kLongestRoute) + " characters";
    case ValueKind::CookiePath:
      return "a path that begins with /, without blanks and , ; \" \\, at most 255 characters";
    case ValueKind::SameSite:
      return "lax, strict, none or off";
    case ValueKind::SecureWord:
      return "auto, on or off";
    case ValueKind::FileName:
      return "the name of a file";
    case ValueKind::Word:
      return "the word alone";
    case ValueKind::Mapping:
      return "encoded or servlet";
    case ValueKind::Tokens:
      return "NONE, ANY, or names separated by commas, at most 64 characters";
    case ValueKind::Text:
      break;
  }
  return "text";
}

Value parse_value(const ParameterRow& row, std::string_view text) {
  switch (row.kind) {
    case ValueKind::Flag: {
      const auto flag = parse_flag(text);
      if (!flag) return rejected("not a flag", row);
      return std::int64_t{*flag ? 1 : 0};
    }
    case ValueKind::Integer:
    case ValueKind::Percent:
    case ValueKind::Bytes:
      return in_range(parse_integer(text), "not a whole number", row);
    case ValueKind::BufferSize:
      if (text == "0") return std::int64_t{0};
      return in_range(parse_integer(text), "not a whole number", row);
    case ValueKind::FlushWord:
      for (const std::string_view word : {"off", "on", "auto"}) {
        if (base::iequals(word, text)) return static_cast<std::int64_t>(word.size());  // nobody asks which
      }
      return rejected("unknown word", row);
    case ValueKind::Duration:
      return in_range(parse_duration(text), "not a duration", row);
    case ValueKind::Lifetime:
      if (text == "-1") return std::int64_t{-1};
      return in_range(parse_duration(text), "not a duration", row);
    case ValueKind::Milliseconds:
      return in_range(parse_integer(text) ? parse_duration(std::string(text) + "ms") : parse_duration(text), "not a duration", row);
    case ValueKind::LoadFactor:
      return in_range(parse_load_factor(text), "not a load factor", row);
    case ValueKind::Status: {
      const auto status = parse_status(text);
      if (!status) return rejected("not a status", row);
      return *status;
    }
    case ValueKind::Method:
      return parse_method(text, row);
    case ValueKind::Replay:
      return parse_replay(text, row);
    case ValueKind::StatusList:
      return parse_status_list(text) ? Value(std::int64_t{1}) : rejected("not a list of statuses", row);
    case ValueKind::HashKey:
      return parse_hash_key(text) ? Value(std::int64_t{1}) : rejected("not a key", row);
    case ValueKind::Route:
      if (!base::is_visible(text)) return rejected("not a route", row);
      return !text.empty() && text.size() <= kLongestRoute ? Value(std::int64_t{1}) : rejected("out of range", row);
    case ValueKind::Sticky:
      if (text.size() > kLongestRoute) return rejected("too long", row);
      return parse_sticky_names(text) ? Value(std::int64_t{1}) : rejected("not a name", row);
    case ValueKind::Separator:
      if (base::iequals(text, "off")) return std::int64_t{0};
      return text.size() == 1 && base::is_visible(text) ? Value(std::int64_t{text.front()}) : rejected("not a separator", row);
    case ValueKind::CookieName:
      return base::is_token(text) && text.size() <= kLongestRoute ? Value(std::int64_t{1}) : rejected("not a name", row);
    case ValueKind::CookiePath:
      return is_cookie_path(text) ? Value(std::int64_t{1}) : rejected("not a path", row);
    case ValueKind::SameSite:
      return parse_word(kSameSite, text, row);
    case ValueKind::SecureWord:
      return parse_word(kSecure, text, row);
    case ValueKind::FileName:
      return !text.empty() ? Value(std::int64_t{1}) : rejected("empty", row);
    case ValueKind::Mapping:
      if (base::iequals(text, "encoded")) return static_cast<std::int64_t>(Mapping::Encoded);
      if (base::iequals(text, "servlet")) return static_cast<std::int64_t>(Mapping::Servlet);
      return rejected("unknown word", row);
    case ValueKind::Word:
      return Value(std::string("this word takes no value"));
    case ValueKind::Tokens:
      return is_token_list(text) ? Value(std::int64_t{1}) : rejected("not a list of protocol names", row);
    case ValueKind::Text:
      break;
  }
  return Value(std::string("this parameter is not supported yet by mod_cxxproxy"));
}

const ParameterSet::Entry* ParameterSet::entry_of(ParameterId id) const noexcept {
  for (const auto& entry : entries_) {
    if (entry.id == id) return &entry;
  }
  return nullptr;
}

const Setting<std::int64_t>* ParameterSet::find(ParameterId id) const noexcept {
  const Entry* entry = entry_of(id);
  return entry != nullptr ? &entry->setting : nullptr;
}

std::optional<std::int64_t> ParameterSet::value(ParameterId id) const noexcept {
  const auto* setting = find(id);
  return setting != nullptr ? setting->value : std::nullopt;
}

std::string_view ParameterSet::text(ParameterId id) const noexcept {
  const Entry* entry = entry_of(id);
  return entry != nullptr ? std::string_view(entry->text) : std::string_view{};
}

void ParameterSet::set(ParameterId id, std::int64_t value, SourceLine where, std::string_view text) {
  for (auto& entry : entries_) {
    if (entry.id != id) continue;
    // Status letters add up; every other value replaces the earlier one.
    const bool adds_up = id == ParameterId::Status && entry.setting.is_set();
    entry.setting.set(adds_up ? combine_status(*entry.setting.value, value) : value, where);
    entry.text = text;
    return;
  }
  entries_.push_back({id, {value, where}, std::string(text)});
}

void ParameterSet::merge_over(const ParameterSet& later) {
  for (const auto& entry : later.entries_) set(entry.id, *entry.setting.value, entry.setting.where, entry.text);
}

}  // namespace cxxproxy::config
