// What access logs may know of the way to the backend: CXXPROXY_... as notes and variables.
//
// WHAT    facts_of() is the record of a request that we serve, filled when its exchange is over. The hook log_transaction
//         writes it into notes and environment, as text, right before httpd logs the request: whoever logs nothing of it
//         pays for no text before that. Also mod_proxy's notes proxy-source-port and proxy_timedout.
// SHAPES  The record lies in the request's pool and owns nothing. With an internal redirect (ErrorDocument) it is the first
//         proxied request of the chain that is told of, in the tables of the last one, which is what LogFormat reads.
//         Times in microseconds; what was not measured is not set, so the log shows "-".
// SOURCE  docs/log-messages.md, "The access log", has names and words.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/error.h"
#include "httpd/httpd_api.h"

namespace cxxproxy::httpd {

struct UpstreamFacts {
  const char* member = nullptr;
  const char* address = nullptr;
  const char* attempts = nullptr;
  const char* end = nullptr;
  std::int64_t connect = -1;
  std::int64_t first_byte = -1;
  std::int64_t total = -1;
  std::uint64_t bytes_up = 0;
  std::uint64_t bytes_down = 0;
  std::uint16_t local_port = 0;
  bool exchanged = false;  // an exchange has run: the numbers mean something
  bool reused = false;
  bool timed_out = false;  // an attempt had no head in time
};

UpstreamFacts& facts_of(request_rec* r);

// A request that is refused before an exchange begins.
void tell_end(request_rec* r, base::ProxyErrc code);

// log_transaction hook.
int tell_upstream_facts(request_rec* r) noexcept;

}  // namespace cxxproxy::httpd
