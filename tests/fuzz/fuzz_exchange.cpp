// A whole exchange whose backends, client and clock the input plays: whatever they do, the client gets
// one answer from one connection, a backend gets one request, and nothing is left behind.
//
// Input: bytes that choose (see Play), raw pieces up to 0xff where they ask for one.
#include <array>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "../support/scripted_downstream.h"
#include "../support/scripted_upstream.h"
#include "exchange/exchange.h"
#include "fuzz_input.h"

namespace {

using namespace cxxproxy;
using fuzz::require;
using test::Action;

constexpr unsigned kMembers = 3;

// Notes which order the engine calls in: that order is what keeps an answer one answer.
class Client final : public test::ScriptedDownstream {
 public:
  bool has_head = false;
  bool passed = false;
  bool over = false;

  void send_head(const exchange::AnswerHead& answer) override {
    require(!passed && !over);
    require(answer.head.status >= 200);
    require(request.body != exchange::BodyKind::None || !request.declared || answer.request_taken);
    has_head = true;
    ScriptedDownstream::send_head(answer);
  }
  bool send_interim(const http::ResponseHead& head) override {
    require(!passed && !over && !request.suppress_interim);
    require(head.status >= 100 && head.status < 200 && head.status != 101);
    return ScriptedDownstream::send_interim(head);
  }
  bool pass(bool flush) override {
    require(has_head && !over);
    passed = true;
    return ScriptedDownstream::pass(flush);
  }
  bool finish() override {
    require(has_head && !over);
    const bool alive = ScriptedDownstream::finish();
    passed = over = true;
    return alive;
  }
  void cut() override {
    require(has_head && passed && !over);
    ScriptedDownstream::cut();
    over = true;
  }
};

// What a connection's script sends, and what the proxy wrote to it.
struct Line {
  std::shared_ptr<test::Script> script;
  std::string all;  // every byte that its reads give
};

constexpr std::array<std::string_view, 20> kPieces{
    "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
    "HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
    "HTTP/1.1 200 OK\r\n\r\n",
    "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok",
    "HTTP/1.1 204 No Content\r\n\r\n",
    "HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n",
    "HTTP/1.1 100 Continue\r\n\r\n",
    "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n",
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n",
    "HTTP/1.1 413 Too Large\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
    "HTTP/1.1 ",
    "3\r\nabc\r\n",
    "10\r\n0123456789abcdef\r\n",
    "0\r\n\r\n",
    "0\r\nTrailer: x\r\n\r\n",
    "hello",
    "\r\n",
    "Content-Length: 1\r\n",
    "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n",
};

// Bytes of which any run tells where in the body it belongs.
constexpr std::size_t kPeriod = 23;
const std::string& body_pattern() {
  static const std::string pattern = [] {
    std::string text;
    for (std::size_t i = 0; i < 255u * 100u + kPeriod; ++i) text += static_cast<char>('a' + i % kPeriod);
    return text;
  }();
  return pattern;
}

class Play {
 public:
  Play(const std::uint8_t* data, std::size_t size) : input_(data, size) {}
  void run();

 private:
  void make_members(unsigned count);
  void make_request();
  void make_body();
  Line make_line();
  void make_network();
  void drive(exchange::Exchange& exchange);
  void judge(const exchange::Exchange& exchange);
  void judge_request(const Line& line) const;
  void judge_answer(const exchange::Exchange& exchange) const;
  bool starts_with_request(const std::string& received, std::string_view head_end) const;

  fuzz::Input input_;
  base::ManualClock clock_;
  test::ScriptedResolver resolver_;
  test::ScriptedConnector connector_;
  Client client_;
  config::BalancerSpec group_;
  std::vector<std::unique_ptr<upstream::MemberUpstream>> members_;
  std::vector<upstream::MemberUpstream*> pointers_;
  std::vector<upstream::Lease> held_;  // by another request; with max=1 the exchange waits for it
  balancer::BalancerSlot balancer_slot_{};
  std::array<balancer::MemberSlot, kMembers> slots_{};
  std::unique_ptr<balancer::Balancer> picker_;
  std::unique_ptr<balancer::WaitingLine> line_;
  std::vector<Line> lines_;
  std::string body_;       // of the request, all of it
  bool may_wait_ = false;
  bool client_left_ = false;
};

void Play::make_members(unsigned count) {
  group_.name = group_.key = "c";
  for (unsigned i = 0; i < count; ++i) {
    config::MemberSpec member;
    member.url.scheme = "http";
    member.url.host = (input_.byte() & 7u) == 7u ? "unknown.test" : "backend.test";
    member.url.port = static_cast<std::uint16_t>(8000 + i);
    member.name = member.key = std::string(1, static_cast<char>('a' + i));
    member.member_id = i;
    const unsigned settings = input_.byte();
    member.reuse = (settings & 1u) == 0;
    member.max = (settings & 2u) != 0 ? 1 : 0;
    member.replay = static_cast<config::Replay>(((settings >> 2) & 3u) % 3u);
    if ((settings & 16u) != 0) member.total_timeout = std::chrono::seconds(3);
    group_.members.push_back(member);
  }
  std::vector<balancer::MemberSlot*> slot_pointers;
  balancer::start_balancer(balancer_slot_, group_);
  for (unsigned i = 0; i < count; ++i) {
    balancer::start_member(slots_[i], group_.members[i], clock_.now());
    slot_pointers.push_back(&slots_[i]);
    members_.push_back(std::make_unique<upstream::MemberUpstream>(group_.members[i], resolver_));
    pointers_.push_back(members_.back().get());
  }
  if ((input_.byte() & 15u) == 15u) held_.push_back(members_[0]->pool.acquire(clock_.now(), true));
  balancer::LineSetup line;
  line.members.resize(count);
  line_ = std::make_unique<balancer::WaitingLine>(std::move(line));
  if (count > 1) picker_ = std::make_unique<balancer::Balancer>(group_, balancer_slot_, slot_pointers);
}

void Play::make_request() {
  const unsigned kind = input_.byte();
  auto& facts = client_.request;
  facts.head_request = (kind & 1u) != 0;
  facts.idempotent = (kind & 2u) != 0;
  facts.safe = facts.idempotent && (kind & 4u) != 0;
  facts.expects_continue = (kind & 8u) != 0;
  facts.length_is_exact = (kind & 16u) == 0;
  facts.declared = (kind & 32u) == 0;
  facts.keep_alive = (kind & 64u) == 0;
  facts.fresh_connection = (kind & 128u) != 0;
  const unsigned more = input_.byte();
  facts.http10 = (more & 1u) != 0;
  facts.suppress_interim = (more & 2u) != 0;
  facts.bad_header = static_cast<http::BadHeaderRule>(((more >> 2) & 3u) % 3u);
  may_wait_ = (more & 16u) != 0;
  if ((more & 32u) != 0) make_body();
  if (body_.empty() && facts.declared) facts.expects_continue = false;
}

void Play::make_body() {
  auto& facts = client_.request;
  bool whole = true;
  for (unsigned parts = 1 + input_.byte() % 6; parts > 0 && whole; --parts) {
    const unsigned what = input_.byte();
    if (what % 8 == 0) {
      client_.stall_body();
    } else if (what % 32 == 1) {
      client_.break_body();
      whole = false;
    } else {
      // A long part now and then: beyond what is kept for replay.
      const std::size_t size = (what & 192u) == 192u ? std::size_t{what} * 100 : what;
      const std::string text = body_pattern().substr(body_.size() % kPeriod, size);
      client_.add_body(text);
      body_ += text;
    }
  }
  if (whole) client_.end_body();
  facts.body = (input_.byte() & 1u) != 0 ? exchange::BodyKind::Chunked : exchange::BodyKind::Length;
  facts.length = body_.size();
  if (!facts.declared) facts.body = exchange::BodyKind::Chunked;
  if (facts.http10) {  // the client side has spooled the body
    facts.body = exchange::BodyKind::Length;
    facts.length_is_exact = true;
  }
}

Line Play::make_line() {
  Line line{std::make_shared<test::Script>(), {}};
  const unsigned shape = input_.byte();
  for (unsigned i = 0; i < (shape & 3u); ++i) {
    const unsigned write = input_.byte();
    if (write % 8 == 0) line.script->writes.push_back(test::fail(EPIPE));
    else if (write % 8 == 1) line.script->writes.push_back(test::would_block());
    else line.script->writes.push_back(test::bytes(std::string(write, 'x')));
  }
  if ((shape & 4u) != 0) line.script->connects.push_back(test::would_block());
  if ((shape & 8u) != 0) line.script->connects.push_back(test::fail(ECONNREFUSED));
  if ((shape & 16u) != 0) line.script->closed_by_peer = true;
  for (unsigned reads = (shape >> 5) + 1; reads > 0; --reads) {
    const unsigned what = input_.byte();
    if (what < kPieces.size()) {
      line.script->reads.push_back(test::bytes(std::string(kPieces[what])));
    } else if (what < 30) {
      line.script->reads.push_back(test::would_block());
      continue;
    } else if (what < 40) {
      line.script->reads.push_back(what < 36 ? test::eof() : test::fail(ECONNRESET));
      break;
    } else {
      const std::string_view raw = input_.piece();
      if (raw.empty()) continue;
      line.script->reads.push_back(test::bytes(std::string(raw)));
    }
    line.all += line.script->reads.back().bytes;
  }
  return line;
}

void Play::make_network() {
  resolver_.addresses = 1 + (input_.byte() & 1u);
  for (unsigned i = input_.byte() % 3; i > 0; --i) {  // kept connections
    Line line = make_line();
    line.script->connects.clear();
    auto& pool = members_[input_.byte() % members_.size()]->pool;
    auto lease = pool.acquire(clock_.now(), true);
    lease.attach(std::make_unique<test::ScriptedStream>(line.script));
    lease.keep(clock_.now());
    lines_.push_back(std::move(line));
  }
  for (unsigned i = input_.byte() % 5; i > 0; --i) {
    if ((input_.byte() & 7u) == 0) {
      connector_.add_refusal();
      continue;
    }
    Line line = make_line();
    line.script = connector_.add(*line.script);
    lines_.push_back(std::move(line));
  }
}

void Play::drive(exchange::Exchange& exchange) {
  for (unsigned turns = 0;; ++turns) {
    require(turns < 20000);
    const exchange::Step step = exchange.step();
    if (step.done) return;
    require(step.needs != 0 || step.deadline > clock_.now());
    require((step.needs & exchange::kPoolSlot) == 0 || (step.line != nullptr && step.waiter != nullptr && step.waiter->waits()));
    const unsigned what = input_.byte();
    if (what == 1) {
      client_.gone = client_left_ = true;
      exchange.client_gone();
    } else if (what == 3) {
      held_.clear();
    } else if (what % 4 == 2 || step.deadline == base::Instant::max()) {
      clock_.advance(std::chrono::milliseconds(what + 1));
    } else {
      clock_.advance(std::max<base::Duration>(step.deadline - clock_.now(), std::chrono::milliseconds(1)));
    }
  }
}

// What went to a connection is one request: its head, then a prefix of the client's body in the framing
// that the head announced; nothing else, whatever happened.
void Play::judge_request(const Line& line) const {
  const std::string& received = line.script->received;
  if (received.empty()) return;
  const std::size_t head_end = received.find("\r\n\r\n");
  if (head_end == std::string::npos) {
    require(received.size() < 40 && received.starts_with(std::string_view("REQ ").substr(0, received.size())));
    return;
  }
  require(received.starts_with("REQ "));
  const std::string_view head = std::string_view(received).substr(0, head_end);
  std::string_view rest = std::string_view(received).substr(head_end + 4);
  const std::size_t length_at = head.find(" CL=");
  const bool chunked = head.find(" CHUNKED") != std::string_view::npos;
  require(!(chunked && (length_at != std::string_view::npos || client_.request.http10)));
  if (!chunked) {
    require(std::string_view(body_).starts_with(rest));
    if (length_at == std::string_view::npos) require(rest.empty());
    else require(rest.size() <= std::stoull(std::string(head.substr(length_at + 4))));
    return;
  }
  http::ChunkedDecoder decoder;
  std::string decoded;
  while (!rest.empty()) {
    const auto step = decoder.next(rest);
    require(step.state != http::ChunkedDecoder::State::Failed && !(decoder.done() && step.consumed == 0));
    decoded += step.payload;
    rest.remove_prefix(step.consumed);
  }
  require(std::string_view(body_).starts_with(decoded));
  if (decoder.done()) require(decoded == body_);
}

// The codec over all bytes of one connection at once says what a client may have seen of it.
struct Reference {
  int status = 0;
  std::string body{};
  bool ended = false;
  bool reusable = false;

  Reference(const Line& line, const exchange::RequestFacts& facts) {
    codec::Http1Codec codec(facts.head_request, {}, facts.bad_header);
    std::string bytes = line.all;
    std::span<char> rest(bytes);
    for (bool more = true; more;) {
      const auto event = codec.next(rest);
      body += event.payload;
      rest = rest.subspan(event.consumed);
      switch (event.kind) {
        case codec::Event::Kind::Head: status = codec.head().status; break;
        case codec::Event::Kind::NeedMore:
          ended = codec.end_of_stream(!rest.empty()).kind == codec::Event::Kind::End;
          return;
        case codec::Event::Kind::Failed: return;
        case codec::Event::Kind::End: ended = true; more = false; break;
        default: break;
      }
    }
    reusable = codec.reusable();
  }
};

void Play::judge_answer(const exchange::Exchange& exchange) const {
  require(client_.over || !client_.passed);
  require(!(client_.finished && client_.was_cut));
  if (!client_.passed) {
    require(exchange.failure().code != base::ProxyErrc::None);
    return;
  }
  require(exchange.answer_started());
  if (client_.finished && !client_left_) require(exchange.failure().code == base::ProxyErrc::None);
  if (client_.was_cut) require(exchange.failure().code != base::ProxyErrc::None);
  bool from_one = false;
  for (const Line& line : lines_) {
    const Reference reference(line, client_.request);
    from_one = from_one || (reference.status == client_.status && reference.body.starts_with(client_.body) &&
                            (!client_.finished || (reference.ended && reference.body == client_.body)));
  }
  require(from_one);
  if (client_.request.head_request || client_.status == 204 || client_.status == 304) require(client_.body.empty());
}

void Play::judge(const exchange::Exchange& exchange) {
  judge_answer(exchange);
  unsigned used = 0;
  for (const Line& line : lines_) {
    judge_request(line);
    if (!line.script->received.empty()) ++used;
  }
  if (!client_.request.idempotent) require(used <= 1);
  require(used <= 2 * members_.size() && connector_.connects <= 4 * members_.size());
  for (std::size_t i = 0; i < client_.chosen.size(); ++i) {
    for (std::size_t j = 0; j < i; ++j) require(client_.chosen[i] != client_.chosen[j]);
  }
}

void Play::run() {
  make_members(1 + input_.byte() % kMembers);
  make_request();
  make_network();
  {
    exchange::Exchange exchange({picker_.get(), pointers_, line_.get()}, client_,
                                {.clock = clock_, .connector = connector_, .default_timeout = std::chrono::seconds(60), .may_wait = may_wait_});
    drive(exchange);
    judge(exchange);
  }
  held_.clear();
  for (const auto& member : members_) require(member->pool.in_use() == 0);
  for (const Line& line : lines_) {  // what was used and still lives is kept, so it must be clean
    if (line.script->destroyed || line.script->received.empty()) continue;
    const Reference reference(line, client_.request);
    require(reference.ended && reference.reusable && client_.request.keep_alive);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Play(data, size).run();
  return 0;
}
