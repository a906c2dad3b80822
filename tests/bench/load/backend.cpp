#include "backend.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <memory>
#include <queue>
#include <string>
#include <string_view>

#include "common.h"
#include "message.h"

namespace bench {

namespace {

constexpr std::uint64_t kListener = std::uint64_t{1} << 40;  // in an event's tag
constexpr std::uint64_t kTimer = std::uint64_t{1} << 41;
constexpr std::uint64_t kInText = 64 * 1024;                  // larger bodies are sent from the file
constexpr std::uint64_t kFile = kPeriod * 4096;

struct Connection {
  enum class Doing { Head, Body, Waiting, Tunnel };
  int fd = -1;
  std::size_t port = 0;
  std::uint64_t life = 0;  // a timer of an earlier connection with this descriptor has another one
  Doing doing = Doing::Head;
  std::string in, out, target;
  std::size_t sent = 0;
  std::uint64_t file_at = 0, file_left = 0;
  bool close = false, wants_out = false;
  BodyReader body;
  PatternCheck check;
  std::uint64_t events_left = 0, interval = 0;
};

struct Timer {
  std::uint64_t due = 0;
  int fd = -1;
  std::uint64_t life = 0;
  bool operator<(const Timer& other) const { return due > other.due; }
};

// The numbers of a target: /delay/20/100 has 20 and 100.
std::array<std::uint64_t, 2> numbers(std::string_view target) {
  std::array<std::uint64_t, 2> found{};
  std::size_t at = target.find('/', 1);
  for (std::uint64_t& number : found) {
    if (at == std::string_view::npos) break;
    std::from_chars(target.data() + at + 1, target.data() + target.size(), number);
    at = target.find('/', at + 1);
  }
  return found;
}

class Backend {
 public:
  explicit Backend(const std::vector<std::uint16_t>& ports);
  [[noreturn]] void run();

 private:
  using Doing = Connection::Doing;
  void accept_all(std::size_t port);
  void readable(Connection& c);
  void consume(Connection& c);
  bool take_head(Connection& c);
  void answer(Connection& c);
  void administer(Connection& c);
  void say(Connection& c, std::string_view status, std::string_view fields, std::uint64_t length);
  void wait_until(Connection& c, std::uint64_t due);
  void arm();
  void timers();
  void due(Connection& c);
  void event(Connection& c);
  void flush(Connection& c);
  void drop(Connection& c);

  Epoll epoll_;
  int timer_, file_;
  std::uint64_t armed_ = 0, lives_ = 0, bad_bodies_ = 0;
  std::vector<int> listeners_;
  std::vector<std::uint64_t> served_;
  std::vector<std::unique_ptr<Connection>> connections_;  // by descriptor
  std::vector<Timer> held_;
  std::priority_queue<Timer> timers_;
  std::size_t tunnels_ = 0, open_ = 0;
  std::string buffer_ = std::string(kBuffer, '\0');
};

int listen_on(std::uint16_t port) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  const int on = 1;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 || listen(fd, 4096) != 0) {
    fail("cannot listen on port " + std::to_string(port));
  }
  return fd;
}

int pattern_file() {
  const int fd = memfd_create("pattern", MFD_CLOEXEC);
  const std::string_view period = pattern(0, kPeriod);
  for (std::uint64_t at = 0; at < kFile; at += kPeriod) {
    if (write(fd, period.data(), period.size()) != static_cast<ssize_t>(period.size())) fail("cannot write the pattern");
  }
  return fd;
}

Backend::Backend(const std::vector<std::uint16_t>& ports)
    : timer_(timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC)), file_(pattern_file()), served_(ports.size()) {
  for (const std::uint16_t port : ports) {
    listeners_.push_back(listen_on(port));
    epoll_.add(listeners_.back(), EPOLLIN, kListener + listeners_.size() - 1);
  }
  epoll_.add(timer_, EPOLLIN, kTimer);
}

void Backend::run() {
  std::array<epoll_event, 512> events{};
  while (true) {
    const int count = epoll_.wait(events.data(), static_cast<int>(events.size()), -1);
    for (int i = 0; i < count; ++i) {
      const std::uint64_t tag = events[static_cast<std::size_t>(i)].data.u64;
      const std::uint32_t what = events[static_cast<std::size_t>(i)].events;
      if (tag == kTimer) {
        timers();
      } else if (tag >= kListener) {
        accept_all(static_cast<std::size_t>(tag - kListener));
      } else if (Connection* c = connections_[static_cast<std::size_t>(tag)].get(); c != nullptr && c->fd >= 0) {
        if ((what & EPOLLOUT) != 0) flush(*c);
        if (c->fd >= 0 && (what & ~static_cast<std::uint32_t>(EPOLLOUT)) != 0) readable(*c);
      }
    }
  }
}

void Backend::accept_all(std::size_t port) {
  for (int fd; (fd = accept4(listeners_[port], nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0;) {
    const int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    const auto index = static_cast<std::size_t>(fd);
    if (connections_.size() <= index) connections_.resize(index + 1);
    connections_[index] = std::make_unique<Connection>();
    connections_[index]->fd = fd;
    connections_[index]->port = port;
    connections_[index]->life = ++lives_;
    ++open_;
    epoll_.add(fd, EPOLLIN, index);
  }
}

void Backend::readable(Connection& c) {
  const ssize_t got = recv(c.fd, buffer_.data(), buffer_.size(), 0);
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (got <= 0) return drop(c);
  const std::string_view data(buffer_.data(), static_cast<std::size_t>(got));
  if (c.doing == Doing::Tunnel) {
    c.out.append(data);
    return flush(c);
  }
  if (c.doing == Doing::Body && c.in.empty()) {  // a large body is not copied
    c.in.assign(data.substr(c.body.take(data, c.check)));
  } else {
    c.in.append(data);
  }
  consume(c);
}

void Backend::consume(Connection& c) {
  while (c.fd >= 0) {
    if (c.doing == Doing::Head && !take_head(c)) return;
    if (c.doing == Doing::Body) {
      if (!c.in.empty()) c.in.erase(0, c.body.take(c.in, c.check));
      if (c.body.malformed()) return drop(c);
      if (!c.body.done()) return;
      answer(c);
    }
    if (c.doing == Doing::Waiting || c.doing == Doing::Tunnel) return;
  }
}

bool Backend::take_head(Connection& c) {
  const std::size_t end = c.in.find("\r\n\r\n");
  if (end == std::string::npos) return false;
  const Head head = parse_head(std::string_view(c.in).substr(0, end + 4));
  const std::size_t from = head.first_line.find(' ');
  const std::size_t to = head.first_line.rfind(' ');
  if (from == std::string_view::npos || to <= from) {
    drop(c);
    return false;
  }
  c.target = head.first_line.substr(from + 1, to - from - 1);
  c.close = head.close;
  c.check.begin();
  if (head.chunked) {
    c.body.begin_chunked();
  } else {
    c.body.begin_length(head.length > 0 ? static_cast<std::uint64_t>(head.length) : 0);
  }
  c.in.erase(0, end + 4);
  c.doing = Doing::Body;
  return true;
}

void Backend::say(Connection& c, std::string_view status, std::string_view fields, std::uint64_t length) {
  c.out.append("HTTP/1.1 ").append(status).append("\r\nContent-Type: text/plain\r\n").append(fields);
  if (c.close) c.out.append("Connection: close\r\n");
  c.out.append("Content-Length: ").append(std::to_string(length)).append("\r\n\r\n");
  if (length <= kInText) {
    c.out.append(pattern(0, static_cast<std::size_t>(length)));
  } else {
    c.file_at = 0;
    c.file_left = length;
  }
  c.doing = Doing::Head;
  flush(c);
}

void Backend::answer(Connection& c) {
  if (c.target.starts_with("/_")) return administer(c);
  ++served_[c.port];
  const auto [a, b] = numbers(c.target);
  if (!c.check.good()) {
    ++bad_bodies_;
    return say(c, "400 Bad Request", "", 0);
  }
  if (c.target.starts_with("/delay/")) {
    wait_until(c, now() + a * 1'000'000);
  } else if (c.target == "/hold") {
    c.doing = Doing::Waiting;
    held_.push_back({0, c.fd, c.life});
  } else if (c.target.starts_with("/sse/")) {
    c.out.append("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n");
    c.events_left = a;
    c.interval = b * 1'000'000;
    wait_until(c, now() + c.interval);
    flush(c);
  } else if (c.target == "/tunnel") {
    // The answer to the client's key, which is RFC 6455's example.
    c.out.append("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                 "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n");
    c.doing = Doing::Tunnel;
    ++tunnels_;
    c.out.append(c.in);
    c.in.clear();
    flush(c);
  } else if (c.target.starts_with("/chunked/")) {
    c.out.append("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n");
    std::array<char, 32> size{};
    for (std::uint64_t i = 0; i < a; ++i) {
      std::snprintf(size.data(), size.size(), "%llx\r\n", static_cast<unsigned long long>(b));
      c.out.append(size.data()).append(pattern(i * b, static_cast<std::size_t>(b))).append("\r\n");
    }
    c.out.append("0\r\n\r\n");
    c.doing = Doing::Head;
    flush(c);
  } else if (c.target.starts_with("/headers/")) {
    std::string fields;
    for (std::uint64_t i = 0; i < a; ++i) fields += "X-Answer-Field-" + std::to_string(i) + ": a value of some length\r\n";
    say(c, "200 OK", fields, b);
  } else {
    say(c, "200 OK", "", a);
  }
}

void Backend::administer(Connection& c) {
  if (c.target == "/_release") {
    for (const Timer& held : held_) timers_.push({now(), held.fd, held.life});
    held_.clear();
    wait_until(c, now());
    return;
  }
  if (c.target == "/_reset") {
    std::fill(served_.begin(), served_.end(), 0);
    bad_bodies_ = 0;
  }
  std::string text = "{\"held\": " + std::to_string(held_.size()) + ", \"tunnels\": " + std::to_string(tunnels_) +
                     ", \"open\": " + std::to_string(open_) + ", \"bad_bodies\": " + std::to_string(bad_bodies_) + ", \"served\": [";
  for (std::size_t i = 0; i < served_.size(); ++i) text += (i == 0 ? "" : ", ") + std::to_string(served_[i]);
  text += "]}\n";
  c.out.append("HTTP/1.1 200 OK\r\nContent-Length: ").append(std::to_string(text.size())).append("\r\n\r\n").append(text);
  c.doing = Doing::Head;
  flush(c);
}

void Backend::wait_until(Connection& c, std::uint64_t due) {
  c.doing = Doing::Waiting;
  timers_.push({due, c.fd, c.life});
  arm();
}

void Backend::arm() {
  if (timers_.empty() || (armed_ != 0 && armed_ <= timers_.top().due)) return;
  armed_ = timers_.top().due;
  itimerspec when{};
  when.it_value.tv_sec = static_cast<time_t>(armed_ / 1'000'000'000U);
  when.it_value.tv_nsec = static_cast<long>(armed_ % 1'000'000'000U);
  timerfd_settime(timer_, TFD_TIMER_ABSTIME, &when, nullptr);
}

void Backend::timers() {
  std::uint64_t expirations = 0;
  if (read(timer_, &expirations, sizeof expirations) < 0) return;
  armed_ = 0;
  while (!timers_.empty() && timers_.top().due <= now()) {
    const Timer timer = timers_.top();
    timers_.pop();
    Connection* c = connections_[static_cast<std::size_t>(timer.fd)].get();
    if (c != nullptr && c->fd >= 0 && c->life == timer.life) due(*c);
  }
  arm();
}

void Backend::due(Connection& c) {
  if (c.target.starts_with("/sse/")) {
    event(c);
  } else {
    const auto [milliseconds, size] = numbers(c.target);
    say(c, "200 OK", "", c.target.starts_with("/delay/") ? size : 0);
  }
  if (c.fd >= 0 && c.doing == Doing::Head) consume(c);
}

void Backend::event(Connection& c) {
  std::array<char, 64> text{};
  if (c.events_left > 0) {
    --c.events_left;
    const int size = std::snprintf(text.data(), text.size(), "1c\r\ndata: %020llu\n\n\r\n", static_cast<unsigned long long>(now()));
    c.out.append(text.data(), static_cast<std::size_t>(size));
  }
  if (c.events_left == 0) {
    c.out.append("0\r\n\r\n");
    c.doing = Doing::Head;
  } else {
    wait_until(c, now() + c.interval);
  }
  flush(c);
}

void Backend::flush(Connection& c) {
  bool full = false;
  while (!full && c.sent < c.out.size()) {
    const ssize_t done = send(c.fd, c.out.data() + c.sent, c.out.size() - c.sent, MSG_NOSIGNAL | (c.file_left > 0 ? MSG_MORE : 0));
    if (done < 0 && errno != EAGAIN) return drop(c);
    full = done < 0;
    if (!full) c.sent += static_cast<std::size_t>(done);
  }
  if (c.sent == c.out.size()) {
    c.out.clear();
    c.sent = 0;
  }
  while (!full && c.file_left > 0) {
    auto at = static_cast<off_t>(c.file_at % kFile);
    const ssize_t done = sendfile(c.fd, file_, &at, static_cast<std::size_t>(std::min(c.file_left, kFile - c.file_at % kFile)));
    if (done < 0 && errno != EAGAIN) return drop(c);
    full = done < 0;
    if (full) break;
    c.file_at += static_cast<std::uint64_t>(done);
    c.file_left -= static_cast<std::uint64_t>(done);
  }
  if (full != c.wants_out) {
    c.wants_out = full;
    epoll_.change(c.fd, full ? EPOLLIN | EPOLLOUT : EPOLLIN, static_cast<std::uint64_t>(c.fd));
  }
  if (!full && c.close && c.doing == Doing::Head) drop(c);
}

void Backend::drop(Connection& c) {
  if (c.doing == Doing::Tunnel) --tunnels_;
  --open_;
  close(c.fd);
  c.fd = -1;
  c.in = c.out = std::string();
}

}  // namespace

int run_backend(const std::vector<std::uint16_t>& ports) {
  Backend(ports).run();
}

}  // namespace bench
