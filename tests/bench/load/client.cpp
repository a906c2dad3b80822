#include "client.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdio>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "common.h"
#include "message.h"
#include "tally.h"
#include "wire.h"

namespace bench {

namespace {

constexpr std::uint64_t kInput = ~std::uint64_t{0};  // the tag of stdin
constexpr std::size_t kConnecting = 256;             // at a time: fewer than any backlog
constexpr std::size_t kEcho = 1024;
constexpr std::uint64_t kTick = 20'000'000;          // slow readers read this often
constexpr double kSecond = 1e9;

// A stream of events, each with the time at which it was sent: how late do they come?
class EventCheck final : public BodySink {
 public:
  explicit EventCheck(Histogram& delays) : delays_(delays) {}
  void begin() { count_ = 0; line_.clear(); }
  void piece(std::string_view data) override;
  std::uint64_t count() const { return count_; }

 private:
  Histogram& delays_;
  std::uint64_t count_ = 0;
  std::string line_;
};

void EventCheck::piece(std::string_view data) {
  line_.append(data);
  for (std::size_t end; (end = line_.find("\n\n")) != std::string::npos; line_.erase(0, end + 2)) {
    std::uint64_t sent = 0;
    if (!line_.starts_with("data: ")) continue;
    std::from_chars(line_.data() + 6, line_.data() + end, sent);
    const std::uint64_t time = now();
    delays_.add(time > sent ? time - sent : 0);
    ++count_;
  }
}

enum class Doing { Closed, Connecting, Asking, Idle, Tunnel, Finished };

struct Client {
  explicit Client(Histogram& delays) : events(delays) {}
  Doing doing = Doing::Closed;
  std::size_t number = 0;
  Wire wire;
  std::uint32_t interest = 0;
  std::uint64_t begun = 0, written = 0, echoed = 0;
  int status = 0;
  bool in_head = true, answer_closes = false, second = false, settled = false;
  std::string head;
  BodyReader body;
  PatternCheck check;
  EventCheck events;
  std::uint64_t due_bytes = 0;  // what a slow reader may read by now
};

class Load {
 public:
  explicit Load(const Options& options);
  int run();

 private:
  void open_some();
  void open(Client& c);
  void handle(Client& c, std::uint32_t events);
  void established(Client& c);
  void ask(Client& c);
  void write(Client& c);
  void read(Client& c);
  void take(Client& c, std::string_view data);
  bool take_head(Client& c, std::string_view& data);
  void answered(Client& c);
  void echo(Client& c);
  void lost(Client& c);
  void next(Client& c);
  void finish(Client& c);
  void settle(Client& c);
  bool right_length(const Client& c) const;
  void want(Client& c, std::uint32_t events);
  void tick();
  void second_half();
  bool over();
  int timeout() const;

  const Options& options_;
  Epoll epoll_;
  ssl_ctx_st* tls_ = nullptr;
  std::string request_;
  std::vector<std::unique_ptr<Client>> clients_;
  std::vector<Client*> to_open_;
  std::size_t connecting_ = 0, settled_ = 0;
  bool released_ = false, announced_ = false;
  std::uint64_t start_ = 0, time_ = 0, last_answer_ = 0, next_tick_ = 0, deadline_ = 0;
  Tally tally_;
  std::string buffer_ = std::string(kBuffer, '\0');
};

std::string request_text(const Options& options) {
  std::string text = options.post > 0 ? "POST " : "GET ";
  text += options.path + " HTTP/1.1\r\nHost: " + options.host + "\r\n";
  for (const std::string& field : options.fields) text += field + "\r\n";
  if (options.mode == Mode::Tunnel) {
    text += "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
  } else if (options.fresh) {
    text += "Connection: close\r\n";
  }
  if (options.post > 0) text += "Content-Length: " + std::to_string(options.post) + "\r\n";
  return text + "\r\n";
}

Load::Load(const Options& options) : options_(options), request_(request_text(options)) {
  if (options.tls) tls_ = make_tls();
  for (std::size_t i = 0; i < options.connections; ++i) {
    clients_.push_back(std::make_unique<Client>(tally_.delays));
    clients_.back()->number = i;
    to_open_.push_back(clients_.back().get());
  }
  std::reverse(to_open_.begin(), to_open_.end());
}

int Load::run() {
  if (options_.mode == Mode::Hold || options_.mode == Mode::Tunnel) epoll_.add(STDIN_FILENO, EPOLLIN, kInput);
  start_ = time_ = last_answer_ = now();
  next_tick_ = start_ + kTick;
  const bool timed = options_.mode == Mode::Load && options_.requests == 0;
  deadline_ = start_ + static_cast<std::uint64_t>((options_.grace + (timed ? options_.seconds : 0.0)) * kSecond);
  std::array<epoll_event, 512> events{};
  while (!over()) {
    open_some();
    const int count = epoll_.wait(events.data(), static_cast<int>(events.size()), timeout());
    time_ = now();
    for (int i = 0; i < count; ++i) {
      const epoll_event& event = events[static_cast<std::size_t>(i)];
      if (event.data.u64 == kInput) {
        second_half();
      } else {
        handle(*clients_[static_cast<std::size_t>(event.data.u64)], event.events);
      }
    }
    if (options_.pace > 0 && time_ >= next_tick_) tick();
  }
  tally_.print(static_cast<double>(last_answer_ - start_) / kSecond);
  return 0;
}

bool Load::over() {
  if (settled_ == clients_.size() && to_open_.empty()) {
    if (options_.mode != Mode::Hold && options_.mode != Mode::Tunnel) return true;
    if (released_) return true;
    if (!announced_) {
      const auto up = std::count_if(clients_.begin(), clients_.end(),
                                    [](const auto& c) { return c->doing == Doing::Idle || c->doing == Doing::Tunnel; });
      std::printf("{\"up\": %zd, \"seconds\": %.3f}\n", static_cast<ssize_t>(up), static_cast<double>(time_ - start_) / kSecond);
      std::fflush(stdout);
      announced_ = true;
    }
    return false;
  }
  // A load of so many requests takes as long as it takes, as long as answers come.
  const std::uint64_t deadline = options_.requests > 0 ? last_answer_ + static_cast<std::uint64_t>(options_.grace * kSecond) : deadline_;
  if (time_ < deadline) return false;
  for (const auto& c : clients_) {
    if (c->settled || c->doing == Doing::Closed) continue;
    tally_.error(tally_.unanswered, "no answer in time");
    finish(*c);
  }
  for (Client* c : to_open_) {
    ++tally_.sent;
    tally_.error(tally_.unanswered, "not even connected in time");
    finish(*c);
  }
  to_open_.clear();
  return over();
}

int Load::timeout() const {
  const std::uint64_t until = options_.pace > 0 ? next_tick_ : time_ + 100'000'000;
  return until <= time_ ? 0 : static_cast<int>((until - time_) / 1'000'000 + 1);
}

void Load::open_some() {
  while (!to_open_.empty() && connecting_ < kConnecting) {
    Client* c = to_open_.back();
    to_open_.pop_back();
    open(*c);
  }
}

void Load::open(Client& c) {
  time_ = now();
  c.doing = Doing::Connecting;
  c.begun = now();
  ++tally_.sent;
  ++connecting_;
  if (!c.wire.connect(options_.ports[0], c.number, tls_, options_.pace > 0 ? 64 * 1024 : 0)) return lost(c);
  c.interest = EPOLLOUT;
  epoll_.add(c.wire.fd(), EPOLLOUT, c.number);
}

void Load::want(Client& c, std::uint32_t events) {
  if (c.interest == events) return;
  c.interest = events;
  epoll_.change(c.wire.fd(), events, c.number);
}

void Load::handle(Client& c, std::uint32_t events) {
  switch (c.doing) {
    case Doing::Connecting:
      return established(c);
    case Doing::Asking:
      if ((events & EPOLLOUT) != 0) write(c);
      if (c.doing == Doing::Asking && (events & ~static_cast<std::uint32_t>(EPOLLOUT)) != 0) read(c);
      return;
    case Doing::Tunnel:
    case Doing::Idle:
      return read(c);
    case Doing::Closed:
    case Doing::Finished:
      return;
  }
}

void Load::established(Client& c) {
  const ssize_t result = c.wire.establish();
  if (result == Wire::kEnd) return lost(c);
  if (result == Wire::kAgain) return want(c, EPOLLIN);
  --connecting_;
  c.doing = Doing::Asking;
  c.written = 0;
  c.in_head = true;
  write(c);
}

// Another request on the same connection.
void Load::ask(Client& c) {
  c.doing = Doing::Asking;
  c.begun = now();
  c.written = 0;
  c.in_head = true;
  ++tally_.sent;
  write(c);
}

void Load::write(Client& c) {
  const std::uint64_t all = request_.size() + options_.post;
  while (c.written < all) {
    const std::string_view piece = c.written < request_.size()
        ? std::string_view(request_).substr(static_cast<std::size_t>(c.written))
        : pattern(c.written - request_.size(), static_cast<std::size_t>(std::min<std::uint64_t>(all - c.written, kBuffer)));
    const ssize_t done = c.wire.write(piece.data(), piece.size());
    if (done == Wire::kEnd) return read(c);  // perhaps an answer came before the end of the body
    if (done == Wire::kAgain) return want(c, EPOLLIN | EPOLLOUT);
    c.written += static_cast<std::uint64_t>(done);
  }
  want(c, options_.pace > 0 ? 0U : static_cast<std::uint32_t>(EPOLLIN));
}

void Load::read(Client& c) {
  do {
    const ssize_t got = c.wire.read(buffer_.data(), buffer_.size());
    if (got == Wire::kAgain) return;
    if (got == Wire::kEnd) return lost(c);
    take(c, std::string_view(buffer_).substr(0, static_cast<std::size_t>(got)));
  } while (c.doing == Doing::Asking && c.wire.has_more());
}

void Load::take(Client& c, std::string_view data) {
  if (c.doing == Doing::Idle) {
    tally_.error(tally_.wrong_bytes, "bytes behind an answer");
    return finish(c);
  }
  if (c.doing == Doing::Tunnel) {
    if (!matches(c.echoed, data)) tally_.error(tally_.wrong_bytes, "another echo");
    c.echoed += data.size();
    if (c.echoed < kEcho) return;
    tally_.echoes.add(now() - c.begun);
    return c.second ? finish(c) : settle(c);
  }
  while (c.in_head) {
    if (!take_head(c, data)) return;
  }
  BodySink& sink = options_.events > 0 ? static_cast<BodySink&>(c.events) : c.check;
  tally_.bytes += data.size();
  const std::size_t used = c.body.take(data, sink);
  if (c.body.malformed() || used < data.size()) {
    tally_.error(tally_.wrong_bytes, "malformed body");
    return next(c);
  }
  if (c.body.done()) answered(c);
}

// False when the head is not complete, or was that of a tunnel.
bool Load::take_head(Client& c, std::string_view& data) {
  std::string_view text = data;
  if (!c.head.empty()) {
    c.head.append(data);
    text = c.head;
  }
  const std::size_t end = text.find("\r\n\r\n");
  if (end == std::string_view::npos) {
    if (c.head.empty()) c.head.assign(data);
    return false;
  }
  const Head head = parse_head(text.substr(0, end + 4));
  data.remove_prefix(data.size() - (text.size() - end - 4));
  c.status = 0;
  if (head.first_line.size() > 12) std::from_chars(head.first_line.data() + 9, head.first_line.data() + 12, c.status);
  c.answer_closes = head.close;
  c.head.clear();
  if (c.status == 101 && head.upgrade && options_.mode == Mode::Tunnel) {
    ++tally_.statuses[101];
    ++tally_.answered;
    tally_.latencies.add(now() - c.begun);
    c.doing = Doing::Tunnel;
    echo(c);
    return false;
  }
  if (c.status >= 100 && c.status < 200) return true;
  c.in_head = false;
  if (head.chunked) {
    c.body.begin_chunked();
  } else if (head.length >= 0) {
    c.body.begin_length(static_cast<std::uint64_t>(head.length));
  } else {
    c.body.begin_until_close();
  }
  c.check.begin();
  c.events.begin();
  return true;
}

void Load::echo(Client& c) {
  c.begun = now();
  c.echoed = 0;
  const std::string_view text = pattern(0, kEcho);
  if (c.wire.write(text.data(), text.size()) != static_cast<ssize_t>(text.size())) lost(c);
}

void Load::answered(Client& c) {
  ++tally_.statuses[c.status];
  if (c.status != options_.status) {
    tally_.error(tally_.wrong_status, "status " + std::to_string(c.status));
  } else if (options_.events > 0 ? c.events.count() != options_.events : !right_length(c)) {
    tally_.error(tally_.cut, "another length");
  } else if (options_.events == 0 && !c.check.good()) {
    tally_.error(tally_.wrong_bytes, "other bytes");
  } else {
    ++tally_.answered;
    last_answer_ = now();
    tally_.latencies.add(last_answer_ - c.begun);
  }
  next(c);
}

bool Load::right_length(const Client& c) const {
  return options_.length < 0 || c.check.size() == static_cast<std::uint64_t>(options_.length);
}

// The connection has ended; what was under way is an error.
void Load::lost(Client& c) {
  if (c.doing == Doing::Asking && !c.in_head) {
    c.body.end();
    if (c.body.done()) {
      c.answer_closes = true;
      return answered(c);
    }
  }
  c.answer_closes = true;
  if (c.doing == Doing::Idle || c.doing == Doing::Tunnel) {
    tally_.error(tally_.lost_idle, "an idle connection was closed");
    return finish(c);
  }
  if (c.doing == Doing::Connecting) {
    --connecting_;
    tally_.error(tally_.refused, "refused");
  } else if (c.in_head && c.head.empty()) {
    tally_.error(tally_.unanswered, "closed without an answer");
  } else {
    tally_.error(tally_.cut, "cut answer");
  }
  next(c);
}

// What a client does after an answer, or instead of one.
void Load::next(Client& c) {
  c.head.clear();
  const bool whole = c.in_head == false && c.body.done();
  if (options_.mode == Mode::Hold && whole && !c.answer_closes) {
    c.doing = Doing::Idle;
    return settle(c);
  }
  const bool more = options_.requests > 0 ? tally_.sent + to_open_.size() < options_.requests : static_cast<double>(time_ - start_) < options_.seconds * kSecond;
  if (options_.mode != Mode::Load || !more) return finish(c);
  if (whole && !c.answer_closes && !options_.fresh) return ask(c);
  c.wire.close();
  c.doing = Doing::Closed;
  to_open_.push_back(&c);
}

void Load::finish(Client& c) {
  c.wire.close();
  c.doing = Doing::Finished;
  settle(c);
}

void Load::settle(Client& c) {
  if (!c.settled) ++settled_;
  c.settled = true;
}

void Load::tick() {
  next_tick_ = time_ + kTick;
  for (const auto& client : clients_) {
    Client& c = *client;
    if (c.doing != Doing::Asking || c.written < request_.size()) continue;
    c.due_bytes = std::min<std::uint64_t>(c.due_bytes + options_.pace * kTick / 1'000'000'000U, kBuffer);
    const ssize_t got = c.wire.read(buffer_.data(), static_cast<std::size_t>(c.due_bytes));
    if (got == Wire::kAgain) continue;
    if (got == Wire::kEnd) {
      lost(c);
      continue;
    }
    c.due_bytes -= static_cast<std::uint64_t>(got);
    take(c, std::string_view(buffer_).substr(0, static_cast<std::size_t>(got)));
  }
}

// A line came on stdin: tunnels must still be good, idle connections have been open long enough.
void Load::second_half() {
  std::array<char, 64> line{};
  if (::read(STDIN_FILENO, line.data(), line.size()) < 0) return;
  if (!announced_) fail("a line on stdin before all connections are up");
  epoll_.remove(STDIN_FILENO);
  released_ = true;
  deadline_ = time_ + static_cast<std::uint64_t>(options_.grace * kSecond);
  for (const auto& client : clients_) {
    if (client->doing != Doing::Idle && client->doing != Doing::Tunnel) continue;
    client->settled = false;
    --settled_;
    client->second = true;
    if (client->doing == Doing::Idle) {
      finish(*client);
    } else {
      echo(*client);
    }
  }
}

}  // namespace

int run_client(const Options& options) { return Load(options).run(); }

}  // namespace bench
