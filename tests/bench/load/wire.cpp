#include "wire.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>

#include "common.h"

namespace bench {

bool Wire::connect(std::uint16_t port, std::size_t number, ssl_ctx_st* tls, std::size_t receive_buffer) {
  close();
  fd_ = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd_ < 0) return false;
  const int on = 1;
  setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  setsockopt(fd_, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
  if (receive_buffer > 0) {
    const int size = static_cast<int>(receive_buffer);
    setsockopt(fd_, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
  }
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK + static_cast<in_addr_t>(number % 8));
  if (bind(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) return false;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(port);
  if (::connect(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 && errno != EINPROGRESS) return false;
  if (tls != nullptr) {
    tls_ = SSL_new(tls);
    SSL_set_fd(tls_, fd_);
    SSL_set_connect_state(tls_);
  }
  return true;
}

ssize_t Wire::establish() {
  int error = 0;
  socklen_t size = sizeof error;
  getsockopt(fd_, SOL_SOCKET, SO_ERROR, &error, &size);
  if (error != 0) return kEnd;
  return tls_ == nullptr ? 1 : outcome(SSL_do_handshake(tls_));
}

ssize_t Wire::outcome(int result) const {
  if (result > 0) return result;
  const int error = SSL_get_error(tls_, result);
  return error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE ? kAgain : kEnd;
}

ssize_t Wire::read(char* data, std::size_t size) {
  if (tls_ != nullptr) return outcome(SSL_read(tls_, data, static_cast<int>(size)));
  const ssize_t got = recv(fd_, data, size, 0);
  if (got > 0) return got;
  return got < 0 && (errno == EAGAIN || errno == EINTR) ? kAgain : kEnd;
}

ssize_t Wire::write(const char* data, std::size_t size) {
  if (tls_ != nullptr) return outcome(SSL_write(tls_, data, static_cast<int>(size)));
  const ssize_t done = send(fd_, data, size, MSG_NOSIGNAL);
  if (done >= 0) return done;
  return errno == EAGAIN || errno == EINTR ? kAgain : kEnd;
}

bool Wire::has_more() const { return tls_ != nullptr && SSL_pending(tls_) > 0; }

void Wire::close() {
  if (tls_ != nullptr) SSL_free(tls_);
  tls_ = nullptr;
  if (fd_ >= 0) ::close(fd_);
  fd_ = -1;
}

ssl_ctx_st* make_tls() {
  SSL_CTX* tls = SSL_CTX_new(TLS_client_method());
  if (tls == nullptr) fail("no TLS");
  SSL_CTX_set_mode(tls, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  SSL_CTX_set_verify(tls, SSL_VERIFY_NONE, nullptr);
  return tls;
}

}  // namespace bench
