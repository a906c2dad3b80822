// One exchange between a model of a client and models of backends, where any I/O call may fail.
//
// WHAT    Each call of the engine that leaves it (resolve, connect, read, write, the client's body, a
//         piece for the client, a wait of the driver) asks a FaultPlan what becomes of it. The models
//         behave well otherwise, and remember every byte. broken_rule() says which promise of the
//         engine a finished run did not keep.
// SHAPES  Time is a manual clock that moves only when the engine waits. Nothing touches a socket.
#pragma once

#include <array>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "exchange/exchange.h"

namespace cxxproxy::test {

enum class Call : std::uint8_t { Resolve, Connect, FinishConnect, LookIdle, Read, Write, ReadBody, SendInterim, Pass, Finish, Wait };

// Block: once. Stall: from now on, on this stream or of this client. Short: one byte. Eof: an end of
// stream. Reset: as after a RST. Deaf: the backend takes nothing more, but speaks. Fail: what else can go wrong;
// of a Wait: the client is gone. Late: the driver wakes up only when the deadline has passed.
enum class Fault : std::uint8_t { None, Block, Stall, Short, Eof, Reset, Deaf, Fail, Late };

using FaultPlan = std::function<Fault(Call call, std::size_t number)>;

// The faults that a call can meet.
std::vector<Fault> faults_of(Call call);

struct FaultScenario {
  std::string name{};
  exchange::RequestFacts request{};
  std::string body{};                // of the request
  unsigned members = 1;
  bool balanced = false;
  bool kept = false;                 // member a has a kept connection
  bool full = false;                 // member a has max=1 and another request on it for good
  std::size_t addresses = 1;
  std::optional<base::Duration> total{};
  std::size_t answer_body = 2000;    // bytes; npos: the answer has no body (204)
  enum class Coding { Length, Chunked, UntilClose } coding = Coding::Length;
  bool interim = false;              // a 103 goes before the answer
  bool early = false;                // the answer comes when the request's head is there
  std::string behind{};              // bytes behind the answer that nobody asked for
};

// One connection to a backend, as the backend sees it.
struct Wire {
  std::string member{};
  bool reused = false;
  bool alive = true;              // the engine holds it or keeps it
  std::string received{};         // everything that was written to it
  std::size_t head_end = 0;       // of the request
  std::string spoken{};           // what it says
  std::string payload{};          // the body of its answer
  std::size_t said = 0;           // bytes of its answer
  std::size_t read = 0;           // bytes that were read of it, from the front of `spoken`
  bool continued = false;
  bool complete = false;          // the whole request is there
  bool answered = false;
  bool closed = false;            // by the backend
  bool broken = false;            // by a fault
  bool deaf = false;
  bool reads_stall = false;
  bool writes_stall = false;
};

class FaultWorld;

class FaultClient final : public exchange::Downstream {
 public:
  explicit FaultClient(FaultWorld& world) : world_(world) {}

  const exchange::RequestFacts& facts() const override;
  base::ProxyErrc write_request_head(const config::MemberSpec& member, const exchange::HeadPlan& plan, std::string& head) override;
  exchange::BodyPart read_body(std::size_t at_most) override;
  bool send_interim(const http::ResponseHead& head) override;
  void send_head(const exchange::AnswerHead& answer) override;
  std::span<char> lend_buffer(std::size_t want) override;
  void send_lent(std::size_t offset, std::size_t size) override;
  void send_borrowed(std::string_view bytes) override;
  bool pass(bool flush) override;
  bool finish() override;
  void cut() override;
  balancer::PickObserver* pick_observer() override { return nullptr; }
  void member_chosen(const config::MemberSpec& member, std::size_t) override { chosen.push_back(member.name); }
  void balancer_recovered() override {}
  void report(const exchange::AttemptReport& attempt) override { reports.push_back(attempt); }

  int status = 0;
  std::string body{};            // what reached the client
  std::vector<int> interims{};
  unsigned passes = 0, finishes = 0, cuts = 0;
  bool gone = false;             // it was told so, or a send to it failed
  bool body_broken = false;
  std::vector<exchange::AttemptReport> reports{};
  std::vector<std::string> chosen{};
  std::string misuse{};          // calls in an order that is not allowed

 private:
  bool deliver();

  FaultWorld& world_;
  std::size_t given_ = 0;
  bool stalled_ = false;
  bool head_given_ = false;
  std::unique_ptr<char[]> lent_{};
  std::string piece_{};
  upstream::ConstBuffer buffer_{};
  std::vector<std::string_view> borrowed_{};  // read at pass() only: the engine must keep them that long
  std::string copied_{};
};

class FaultWorld final : public upstream::Connector, public upstream::Resolver {
 public:
  FaultWorld(FaultScenario what, FaultPlan plan, bool may_wait);
  ~FaultWorld();

  // Drives the exchange to its end; says what went wrong on the way, or which promise was not kept.
  std::string run();

  // What a client and the backends notice, in one line: equal lines, equal outcome.
  std::string outcome() const;

  std::vector<Call> calls{};  // that were made, in order
  FaultClient client;

 private:
  friend class FaultClient;
  friend class FaultStream;

  Fault ask(Call call);
  void hear(Wire& wire);
  std::string answer_of(Wire& wire) const;
  void keep_one();
  std::string wait(const exchange::Step& step);
  std::string broken_rule() const;
  std::string broken_rule_of(const Wire& wire) const;
  std::string reports_wrong() const;
  std::string delivery_wrong() const;

  base::Result<std::unique_ptr<upstream::ByteStream>, int> connect(const upstream::Address&, const upstream::ConnectOptions&) noexcept override;
  base::Result<std::vector<upstream::Address>, std::string> resolve(const std::string&, std::uint16_t) override;

  const FaultScenario scenario_;
  const FaultPlan plan_;
  base::ManualClock clock_;
  config::BalancerSpec group_;
  std::array<balancer::MemberSlot, 4> slots_{};
  balancer::BalancerSlot balancer_slot_{};
  std::vector<std::unique_ptr<upstream::MemberUpstream>> members_;
  std::vector<upstream::MemberUpstream*> pointers_;
  std::unique_ptr<balancer::Balancer> picker_;
  std::unique_ptr<balancer::WaitingLine> line_;
  std::vector<std::shared_ptr<Wire>> wires_;
  upstream::Lease held_;
  std::unique_ptr<exchange::Exchange> exchange_;
  bool ready_ = false;              // a fault blocked a call that would work now
  Wire* write_blocked_ = nullptr;   // the last write blocked
  Wire* read_blocked_ = nullptr;
  bool body_blocked_ = false;
};

}  // namespace cxxproxy::test
