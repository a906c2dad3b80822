// The client's own socket, for what APR has no call for.
//
// WHAT    The descriptor of a connection's socket; -1 where it has none of its own: an HTTP/2 stream.
#pragma once

#include <apr_portable.h>

#include "httpd/httpd_api.h"

namespace cxxproxy::httpd {

inline int client_descriptor(const conn_rec& connection) noexcept {
  if (connection.master != nullptr) return -1;
  apr_socket_t* const socket = ap_get_conn_socket(const_cast<conn_rec*>(&connection));  // it only reads
  apr_os_sock_t descriptor = -1;
  return socket != nullptr && apr_os_sock_get(&descriptor, socket) == APR_SUCCESS ? descriptor : -1;
}

}  // namespace cxxproxy::httpd
