#include "fault_world.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <functional>
#include <set>

namespace cxxproxy::test {

using exchange::AttemptEnd;
using exchange::BodyKind;
using exchange::BodyPart;
using upstream::IoResult;
using upstream::IoStatus;
using upstream::Wait;

namespace {

constexpr unsigned kMostTurns = 1'000'000;
constexpr IoResult kWouldBlock{IoStatus::WouldBlock, 0, 0};

std::string text(std::size_t size, const std::string& seed) {
  std::string whole;
  while (whole.size() < size) whole += seed + std::to_string(whole.size()) + ' ';
  whole.resize(size);
  return whole;
}

// The body that a backend has got so far; false when the coding is broken.
bool decode(const std::string& received, std::string& body, bool& complete) {
  const std::size_t head = received.find("\r\n\r\n");
  complete = false;
  if (head == std::string::npos) return true;
  const std::string line = received.substr(0, head);
  std::size_t at = head + 4;
  if (const std::size_t field = line.find(" CL="); field != std::string::npos) {
    const std::size_t length = std::stoul(line.substr(field + 4));
    body = received.substr(at);
    complete = body.size() == length;
    return body.size() <= length;
  }
  if (line.find(" CHUNKED") == std::string::npos) {
    complete = at == received.size();
    return complete;
  }
  for (;;) {
    const std::size_t end = received.find("\r\n", at);
    if (end == std::string::npos) return true;
    const std::size_t size = std::stoul(received.substr(at, end - at), nullptr, 16);
    at = end + 2;
    if (size == 0) {
      complete = received.compare(at, std::string::npos, "\r\n") == 0;
      return received.size() <= at + 2;
    }
    body.append(received, at, size);
    at += size + 2;
    if (received.size() < at) return true;
    if (received.compare(at - 2, 2, "\r\n") != 0) return false;
  }
}

}  // namespace

std::vector<Fault> faults_of(Call call) {
  switch (call) {
    case Call::Resolve: return {Fault::Fail};
    case Call::Connect: return {Fault::Reset, Fault::Fail};
    case Call::FinishConnect: return {Fault::Block, Fault::Stall, Fault::Reset, Fault::Fail};
    case Call::LookIdle: return {Fault::Fail};
    case Call::Read: return {Fault::Block, Fault::Stall, Fault::Short, Fault::Eof, Fault::Reset};
    case Call::Write: return {Fault::Block, Fault::Stall, Fault::Short, Fault::Reset, Fault::Deaf};
    case Call::ReadBody: return {Fault::Block, Fault::Stall, Fault::Short, Fault::Fail};
    case Call::SendInterim:
    case Call::Pass:
    case Call::Finish: return {Fault::Fail};
    case Call::Wait: return {Fault::Fail, Fault::Late};
  }
  return {};
}

// ---------------------------------------------------------------- the backend's side

class FaultStream final : public upstream::ByteStream {
 public:
  FaultStream(FaultWorld& world, std::shared_ptr<Wire> wire) : world_(world), wire_(std::move(wire)) {}
  ~FaultStream() override { wire_->alive = false; }

  IoResult read(std::span<char> into, Wait wait) noexcept override {
    const Fault fault = world_.ask(Call::Read);
    world_.read_blocked_ = nullptr;
    if (fault == Fault::Eof) wire_->closed = true;
    if (fault == Fault::Eof || fault == Fault::Reset) wire_->spoken.resize(wire_->read);
    if (fault == Fault::Reset) wire_->broken = true;
    if (fault == Fault::Stall) wire_->reads_stall = true;
    const bool nothing = wire_->read == wire_->spoken.size() && !wire_->broken && !wire_->closed;
    if (fault == Fault::Block || wire_->reads_stall || nothing) {
      world_.read_blocked_ = wire_.get();
      world_.ready_ = world_.ready_ || fault == Fault::Block;
      if (wait == Wait::Patience) world_.clock_.advance(patience());
      return kWouldBlock;
    }
    if (wire_->read == wire_->spoken.size()) {
      if (wire_->broken) return {IoStatus::Failed, 0, ECONNRESET};
      return {IoStatus::Eof, 0, 0};
    }
    std::size_t size = std::min(into.size(), wire_->spoken.size() - wire_->read);
    if (fault == Fault::Short) size = std::min<std::size_t>(size, 1);
    std::memcpy(into.data(), wire_->spoken.data() + wire_->read, size);
    wire_->read += size;
    return {IoStatus::Ok, size, 0};
  }

  IoResult write(std::span<const upstream::ConstBuffer> parts, Wait) noexcept override {
    const Fault fault = world_.ask(Call::Write);
    world_.write_blocked_ = nullptr;
    if (fault == Fault::Reset) wire_->broken = true;
    if (fault == Fault::Deaf) wire_->deaf = true;
    if (wire_->broken || wire_->closed || wire_->deaf) return {IoStatus::Failed, 0, EPIPE};
    if (fault == Fault::Stall) wire_->writes_stall = true;
    if (fault == Fault::Block || wire_->writes_stall) {
      world_.write_blocked_ = wire_.get();
      world_.ready_ = world_.ready_ || fault == Fault::Block;
      return kWouldBlock;
    }
    std::size_t room = fault == Fault::Short ? 1 : std::string::npos;
    std::size_t taken = 0;
    for (const auto& part : parts) {
      const std::size_t size = std::min(part.size, room);
      wire_->received.append(part.data, size);
      taken += size;
      room -= size;
    }
    world_.hear(*wire_);
    return {IoStatus::Ok, taken, 0};
  }

  IoResult finish_connect() noexcept override {
    switch (world_.ask(Call::FinishConnect)) {
      case Fault::Block:
        world_.ready_ = true;
        world_.write_blocked_ = wire_.get();
        return kWouldBlock;
      case Fault::Stall: wire_->writes_stall = true; break;
      case Fault::Reset: return {IoStatus::Failed, 0, ECONNREFUSED};
      case Fault::Fail: return {IoStatus::Failed, 0, EHOSTUNREACH};
      default: break;
    }
    world_.write_blocked_ = wire_->writes_stall ? wire_.get() : nullptr;
    return wire_->writes_stall ? kWouldBlock : IoResult{};
  }

  bool looks_idle() noexcept override {
    if (world_.ask(Call::LookIdle) == Fault::Fail) wire_->closed = true;
    return !wire_->closed && !wire_->broken && wire_->read == wire_->spoken.size();
  }

  int descriptor() const noexcept override { return 42; }
  base::Duration patience() const noexcept override { return std::chrono::milliseconds(200); }

 private:
  FaultWorld& world_;
  std::shared_ptr<Wire> wire_;
};

std::string FaultWorld::answer_of(Wire& wire) const {
  const std::string status = scenario_.answer_body == std::string::npos ? "HTTP/1.1 204 No Content\r\n" : "HTTP/1.1 200 OK\r\n";
  std::string said = scenario_.interim ? "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" : "";
  said += status;
  if (scenario_.answer_body == std::string::npos) return said + "\r\n";
  const std::string body = text(scenario_.answer_body, wire.member + std::to_string(wires_.size()) + ':');
  if (!scenario_.request.head_request) wire.payload = body;
  switch (scenario_.coding) {
    case FaultScenario::Coding::Length: said += "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + wire.payload; break;
    case FaultScenario::Coding::UntilClose: said += "\r\n" + wire.payload; break;
    case FaultScenario::Coding::Chunked: {
      said += "Transfer-Encoding: chunked\r\n\r\n";
      for (std::size_t at = 0; at < wire.payload.size(); at += 700) {
        const std::string piece = wire.payload.substr(at, 700);
        char size[20];
        std::snprintf(size, sizeof size, "%zx\r\n", piece.size());
        said += size + piece + "\r\n";
      }
      if (!scenario_.request.head_request) said += "0\r\n\r\n";
      break;
    }
  }
  return said;
}

void FaultWorld::hear(Wire& wire) {
  if (wire.answered) return;
  if (wire.head_end == 0) {
    const std::size_t end = wire.received.find("\r\n\r\n");
    if (end == std::string::npos) return;
    wire.head_end = end + 4;
  }
  const std::string_view head(wire.received.data(), wire.head_end);
  const bool whole = head.find(" CHUNKED") == head.npos || wire.received.ends_with("0\r\n\r\n");
  std::string body;
  if (whole && wire.received.size() >= wire.head_end + scenario_.body.size()) (void)decode(wire.received, body, wire.complete);
  if (head.find(" EXPECT") != head.npos && !wire.continued && !scenario_.early) {
    wire.continued = true;
    wire.spoken += "HTTP/1.1 100 Continue\r\n\r\n";
  }
  if (!wire.complete && !scenario_.early) return;
  wire.answered = true;
  const std::string said = answer_of(wire);
  wire.said = said.size();
  wire.spoken += said + scenario_.behind;
  if (wire.continued) wire.said += std::strlen("HTTP/1.1 100 Continue\r\n\r\n");
  if (scenario_.coding == FaultScenario::Coding::UntilClose) wire.closed = true;
}

base::Result<std::unique_ptr<upstream::ByteStream>, int> FaultWorld::connect(const upstream::Address&, const upstream::ConnectOptions&) noexcept {
  switch (ask(Call::Connect)) {
    case Fault::Reset: return ECONNREFUSED;
    case Fault::Fail: return EMFILE;
    default: break;
  }
  wires_.push_back(std::make_shared<Wire>());
  wires_.back()->member = client.chosen.back();
  return std::unique_ptr<upstream::ByteStream>(std::make_unique<FaultStream>(*this, wires_.back()));
}

base::Result<std::vector<upstream::Address>, std::string> FaultWorld::resolve(const std::string&, std::uint16_t) {
  if (ask(Call::Resolve) == Fault::Fail) return std::string("Name or service not known");
  return std::vector<upstream::Address>(scenario_.addresses);
}

// ---------------------------------------------------------------- the client's side

const exchange::RequestFacts& FaultClient::facts() const { return world_.scenario_.request; }

base::ProxyErrc FaultClient::write_request_head(const config::MemberSpec& member, const exchange::HeadPlan& plan, std::string& head) {
  head = "REQ " + member.name;
  if (plan.body == BodyKind::Length) head += " CL=" + std::to_string(plan.length);
  if (plan.body == BodyKind::Chunked) head += " CHUNKED";
  if (plan.expect_continue) head += " EXPECT";
  head += "\r\n\r\n";
  return base::ProxyErrc::None;
}

BodyPart FaultClient::read_body(std::size_t at_most) {
  const Fault fault = world_.ask(Call::ReadBody);
  world_.body_blocked_ = false;
  if (fault == Fault::Fail || body_broken) {
    body_broken = true;
    return {.kind = BodyPart::Kind::Failed, .error = base::ProxyErrc::ClientBodyIncomplete};
  }
  if (fault == Fault::Stall) stalled_ = true;
  if (fault == Fault::Block || stalled_) {
    world_.body_blocked_ = true;
    world_.ready_ = world_.ready_ || fault == Fault::Block;
    return {.kind = BodyPart::Kind::WouldBlock};
  }
  const std::string& whole = world_.scenario_.body;
  if (given_ == whole.size()) return {.kind = BodyPart::Kind::End, .last = true};
  piece_ = whole.substr(given_, fault == Fault::Short ? 1 : std::min<std::size_t>(at_most, 20'000));
  given_ += piece_.size();
  buffer_ = {piece_.data(), piece_.size()};
  return {.kind = BodyPart::Kind::Data, .parts = {&buffer_, 1}, .bytes = piece_.size()};
}

bool FaultClient::send_interim(const http::ResponseHead& head) {
  interims.push_back(head.status);
  if (world_.ask(Call::SendInterim) == Fault::Fail) gone = true;
  return !gone;
}

void FaultClient::send_head(const exchange::AnswerHead& answer) {
  if (passes > 0) misuse = "a second head after a part of an answer";
  status = answer.head.status;
  head_given_ = true;
  borrowed_.clear();
  copied_.clear();
}

std::span<char> FaultClient::lend_buffer(std::size_t want) {
  lent_ = std::make_unique_for_overwrite<char[]>(want);  // a new one each time: what is used too late is found by ASan
  return {lent_.get(), want};
}

void FaultClient::send_lent(std::size_t offset, std::size_t size) { copied_.append(lent_.get() + offset, size); }

void FaultClient::send_borrowed(std::string_view bytes) {
  if (!copied_.empty()) misuse = "borrowed bytes behind lent ones in one pass";
  borrowed_.push_back(bytes);
}

bool FaultClient::deliver() {
  if (!head_given_) misuse = "a body without a head";
  if (finishes + cuts > 0) misuse = "something after the end";
  for (const std::string_view bytes : borrowed_) body.append(bytes);
  body += copied_;
  borrowed_.clear();
  copied_.clear();
  ++passes;
  return !gone;
}

bool FaultClient::pass(bool) {
  if (world_.ask(Call::Pass) == Fault::Fail) gone = true;
  return deliver();
}

bool FaultClient::finish() {
  if (world_.ask(Call::Finish) == Fault::Fail) gone = true;
  const bool good = deliver();
  ++finishes;
  return good;
}

void FaultClient::cut() {
  (void)deliver();
  ++cuts;
}

// ---------------------------------------------------------------- the run

FaultWorld::FaultWorld(FaultScenario what, FaultPlan plan, bool may_wait) : client(*this), scenario_(std::move(what)), plan_(std::move(plan)) {
  group_.name = group_.key = "c";
  for (unsigned i = 0; i < scenario_.members; ++i) {
    config::MemberSpec member;
    member.url.scheme = "http";
    member.url.host = "backend.test";
    member.url.port = static_cast<std::uint16_t>(8000 + i);
    member.name = member.key = std::string(1, static_cast<char>('a' + i));
    member.member_id = i;
    member.total_timeout = scenario_.total;
    if (scenario_.full && i == 0) member.max = 1;
    group_.members.push_back(std::move(member));
  }
  balancer::start_balancer(balancer_slot_, group_);
  std::vector<balancer::MemberSlot*> slots;
  for (unsigned i = 0; i < scenario_.members; ++i) {
    balancer::start_member(slots_[i], group_.members[i], clock_.now());
    slots.push_back(&slots_[i]);
    members_.push_back(std::make_unique<upstream::MemberUpstream>(group_.members[i], *this));
    pointers_.push_back(members_.back().get());
  }
  if (scenario_.balanced) picker_ = std::make_unique<balancer::Balancer>(group_, balancer_slot_, slots);
  balancer::LineSetup line;
  line.members.resize(scenario_.members);
  line_ = std::make_unique<balancer::WaitingLine>(std::move(line));
  if (scenario_.kept) keep_one();
  if (scenario_.full) held_ = members_[0]->pool.acquire(clock_.now(), true);
  exchange_ = std::make_unique<exchange::Exchange>(
      exchange::Destination{picker_.get(), pointers_, line_.get()}, client,
      exchange::Services{.clock = clock_, .connector = *this, .default_timeout = std::chrono::seconds(60), .may_wait = may_wait});
}

FaultWorld::~FaultWorld() {
  exchange_.reset();
  held_.discard();
  members_.clear();
}

void FaultWorld::keep_one() {
  wires_.push_back(std::make_shared<Wire>());
  wires_.back()->member = "a";
  wires_.back()->reused = true;
  auto lease = members_[0]->pool.acquire(clock_.now(), true);
  lease.attach(std::make_unique<FaultStream>(*this, wires_.back()));
  lease.keep(clock_.now());
}

Fault FaultWorld::ask(Call call) {
  calls.push_back(call);
  const Fault fault = plan_(call, calls.size() - 1);
  const std::vector<Fault> possible = faults_of(call);
  return std::find(possible.begin(), possible.end(), fault) != possible.end() ? fault : Fault::None;
}

// Moves the clock as a driver would, after looking whether the step would wake that driver at all.
std::string FaultWorld::wait(const exchange::Step& step) {
  const auto now = clock_.now();
  if (step.deadline <= now || step.deadline > now + std::chrono::hours(1)) return "a wait without a deadline";
  if (step.needs == 0) return "a wait for nothing";
  const bool upstream = (step.needs & (exchange::kUpstreamReadable | exchange::kUpstreamWritable)) != 0;
  if (upstream && (step.upstream == nullptr || step.upstream->descriptor() != 42)) return "a wait for a backend without its descriptor";
  if ((step.needs & exchange::kPoolSlot) != 0 && (step.line == nullptr || step.waiter == nullptr || !step.waiter->waits())) return "a wait for a slot outside of the line";
  if (client.status == 0) {
    const bool writing = write_blocked_ != nullptr && write_blocked_->alive;
    if (writing && (step.needs & exchange::kUpstreamWritable) == 0) return "a blocked write that nothing wakes";
    const bool reading = read_blocked_ != nullptr && read_blocked_->alive;
    if (reading && (step.needs & exchange::kUpstreamReadable) == 0) return "a blocked read that nothing wakes";
    if (body_blocked_ && !writing && (step.needs & exchange::kClientReadable) == 0) return "a client that nothing wakes";
  }
  const Fault fault = ask(Call::Wait);
  if (fault == Fault::Fail) {
    client.gone = true;
    exchange_->client_gone();
  } else if (ready_ && fault != Fault::Late) {
    clock_.advance(std::chrono::microseconds(10));
  } else {
    clock_.advance(step.deadline - now);
  }
  ready_ = false;
  return {};
}

std::string FaultWorld::run() {
  for (unsigned turns = 0; turns < kMostTurns; ++turns) {
    const exchange::Step step = exchange_->step();
    if (step.done) return broken_rule();
    exchange_->about_to_wait();
    if (std::string wrong = wait(step); !wrong.empty()) return wrong;
  }
  return "the exchange does not end";
}

std::string FaultWorld::outcome() const {
  std::string line = std::to_string(client.status) + ' ' + std::to_string(base::status_for(exchange_->failure()));
  line += " finished=" + std::to_string(client.finishes) + " cut=" + std::to_string(client.cuts) + " attempts=" + std::to_string(client.reports.size());
  for (const int interim : client.interims) line += " interim=" + std::to_string(interim);
  for (const auto& wire : wires_) {
    std::string got;
    bool complete = false;
    (void)decode(wire->received, got, complete);
    line += ' ' + wire->member;
    if (scenario_.behind.empty()) line += wire->alive ? " kept" : " closed";
    if (!scenario_.early) line += " got=" + std::to_string(got.size()) + (complete ? " complete" : " incomplete");
  }
  return line + " body=" + std::to_string(client.body.size()) + '#' + std::to_string(std::hash<std::string>{}(client.body));
}

// ---------------------------------------------------------------- the promises

std::string FaultWorld::broken_rule() const {
  if (!client.misuse.empty()) return client.misuse;
  for (std::size_t i = 0; i < members_.size(); ++i) {
    if (members_[i]->pool.in_use() != (scenario_.full && i == 0 ? 1u : 0u)) return "a lease is left";
  }
  std::size_t kept = 0;
  std::size_t carried = 0;
  for (const auto& wire : wires_) {
    if (std::string wrong = broken_rule_of(*wire); !wrong.empty()) return wrong;
    if (wire->alive) ++kept;
    if (!wire->received.empty()) ++carried;
  }
  std::size_t idle = 0;
  for (const auto& member : members_) idle += member->pool.idle();
  if (idle != kept) return "an open connection that is in no pool";
  if (!scenario_.request.idempotent && carried > 1) return "bytes of a request that may not be repeated went over two connections";
  if (std::set<std::string>(client.chosen.begin(), client.chosen.end()).size() != client.chosen.size()) return "a member was tried twice";
  if (std::string wrong = reports_wrong(); !wrong.empty()) return wrong;
  return delivery_wrong();
}

std::string FaultWorld::broken_rule_of(const Wire& wire) const {
  std::string body;
  bool complete = false;
  if (!decode(wire.received, body, complete)) return "a request with a broken coding";
  if (!scenario_.body.starts_with(body)) return "other body bytes than the client's";
  if (complete && body != scenario_.body) return "a body that looks complete and is not";
  if (!wire.alive || (wire.reused && wire.received.empty())) return {};
  if (!wire.answered || !complete) return "a kept connection with a request that is not complete";
  if (wire.broken || wire.closed) return "a kept connection that is broken";
  // What came behind and is not read yet is found by the look before the connection is used again.
  if (wire.read != wire.said) return "a kept connection with bytes that nobody asked for";
  return {};
}

std::string FaultWorld::reports_wrong() const {
  const bool good = client.finishes == 1 && !client.gone;
  const auto& reports = client.reports;
  std::size_t attempts = client.chosen.size();
  for (std::size_t i = 0; i < reports.size(); ++i) {
    const bool last = i + 1 == reports.size();
    if (reports[i].end == AttemptEnd::Replay) ++attempts;
    if (!last && reports[i].end == AttemptEnd::GaveUp) return "a report after the last";
    if (!reports[i].error) return "a report without a reason";
  }
  if (good && exchange_->failure()) return "a good end with a failure";
  if (!good && (reports.empty() || reports.back().end != AttemptEnd::GaveUp)) return "an end that was not reported";
  if (!good && reports.back().error.code != exchange_->failure().code) return "another failure than was reported";
  // Before an attempt, or in a wait for the slot of the next one.
  const bool outside = !good && reports.back().number > client.chosen.size();
  const std::size_t expected = attempts - (good ? 1 : 0) + (outside ? 1 : 0);
  return reports.size() == expected ? std::string() : "not one report for each failed attempt";
}

std::string FaultWorld::delivery_wrong() const {
  const bool failed = static_cast<bool>(exchange_->failure());
  if (client.finishes + client.cuts > 1) return "two ends";
  if (client.cuts == 1 && !(failed && exchange_->answer_started())) return "a cut without a reason";
  if (client.finishes + client.cuts == 0 && (!failed || client.passes > 0)) return "no end";
  if (client.passes == 0) return {};
  const bool ended_early = client.cuts == 1 || scenario_.coding == FaultScenario::Coding::UntilClose;
  for (const auto& wire : wires_) {
    if (!wire->answered) continue;
    if (ended_early ? wire->payload.starts_with(client.body) : wire->payload == client.body) return {};
  }
  return "other bytes than a backend sent";
}

}  // namespace cxxproxy::test
