// The two ends that the engine needs of a network, without naming one.
//
// WHAT    ByteStream is one connection to a backend; Connector opens one; Resolver turns a host name
//         into addresses. net/ implements them with sockets; tests with scripts.
// SHAPES  No call blocks longer than patience(): a stream with a patience above zero may wait that
//         long inside read() or write() when the caller passes Wait::Patience, which saves the
//         poll() that a non-blocking socket needs for every wait. A read that does not fill its span has
//         taken all that was there. Sizes are bytes.
// ERRORS  IoStatus::Failed carries errno. WouldBlock means: wait for descriptor() and call again.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/ip_address.h"
#include "base/result.h"

namespace cxxproxy::upstream {

struct ConstBuffer {
  const char* data = nullptr;
  std::size_t size = 0;
};

enum class IoStatus : std::uint8_t { Ok, WouldBlock, Eof, Failed };
// Told: an event loop watches this stream; where it has told of nothing since the last read, there is nothing to read.
enum class Wait : std::uint8_t { No, Patience, Told };

struct IoResult {
  IoStatus status = IoStatus::Ok;
  std::size_t bytes = 0;
  int os_error = 0;
};

// What an event loop that watches a stream for its whole life has seen of it.
struct StreamNotes {
  std::atomic<std::uint32_t> events{0};
  std::atomic<bool> ending{false};  // the peer has closed, or reset the connection
  std::uint32_t seen = 0;           // whoever has the stream: the events that its last read answered
};

// Such a loop.
class StreamWatcher {
 public:
  // Before the stream's descriptor is closed.
  virtual void stream_ends(StreamNotes& notes) noexcept = 0;

 protected:
  ~StreamWatcher() = default;
};

class ByteStream {
 public:
  virtual ~ByteStream() = default;

  virtual IoResult read(std::span<char> into, Wait wait) noexcept = 0;
  virtual IoResult write(std::span<const ConstBuffer> parts, Wait wait) noexcept = 0;

  // Ok once the connection stands, WouldBlock while it is being made (wait for writability).
  virtual IoResult finish_connect() noexcept = 0;

  // True when nothing can be read right now and the peer has not closed: one look without taking
  // anything, for requests that must not be sent into a dead connection.
  virtual bool looks_idle() noexcept = 0;

  // The same without asking the system, by what a loop has noted; false where nobody does, or it is not certain.
  virtual bool known_idle() const noexcept { return false; }
  // Where the loop that watches this stream notes what it sees; null while none does.
  virtual StreamNotes* notes() const noexcept { return nullptr; }
  virtual void watched_by(StreamWatcher&, StreamNotes&) noexcept {}

  // Nothing more will be written; the peer sees the end of the stream.
  virtual void end_writing() noexcept {}

  // Of the backend, "127.0.0.1:80", "[::1]:80" or "unix:/path"; empty where it is not known.
  virtual std::string_view peer() const noexcept { return {}; }
  // Our end of a connection that stands, 0 where there is none.
  virtual std::uint16_t local_port() const noexcept { return 0; }

  virtual int descriptor() const noexcept = 0;
  virtual base::Duration patience() const noexcept = 0;
};

// A resolved socket address. Opaque here; net/ knows its layout.
struct Address {
  alignas(8) std::array<unsigned char, 112> storage{};
  std::uint32_t size = 0;
};

struct ConnectOptions {
  bool tcp_keepalive = false;
  int receive_buffer = 0;                  // bytes of SO_RCVBUF, 0: the system's
  const base::IpAddress* source = nullptr;  // the own address; backend addresses of the other family fail
};

class Connector {
 public:
  // A stream whose connection is being made (finish_connect() tells), or errno.
  virtual base::Result<std::unique_ptr<ByteStream>, int> connect(const Address& address, const ConnectOptions& options) noexcept = 0;

 protected:
  ~Connector() = default;
};

class Resolver {
 public:
  // Blocks as long as the system's resolver does. Fails with its sentence. Never empty. A host that
  // begins with '/' is the path of a unix socket.
  virtual base::Result<std::vector<Address>, std::string> resolve(const std::string& host, std::uint16_t port) = 0;

 protected:
  ~Resolver() = default;
};

}  // namespace cxxproxy::upstream
