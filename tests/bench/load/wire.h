// WHAT    A client's connection, plain or TLS, never blocking.
// SHAPES  read() and write() return bytes, or kAgain, or kEnd.
// ERRORS  kEnd for an end and for every error: the connection is of no more use.
// SOURCE  SSL_get_error(3).
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>

struct ssl_st;
struct ssl_ctx_st;

namespace bench {

class Wire {
 public:
  static constexpr ssize_t kAgain = -1;
  static constexpr ssize_t kEnd = -2;

  Wire() = default;
  Wire(const Wire&) = delete;
  Wire& operator=(const Wire&) = delete;
  ~Wire() { close(); }

  // Begins to connect, from one of several loopback addresses so that ports do not run out; false when even that fails.
  bool connect(std::uint16_t port, std::size_t number, ssl_ctx_st* tls, std::size_t receive_buffer);
  // After the first time that it is writable: 1 connected (and the handshake done), kAgain or kEnd.
  ssize_t establish();
  ssize_t read(char* data, std::size_t size);
  ssize_t write(const char* data, std::size_t size);
  // TLS may hold bytes that epoll does not know of.
  bool has_more() const;
  void close();
  int fd() const { return fd_; }

 private:
  ssize_t outcome(int result) const;
  int fd_ = -1;
  ssl_st* tls_ = nullptr;
};

ssl_ctx_st* make_tls();

}  // namespace bench
