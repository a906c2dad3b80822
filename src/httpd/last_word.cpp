#include "httpd/last_word.h"

#include <sys/socket.h>

#include <cerrno>
#include <string_view>

#include "httpd/client_inlet.h"
#include "httpd/client_socket.h"
#include "httpd/seat.h"
#include "httpd/httpd_api.h"

namespace cxxproxy::httpd {
namespace {

bool has_content(const request_rec* r) noexcept {
  const char* const length = apr_table_get(r->headers_in, "Content-Length");
  return apr_table_get(r->headers_in, "Transfer-Encoding") != nullptr || (length != nullptr && std::string_view(length) != "0");
}

// Neither httpd nor the system has bytes of this client that nobody has read.
bool is_silent(Seat& seat) noexcept {
  conn_rec* const c = seat.connection;
  const core_net_rec* const net = core_net(c);
  if (net == nullptr || kept_by_core(*net) != 0 || (seat.inlet != nullptr && !seat.inlet->holds_nothing())) return false;
  char byte = 0;
  const ssize_t got = ::recv(client_descriptor(*c), &byte, sizeof byte, MSG_PEEK | MSG_DONTWAIT);
  return got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK);
}

bool says_last_word(const request_rec* r) noexcept {
  if (r->connection->keepalive != AP_CONN_CLOSE || r->connection->master != nullptr || r->main != nullptr || has_content(r)) return false;
  const char* const options = apr_table_get(r->headers_in, "Connection");
  if (r->proto_num < HTTP_VERSION(1, 1)) return options == nullptr || ap_find_token(r->pool, options, "keep-alive") == 0;
  return options != nullptr && ap_find_token(r->pool, options, "close") != 0;
}

}  // namespace

void note_last_word(const request_rec* r) noexcept {
  if (!says_last_word(r)) return;
  if (Seat* const seat = seat_of(r->connection); seat != nullptr) seat->keep_alive.last_word = true;
}

void close_at_once(Seat& seat) noexcept {
  conn_rec* const c = seat.connection;
  if (seat.keep_alive.last_word && c->aborted == 0 && writes_at_once(*c) && is_silent(seat)) c->aborted = 1;
}

}  // namespace cxxproxy::httpd
