#include "net/socket_stream.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace cxxproxy::net {
namespace {

using upstream::ConstBuffer;
using upstream::IoResult;
using upstream::IoStatus;
using upstream::Wait;

constexpr std::size_t kMaxParts = 64;

IoResult failure(int os_error) noexcept {
  if (os_error == EAGAIN || os_error == EWOULDBLOCK) return {IoStatus::WouldBlock, 0, 0};
  return {IoStatus::Failed, 0, os_error};
}

// Blocking mode with bounded waits; see the header.
void become_patient(int descriptor, base::Duration span) noexcept {
  (void)::fcntl(descriptor, F_SETFL, 0);  // no status flag but O_NONBLOCK was ever set
  const timeval patience{0, static_cast<suseconds_t>(span.count())};
  (void)::setsockopt(descriptor, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  (void)::setsockopt(descriptor, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
}

// connect(2) to a unix socket whose queue of waiting connections is full answers EAGAIN and offers
// nothing to poll for; a blocking one waits, as long as SO_SNDTIMEO says.
constexpr int kUnixConnectTries = 5;

bool connect_unix(int descriptor, const sockaddr* target, socklen_t size) noexcept {
  become_patient(descriptor, kPatience);
  for (int tries = 0; tries < kUnixConnectTries; ++tries) {
    if (::connect(descriptor, target, size) == 0) return true;
    if (errno != EAGAIN && errno != EINTR) return false;
  }
  return false;
}

base::Result<std::vector<upstream::Address>, std::string> unix_address(const std::string& path) {
  sockaddr_un socket{};
  if (path.size() >= sizeof socket.sun_path) return std::string("the path of the unix socket is too long");
  socket.sun_family = AF_UNIX;
  std::memcpy(socket.sun_path, path.c_str(), path.size() + 1);
  upstream::Address address;
  static_assert(sizeof socket <= sizeof address.storage);
  std::memcpy(address.storage.data(), &socket, sizeof socket);
  address.size = static_cast<std::uint32_t>(sizeof socket);
  return std::vector<upstream::Address>{address};
}

// 0, or errno. The port is chosen at connect(), so that all of them are there for each backend.
int bind_to(int descriptor, const base::IpAddress& source, int family) noexcept {
  if (family != (source.v6 ? AF_INET6 : AF_INET)) return EAFNOSUPPORT;
  const int on = 1;
  (void)::setsockopt(descriptor, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
  sockaddr_in6 v6{};
  sockaddr_in v4{};
  v6.sin6_family = AF_INET6;
  v4.sin_family = AF_INET;
  std::memcpy(&v6.sin6_addr, source.bytes.data(), sizeof v6.sin6_addr);
  std::memcpy(&v4.sin_addr, source.bytes.data(), sizeof v4.sin_addr);
  const int bound = source.v6 ? ::bind(descriptor, reinterpret_cast<const sockaddr*>(&v6), sizeof v6)
                              : ::bind(descriptor, reinterpret_cast<const sockaddr*>(&v4), sizeof v4);
  return bound == 0 ? 0 : errno;
}

std::string address_text(const sockaddr& address) {
  if (address.sa_family == AF_UNIX) return std::string("unix:") + reinterpret_cast<const sockaddr_un&>(address).sun_path;
  const bool v6 = address.sa_family == AF_INET6;
  const auto& four = reinterpret_cast<const sockaddr_in&>(address);
  const auto& six = reinterpret_cast<const sockaddr_in6&>(address);
  char text[INET6_ADDRSTRLEN] = "";
  (void)::inet_ntop(address.sa_family, v6 ? static_cast<const void*>(&six.sin6_addr) : &four.sin_addr, text, sizeof text);
  const std::string port = std::to_string(ntohs(v6 ? six.sin6_port : four.sin_port));
  return v6 ? '[' + std::string(text) + "]:" + port : std::string(text) + ':' + port;
}

std::uint16_t port_of(int descriptor) noexcept {
  sockaddr_storage own{};
  socklen_t size = sizeof own;
  if (::getsockname(descriptor, reinterpret_cast<sockaddr*>(&own), &size) != 0) return 0;
  if (own.ss_family == AF_INET) return ntohs(reinterpret_cast<const sockaddr_in&>(own).sin_port);
  return own.ss_family == AF_INET6 ? ntohs(reinterpret_cast<const sockaddr_in6&>(own).sin6_port) : std::uint16_t{0};
}

}  // namespace

SocketStream::~SocketStream() {
  if (watcher_ != nullptr) watcher_->stream_ends(*notes_);
  close_counted(descriptor_);
}

// Most connections that an event loop uses never need it.
int SocketStream::flags_for(Wait wait) noexcept {
  if (wait != Wait::Patience) return MSG_DONTWAIT;
  if (!std::exchange(patient_, true)) become_patient(descriptor_, patience_);
  return 0;
}

IoResult SocketStream::read(std::span<char> into, Wait wait) noexcept {
  const std::uint32_t events = notes_ != nullptr ? notes_->events.load() : 0;
  if (wait == Wait::Told && known_idle()) return {IoStatus::WouldBlock, 0, 0};
  const int flags = flags_for(wait);
  for (;;) {
    const ssize_t got = ::recv(descriptor_, into.data(), into.size(), flags);
    // A read that was filled may have left something behind that no event will tell of.
    if (notes_ != nullptr) notes_->seen = got < static_cast<ssize_t>(into.size()) ? events : events - 1;
    if (got > 0) return {IoStatus::Ok, static_cast<std::size_t>(got), 0};
    if (got == 0) return {IoStatus::Eof, 0, 0};
    if (errno != EINTR) return failure(errno);
  }
}

IoResult SocketStream::write(std::span<const ConstBuffer> parts, Wait wait) noexcept {
  iovec vector[kMaxParts];
  const std::size_t count = std::min(parts.size(), kMaxParts);
  for (std::size_t i = 0; i < count; ++i) {
    vector[i].iov_base = const_cast<char*>(parts[i].data);  // sendmsg does not write through it
    vector[i].iov_len = parts[i].size;
  }
  msghdr message{};
  message.msg_iov = vector;
  message.msg_iovlen = count;
  const int flags = MSG_NOSIGNAL | flags_for(wait);
  for (;;) {
    // The system has less to look at in one part.
    const ssize_t sent = count == 1 ? ::send(descriptor_, parts[0].data, parts[0].size, flags) : ::sendmsg(descriptor_, &message, flags);
    if (sent >= 0) return {IoStatus::Ok, static_cast<std::size_t>(sent), 0};
    if (errno != EINTR) return failure(errno);
  }
}

IoResult SocketStream::finish_connect() noexcept {
  if (connected_) {
    if (local_port_ == 0) local_port_ = port_of(descriptor_);
    return {};
  }
  // Writability is not asked here, and SO_ERROR is 0 also while the handshake runs: look at the peer.
  sockaddr_storage peer{};
  socklen_t peer_size = sizeof peer;
  if (::getpeername(descriptor_, reinterpret_cast<sockaddr*>(&peer), &peer_size) != 0) {
    if (errno != ENOTCONN) return failure(errno);
    int error = 0;
    socklen_t size = sizeof error;
    if (::getsockopt(descriptor_, SOL_SOCKET, SO_ERROR, &error, &size) != 0) return failure(errno);
    return error != 0 ? failure(error) : IoResult{IoStatus::WouldBlock, 0, 0};
  }
  connected_ = true;
  local_port_ = port_of(descriptor_);
  return {};
}

bool SocketStream::known_idle() const noexcept {
  return notes_ != nullptr && !notes_->ending.load() && notes_->events.load() == notes_->seen;
}

bool SocketStream::looks_idle() noexcept {
  if (notes_ != nullptr) notes_->seen = notes_->events.load();
  char byte = 0;
  const ssize_t got = ::recv(descriptor_, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
  return got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK);
}

void SocketStream::end_writing() noexcept { (void)::shutdown(descriptor_, SHUT_WR); }

base::Result<std::unique_ptr<upstream::ByteStream>, int> SocketConnector::connect(
    const upstream::Address& address, const upstream::ConnectOptions& options) noexcept {
  const auto* target = reinterpret_cast<const sockaddr*>(address.storage.data());
  const int descriptor = ::socket(target->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (descriptor < 0) return errno;
  const int on = 1;
  const bool is_unix = target->sa_family == AF_UNIX;
  if (!is_unix) {
    (void)::setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (options.tcp_keepalive) (void)::setsockopt(descriptor, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    // Before the handshake, which tells the backend the window.
    if (options.receive_buffer > 0) (void)::setsockopt(descriptor, SOL_SOCKET, SO_RCVBUF, &options.receive_buffer, sizeof options.receive_buffer);
    if (options.source != nullptr) {
      if (const int os_error = bind_to(descriptor, *options.source, target->sa_family); os_error != 0) {
        ::close(descriptor);
        return os_error;
      }
    }
  }
  const bool connected = is_unix ? connect_unix(descriptor, target, address.size) : ::connect(descriptor, target, address.size) == 0;
  if (!connected && errno != EINPROGRESS && errno != EINTR) {
    const int os_error = errno;
    ::close(descriptor);
    return os_error;
  }
  return std::unique_ptr<upstream::ByteStream>(std::make_unique<SocketStream>(descriptor, connected, patience_, address_text(*target)));
}

base::Result<std::vector<upstream::Address>, std::string> SystemResolver::resolve(const std::string& host, std::uint16_t port) {
  if (host.starts_with('/')) return unix_address(host);
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_NUMERICSERV;
  addrinfo* found = nullptr;
  const int status = ::getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &found);
  if (status != 0) return std::string(status == EAI_SYSTEM ? std::strerror(errno) : ::gai_strerror(status));
  std::vector<upstream::Address> addresses;
  for (const addrinfo* entry = found; entry != nullptr; entry = entry->ai_next) {
    upstream::Address address;
    if (entry->ai_addrlen > address.storage.size()) continue;
    std::memcpy(address.storage.data(), entry->ai_addr, entry->ai_addrlen);
    address.size = static_cast<std::uint32_t>(entry->ai_addrlen);
    addresses.push_back(address);
  }
  ::freeaddrinfo(found);
  if (addresses.empty()) return std::string("no usable address");
  return addresses;
}

}  // namespace cxxproxy::net
