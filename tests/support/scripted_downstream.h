// A client for unit tests of the engine: gives a request, records the answer and the reports.
#pragma once

#include <deque>
#include <string>
#include <vector>

#include "exchange/downstream.h"

namespace cxxproxy::test {

class ScriptedDownstream : public exchange::Downstream {
 public:
  exchange::RequestFacts request{};
  std::deque<exchange::BodyPart::Kind> body_kinds{};  // with body_texts: what read_body() gives, in order
  std::deque<std::string> body_texts{};
  bool gone = false;
  bool slow = false;  // has not taken all that was passed

  std::vector<int> interims{};
  int status = 0;
  std::string body{};
  bool replaced = false;  // the client gets another answer
  bool room = false;  // for more than the usual
  bool request_taken = false;
  bool finished = false;
  bool was_cut = false;
  unsigned flushes = 0;
  unsigned passes = 0;
  unsigned recoveries = 0;
  unsigned tunnel_reads = 0;
  std::size_t most_pending = 0;
  std::vector<std::size_t> asked{};  // the size of each read of the request's body
  std::vector<exchange::AttemptReport> reports{};
  std::vector<std::string> chosen{};

  void add_body(std::string text) {
    body_kinds.push_back(exchange::BodyPart::Kind::Data);
    body_texts.push_back(std::move(text));
  }
  void end_body() { body_kinds.push_back(exchange::BodyPart::Kind::End); }
  void stall_body() { body_kinds.push_back(exchange::BodyPart::Kind::WouldBlock); }
  void break_body() { body_kinds.push_back(exchange::BodyPart::Kind::Failed); }

  const exchange::RequestFacts& facts() const override { return request; }

  base::ProxyErrc write_request_head(const config::MemberSpec& member, const exchange::HeadPlan& plan, std::string& head) override {
    head = "REQ " + member.name;
    if (plan.body == exchange::BodyKind::Length) head += " CL=" + std::to_string(plan.length);
    if (plan.body == exchange::BodyKind::Chunked) head += " CHUNKED";
    if (plan.expect_continue) head += " EXPECT";
    head += "\r\n\r\n";
    return base::ProxyErrc::None;
  }

  exchange::BodyPart read_body(std::size_t at_most) override {
    asked.push_back(at_most);
    using Kind = exchange::BodyPart::Kind;
    exchange::BodyPart part;
    if (body_kinds.empty()) return part;
    part.kind = body_kinds.front();
    if (part.kind == Kind::Failed) {
      part.error = base::ProxyErrc::ClientBodyIncomplete;
      return part;
    }
    if (part.kind != Kind::Data) {
      body_kinds.pop_front();
      return part;
    }
    current_ = body_texts.front().substr(0, at_most);
    body_texts.front().erase(0, current_.size());
    if (body_texts.front().empty()) {
      body_texts.pop_front();
      body_kinds.pop_front();
    }
    buffer_ = {current_.data(), current_.size()};
    part.parts = {&buffer_, 1};
    part.bytes = current_.size();
    return part;
  }

  bool send_interim(const http::ResponseHead& head) override {
    interims.push_back(head.status);
    return !gone;
  }
  void send_head(const exchange::AnswerHead& answer) override {
    status = answer.head.status;
    request_taken = answer.request_taken;
  }
  bool replaces_answer() const override { return replaced; }
  bool has_room(std::size_t) override { return room; }
  std::span<char> lend_buffer(std::size_t want) override {
    lent_.resize(want);
    return lent_;
  }
  void send_lent(std::size_t offset, std::size_t size) override { pending_.append(lent_.data() + offset, size); }
  void send_borrowed(std::string_view bytes) override { pending_.append(bytes); }
  bool pass(bool flush) override {
    ++passes;
    if (flush) ++flushes;
    most_pending = std::max(most_pending, pending_.size());
    body += pending_;
    pending_.clear();
    return !gone;
  }
  bool finish() override {
    (void)pass(false);
    finished = true;
    return !gone;
  }
  bool drained() override { return !slow; }
  bool start_tunnel(const http::ResponseHead&) override { return !gone; }
  exchange::BodyPart read_tunnel(std::size_t at_most) override {
    ++tunnel_reads;
    exchange::BodyPart part = read_body(at_most);
    part.dry = part.kind == exchange::BodyPart::Kind::Data && body_kinds.empty();
    return part;
  }
  void cut() override {
    (void)pass(false);
    was_cut = true;
  }
  balancer::PickObserver* pick_observer() override { return nullptr; }
  void member_chosen(const config::MemberSpec& member, std::size_t) override { chosen.push_back(member.name); }
  void balancer_recovered() override { ++recoveries; }
  void report(const exchange::AttemptReport& attempt) override { reports.push_back(attempt); }

 private:
  std::string current_{};
  upstream::ConstBuffer buffer_{};
  std::vector<char> lent_{};
  std::string pending_{};
};

}  // namespace cxxproxy::test
