#include "httpd/known_host.h"

#include <utility>

namespace cxxproxy::httpd {
namespace {

// More is no name of a host, and idle connections keep it (RFC 1035 2.3.4, with a port).
constexpr std::size_t kLongest = 255 + 6;

// It would find that the connection's first virtual host is not the one.
bool must_search(const conn_rec& c) noexcept {
  return static_cast<const core_server_config*>(ap_get_core_module_config(c.base_server->module_config))->strict_host_check == AP_CORE_CONFIG_ON;
}

// As the core does when it has found it.
void assign(request_rec& r, server_rec* server) noexcept {
  if (r.server->timeout != server->timeout) (void)apr_socket_timeout_set(ap_get_conn_socket(r.connection), server->timeout);
  r.server = server;
  r.per_dir_config = server->lookup_defaults;
}

}  // namespace

void KnownHost::begins(conn_rec& c, std::string_view host) {
  learns_ = false;
  if (c.vhost_lookup_data == nullptr || host.empty() || host.size() > kLongest || must_search(c)) return;
  if (server_ != nullptr && host == host_) {
    names_ = std::exchange(c.vhost_lookup_data, nullptr);
    return;
  }
  server_ = nullptr;
  host_ = host;
  learns_ = true;
}

bool KnownHost::is_read(request_rec& r) {
  if (r.prev != nullptr) {  // the head was refused, and this is the document that says so
    ends(*r.connection);
  } else if (names_ != nullptr) {
    ends(*r.connection);
    if (r.hostname == nullptr || name_ != r.hostname) return false;
    assign(r, server_);
  } else if (std::exchange(learns_, false) && r.hostname != nullptr) {
    name_ = r.hostname;
    server_ = r.server;
  }
  return true;
}

void KnownHost::ends(conn_rec& c) noexcept {
  learns_ = false;
  if (names_ != nullptr) c.vhost_lookup_data = std::exchange(names_, nullptr);
}

}  // namespace cxxproxy::httpd
