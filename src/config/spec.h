// What the data plane knows of the configuration: members and balancers, resolved and immutable.
//
// WHAT    The result of parsing, merging and checking. Built once per configuration, shared by all
//         threads without a lock, destroyed with the configuration pool at the next reload.
// SHAPES  A member without a balancer is the backend of a plain `ProxyPass / http://host/`. Its
//         member_id and a balancer's balancer_id index process-wide tables: the shared segment's
//         slots and the child's connection pools.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "config/setting.h"
#include "http/url.h"

namespace cxxproxy::config {

// Letters of the `status` parameter that this version knows; a set of bits.
enum class StatusFlag : std::uint32_t {
  None = 0,
  Disabled = 1u << 0,      // D
  Stopped = 1u << 1,       // S
  IgnoreErrors = 1u << 2,  // I
  HotSpare = 1u << 3,      // R
  HotStandby = 1u << 4,    // H
  InError = 1u << 5,       // E
  Drain = 1u << 6,         // N
  CheckFailed = 1u << 7,   // C
};
constexpr std::uint32_t bit(StatusFlag flag) noexcept { return static_cast<std::uint32_t>(flag); }

// May a request be sent again after its connection failed? A refused connection is not meant: nothing
// was sent then, and the next member gets the request whatever is said here.
enum class Replay : std::uint8_t {
  On,    // when it may be repeated: an idempotent method, or nothing of it was sent
  Safe,  // when nothing of it was sent, or the method is GET, HEAD, OPTIONS or TRACE
  Off,
};

// What becomes of an answer with a line in its head that is no field.
// ProxyReactor.
enum class Reactor : std::uint8_t { Off, On, Auto };

enum class BadHeader : std::uint8_t {
  Refuse,     // 502
  Skip,       // the line is left out
  StartBody,  // the body begins with it, if it has no colon
};

// What becomes of the Via field: Off leaves it alone, Block removes it from requests.
enum class Via : std::uint8_t { Off, On, Full, Block };

// What mod_status shows of the balancers.
enum class ShowStatus : std::uint8_t { Off, On, Full };

// An entry of BalancerSpec::routes that is none.
inline constexpr std::size_t kNoRoute = ~std::size_t{0};
inline constexpr std::size_t kLongestRoute = 63;

struct MemberSpec {
  http::Url url;
  std::string authority;  // of the URL: what Host says
  std::string name;  // canonical URL, as logs and BALANCER_WORKER_NAME show it
  std::string key;   // server + balancer + URL: finds the member's shared slot again after a reload
  std::uint32_t member_id = 0;
  std::uint32_t loadfactor = 100;  // times 100, 100..10000
  std::uint32_t status = 0;        // StatusFlag bits from the file
  bool persist = false;            // its state survives a restart
  unsigned max = 0;                // connections per child, 0 = no limit (the threads are one)
  std::uint32_t max_total = 0;     // connections over all children, 0 = no limit
  std::size_t min_idle = 0;              // kept connections that ttl does not close
  std::optional<std::size_t> soft_max;   // the same; without a ttl those above it are closed at once
  bool tcp_keepalive = false;
  bool reuse = true;               // keep connections to the backend
  bool any_host = false;           // host and port come from the URL of each request; its connections are never kept
  base::Duration retry{std::chrono::seconds(60)};
  std::optional<base::Duration> timeout;          // unset: ProxyTimeout, then Timeout
  std::optional<base::Duration> connect_timeout;  // unset: timeout
  std::optional<base::Duration> ping;             // a request with a body asks first, and waits so long for a 100
  std::optional<base::Duration> address_ttl{std::chrono::seconds(30)};  // of a resolved name; none: as long as the child lives
  std::optional<base::Duration> ttl;              // idle lifetime of a kept connection
  std::optional<base::Duration> acquire;          // longest wait for a free slot; unset: timeout
  std::optional<base::Duration> total_timeout;    // unset: no limit for a request as a whole
  std::string upgrade = "websocket";  // protocols that a client may switch to: a comma list, NONE or ANY
  Replay replay = Replay::On;
  std::size_t replay_body = 64 * 1024;          // bytes of a request body that may have been sent and are kept for a replay
  std::size_t response_field_size = 16 * 1024;  // bytes in one field line of an answer
  std::size_t io_buffer_size = 0;               // bytes of a body that are moved at once, 0: the virtual host's
  int receive_buffer_size = 0;                  // SO_RCVBUF, 0: the virtual host's
  std::uint32_t lbset = 0;                      // the lowest set with a usable member serves
  base::Duration slow_start{};                  // after an absence its share grows for this long; 0: at once
  std::string route;                            // label of its sessions, "" = none
  std::string redirect;                         // route that gets its sessions while it is not usable
  std::size_t redirect_route = kNoRoute;        // the same, in BalancerSpec::routes
  std::size_t own_route = kNoRoute;             // its sessions, in BalancerSpec::routes
};

enum class Method : std::uint8_t { ByRequests, ByTraffic, ByBusyness, LeastLoad, Ewma, Hash, Random, First };

// Where lbmethod=hash finds the key of a request.
struct HashKey {
  enum class Source : std::uint8_t { Client, Path, Uri, Query, Cookie, Header };
  Source source = Source::Client;
  std::string name;  // of the query parameter, cookie or field
};

// When a member that answers badly is taken out for a time. Off unless a parameter says otherwise.
struct Ejection {
  std::uint32_t failures_in_a_row = 0;  // 0 = does not count
  std::uint32_t rate_percent = 0;       // of the attempts in a window; 0 = does not count
  std::uint32_t least_attempts = 20;    // in a window, for a rate to mean something
  std::uint32_t most_percent = 50;      // of the members may be ejected at a time
  std::uint32_t panic_percent = 50;     // fewer usable members than this: ejections do not count
  base::Duration window{std::chrono::seconds(10)};
  base::Duration first{std::chrono::seconds(30)};     // times the number of ejections in a row
  base::Duration longest{std::chrono::seconds(300)};

  bool is_on() const noexcept { return failures_in_a_row != 0 || rate_percent != 0; }
};

// Where a request says whose session it is.
struct StickySession {
  std::string cookie;           // "" = no stickiness
  std::string parameter;        // of the URL
  char separator = '.';         // in front of the route; NUL: the whole value is the route
  bool semicolon_ends = false;  // a parameter of the URL ends at ; too

  bool is_on() const noexcept { return !cookie.empty(); }
};

// The cookie that the proxy itself sets, so that a client stays with its member.
struct StickyCookie {
  enum class Secure : std::uint8_t { Auto, On, Off };  // Auto: for clients that speak TLS
  enum class SameSite : std::uint8_t { Lax, Strict, None, Off };

  std::string name;      // "" = none
  std::string key_file;  // "" = the server makes its own key
  SourceLine key_where;
  std::string key;       // what is in the file, from check_config on
  std::string path = "/";
  SameSite same_site = SameSite::Lax;
  Secure secure = Secure::Auto;
  bool http_only = true;

  bool is_on() const noexcept { return !name.empty(); }
};

struct SessionRoute {
  std::string name;  // with stickycookie the URL of a member that has no route
  std::vector<std::uint16_t> members;  // in file order; nearly always one
};

struct BalancerSpec {
  std::string name;  // lower case
  std::string url;   // balancer://name
  std::string key;   // server + name
  std::uint32_t balancer_id = 0;
  bool persist = false;  // as in MemberSpec
  Method method = Method::ByRequests;
  std::vector<MemberSpec> members;  // in file order; at most kMaxMembers
  HashKey hash_key;
  std::uint32_t hash_factor = 0;                 // times 100; 0 = no bound
  std::optional<unsigned> max_attempts;          // further ones; unset: one for each other member
  std::vector<std::uint16_t> fail_on_status;     // answers after which the member rests
  bool fail_on_timeout = false;
  bool force_recovery = true;
  bool no_failover = false;                      // a session stays with its member, even if that is down
  StickySession sticky;
  StickyCookie sticky_cookie;
  std::vector<SessionRoute> routes;              // of the members, by name
  std::uint32_t retry_budget = 0;                // further attempts in percent of the requests; 0 = no limit
  Ejection ejection;
  std::optional<std::uint32_t> queue;            // requests that wait for a slot at a time over all children; unset: no bound
  std::optional<base::Duration> queue_timeout;   // longest wait for a slot; unset: acquire of the members
  base::Duration wait_for_member{};              // longest wait for a usable member while there is none
};

// maxtotal and queue (balancer/limits.h).
inline constexpr std::uint32_t kLargestTotal = 4096;
inline constexpr std::size_t kMaxMembers = 1024;

}  // namespace cxxproxy::config
