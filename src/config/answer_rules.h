// Rules for the fields of answers: ProxyPassReverse, cookie domains and paths, cookie flags.
//
// WHAT    AnswerRules is what one scope said; AnswerChain strings the scopes of a request together,
//         outer rules first. map_back(), map_cookie() and cookie_flags() ask the chain: the first rule that
//         matches decides.
// SHAPES  AnswerRules live in the configuration pool and do not change after the configuration was read; a chain
//         node is trivially copyable and lives in the pool of the merge. A balancer:// rule stands for one rule
//         for each member of the balancer that the server sees.
//         A rule with `interpolate` is kept as text and read for each request, when AnswerView has an expander.
// ERRORS  The functions that add a rule are in config/statements.h and config/field_statements.h.
// SOURCE  mod_proxy's manual; http/reverse_map.h and http/set_cookie.h.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "config/setting.h"
#include "http/reverse_map.h"
#include "http/set_cookie.h"

namespace cxxproxy::config {

struct ResolvedVhost;

// One ProxyPassReverse line.
struct SaidReverse {
  http::ReverseRule rule;
  std::string balancer;       // lower case, empty for a plain URL
  std::string balancer_path;  // what followed balancer://name
  std::string raw_url;        // with interpolate: both sides as they were typed
  bool interpolate = false;
  SourceLine where;
};

// One ProxyPassReverseCookieDomain or -Path line.
struct SaidCookieRule {
  http::CookieAttribute attribute = http::CookieAttribute::Path;
  std::string from;  // the backend's side
  std::string to;
  bool interpolate = false;
  SourceLine where;
};

// One ProxyCookieFlags line; Off ends the search.
struct SaidCookieFlags {
  bool off = false;
  std::string pattern;
  http::CookieFlags flags;
  SourceLine where;
};

struct AnswerRules {
  std::vector<SaidReverse> reverse;
  std::vector<SaidCookieRule> cookies;
  std::vector<SaidCookieFlags> flags;

  bool empty() const noexcept { return reverse.empty() && cookies.empty() && flags.empty(); }
};

// Rules of `before`, then `rules`, then of `after`.
struct AnswerChain {
  const AnswerChain* before = nullptr;
  const AnswerRules* rules = nullptr;
  const AnswerChain* after = nullptr;

  bool says_nothing() const noexcept { return before == nullptr && after == nullptr && (rules == nullptr || rules->empty()); }
};

// The rules as one request sees them.
struct AnswerView {
  const AnswerChain* chain = nullptr;
  const ResolvedVhost& vhost;
  http::Boundary boundary = http::Boundary::Segment;
  std::function<std::string(std::string_view)> expand{};  // ${NAME} in rules with interpolate; empty: not asked for
};

// The public path for a Location value, by the first rule that matches.
std::optional<std::string> map_back(const AnswerView& view, std::string_view location);

// A Set-Cookie field with its domains and paths mapped and its flags set; nothing if it stays as it is.
std::optional<std::string> map_cookie(const AnswerView& view, std::string_view field);

}  // namespace cxxproxy::config
