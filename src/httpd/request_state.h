// What this module keeps of a request from one hook to the next.
//
// SHAPES  One object in the request's pool, found by its request_config; it owns nothing.
#pragma once

#include <cstddef>
#include <new>

#include "config/resolved_vhost.h"
#include "httpd/httpd_api.h"

namespace cxxproxy::httpd {

struct UpstreamFacts;

// What translate() found, so that the URL is neither searched for its parts nor looked up again.
struct Chosen {
  config::Target target;
  // The text that we wrote; r->filename is another one when somebody has changed it. Who wrote into ours could change the path, not
  // where it leads to.
  const char* filename = nullptr;
  std::size_t origin_size = 0;     // of scheme, host and port in it
};

struct RequestState {
  Chosen chosen;                      // no filename: translate() chose nothing
  UpstreamFacts* upstream = nullptr;  // of a request that we serve
};

inline RequestState* find_request_state(const request_rec* r) noexcept {
  return static_cast<RequestState*>(ap_get_module_config(r->request_config, &cxxproxy_module));
}

inline RequestState& request_state(request_rec* r) {
  if (RequestState* const state = find_request_state(r); state != nullptr) return *state;
  auto* const state = new (apr_palloc(r->pool, sizeof(RequestState))) RequestState();
  ap_set_module_config(r->request_config, &cxxproxy_module, state);
  return *state;
}

}  // namespace cxxproxy::httpd
