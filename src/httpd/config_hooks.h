// The life of the configuration inside httpd, and how the request path asks for it.
//
// WHAT    create/merge for server and directory scope, the hooks that run when the whole of it was
//         read, and the accessors that the request hooks use. The objects behind them are of config/.
//         pre_config hints at misspelt directives, check_config resolves and reports (it runs in
//         configtest too, post_config does not), post_config repeats the warnings into the error log.
// SHAPES  Server objects live in pconf. A merged directory object may live in a request pool; it only
//         points at pconf objects. Accessors may be called from any thread once check_config has run.
// ERRORS  check_config answers 500 after logging what is wrong. No hook opens a connection, resolves a
//         name or changes anything outside its pool, so configtest is free of side effects.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "config/resolved_vhost.h"
#include "config/location_config.h"
#include "config/vhost_config.h"
#include "http/forwarded.h"
#include "httpd/httpd_api.h"

namespace cxxproxy::httpd {

void* create_server_config(apr_pool_t* pool, server_rec* server) noexcept;
void* merge_server_config(apr_pool_t* pool, void* base, void* overrides) noexcept;
void* create_dir_config(apr_pool_t* pool, char* path) noexcept;
void* merge_dir_config(apr_pool_t* pool, void* base, void* overrides) noexcept;

int pre_config(apr_pool_t* pconf, apr_pool_t* plog, apr_pool_t* ptemp) noexcept;
int check_configuration(apr_pool_t* pconf, apr_pool_t* plog, apr_pool_t* ptemp, server_rec* main_server) noexcept;
int log_warnings(apr_pool_t* pconf, apr_pool_t* plog, apr_pool_t* ptemp, server_rec* main_server) noexcept;

config::VhostConfig& vhost_config(const server_rec* server) noexcept;
const config::LocationConfig& location_config(const request_rec* r) noexcept;

// Valid after check_configuration.
const config::ResolvedConfig& resolved_config(const server_rec* main_server) noexcept;
const config::ResolvedVhost& resolved_vhost(const server_rec* server) noexcept;

// Values of one request, all scopes merged.
struct RequestSettings {
  bool preserve_host = false;
  bool add_headers = true;
  bool continue_from_backend = true;  // Expect: 100-continue is the backend's to answer
  config::BadHeader bad_header = config::BadHeader::Refuse;
  config::Via via = config::Via::Off;
  unsigned forwarded_fields = http::kUsualForwarded;
  const config::FieldSettings* fields = nullptr;  // of the request's scopes; never null
  bool trust_client = true;  // its X-Forwarded fields and Forwarded
  bool park = true;
  std::optional<base::Duration> tunnel_timeout;  // unset: the backend's timeout
  std::optional<base::Duration> proxy_timeout;  // of the <Location>, else the vhost's; unset: httpd's Timeout
};
RequestSettings request_settings(const request_rec* r) noexcept;

// The rules for the answer of this request; `chain` is null where there are none.
config::AnswerView answer_view(const request_rec* r) noexcept;

}  // namespace cxxproxy::httpd
