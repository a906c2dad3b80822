#include "httpd/reverse_mapping.h"

#include "httpd/config_hooks.h"
#include "httpd/httpd_api.h"

namespace cxxproxy::httpd {

void rewrite_answer_fields(request_rec* r) {
  for (const char* name : {"Location", "Content-Location", "URI", "Destination"}) {
    const char* value = apr_table_get(r->headers_out, name);
    if (value == nullptr) continue;
    const auto path = map_location_back(r, value);
    if (!path) continue;
    const char* mapped = apr_pstrmemdup(r->pool, path->data(), path->size());
    apr_table_setn(r->headers_out, name, ap_is_url(mapped) ? mapped : ap_construct_url(r->pool, mapped, r));
  }
}

}  // namespace cxxproxy::httpd
