// key=value parameters: one table that parsing, merging, messages and the reference page all read.
//
// WHAT    A row names a parameter, where it may stand, how its value is read and its range. A row
//         that is not supported yet makes configtest say so instead of calling the name unknown.
// SHAPES  Values are kept as one integer: a flag is 0 or 1, a bare word is 1, a duration is in microseconds, a load
//         factor times 100, status flags as parse_status() answers them, Replay and Method their numbers; the text
//         is kept beside it, and is all there is of lists and hash keys.
// SOURCE  Names, ranges and defaults: httpd's manual of mod_proxy, mod_proxy_balancer and
//         mod_proxy_hcheck 2.4.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "config/setting.h"

namespace cxxproxy::config {

// Whose parameter it is.
enum class Place : std::uint8_t {
  Member,    // ProxyPass to a URL, BalancerMember, ProxySet and <Proxy> of a URL
  Balancer,  // ProxyPass to balancer://, ProxySet and <Proxy> of balancer://
  Rule,      // ProxyPass only: about the mapping, not about the backend
};

enum class ValueKind : std::uint8_t {
  Word,     // without a value
  Mapping,
  Flag,
  Integer,
  Percent,
  Bytes,
  BufferSize,  // bytes, or 0 for the default
  FlushWord,
  Duration,
  Lifetime,  // a duration, or -1: for ever
  Milliseconds,  // a duration whose plain numbers are milliseconds
  LoadFactor,
  Status,
  Method,
  Replay,
  StatusList,  // read from its text
  HashKey,     // the same
  Tokens,      // the same
  Route,       // a text as it is, 1 to 63 characters
  Sticky,      // NAME or NAME|URLNAME, 1 to 63 characters
  Separator,   // one character, its code; Off is 0
  CookieName,  // a token, 1 to 63 characters
  CookiePath,
  SameSite,    // StickyCookie::SameSite
  SecureWord,  // StickyCookie::Secure
  FileName,
  Text,
};

enum class ParameterId : std::uint8_t {
  LoadFactor,
  Retry,
  Timeout,
  ConnectionTimeout,
  Max,
  Ping,
  AddressTtl,
  MaxTotal,
  Ttl,
  KeepAlive,
  DisableReuse,
  EnableReuse,
  Status,
  TotalTimeout,
  Replay,
  ReplayBody,
  ResponseFieldSize,
  LbSet,
  SlowStart,
  Upgrade,
  RouteName,
  Redirect,
  IoBufferSize,
  ReceiveBufferSize,
  FlushPackets,
  FlushWait,
  Min,
  SoftMax,
  Acquire,
  LbMethod,
  HashKey,
  HashFactor,
  MaxAttempts,
  FailOnStatus,
  FailOnTimeout,
  ForceRecovery,
  NoFailover,
  StickySession,
  StickySessionSep,
  SemicolonEnds,
  StickyCookie,
  StickyCookieKey,
  StickyCookiePath,
  StickyCookieSameSite,
  StickyCookieSecure,
  StickyCookieHttpOnly,
  Growth,
  Queue,
  QueueTimeout,
  WaitForMember,
  RetryBudget,
  EjectFailures,
  EjectRate,
  EjectRequests,
  EjectWindow,
  EjectTime,
  EjectMaxTime,
  EjectMax,
  EjectPanic,
  NoCanon,
  NoQuery,
  Interpolate,
  Mapping,
  Count,
  NotYet = Count,  // rows that are only known by name
};

struct ParameterRow {
  ParameterId id;
  const char* name;
  Place place;
  ValueKind kind;
  std::int64_t min;  // in the unit of the stored value
  std::int64_t max;
  const char* default_text;
  const char* help;
  const char* no_effect = nullptr;  // why it does nothing here; configtest says so

  constexpr bool is_supported() const noexcept { return id != ParameterId::NotYet; }
};

// All rows, in the order of the reference page.
std::span<const ParameterRow> parameter_rows() noexcept;
const ParameterRow* find_parameter(std::string_view name, Place place) noexcept;
const ParameterRow& parameter_row(ParameterId id) noexcept;

// "1 s to 86400 s, plain numbers are seconds, units ms s min h": the range as messages show it.
std::string allowed_values(const ParameterRow& row);

// The value, or what is wrong with it ("not a duration (…)").
base::Result<std::int64_t, std::string> parse_value(const ParameterRow& row, std::string_view text);

// What was said about one member or balancer; a later value wins.
class ParameterSet {
 public:
  const Setting<std::int64_t>* find(ParameterId id) const noexcept;
  std::optional<std::int64_t> value(ParameterId id) const noexcept;
  std::string_view text(ParameterId id) const noexcept;  // the value as it was typed, for dumps
  void set(ParameterId id, std::int64_t value, SourceLine where, std::string_view text = {});
  void merge_over(const ParameterSet& later);
  bool empty() const noexcept { return entries_.empty(); }

 private:
  struct Entry {
    ParameterId id;
    Setting<std::int64_t> setting;
    std::string text;
  };
  const Entry* entry_of(ParameterId id) const noexcept;
  std::vector<Entry> entries_;
};

}  // namespace cxxproxy::config
