// A TCP or unix connection to a backend on a plain POSIX socket.
//
// WHAT    ByteStream and Connector over sockets. Before the first call that waits the socket comes into blocking
//         mode with SO_RCVTIMEO and SO_SNDTIMEO, so that a waiting read is ONE system call (an APR socket
//         with a timeout needs recv, poll, recv); calls that must not wait pass MSG_DONTWAIT.
// SHAPES  kPatience is the longest wait inside one call; the driver polls when it is over, so that a
//         client that went away is noticed. No pool, no buffer: an idle connection is a descriptor
//         and this object. Decision record: docs/decisions/0002-plain-sockets.md.
#pragma once

#include <string>
#include <utility>

#include "net/descriptor_room.h"
#include "upstream/byte_stream.h"

namespace cxxproxy::net {

inline constexpr base::Duration kPatience = std::chrono::milliseconds(200);

class SocketStream final : public upstream::ByteStream {
 public:
  // Takes ownership of the descriptor.
  SocketStream(int descriptor, bool connected, base::Duration patience, std::string peer) noexcept
      : patience_(patience), peer_(std::move(peer)), descriptor_(descriptor), connected_(connected) {
    g_descriptor_room.take();
  }
  ~SocketStream() override;
  SocketStream(const SocketStream&) = delete;
  SocketStream& operator=(const SocketStream&) = delete;

  upstream::IoResult read(std::span<char> into, upstream::Wait wait) noexcept override;
  upstream::IoResult write(std::span<const upstream::ConstBuffer> parts, upstream::Wait wait) noexcept override;
  upstream::IoResult finish_connect() noexcept override;
  bool looks_idle() noexcept override;
  bool known_idle() const noexcept override;
  upstream::StreamNotes* notes() const noexcept override { return notes_; }
  void watched_by(upstream::StreamWatcher& watcher, upstream::StreamNotes& notes) noexcept override {
    watcher_ = &watcher;
    notes_ = &notes;
  }
  void end_writing() noexcept override;
  std::string_view peer() const noexcept override { return peer_; }
  std::uint16_t local_port() const noexcept override { return local_port_; }
  int descriptor() const noexcept override { return descriptor_; }
  base::Duration patience() const noexcept override { return patience_; }

 private:
  int flags_for(upstream::Wait wait) noexcept;

  const base::Duration patience_;
  const std::string peer_;
  int descriptor_;
  bool connected_;
  bool patient_ = false;
  std::uint16_t local_port_ = 0;
  upstream::StreamWatcher* watcher_ = nullptr;
  upstream::StreamNotes* notes_ = nullptr;
};

class SocketConnector final : public upstream::Connector {
 public:
  explicit SocketConnector(base::Duration patience = kPatience) noexcept : patience_(patience) {}

  // For connections made from now on; called before the first one.
  void set_patience(base::Duration patience) noexcept { patience_ = patience; }

  base::Result<std::unique_ptr<upstream::ByteStream>, int> connect(const upstream::Address& address,
                                                                   const upstream::ConnectOptions& options) noexcept override;

 private:
  base::Duration patience_;
};

// Unix sockets as they are; else getaddrinfo(3): follows /etc/hosts, nsswitch and the system's address order (RFC 6724).
class SystemResolver final : public upstream::Resolver {
 public:
  base::Result<std::vector<upstream::Address>, std::string> resolve(const std::string& host, std::uint16_t port) override;
};

}  // namespace cxxproxy::net
