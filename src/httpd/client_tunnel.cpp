// The half of the client side that carries a tunnel: from the 101 on, bytes go past the request's filters.
#include <sys/socket.h>

#include "http/field.h"
#include "httpd/client_side.h"
#include "httpd/client_socket.h"
#include "httpd/exchange_log.h"
#include "httpd/httpd_api.h"

namespace cxxproxy::httpd {

using exchange::BodyPart;

bool ClientSide::start_tunnel(const http::ResponseHead& head) {
  conn_rec* const c = r_->connection;
  (void)take_answer_head({.head = head});
  for (const char* name : {"Connection", "Upgrade"}) {
    const http::FieldView* const field = http::find_field(head.fields, name);
    if (field != nullptr) apr_table_setn(r_->headers_out, name, apr_pstrmemdup(r_->pool, field->value.data(), field->value.size()));
  }
  ap_send_interim_response(r_, 1);
  c->keepalive = AP_CONN_CLOSE;  // whatever follows is not HTTP
  tunnel_ = true;
  fields_ = {};
  // mod_reqtimeout limits how slowly a request may come; a tunnel has its own idle limit.
  (void)ap_remove_input_filter_byhandle(r_->input_filters, "reqtimeout");
  r_->input_filters = r_->proto_input_filters = c->input_filters;
  r_->output_filters = r_->proto_output_filters = c->output_filters;
  return !c->aborted;
}

BodyPart ClientSide::read_tunnel(std::size_t at_most) {
  clear_request_body();
  // Not the request's own list: the event loop may have put a filter at the head of the connection's since.
  ap_filter_t* const filters = r_->connection->input_filters;
  const apr_status_t status =
      ap_get_brigade(filters, request_body_, AP_MODE_READBYTES, APR_NONBLOCK_READ, static_cast<apr_off_t>(at_most));
  if (APR_STATUS_IS_EAGAIN(status)) return {.kind = BodyPart::Kind::WouldBlock};
  if (APR_STATUS_IS_EOF(status)) return {.kind = BodyPart::Kind::End, .last = true};
  if (status != APR_SUCCESS) return {.kind = BodyPart::Kind::Failed, .error = base::ProxyErrc::ClientGone};
  BodyPart part;
  if (take_parts(part) != APR_SUCCESS) return {.kind = BodyPart::Kind::Failed, .error = base::ProxyErrc::ClientGone};
  // The core's filter gives all that the socket has; others may hold something back.
  part.dry = filters->frec == ap_core_input_filter_handle && part.bytes < at_most;
  return part;
}

// A plain connection is closed by half; TLS and HTTP/2 have no such thing here.
bool ClientSide::end_sending() {
  const int descriptor = client_descriptor(*r_->connection);
  if (descriptor < 0 || is_tls(r_)) return false;
  never_block_ = false;
  (void)pass(true);  // the last bytes first
  (void)::shutdown(descriptor, SHUT_WR);
  return true;
}

void ClientSide::tunnel_ended(const exchange::TunnelReport& tunnel) {
  r_->sent_bodyct = 1;  // or %b shows nothing
  r_->bytes_sent = static_cast<apr_off_t>(tunnel.bytes_down);
  tunnel_end_ = tunnel.end.word;
  log_tunnel(r_, errand_.target.balancer, tunnel);
}

}  // namespace cxxproxy::httpd
