// What the directives of one per-directory scope said: server level, <Location> or <Proxy>.
//
// WHAT    The values that httpd merges for each request, inner scope over outer: flags, the rule of a
//         <Location>, and the chain of rules for answers.
// SHAPES  Trivially copyable apart from what it points to; merging allocates one chain node at most,
//         so it is cheap enough for every request. Pointees live in the configuration pool, chain
//         nodes in the pool of the merge.
#pragma once

#include "config/answer_rules.h"
#include "config/field_settings.h"
#include "config/setting.h"
#include "config/vhost_config.h"

namespace cxxproxy::config {

struct LocationConfig {
  Setting<bool> preserve_host;
  Setting<bool> add_headers;
  Setting<bool> continue_from_backend;    // Proxy100Continue
  Setting<base::Duration> proxy_timeout;  // comes before the virtual host's
  Setting<bool> interpolate;              // ProxyPassInterpolateEnv
  Setting<bool> park;                     // a waiting request may give its thread back
  Setting<base::Duration> tunnel_timeout;
  const SaidRoute* route = nullptr;       // owned by the server's Declarations
  FieldSettings fields;
  const AnswerChain* answers = nullptr;
  const char* section_url = nullptr;      // the pattern, inside <Proxy> while it is read
  AnswerRules* own_rules = nullptr;       // where a directive adds one; not in a merged object
};

// `joined` is filled and used when both sides have rules; it must live as long as the result.
LocationConfig merge(const LocationConfig& outer, const LocationConfig& inner, AnswerChain& joined) noexcept;

}  // namespace cxxproxy::config
