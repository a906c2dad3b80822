#include "httpd/via.h"

#include "httpd/httpd_api.h"

namespace cxxproxy::httpd {

const char* via_element(request_rec* r, config::Via via) {
  if (via != config::Via::On && via != config::Via::Full) return nullptr;
  const char* name = ap_get_server_name(r);
  if (name == r->hostname) name = r->server->server_hostname;
  const apr_port_t port = ap_get_server_port(r);
  const char* const port_text = ap_is_default_port(port, r) ? "" : apr_psprintf(r->pool, ":%u", port);
  const char* const comment = via == config::Via::Full ? " (" AP_SERVER_BASEVERSION ")" : "";
  return apr_psprintf(r->pool, "%d.%d %s%s%s", HTTP_VERSION_MAJOR(r->proto_num), HTTP_VERSION_MINOR(r->proto_num), name, port_text, comment);
}

}  // namespace cxxproxy::httpd
