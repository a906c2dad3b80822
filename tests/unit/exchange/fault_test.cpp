// Every I/O call of an exchange fails once in every way; then many at random. See fault_world.h.
#include <catch2/catch.hpp>

#include <random>

#include "../../support/fault_world.h"

using namespace cxxproxy;
using exchange::BodyKind;
using test::Call;
using test::Fault;
using test::FaultPlan;
using test::FaultScenario;
using test::FaultWorld;

namespace {

exchange::RequestFacts asks(bool idempotent, BodyKind body = BodyKind::None, std::uint64_t length = 0) {
  return {.idempotent = idempotent, .body = body, .length = length, .safe = idempotent && body == BodyKind::None};
}

exchange::RequestFacts expecting(bool idempotent, std::uint64_t length) {
  exchange::RequestFacts facts = asks(idempotent, BodyKind::Length, length);
  facts.expects_continue = true;
  return facts;
}

exchange::RequestFacts head_request() {
  exchange::RequestFacts facts = asks(true);
  facts.head_request = true;
  return facts;
}

std::string body_of(std::size_t size) {
  std::string whole;
  while (whole.size() < size) whole += "line " + std::to_string(whole.size()) + "\r\n";
  whole.resize(size);
  return whole;
}

const std::vector<FaultScenario>& scenarios() {
  constexpr std::size_t kSmall = 900;
  constexpr std::size_t kLarge = 40'000;      // streamed, and kept for a replay
  constexpr std::size_t kVeryLarge = 70'000;  // not kept
  using Coding = FaultScenario::Coding;
  static const std::vector<FaultScenario> all{
      {.name = "GET", .request = asks(true)},
      {.name = "GET, kept connection", .request = asks(true), .kept = true},
      {.name = "GET, chunked answer", .request = asks(true), .kept = true, .coding = Coding::Chunked},
      {.name = "GET, large answer", .request = asks(true), .answer_body = 70'000},
      {.name = "GET, answer until close", .request = asks(true), .coding = Coding::UntilClose},
      {.name = "GET, 204", .request = asks(true), .kept = true, .answer_body = std::string::npos},
      {.name = "GET, interim", .request = asks(true), .kept = true, .interim = true},
      {.name = "GET, extra bytes", .request = asks(true), .kept = true, .behind = "HTTP/1.1 200 OK\r\n"},
      {.name = "GET, two addresses", .request = asks(true), .addresses = 2},
      {.name = "GET, total timeout", .request = asks(true), .kept = true, .total = std::chrono::seconds(5)},
      {.name = "GET, two members", .request = asks(true), .members = 2, .balanced = true, .kept = true},
      {.name = "GET, three members", .request = asks(true), .members = 3, .balanced = true, .coding = Coding::Chunked},
      {.name = "GET, full pool", .request = asks(true), .members = 2, .balanced = true, .full = true},
      {.name = "HEAD, kept connection", .request = head_request(), .members = 2, .balanced = true, .kept = true},
      {.name = "POST", .request = asks(false, BodyKind::Length, kSmall), .body = body_of(kSmall), .kept = true},
      {.name = "POST, two members", .request = asks(false, BodyKind::Length, kSmall), .body = body_of(kSmall), .members = 2, .balanced = true},
      {.name = "POST, kept, two members", .request = asks(false, BodyKind::Length, kSmall), .body = body_of(kSmall), .members = 2, .balanced = true, .kept = true},
      {.name = "POST, large", .request = asks(false, BodyKind::Length, kLarge), .body = body_of(kLarge), .members = 2, .balanced = true, .kept = true},
      {.name = "POST, chunked", .request = asks(false, BodyKind::Chunked), .body = body_of(kLarge), .members = 2, .balanced = true, .kept = true},
      {.name = "POST, empty chunked", .request = asks(false, BodyKind::Chunked), .kept = true},
      {.name = "POST, total timeout", .request = asks(false, BodyKind::Chunked), .body = body_of(kLarge), .kept = true, .total = std::chrono::seconds(5)},
      {.name = "POST, early answer", .request = asks(false, BodyKind::Length, kLarge), .body = body_of(kLarge), .kept = true, .early = true},
      {.name = "POST, expects 100", .request = expecting(false, kSmall), .body = body_of(kSmall), .members = 2, .balanced = true, .kept = true},
      {.name = "POST, refused expectation", .request = expecting(false, kSmall), .body = body_of(kSmall), .kept = true, .early = true},
      {.name = "PUT", .request = asks(true, BodyKind::Length, kLarge), .body = body_of(kLarge), .members = 3, .balanced = true, .kept = true},
      {.name = "PUT, chunked", .request = asks(true, BodyKind::Chunked), .body = body_of(kLarge), .members = 2, .balanced = true, .kept = true, .interim = true},
      {.name = "PUT, very large", .request = asks(true, BodyKind::Length, kVeryLarge), .body = body_of(kVeryLarge), .members = 2, .balanced = true, .kept = true},
      {.name = "PUT, very large, chunked", .request = asks(true, BodyKind::Chunked), .body = body_of(kVeryLarge), .members = 2, .balanced = true, .kept = true},
      {.name = "PUT, expects 100", .request = expecting(true, kLarge), .body = body_of(kLarge), .members = 2, .balanced = true, .kept = true},
  };
  return all;
}

Fault no_fault(Call, std::size_t) { return Fault::None; }

bool is_harmless(Fault fault) { return fault == Fault::Block || fault == Fault::Short; }

const char* name_of(Call call) {
  constexpr const char* kNames[] = {"resolve", "connect", "finish_connect", "looks_idle", "read", "write", "read_body", "send_interim", "pass", "finish", "wait"};
  return kNames[static_cast<std::size_t>(call)];
}

}  // namespace

TEST_CASE("without a fault every exchange is answered", "[exchange][fault]") {
  for (const FaultScenario& scenario : scenarios()) {
    FaultWorld world(scenario, no_fault, false);
    CAPTURE(scenario.name);
    CHECK(world.run() == "");
    CHECK(world.client.finishes == 1);
    if (!scenario.full) CHECK(world.client.reports.empty());
  }
}

TEST_CASE("the Nth call fails, for every N and in every way", "[exchange][fault]") {
  const bool may_wait = GENERATE(false, true);
  for (const FaultScenario& scenario : scenarios()) {
    FaultWorld good(scenario, no_fault, may_wait);
    REQUIRE(good.run() == "");
    for (std::size_t n = 0; n < good.calls.size(); ++n) {
      for (const Fault fault : test::faults_of(good.calls[n])) {
        FaultWorld world(scenario, [&](Call, std::size_t number) { return number == n ? fault : Fault::None; }, may_wait);
        const std::string wrong = world.run();
        CAPTURE(scenario.name, n, name_of(good.calls[n]), static_cast<int>(fault), may_wait, world.outcome());
        CHECK(wrong == "");
        if (is_harmless(fault)) CHECK(world.outcome() == good.outcome());
      }
    }
  }
}

TEST_CASE("from the Nth call on all calls of its kind fail", "[exchange][fault]") {
  for (const FaultScenario& scenario : scenarios()) {
    FaultWorld good(scenario, no_fault, false);
    REQUIRE(good.run() == "");
    for (std::size_t n = 0; n < good.calls.size(); ++n) {
      const Call kind = good.calls[n];
      for (const Fault fault : test::faults_of(kind)) {
        // A driver that never gets on; and one byte a time has its own test.
        if (fault == Fault::Block || fault == Fault::Late || fault == Fault::Short) continue;
        FaultWorld world(scenario, [&](Call call, std::size_t number) { return number >= n && call == kind ? fault : Fault::None; }, false);
        const std::string wrong = world.run();
        CAPTURE(scenario.name, n, name_of(kind), static_cast<int>(fault), world.outcome());
        CHECK(wrong == "");
      }
    }
  }
}

TEST_CASE("one byte a time, and a wait before each", "[exchange][fault]") {
  for (const FaultScenario& scenario : scenarios()) {
    FaultWorld good(scenario, no_fault, false);
    REQUIRE(good.run() == "");
    const FaultPlan bytewise = [](Call, std::size_t) { return Fault::Short; };
    // Irregular: a step that makes as many calls each time would else meet the same ones for ever.
    const FaultPlan halting = [](Call, std::size_t number) { return (number * 2654435761u >> 16) % 2 == 0 ? Fault::Block : Fault::Short; };
    for (const FaultPlan& plan : {bytewise, halting}) {
      FaultWorld world(scenario, plan, false);
      CAPTURE(scenario.name);
      CHECK(world.run() == "");
      CHECK(world.outcome() == good.outcome());
    }
  }
}

TEST_CASE("faults at random", "[exchange][fault]") {
  constexpr unsigned kRuns = 6000;
  constexpr Fault kAny[] = {Fault::Block, Fault::Block, Fault::Short, Fault::Short, Fault::Stall, Fault::Eof, Fault::Reset, Fault::Fail, Fault::Late};
  for (unsigned seed = 1; seed <= kRuns; ++seed) {
    std::mt19937 dice(seed);
    const FaultScenario& scenario = scenarios()[dice() % scenarios().size()];
    const std::size_t one_in = 2 + dice() % 20;
    const auto plan = [&](Call call, std::size_t) {
      if (dice() % one_in != 0) return Fault::None;
      const Fault fault = kAny[dice() % std::size(kAny)];
      return call == Call::Wait && fault == Fault::Fail && dice() % 4 != 0 ? Fault::None : fault;
    };
    FaultWorld world(scenario, plan, seed % 2 == 0);
    const std::string wrong = world.run();
    CAPTURE(seed, scenario.name, world.outcome());
    REQUIRE(wrong == "");
  }
}
