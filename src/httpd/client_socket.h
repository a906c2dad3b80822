// The client's own socket, for what APR has no call for.
//
// WHAT    The descriptor of a connection's socket; -1 where it has none of its own: an HTTP/2 stream. And the core's
//         record behind it.
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

// The core's, which writes to the socket.
inline ap_filter_t* last_output_filter(const conn_rec& connection) noexcept {
  ap_filter_t* last = connection.output_filters;
  while (last->next != nullptr) last = last->next;
  return last;
}

// What the core's filters at the ends of a connection share, if it is as we know it: what they read from and write
// to can then be looked at and replaced.
inline core_net_rec* core_net(conn_rec* c) noexcept {
  const ap_filter_t* const last = last_output_filter(*c);
  auto* const net = static_cast<core_net_rec*>(last->ctx);
  return last->frec == ap_core_output_filter_handle && net != nullptr && net->c == c && net->client_socket == ap_get_conn_socket(c) ? net : nullptr;
}

// What is passed on goes to the socket at once: there is no filter but the core's, and it holds nothing.
inline bool writes_at_once(const conn_rec& connection) noexcept {
  return connection.output_filters->next == nullptr && connection.data_in_output_filters == 0;
}

// Bytes that the core has read from the socket and nobody has had yet.
inline apr_off_t kept_by_core(const core_net_rec& net) noexcept {
  if (net.in_ctx == nullptr || net.in_ctx->b == nullptr) return 0;
  apr_bucket_brigade* const kept = net.in_ctx->b;
  apr_off_t bytes = 0;
  for (apr_bucket* bucket = APR_BRIGADE_FIRST(kept); bucket != APR_BRIGADE_SENTINEL(kept) && !APR_BUCKET_IS_SOCKET(bucket); bucket = APR_BUCKET_NEXT(bucket)) {
    bytes += static_cast<apr_off_t>(bucket->length);
  }
  return bytes;
}

}  // namespace cxxproxy::httpd
