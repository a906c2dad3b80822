// A network for unit tests: streams that play scripts, a connector that hands them out, a resolver
// that knows two names. Nothing here touches a socket.
#pragma once

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "upstream/byte_stream.h"

namespace cxxproxy::test {

struct Action {
  enum class Kind { Bytes, WouldBlock, Eof, Fail } kind = Kind::Bytes;
  std::string bytes{};
  int os_error = 0;
};
inline Action bytes(std::string text) { return {Action::Kind::Bytes, std::move(text)}; }
inline Action would_block() { return {Action::Kind::WouldBlock}; }
inline Action eof() { return {Action::Kind::Eof}; }
inline Action fail(int os_error) { return {Action::Kind::Fail, {}, os_error}; }

// One connection: what reads give in order (would block when exhausted), what writes may take.
struct Script {
  std::deque<Action> reads{};
  std::deque<Action> writes{};        // Bytes: takes at most bytes.size() bytes; empty: takes all
  std::deque<Action> connects{};      // empty: connected at once
  bool closed_by_peer = false;      // looks_idle() answers no
  std::string received{};           // what the proxy wrote
  bool destroyed = false;
  upstream::StreamNotes* notes = nullptr;  // a loop watches it
  unsigned all_reads = 0;
  unsigned patient_reads = 0;       // reads that were allowed to wait
  std::vector<std::size_t> asked{};  // the size of each read
};

class ScriptedStream final : public upstream::ByteStream {
 public:
  explicit ScriptedStream(std::shared_ptr<Script> script) : script_(std::move(script)) {}
  ~ScriptedStream() override { script_->destroyed = true; }

  upstream::IoResult read(std::span<char> into, upstream::Wait wait) noexcept override {
    ++script_->all_reads;
    script_->asked.push_back(into.size());
    if (wait == upstream::Wait::Patience) ++script_->patient_reads;
    if (script_->reads.empty()) return {upstream::IoStatus::WouldBlock, 0, 0};
    Action& action = script_->reads.front();
    if (action.kind != Action::Kind::Bytes) return consume(script_->reads);
    const std::size_t size = std::min(into.size(), action.bytes.size());
    std::memcpy(into.data(), action.bytes.data(), size);
    action.bytes.erase(0, size);
    if (action.bytes.empty()) script_->reads.pop_front();
    return {upstream::IoStatus::Ok, size, 0};
  }

  upstream::IoResult write(std::span<const upstream::ConstBuffer> parts, upstream::Wait) noexcept override {
    std::size_t room = std::string::npos;
    if (!script_->writes.empty()) {
      if (script_->writes.front().kind != Action::Kind::Bytes) return consume(script_->writes);
      room = script_->writes.front().bytes.size();
      script_->writes.pop_front();
    }
    std::size_t taken = 0;
    for (const auto& part : parts) {
      const std::size_t size = std::min(part.size, room - taken);
      script_->received.append(part.data, size);
      taken += size;
    }
    return {upstream::IoStatus::Ok, taken, 0};
  }

  upstream::IoResult finish_connect() noexcept override {
    if (script_->connects.empty()) return {};
    return consume(script_->connects);
  }

  bool looks_idle() noexcept override { return !script_->closed_by_peer; }
  upstream::StreamNotes* notes() const noexcept override { return script_->notes; }
  int descriptor() const noexcept override { return 42; }
  base::Duration patience() const noexcept override { return std::chrono::milliseconds(200); }

 private:
  static upstream::IoResult consume(std::deque<Action>& actions) {
    const Action action = actions.front();
    actions.pop_front();
    switch (action.kind) {
      case Action::Kind::WouldBlock: return {upstream::IoStatus::WouldBlock, 0, 0};
      case Action::Kind::Eof: return {upstream::IoStatus::Eof, 0, 0};
      case Action::Kind::Fail: return {upstream::IoStatus::Failed, 0, action.os_error};
      case Action::Kind::Bytes: break;
    }
    return {};
  }

  std::shared_ptr<Script> script_;
};

// Hands out the scripts in order; without one the connection is refused.
class ScriptedConnector final : public upstream::Connector {
 public:
  std::shared_ptr<Script> add(Script script) {
    scripts_.push_back(std::make_shared<Script>(std::move(script)));
    return scripts_.back();
  }
  void add_refusal() { scripts_.push_back(nullptr); }

  base::Result<std::unique_ptr<upstream::ByteStream>, int> connect(const upstream::Address&, const upstream::ConnectOptions&) noexcept override {
    ++connects;
    if (scripts_.empty() || scripts_.front() == nullptr) {
      if (!scripts_.empty()) scripts_.pop_front();
      return ECONNREFUSED;
    }
    auto stream = std::make_unique<ScriptedStream>(scripts_.front());
    scripts_.pop_front();
    return std::unique_ptr<upstream::ByteStream>(std::move(stream));
  }

  unsigned connects = 0;

 private:
  std::deque<std::shared_ptr<Script>> scripts_;
};

class ScriptedResolver final : public upstream::Resolver {
 public:
  base::Result<std::vector<upstream::Address>, std::string> resolve(const std::string& host, std::uint16_t) override {
    ++lookups;
    if (broken || host == "unknown.test") return std::string("Name or service not known");
    return std::vector<upstream::Address>(addresses);
  }
  unsigned lookups = 0;
  bool broken = false;
  std::size_t addresses = 1;
};

}  // namespace cxxproxy::test
