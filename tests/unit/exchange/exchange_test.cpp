#include <catch2/catch.hpp>

#include <array>

#include "../../support/exchange_world.h"

using namespace cxxproxy;
using namespace std::chrono_literals;
using base::ProxyErrc;
using exchange::AttemptEnd;
using exchange::BodyKind;
using test::bytes;
using test::World;

namespace {

const std::string kOk = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";

}  // namespace

TEST_CASE("a plain GET, and the connection is kept", "[exchange]") {
  World world;
  const auto script = world.connector.add({.reads = {bytes(kOk)}});
  world.run();
  CHECK(world.client.status == 200);
  CHECK(world.client.body == "hello");
  CHECK(world.client.finished);
  CHECK(script->received == "REQ a\r\n\r\n");
  CHECK(world.members[0]->pool.idle() == 1);
  CHECK(world.client.passes == 1);  // head, body and end go to httpd at once
  CHECK(world.client.reports.empty());
}

TEST_CASE("one read waits, and then the driver is asked", "[exchange]") {
  World world;
  world.may_wait = true;
  const auto script = world.connector.add({});
  const exchange::Step step = world.step();
  CHECK(step.waited);
  CHECK(script->patient_reads == 1);
}

TEST_CASE("reads of a slow member do not wait where the request can be parked", "[exchange]") {
  World world;
  world.may_wait = world.can_park = true;
  const auto script = world.connector.add({});
  for (unsigned i = 0; i < 20; ++i) {
    const exchange::Step step = world.step();
    CHECK(step.waited);  // so the driver parks at once
  }
  CHECK(script->patient_reads == upstream::InlineWaits::kVain);
  script->reads = {bytes("HTTP/1.1 ")};
  for (unsigned i = 0; i < upstream::InlineWaits::kProbe; ++i) (void)world.step();
  const unsigned before = script->patient_reads;
  CHECK(before > upstream::InlineWaits::kVain);  // one was tried all the same
  world.can_park = false;
  world.exchange->set_can_park(false);
  (void)world.step();
  CHECK(script->patient_reads == before + 1);
}

TEST_CASE("an event of a stream that waits without a thread costs two reads and one flush", "[exchange]") {
  World world;
  world.may_wait = world.can_park = true;
  const auto script = world.connector.add({.reads = {bytes("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")}});
  (void)world.step();
  world.clock.advance(exchange::kHeadHold);
  for (unsigned i = 0; i < upstream::InlineWaits::kVain; ++i) (void)world.step();
  for (unsigned i = 0; i < 3; ++i) {
    const unsigned reads = script->all_reads;
    const unsigned flushes = world.client.flushes;
    world.exchange->about_to_wait();
    script->reads = {bytes("5\r\nevent\r\n")};
    const exchange::Step step = world.step();
    CHECK(step.waited);
    CHECK(step.needs == exchange::kUpstreamReadable);
    CHECK(script->all_reads == reads + 2);
    CHECK(world.client.flushes == flushes + 1);
  }
  CHECK(world.client.body == "eventeventevent");
}

TEST_CASE("a tunnel keeps its thread only for an answer that may come at once", "[exchange]") {
  World world;
  world.may_wait = world.can_park = true;
  world.client.request.upgrade = "websocket";
  world.client.stall_body();
  const auto script = world.connector.add({.reads = {bytes("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")}});
  const auto step = [&world](std::string_view from_client = {}) {
    world.client.body_kinds.clear();
    if (!from_client.empty()) world.client.add_body(std::string(from_client));
    for (int i = 0; i < 4; ++i) world.client.stall_body();
    return world.step();
  };
  REQUIRE(step().tunnel);
  CHECK(step().waited);

  script->reads = {bytes("from the backend")};
  CHECK(step().waited);  // who knows when the client has a word
  const exchange::Step asked = step("question");
  CHECK_FALSE(asked.waited);
  CHECK(asked.needs == (exchange::kUpstreamReadable | exchange::kClientReadable));
  script->reads = {bytes("answer")};
  CHECK(step().waited);

  // A backend that takes its time is not waited for.
  for (unsigned i = 0; i < upstream::InlineWaits::kVain; ++i) {
    CHECK_FALSE(step("question").waited);
    world.exchange->about_to_wait();
  }
  CHECK(step("question").waited);
}

TEST_CASE("a client that reads slowly is not waited for on the thread", "[exchange]") {
  World world;
  world.may_wait = world.can_park = true;
  const auto script = world.connector.add({.reads = {bytes("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n12345")}});
  (void)world.step();
  world.client.slow = true;
  const auto slow_step = [&world] {
    const exchange::Step step = world.step();
    CHECK(step.needs == exchange::kClientWritable);
    return step;
  };
  for (unsigned i = 0; i < upstream::InlineWaits::kVain; ++i) {
    CHECK_FALSE(slow_step().waited);
    world.exchange->about_to_wait();
  }
  CHECK(slow_step().waited);
  world.exchange->about_to_wait();
  world.client.slow = false;  // it was parked: nothing came in time
  (void)world.step();
  world.client.slow = true;
  CHECK(slow_step().waited);
  // One that is waited for now and then takes it in time.
  while (slow_step().waited) {
  }
  world.client.slow = false;
  (void)world.step();
  world.client.slow = true;
  CHECK_FALSE(slow_step().waited);
}

TEST_CASE("a long answer pauses now and then where others may want the thread", "[exchange]") {
  constexpr std::size_t kSize = 3 * exchange::kOneGo;
  World world;
  world.connector.add({.reads = {bytes("HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(kSize) + "\r\n\r\n" + std::string(kSize, 'x'))}});
  SECTION("it can be parked") {
    world.can_park = true;
    unsigned pauses = 0;
    exchange::Step step = world.step();
    for (; step.pause; step = world.step()) {
      CHECK(step.waited);
      CHECK(step.needs == exchange::kClientWritable);
      CHECK(world.client.body.size() >= ++pauses * exchange::kOneGo);
      CHECK(world.client.body.size() < pauses * (exchange::kOneGo + exchange::kLargestAnswerPiece));
    }
    CHECK(step.done);
    CHECK(pauses == 2);
  }
  SECTION("it cannot") { CHECK(world.step().done); }
  CHECK(world.client.body.size() == kSize);
  CHECK(world.client.finished);
}

TEST_CASE("a tunnel does not look again where nothing was left", "[exchange]") {
  World world;
  world.client.request.upgrade = "websocket";
  world.client.stall_body();
  const auto script = world.connector.add({.reads = {bytes("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")}});
  REQUIRE(world.step().tunnel);
  script->reads = {bytes("down")};
  world.client.body_kinds.clear();
  world.client.add_body("up");
  const unsigned reads = script->all_reads;
  const unsigned tunnel_reads = world.client.tunnel_reads;
  CHECK(world.step().needs == (exchange::kUpstreamReadable | exchange::kClientReadable));
  CHECK(world.client.body == "down");
  CHECK(script->all_reads == reads + 1);
  CHECK(world.client.tunnel_reads == tunnel_reads + 1);
  world.client.stall_body();
  (void)world.step();  // the next time it does
  CHECK(script->all_reads == reads + 2);
  CHECK(world.client.tunnel_reads == tunnel_reads + 2);
}

TEST_CASE("a member that answers in time is waited for again", "[exchange]") {
  upstream::InlineWaits waits;
  for (unsigned i = 0; i < upstream::InlineWaits::kVain; ++i) waits.was_in_vain();
  unsigned probes = 0;
  for (unsigned i = 0; i < 4 * upstream::InlineWaits::kProbe; ++i) probes += waits.worth_it() ? 1 : 0;
  CHECK(probes == 4);
  waits.came_in_time();
  CHECK(waits.worth_it());
}

TEST_CASE("the answer may come in any pieces", "[exchange]") {
  const std::string answer = "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n5\r\ndefgh\r\n0\r\n\r\n";
  for (std::size_t piece = 1; piece <= answer.size(); ++piece) {
    World world;
    test::Script script;
    for (std::size_t at = 0; at < answer.size(); at += piece) script.reads.push_back(bytes(answer.substr(at, piece)));
    world.connector.add(script);
    world.run();
    CAPTURE(piece);
    CHECK(world.client.interims == std::vector<int>{103});
    CHECK(world.client.body == "abcdefgh");
    CHECK(world.client.finished);
    CHECK(world.members[0]->pool.idle() == 1);
  }
}

TEST_CASE("a head that cannot be written makes nobody wait for a moment that has passed", "[exchange]") {
  for (const bool broken : {false, true}) {
    CAPTURE(broken);
    World world;
    world.client.request.body = BodyKind::Length;
    world.client.request.length = 3;
    world.client.request.expects_continue = true;
    world.client.add_body("abc");
    test::Script script;
    script.writes = {test::bytes("xx"), broken ? test::fail(EPIPE) : test::would_block(), test::would_block(), test::would_block()};
    world.connector.add(script);
    for (unsigned turns = 0; turns < 3; ++turns) {
      const auto step = world.step();
      REQUIRE_FALSE(step.done);
      CHECK(step.deadline > world.clock.now());
      world.clock.advance(2s);  // longer than the wait for a 100
    }
  }
}

TEST_CASE("what was passed is flushed before waiting for more", "[exchange]") {
  World world;
  world.connector.add({.reads = {bytes("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nabc"), test::would_block(), test::would_block(), bytes("def")}});
  const auto step = world.step();
  CHECK_FALSE(step.done);
  CHECK(step.needs == exchange::kUpstreamReadable);
  CHECK(world.client.body == "abc");
  CHECK(world.client.flushes == 1);
  world.run();
  CHECK(world.client.body == "abcdef");
}

TEST_CASE("connections that are not provably clean are closed", "[exchange]") {
  const auto [name, answer] = GENERATE(table<std::string, std::string>({
      {"bytes behind the body", kOk + "HTTP/1.1 200 OK\r\n"},
      {"Connection: close", "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello"},
      {"HTTP/1.0", "HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello"},
      {"length and coding", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"},
      {"bytes behind an empty body", "HTTP/1.1 204 No Content\r\n\r\nX"},
  }));
  World world;
  const auto script = world.connector.add({.reads = {bytes(answer)}});
  world.run();
  CAPTURE(name);
  CHECK(world.client.finished);
  CHECK(world.members[0]->pool.idle() == 0);
  CHECK(world.members[0]->pool.in_use() == 0);
  CHECK(script->destroyed);
}

TEST_CASE("an answer that is replaced: its body is dropped, the connection kept if that was quick", "[exchange]") {
  struct Row {
    const char* name;
    std::vector<test::Action> reads;
    std::size_t kept;
  };
  const std::string sized = "HTTP/1.1 404 No\r\nContent-Length: 10\r\n\r\n";
  const std::string chunked = "HTTP/1.1 404 No\r\nTransfer-Encoding: chunked\r\n\r\n";
  const std::string large(exchange::kUsualHeadRead, 'x');
  const std::vector<Row> rows{
      {"with the head", {bytes(sized + "0123456789")}, 1},
      {"in pieces", {bytes(sized + "01"), test::would_block(), bytes("2345678"), bytes("9")}, 1},
      {"late", {bytes(sized + "01"), test::would_block(), test::would_block(), bytes("23456789")}, 0},  // ten seconds pass at each wait
      {"at once in pieces", {bytes(sized), bytes("01234"), bytes("56789")}, 1},
      {"no body", {bytes("HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n")}, 1},
      {"chunked", {bytes(chunked), bytes("5\r\nab"), bytes("cde\r\n0"), bytes("\r\n\r\n")}, 1},
      {"bytes behind it", {bytes(sized + "0123456789X")}, 0},
      {"broken chunk", {bytes(chunked + "zz\r\n")}, 0},
      {"cut off", {bytes(sized + "0123"), test::eof()}, 0},
      {"reset", {bytes(sized + "0123"), test::fail(ECONNRESET)}, 0},
      {"until the end of the connection", {bytes("HTTP/1.1 404 No\r\n\r\nabc"), test::eof()}, 0},
      {"too large", {bytes("HTTP/1.1 404 No\r\nContent-Length: 100000\r\n\r\n"), bytes(large), bytes(large), bytes(large), bytes(large), bytes("x"),
                     bytes(large), bytes(large)}, 0},
      {"told to close", {bytes("HTTP/1.1 404 No\r\nConnection: close\r\nContent-Length: 1\r\n\r\nx")}, 0},
  };
  for (const Row& row : rows) {
    CAPTURE(row.name);
    World world;
    world.client.replaced = true;
    world.connector.add({.reads = {row.reads.begin(), row.reads.end()}});
    world.run();
    CHECK(world.client.status == 404);
    CHECK(world.client.passes == 0);
    CHECK_FALSE(world.client.finished);
    CHECK_FALSE(world.client.was_cut);
    CHECK(world.client.reports.empty());
    CHECK_FALSE(world.exchange->failure());
    CHECK_FALSE(world.exchange->answer_started());
    CHECK(world.members[0]->pool.idle() == row.kept);
    CHECK(world.members[0]->pool.in_use() == 0);
  }
}

TEST_CASE("a body that ends with the connection", "[exchange]") {
  World world;
  world.connector.add({.reads = {bytes("HTTP/1.1 200 OK\r\n\r\nall of it"), test::eof()}});
  world.run();
  CHECK(world.client.body == "all of it");
  CHECK(world.client.finished);
  CHECK(world.members[0]->pool.idle() == 0);
}

TEST_CASE("HEAD has no body whatever it announces", "[exchange]") {
  World world;
  world.client.request.head_request = true;
  world.connector.add({.reads = {bytes("HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n")}});
  world.run();
  CHECK(world.client.finished);
  CHECK(world.members[0]->pool.idle() == 1);
}

TEST_CASE("a truncated answer is cut visibly", "[exchange]") {
  const auto [answer, rest, errc] = GENERATE(table<std::string, test::Action, ProxyErrc>({
      {"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhello", test::eof(), ProxyErrc::BodyTruncated},
      {"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhello", test::fail(ECONNRESET), ProxyErrc::BodyReset},
      {"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhello", test::would_block(), ProxyErrc::BodyTimeout},
      {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", test::eof(), ProxyErrc::BodyTruncated},
      {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello", bytes("XX"), ProxyErrc::BadChunk},
  }));
  World world;
  world.connector.add({.reads = {bytes(answer), rest}});
  world.run();
  CHECK(world.client.was_cut);
  CHECK_FALSE(world.client.finished);
  CHECK(world.client.body == "hello");
  CHECK(world.exchange->failure().code == errc);
  CHECK(world.exchange->answer_started());
  CHECK(world.members[0]->pool.idle() == 0);
  CHECK(world.client.reports.size() == 1);
}

TEST_CASE("a broken body that came with the head is an error page, not a cut answer", "[exchange]") {
  World world;
  world.connector.add({.reads = {bytes("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhelloXX")}});
  world.run();
  CHECK(world.client.passes == 0);
  CHECK_FALSE(world.client.was_cut);
  CHECK_FALSE(world.exchange->answer_started());
  CHECK(base::status_for(world.exchange->failure()) == 502);
  REQUIRE(world.client.reports.size() == 1);
  CHECK_FALSE(world.client.reports[0].answer_begun);
}

TEST_CASE("failures before the answer have their status", "[exchange]") {
  struct Row {
    std::string name;
    std::deque<test::Action> reads;
    ProxyErrc errc;
    int status;
  };
  const auto row = GENERATE(values<Row>({
      {"closed", {test::eof()}, ProxyErrc::ClosedBeforeHead, 502},
      {"reset", {test::fail(ECONNRESET)}, ProxyErrc::ResetBeforeHead, 502},
      {"half a head", {bytes("HTTP/1.1 200 OK\r\nA: b"), test::eof()}, ProxyErrc::HeadIncomplete, 502},
      {"garbage", {bytes("SSH-2.0-OpenSSH\r\n")}, ProxyErrc::BadStatusLine, 502},
      {"bad field", {bytes("HTTP/1.1 200 OK\r\nA b: c\r\n\r\n")}, ProxyErrc::BadField, 502},
      {"unasked 101", {bytes("HTTP/1.1 101 Switching Protocols\r\n\r\n")}, ProxyErrc::UnexpectedSwitch, 502},
      {"two lengths", {bytes("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n")}, ProxyErrc::BadFraming, 502},
      {"silence", {}, ProxyErrc::HeadTimeout, 504},
      {"half a head, then silence", {bytes("HTTP/1.1 200")}, ProxyErrc::HeadTimeout, 504},
  }));
  World world;
  world.connector.add({.reads = row.reads});
  world.run();
  CAPTURE(row.name);
  CHECK(world.exchange->failure().code == row.errc);
  CHECK(base::status_for(world.exchange->failure()) == row.status);
  CHECK_FALSE(world.exchange->answer_started());
  REQUIRE(world.client.reports.size() == 1);
  CHECK(world.client.reports[0].end == AttemptEnd::GaveUp);
  CHECK(world.members[0]->pool.in_use() == 0);
  CHECK(world.members[0]->pool.idle() == 0);
}

TEST_CASE("the read of the end of a body can tell that nothing follows", "[exchange]") {
  World world;
  const std::string body(3 * exchange::kBodyBuffer + 1000, 'x');
  const bool more = GENERATE(false, true);
  const auto script = world.connector.add({.reads = {bytes("HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n"),
                                                     bytes(body + (more ? "y" : ""))}});
  world.run();
  CHECK(world.client.body == body);
  CHECK(script->asked == std::vector<std::size_t>{exchange::kUsualHeadRead, exchange::kBodyBuffer, 2 * exchange::kBodyBuffer, 1001});
  CHECK(world.members[0]->pool.idle() == (more ? 0 : 1));
}

TEST_CASE("bodies are moved in pieces as large as was asked for", "[exchange]") {
  World world;
  world.group.members[0].io_buffer_size = 512;
  const std::string body(exchange::kHeadRead + 600, 'x');
  const std::string head = "HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n";
  const auto script = world.connector.add({.reads = {bytes(head + body)}});
  world.run();
  CHECK(world.client.body == body);
  CHECK(script->asked == std::vector<std::size_t>{exchange::kHeadRead, 512, 600 + head.size() - 512 + 1});
}

TEST_CASE("where answers are large and the client has room one read takes more of them", "[exchange]") {
  struct Row {
    std::size_t body;
    bool were_large, room;
    std::size_t asked;
  };
  const Row row = GENERATE(Row{100'000, true, true, exchange::kHeadBuffer}, Row{100'000, true, false, exchange::kUsualHeadRead},
                           Row{100'000, false, true, exchange::kUsualHeadRead}, Row{1000, true, true, exchange::kHeadBuffer});
  World world;
  world.client.room = row.room;
  world.members[0]->answers_are_large = row.were_large;
  const std::string body(row.body, 'x');
  const auto script = world.connector.add({.reads = {bytes("HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body)}});
  world.run();
  CHECK(world.client.body == body);
  CHECK(script->asked.at(0) == row.asked);
  CHECK(world.members[0]->answers_are_large == (row.body > exchange::kUsualHeadRead));
}

TEST_CASE("a part of a head waits without a thread", "[exchange]") {
  const std::size_t size = GENERATE(20u, 3000u, 10000u, 60000u);
  CAPTURE(size);
  World world;
  world.group.members[0].response_field_size = 100'000;
  const std::string head = "HTTP/1.1 200 OK\r\nX-Long: " + std::string(size, 'l') + "\r\nContent-Length: 40\r\n\r\n";
  const auto script = world.connector.add({.reads = {bytes(head.substr(0, size))}});
  for (std::size_t at = size; at < head.size(); at += 9) {
    REQUIRE_FALSE(world.step().done);
    world.exchange->about_to_wait();
    script->reads = {bytes(head.substr(at, 9))};
  }
  REQUIRE_FALSE(world.step().done);
  world.exchange->about_to_wait();
  script->reads = {bytes(std::string(40, 'b'))};
  world.run();
  CHECK(world.client.status == 200);
  CHECK(world.client.body == std::string(40, 'b'));
  CHECK(world.members[0]->pool.idle() == 1);
}

TEST_CASE("an answer moves in larger pieces while its backend keeps up", "[exchange]") {
  constexpr std::size_t kPiece = exchange::kBodyBuffer;
  World world;
  const auto script = world.connector.add({.reads = {bytes("HTTP/1.1 200 OK\r\n\r\n"), bytes(std::string(11 * kPiece, 'x')), bytes("short"),
                                                     bytes(std::string(kPiece, 'x')), test::eof()}});
  world.run();
  CHECK(world.client.body.size() == 12 * kPiece + 5);
  CHECK(script->asked == std::vector<std::size_t>{exchange::kUsualHeadRead, kPiece, 2 * kPiece, 2 * kPiece, 2 * kPiece, 2 * kPiece, 2 * kPiece, 2 * kPiece, kPiece, 2 * kPiece});
}

TEST_CASE("an upload moves in larger pieces while nobody is waited for", "[exchange]") {
  constexpr std::size_t kFirst = exchange::kPrefetch;
  constexpr std::size_t kPiece = exchange::kBodyBuffer;
  World world;
  world.client.request.body = exchange::BodyKind::Chunked;
  world.client.add_body(std::string(kFirst, 'x'));
  const auto script = world.connector.add({});
  std::vector<std::size_t> asked;  // the last one finds the end
  SECTION("both are quick") {
    world.client.add_body(std::string(11 * kPiece, 'x'));
    asked = {kFirst, kPiece, 2 * kPiece, 4 * kPiece, 4 * kPiece, 4 * kPiece};
  }
  SECTION("the client sends less") {
    for (int i = 0; i < 3; ++i) world.client.add_body(std::string(kPiece - 1, 'x'));
    asked = {kFirst, kPiece, kPiece, kPiece, kPiece};
  }
  SECTION("the client is waited for") {
    world.client.add_body(std::string(3 * kPiece, 'x'));
    world.client.stall_body();
    world.client.add_body(std::string(2 * kPiece, 'x'));
    asked = {kFirst, kPiece, 2 * kPiece, 4 * kPiece, kPiece, 2 * kPiece, 2 * kPiece};
  }
  SECTION("the backend is waited for") {
    world.client.add_body(std::string(5 * kPiece, 'x'));
    const test::Action takes_all = bytes(std::string(4 * kPiece, ' '));
    script->writes = {takes_all, takes_all, test::would_block()};
    asked = {kFirst, kPiece, 2 * kPiece, kPiece, 2 * kPiece, 2 * kPiece};
  }
  SECTION("it was said how much") {
    world.group.members[0].io_buffer_size = 8000;
    world.client.add_body(std::string(16000, 'x'));
    asked = {kFirst, 8000, 8000, 8000};
  }
  world.client.end_body();
  for (int i = 0; i < 3; ++i) REQUIRE_FALSE(world.step().done);
  CHECK(world.client.asked == asked);
  script->reads = {bytes(kOk)};
  world.run();
  CHECK(world.client.finished);
}

TEST_CASE("too many interim responses", "[exchange]") {
  World world;
  test::Script script;
  for (int i = 0; i < 11; ++i) script.reads.push_back(bytes("HTTP/1.1 102 Processing\r\n\r\n"));
  script.reads.push_back(bytes(kOk));
  world.connector.add(script);
  world.run();
  CHECK(world.exchange->failure().code == ProxyErrc::TooManyInterim);
}

TEST_CASE("an exchange that waits without a thread while it drops a body keeps its connection as well", "[exchange]") {
  World world;
  world.client.replaced = true;
  const auto script = world.connector.add({.reads = {bytes("HTTP/1.1 404 Not Found\r\nContent-Length: 5\r\n\r\n"), test::would_block()}});
  REQUIRE_FALSE(world.step().done);
  world.exchange->about_to_wait();
  script->reads = {bytes("hello")};
  REQUIRE(world.step().done);
  CHECK(world.members[0]->pool.idle() == 1);
  CHECK_FALSE(script->destroyed);
}

TEST_CASE("a stale kept connection is replaced without notice", "[exchange]") {
  const auto action = GENERATE(values<test::Action>({test::eof(), test::fail(ECONNRESET)}));
  World world;
  world.keep_one({.reads = {action}});
  const auto fresh = world.connector.add({.reads = {bytes(kOk)}});
  world.run();
  CHECK(world.client.status == 200);
  CHECK(world.client.finished);
  REQUIRE(world.client.reports.size() == 1);
  CHECK(world.client.reports[0].end == AttemptEnd::Replay);
  CHECK(world.client.reports[0].reused);
  CHECK(fresh->received == "REQ a\r\n\r\n");
}

TEST_CASE("a replay happens once", "[exchange]") {
  World world;
  world.keep_one({.reads = {test::eof()}});
  world.connector.add({.reads = {test::eof()}});
  world.run();
  CHECK(world.exchange->failure().code == ProxyErrc::ClosedBeforeHead);
  CHECK(world.connector.connects == 1);
  CHECK(world.client.reports.size() == 2);
}

TEST_CASE("a request that may not be repeated is never sent twice", "[exchange]") {
  World world(2, true);
  world.client.request.idempotent = false;
  const auto first = world.keep_one({.reads = {test::eof()}});
  world.connector.add({.reads = {bytes(kOk)}});
  world.run();
  CHECK(first->received == "REQ a\r\n\r\n");
  CHECK(world.connector.connects == 0);
  CHECK(world.exchange->failure().code == ProxyErrc::ClosedBeforeHead);
}

TEST_CASE("a POST is not sent into a connection that is closed already", "[exchange]") {
  World world;
  world.client.request.idempotent = false;
  const auto stale = world.keep_one({.closed_by_peer = true});
  world.connector.add({.reads = {bytes(kOk)}});
  world.run();
  CHECK(stale->received.empty());
  CHECK(world.client.status == 200);
}

TEST_CASE("a POST of which nothing was sent may go elsewhere", "[exchange]") {
  World world;
  world.client.request.idempotent = false;
  world.client.request.body = BodyKind::Length;
  world.client.request.length = 4;
  world.client.add_body("body");
  world.keep_one({.reads = {test::fail(ECONNRESET)}, .writes = {test::fail(EPIPE)}});
  const auto fresh = world.connector.add({.reads = {bytes(kOk)}});
  world.run();
  CHECK(world.client.status == 200);
  CHECK(fresh->received == "REQ a CL=4\r\n\r\nbody");
}

TEST_CASE("a refused connection tries the next member, POST too", "[exchange]") {
  World world(2, true);
  world.client.request.idempotent = false;
  world.client.request.body = BodyKind::Length;
  world.client.request.length = 4;
  world.client.add_body("body");
  world.connector.add_refusal();
  const auto second = world.connector.add({.reads = {bytes(kOk)}});
  world.run();
  CHECK(world.client.status == 200);
  CHECK(world.client.chosen == std::vector<std::string>{"a", "b"});
  CHECK(second->received == "REQ b CL=4\r\n\r\nbody");
  REQUIRE(world.client.reports.size() == 1);
  CHECK(world.client.reports[0].end == AttemptEnd::NextMember);
  CHECK(world.client.reports[0].rested == balancer::RestReason::Failed);
  CHECK(world.picker->is_failed(0));
}

TEST_CASE("all members refuse", "[exchange]") {
  World world(3, true);
  for (int i = 0; i < 3; ++i) world.connector.add_refusal();
  world.run();
  CHECK(world.connector.connects == 3);
  CHECK(base::status_for(world.exchange->failure()) == 503);
  CHECK(world.client.chosen == std::vector<std::string>{"a", "b", "c"});
  CHECK(world.client.reports.back().end == AttemptEnd::GaveUp);
}

TEST_CASE("a member that accepts and closes is marked and invisible to a GET", "[exchange]") {
  World world(2, true);
  world.connector.add({.reads = {test::eof()}});
  world.connector.add({.reads = {bytes(kOk)}});
  world.run();
  CHECK(world.client.status == 200);
  CHECK(world.picker->is_failed(0));
}

TEST_CASE("a slow answer moves a GET on but does not blame the member", "[exchange]") {
  World world(2, true);
  world.connector.add({});
  world.connector.add({.reads = {bytes(kOk)}});
  world.run();
  CHECK(world.client.status == 200);
  CHECK_FALSE(world.picker->is_failed(0));
}

TEST_CASE("a malformed answer is not asked for again", "[exchange]") {
  World world(2, true);
  world.connector.add({.reads = {bytes("garbage\r\n\r\n")}});
  world.run();
  CHECK(world.connector.connects == 1);
  CHECK(base::status_for(world.exchange->failure()) == 502);
}

TEST_CASE("every address of a host is tried", "[exchange]") {
  World world;
  world.resolver.addresses = 3;
  world.connector.add_refusal();
  world.connector.add({.connects = {test::would_block(), test::fail(EHOSTUNREACH)}});
  world.connector.add({.reads = {bytes(kOk)}, .connects = {test::would_block()}});
  world.run();
  CHECK(world.client.status == 200);
  CHECK(world.connector.connects == 3);
}

TEST_CASE("no connection within the connect timeout", "[exchange]") {
  World world;
  test::Script never;
  for (int i = 0; i < 100; ++i) never.connects.push_back(test::would_block());
  world.connector.add(never);
  world.group.members[0].connect_timeout = 2s;
  const auto step = world.step();
  CHECK(step.needs == exchange::kUpstreamWritable);
  CHECK(step.deadline == world.clock.now() + 2s);
  world.run();
  CHECK(world.exchange->failure().code == ProxyErrc::ConnectTimeout);
}

TEST_CASE("a name that does not resolve", "[exchange]") {
  World world;
  world.resolver.broken = true;
  world.run();
  CHECK(world.exchange->failure().code == ProxyErrc::NameNotResolved);
  CHECK(base::status_for(world.exchange->failure()) == 502);
}

// ---------------------------------------------------------------- request bodies

TEST_CASE("a short chunked body is sent with its length", "[exchange]") {
  World world;
  world.client.request.body = BodyKind::Chunked;
  world.client.add_body("abc");
  world.client.add_body("def");
  world.client.end_body();
  const auto script = world.connector.add({.reads = {bytes(kOk)}});
  world.run();
  CHECK(script->received == "REQ a CL=6\r\n\r\nabcdef");
}

TEST_CASE("a long chunked body stays chunked", "[exchange]") {
  World world;
  world.client.request.body = BodyKind::Chunked;
  world.client.add_body(std::string(20000, 'x'));
  world.client.end_body();
  const auto script = world.connector.add({.reads = {test::would_block(), test::would_block(), test::would_block(), bytes(kOk)}});
  world.run();
  CHECK(script->received == "REQ a CHUNKED\r\n\r\n4000\r\n" + std::string(16384, 'x') + "\r\ne20\r\n" + std::string(3616, 'x') + "\r\n0\r\n\r\n");
  CHECK(world.members[0]->pool.idle() == 1);
}

TEST_CASE("writes may be cut anywhere", "[exchange]") {
  World world;
  world.client.request.body = BodyKind::Length;
  world.client.request.length = 20000;
  world.client.add_body(std::string(20000, 'x'));
  test::Script script{.reads = {}};
  for (int i = 0; i < 3000; ++i) {
    script.writes.push_back(bytes(std::string(7, '.')));
    if (i % 10 == 0) script.writes.push_back(test::would_block());
    if (i % 10 == 0) script.reads.push_back(test::would_block());
  }
  for (int i = 0; i < 3000; ++i) script.reads.push_back(test::would_block());
  script.reads.push_back(bytes(kOk));
  const auto played = world.connector.add(script);
  for (unsigned turns = 0; turns < 100000 && !world.step().done; ++turns) world.clock.advance(1ms);
  CHECK(world.client.status == 200);
  CHECK(played->received == "REQ a CL=20000\r\n\r\n" + std::string(20000, 'x'));
}

TEST_CASE("a body shorter or longer than its length never completes at the backend", "[exchange]") {
  const std::size_t sent = GENERATE(3u, 19999u, 20001u);
  World world;
  world.client.request.body = BodyKind::Length;
  world.client.request.length = sent == 3 ? 4 : 20000;
  world.client.add_body(std::string(sent, 'x'));
  world.client.end_body();
  const auto script = world.connector.add({.reads = {test::would_block(), test::would_block(), test::would_block(), bytes(kOk)}});
  world.run();
  CHECK(world.exchange->failure().code == ProxyErrc::ClientBodyIncomplete);
  CHECK(script->received.size() < 20000 + std::string("REQ a CL=20000\r\n\r\n").size());
  CHECK(world.members[0]->pool.idle() == 0);
}

TEST_CASE("a body that breaks closes the backend connection", "[exchange]") {
  World world;
  world.client.request.body = BodyKind::Chunked;
  world.client.add_body(std::string(20000, 'x'));
  world.client.break_body();
  const auto script = world.connector.add({.reads = {test::would_block()}});
  world.run();
  CHECK(world.exchange->failure().code == ProxyErrc::ClientBodyIncomplete);
  CHECK(script->destroyed);
  CHECK(script->received.find("0\r\n\r\n") == std::string::npos);
}

TEST_CASE("an early answer is relayed during the upload", "[exchange]") {
  World world;
  world.client.request.body = BodyKind::Length;
  world.client.request.length = 1000000;
  world.client.add_body(std::string(200000, 'x'));
  for (int i = 0; i < 8; ++i) world.client.stall_body();
  const auto script = world.connector.add({.reads = {test::would_block(), bytes("HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\n\r\nbig")}});
  world.run();
  CHECK(world.client.status == 413);
  CHECK(world.client.body == "big");
  CHECK_FALSE(world.client.request_taken);
  CHECK(world.members[0]->pool.idle() == 0);
}

TEST_CASE("an answer that came before the backend closed is found", "[exchange]") {
  World world;
  world.client.request.idempotent = false;
  world.client.request.body = BodyKind::Length;
  world.client.request.length = 1000000;
  world.client.add_body(std::string(200000, 'x'));
  world.connector.add({.reads = {test::would_block(), bytes("HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n")},
                       .writes = {bytes(std::string(1000, '.')), test::fail(EPIPE)}});
  world.run();
  CHECK(world.client.status == 413);
}

TEST_CASE("a backend that closes while it is written to", "[exchange]") {
  World world;
  world.client.request.idempotent = false;
  world.client.request.body = BodyKind::Length;
  world.client.request.length = 200000;
  world.client.add_body(std::string(200000, 'x'));
  world.connector.add({.reads = {test::would_block(), test::eof()}, .writes = {bytes(std::string(1000, '.')), test::fail(EPIPE)}});
  world.run();
  CHECK(world.exchange->failure().code == ProxyErrc::SendFailed);
  CHECK(base::status_for(world.exchange->failure()) == 502);
}

TEST_CASE("the first answer after a time of failures clears them", "[exchange]") {
  World world(2, true);
  (void)world.picker->failed(0, world.clock.now());
  (void)world.picker->failed(1, world.clock.now());
  world.connector.add({.reads = {bytes(kOk)}});
  world.run();
  CHECK(world.client.status == 200);
  CHECK(world.client.recoveries == 1);
  CHECK_FALSE(world.picker->is_failed(0));
  CHECK_FALSE(world.picker->is_failed(1));
}

TEST_CASE("a backend that dies between head and body is replaced", "[exchange]") {
  World world(2, true);
  world.connector.add({.reads = {bytes("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"), test::eof()}});
  world.connector.add({.reads = {bytes(kOk)}});
  world.run();
  CHECK(world.client.status == 200);
  CHECK(world.client.body == "hello");
  CHECK(world.client.finished);
  CHECK_FALSE(world.client.was_cut);
}

TEST_CASE("a head alone reaches the client after a short wait", "[exchange]") {
  World world;
  world.connector.add({.reads = {bytes("HTTP/1.1 200 OK\r\n\r\n"), test::would_block(), test::would_block(), test::would_block()}});
  const auto step = world.step();
  CHECK(step.deadline == world.clock.now() + exchange::kHeadHold);
  CHECK(world.client.passes == 0);
  world.clock.advance(exchange::kHeadHold);
  CHECK_FALSE(world.step().done);
  CHECK(world.client.flushes == 1);
}

TEST_CASE("100 Continue is the backend's to give", "[exchange]") {
  World world;
  world.client.request.idempotent = false;
  world.client.request.body = BodyKind::Length;
  world.client.request.length = 4;
  world.client.request.expects_continue = true;
  world.client.add_body("body");
  SECTION("given") {
    const auto script = world.connector.add({.reads = {bytes("HTTP/1.1 100 Continue\r\n\r\n"), test::would_block(), bytes(kOk)}});
    (void)world.step();
    world.run();
    CHECK(world.client.interims == std::vector<int>{100});
    CHECK(script->received == "REQ a CL=4 EXPECT\r\n\r\nbody");
    CHECK(world.members[0]->pool.idle() == 1);
  }
  SECTION("refused: the body is not sent and the connection not kept") {
    const auto script = world.connector.add({.reads = {bytes("HTTP/1.1 417 No\r\nContent-Length: 0\r\n\r\n")}});
    world.run();
    CHECK(world.client.status == 417);
    CHECK(script->received == "REQ a CL=4 EXPECT\r\n\r\n");
    CHECK(world.members[0]->pool.idle() == 0);
    CHECK_FALSE(world.client.request_taken);
  }
  SECTION("silence: the body is sent after a while") {
    const auto script = world.connector.add({.reads = {test::would_block(), test::would_block(), test::would_block(), test::would_block(), bytes(kOk)}});
    const auto step = world.step();
    CHECK(step.deadline == world.clock.now() + exchange::kContinueWait);
    CHECK(script->received == "REQ a CL=4 EXPECT\r\n\r\n");
    world.run();
    CHECK(script->received == "REQ a CL=4 EXPECT\r\n\r\nbody");
    CHECK(world.client.status == 200);
  }
}

TEST_CASE("ping: a request with a body asks first, whoever sends it", "[exchange]") {
  World world(2, true);
  world.group.members[0].ping = 300ms;
  world.client.request.idempotent = false;
  world.client.request.body = BodyKind::Length;
  world.client.request.length = 4;
  world.client.add_body("body");
  const test::Script silent;
  SECTION("a 100 lets the body go, and is not the client's") {
    const auto script = world.connector.add({.reads = {bytes("HTTP/1.1 100 Continue\r\n\r\n"), test::would_block(), bytes(kOk)}});
    world.run();
    CHECK(world.client.interims.empty());
    CHECK(script->received == "REQ a CL=4 EXPECT\r\n\r\nbody");
    CHECK(world.members[0]->pool.idle() == 1);
  }
  SECTION("silence: the next member gets the request, whatever `replay` says") {
    world.group.members[0].replay = GENERATE(config::Replay::On, config::Replay::Safe, config::Replay::Off);
    const auto first = world.connector.add(silent);
    const auto next = world.connector.add({.reads = {test::would_block(), bytes(kOk)}});
    const auto step = world.step();
    CHECK(step.deadline == world.clock.now() + 300ms);
    world.run();
    CHECK(first->received == "REQ a CL=4 EXPECT\r\n\r\n");
    CHECK(next->received == "REQ b CL=4\r\n\r\nbody");
    CHECK(world.client.status == 200);
    REQUIRE(world.client.reports.size() == 1);
    CHECK(world.client.reports[0].error.code == ProxyErrc::ContinueTimeout);
    CHECK(world.client.reports[0].rested == balancer::RestReason::Failed);
    CHECK(world.client.reports[0].limit == 300ms);
  }
  SECTION("silence of the last one is 503") {
    world.group.members[1].ping = 200ms;
    world.connector.add(silent);
    world.connector.add(silent);
    world.run();
    CHECK(world.exchange->failure().code == ProxyErrc::ContinueTimeout);
    CHECK(base::status_for(world.exchange->failure()) == 503);
  }
  SECTION("the next member's connection is waited for in peace") {
    world.connector.add(silent);
    world.connector.add({.reads = {bytes(kOk)}, .connects = {test::would_block(), test::would_block()}});
    (void)world.step();
    world.clock.advance(300ms);
    const auto step = world.step();
    CHECK(step.needs == exchange::kUpstreamWritable);
    CHECK(step.deadline > world.clock.now());
  }
  SECTION("a final answer instead: the body stays here") {
    const auto script = world.connector.add({.reads = {bytes("HTTP/1.1 413 No\r\nContent-Length: 0\r\n\r\n")}});
    world.run();
    CHECK(world.client.status == 413);
    CHECK(script->received == "REQ a CL=4 EXPECT\r\n\r\n");
    CHECK(world.members[0]->pool.idle() == 0);
  }
  SECTION("its answer may come in pieces although it takes nothing any more, and no thread waits for it") {
    const auto script = world.connector.add({.reads = {test::would_block()}, .writes = {test::fail(EPIPE)}});
    for (const char* piece : {"HTTP/1.1 4", "13 No\r\nContent-Le", "ngth: 0\r\n\r\n"}) {
      CHECK(world.step().needs == exchange::kUpstreamReadable);
      world.exchange->about_to_wait();
      script->reads = {bytes(piece)};
    }
    world.run();
    CHECK(world.client.status == 413);
    CHECK(world.members[0]->pool.idle() == 0);
  }
  SECTION("a connection that ends before the 100 got no request") {
    world.connector.add({.reads = {test::eof()}});
    const auto next = world.connector.add({.reads = {test::would_block(), bytes(kOk)}});
    world.run();
    CHECK(next->received == "REQ b CL=4\r\n\r\nbody");
  }
  SECTION("after the 100 it has got one") {
    world.connector.add({.reads = {bytes("HTTP/1.1 100 Continue\r\n\r\n"), test::would_block(), test::eof()}});
    world.run();
    CHECK(world.exchange->failure().code == ProxyErrc::ClosedBeforeHead);
    CHECK(world.client.reports.size() == 1);
  }
}

TEST_CASE("ping asks nothing where there is no body", "[exchange]") {
  World world;
  world.group.members[0].ping = 300ms;
  SECTION("none") {}
  SECTION("an empty one") {
    world.client.request.body = BodyKind::Length;
  }
  const auto script = world.connector.add({.reads = {bytes(kOk)}});
  world.run();
  CHECK(script->received.find("EXPECT") == std::string::npos);
  CHECK(world.client.status == 200);
}

TEST_CASE("a PUT is replayed with its body, a long one is not", "[exchange]") {
  const std::size_t size = GENERATE(100u, 60000u, 70000u);
  World world;
  world.client.request.body = BodyKind::Length;
  world.client.request.length = size;
  world.client.add_body(std::string(size, 'x'));
  world.keep_one({.reads = {test::would_block(), test::would_block(), test::eof()}});
  const auto fresh = world.connector.add({.reads = {test::would_block(), bytes(kOk)}});
  world.run();
  CAPTURE(size);
  if (size <= config::MemberSpec().replay_body) {
    CHECK(world.client.status == 200);
    CHECK(fresh->received == "REQ a CL=" + std::to_string(size) + "\r\n\r\n" + std::string(size, 'x'));
  } else {
    CHECK(world.exchange->failure().code == ProxyErrc::ClosedBeforeHead);
    CHECK(fresh->received.empty());
  }
}

// ---------------------------------------------------------------- switches

TEST_CASE("replay decides what is sent again", "[exchange]") {
  struct Row {
    config::Replay replay;
    bool idempotent;
    bool safe;
    bool again;
  };
  const auto row = GENERATE(values<Row>({
      {config::Replay::On, true, true, true},
      {config::Replay::On, true, false, true},
      {config::Replay::On, false, false, false},
      {config::Replay::Safe, true, true, true},
      {config::Replay::Safe, true, false, false},
      {config::Replay::Off, true, true, false},
  }));
  World world;
  world.group.members[0].replay = row.replay;
  world.client.request.idempotent = row.idempotent;
  world.client.request.safe = row.safe;
  world.keep_one({.reads = {test::eof()}});
  world.connector.add({.reads = {bytes(kOk)}});
  world.run();
  CHECK(world.client.finished == row.again);
  CHECK(world.connector.connects == (row.again ? 1u : 0u));
}

TEST_CASE("replay=off still leaves a refused member", "[exchange]") {
  World world(2, true);
  for (auto& member : world.group.members) member.replay = config::Replay::Off;
  world.connector.add_refusal();
  world.connector.add({.reads = {bytes(kOk)}});
  world.run();
  CHECK(world.client.status == 200);
}

TEST_CASE("the total timeout ends what still moves", "[exchange]") {
  World world;
  world.group.members[0].total_timeout = 3s;
  SECTION("before the answer") {
    world.connector.add({});
    const auto step = world.step();
    CHECK(step.deadline == world.clock.now() + 3s);
    world.run();
    CHECK(world.exchange->failure().code == ProxyErrc::TotalTimeout);
    CHECK(base::status_for(world.exchange->failure()) == 504);
  }
  SECTION("inside the answer") {
    test::Script dribble{.reads = {bytes("HTTP/1.1 200 OK\r\n\r\n")}};
    for (int i = 0; i < 1000; ++i) {
      dribble.reads.push_back(bytes("x"));
      dribble.reads.push_back(test::would_block());
      dribble.reads.push_back(test::would_block());
    }
    world.connector.add(dribble);
    for (unsigned turns = 0; turns < 2000 && !world.step().done; ++turns) world.clock.advance(100ms);
    CHECK(world.exchange->failure().code == ProxyErrc::TotalTimeout);
    CHECK(world.client.was_cut);
  }
}

TEST_CASE("a request without keep-alive uses no kept connection and leaves none", "[exchange]") {
  World world;
  world.client.request.keep_alive = false;
  const auto kept = world.keep_one({.reads = {bytes(kOk)}});
  world.connector.add({.reads = {bytes(kOk)}});
  world.run();
  CHECK(world.client.status == 200);
  CHECK(kept->received.empty());
  CHECK(world.members[0]->pool.idle() == 1);  // the one that was there
}

TEST_CASE("interim responses can be suppressed", "[exchange]") {
  World world;
  world.client.request.suppress_interim = true;
  world.connector.add({.reads = {bytes("HTTP/1.1 103 Early Hints\r\n\r\n" + kOk)}});
  world.run();
  CHECK(world.client.interims.empty());
  CHECK(world.client.finished);
}

TEST_CASE("the field limit is the member's", "[exchange]") {
  World world;
  world.group.members[0].response_field_size = 100;
  world.connector.add({.reads = {bytes("HTTP/1.1 200 OK\r\nX: " + std::string(200, 'x') + "\r\n\r\n")}});
  world.run();
  CHECK(world.exchange->failure().code == ProxyErrc::FieldTooLarge);
}

TEST_CASE("the client goes away", "[exchange]") {
  World world;
  SECTION("while waiting for the head") {
    const auto script = world.connector.add({});
    CHECK_FALSE(world.step().done);
    world.exchange->client_gone();
    CHECK(world.step().done);
    CHECK(script->destroyed);
    CHECK(world.exchange->failure().code == ProxyErrc::ClientGone);
  }
  SECTION("inside the answer") {
    world.client.gone = true;
    const auto script = world.connector.add({.reads = {bytes("HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhello")}});
    world.run();
    CHECK(script->destroyed);
    CHECK(world.exchange->failure().code == ProxyErrc::ClientGone);
  }
}

// ---------------------------------------------------------------- what one attempt leaves to the next

TEST_CASE("a member that died behind its head does not make the next one's refusal final", "[exchange]") {
  World world(3, true);
  world.connector.add({.reads = {bytes("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"), test::eof()}});
  world.connector.add_refusal();
  world.connector.add({.reads = {bytes(kOk)}});
  world.run();
  CHECK(world.client.status == 200);
  CHECK(world.client.chosen.size() == 3);
  REQUIRE(world.client.reports.size() == 2);
  CHECK(world.client.reports[1].error.phase == base::Phase::Connect);
}

TEST_CASE("when no other member is usable the last line says what was answered", "[exchange]") {
  World world(2, true);
  world.slots[1].status.store(config::bit(config::StatusFlag::Disabled));
  world.connector.add({.reads = {test::eof()}});
  world.run();
  REQUIRE(world.client.reports.size() == 1);
  CHECK(world.client.reports[0].end == AttemptEnd::GaveUp);
  CHECK(base::status_for(world.exchange->failure()) == 502);
}

TEST_CASE("what this machine ran out of does not blame the member", "[exchange]") {
  const auto [os_error, blamed] = GENERATE(table<int, bool>({{EMFILE, false}, {ENOBUFS, false}, {EADDRNOTAVAIL, false}, {EHOSTUNREACH, true}, {EACCES, true}}));
  World world(2, true);
  world.connector.add({.connects = {test::fail(os_error)}});
  world.connector.add({.reads = {bytes(kOk)}});
  world.run();
  CAPTURE(os_error);
  CHECK(world.client.status == 200);
  CHECK(world.picker->is_failed(0) == blamed);
}

// ---------------------------------------------------------------- bodies that are sent again

TEST_CASE("replaybody is how much of a body may have been sent before a replay", "[exchange]") {
  struct Row {
    std::size_t limit;
    std::size_t size;
    BodyKind kind;
    bool again;
  };
  const auto row = GENERATE(values<Row>({
      {0, 0, BodyKind::Length, true},
      {0, 10, BodyKind::Length, false},
      {10, 10, BodyKind::Length, true},
      {10, 10, BodyKind::Chunked, true},
      {10, 11, BodyKind::Length, false},
      {10, 11, BodyKind::Chunked, false},
      {30'000, 30'000, BodyKind::Length, true},
      {30'000, 30'000, BodyKind::Chunked, true},
      {30'000, 30'001, BodyKind::Length, false},
      {30'000, 30'001, BodyKind::Chunked, false},
      {200'000, 150'000, BodyKind::Length, true},
      {200'000, 150'000, BodyKind::Chunked, true},
  }));
  World world;
  world.group.members[0].replay_body = row.limit;
  world.client.request.body = row.kind;
  world.client.request.length = row.kind == BodyKind::Length ? row.size : 0;
  if (row.size > 0) world.client.add_body(std::string(row.size, 'x'));
  world.client.end_body();
  test::Script dies{.reads = {}};
  for (int i = 0; i < 5; ++i) dies.reads.push_back(test::would_block());
  dies.reads.push_back(test::eof());
  world.keep_one(dies);
  const auto fresh = world.connector.add({.reads = {test::would_block(), test::would_block(), test::would_block(), test::would_block(), test::would_block(), test::would_block(), bytes(kOk)}});
  world.run();
  CAPTURE(row.limit, row.size, static_cast<int>(row.kind));
  CHECK((world.client.status == 200) == row.again);
  CHECK(world.connector.connects == (row.again ? 1u : 0u));
  if (row.again && row.kind == BodyKind::Length) CHECK(fresh->received == "REQ a CL=" + std::to_string(row.size) + "\r\n\r\n" + std::string(row.size, 'x'));
}

TEST_CASE("replaybody=0 still lets a refused POST go elsewhere", "[exchange]") {
  World world(2, true);
  for (auto& member : world.group.members) member.replay_body = 0;
  world.client.request.idempotent = false;
  world.client.request.body = BodyKind::Length;
  world.client.request.length = 4;
  world.client.add_body("body");
  world.connector.add_refusal();
  world.connector.add({.reads = {bytes(kOk)}});
  world.run();
  CHECK(world.client.status == 200);
}

TEST_CASE("a length that is certain ends the body by itself", "[exchange]") {
  World world;
  world.client.request.body = BodyKind::Length;
  world.client.request.length = 20'000;
  world.client.add_body(std::string(20'000, 'x'));
  world.client.stall_body();  // an end that comes late
  world.connector.add({.reads = {test::would_block(), bytes(kOk)}});
  world.run();
  CHECK(world.client.request_taken);
  CHECK(world.members[0]->pool.idle() == 1);
}

// ---------------------------------------------------------------- deadlines

TEST_CASE("a head that cannot be sent does not make the wait for a 100 spin", "[exchange]") {
  World world;
  world.client.request.body = BodyKind::Length;
  world.client.request.length = 4;
  world.client.request.expects_continue = true;
  world.client.add_body("body");
  test::Script stalled{};
  for (int i = 0; i < 100; ++i) stalled.writes.push_back(test::would_block());
  world.connector.add(stalled);
  for (unsigned turns = 0; turns < 10; ++turns) {
    const auto step = world.step();
    if (step.done) break;
    CHECK(step.deadline > world.clock.now());
    world.clock.advance(std::chrono::duration_cast<base::Duration>(step.deadline - world.clock.now()));
  }
  CHECK(world.exchange->failure().code == ProxyErrc::SendTimeout);
}

TEST_CASE("the total timeout counts from the first byte of a slow request body on", "[exchange]") {
  const bool all_members = GENERATE(true, false);
  World world(2, true);
  world.group.members[0].total_timeout = 3s;
  if (all_members) world.group.members[1].total_timeout = 5s;
  world.client.request.body = BodyKind::Length;
  world.client.request.length = 4;
  for (int i = 0; i < 100; ++i) world.client.stall_body();
  const auto step = world.step();
  CHECK(step.deadline == world.clock.now() + (all_members ? 5s : 60s));
  world.run();
  CHECK(world.exchange->failure().code == (all_members ? ProxyErrc::TotalTimeout : ProxyErrc::ClientBodyTimeout));
  CHECK(world.client.reports.size() == 1);
  CHECK(world.client.chosen.empty());
}

TEST_CASE("the total timeout tells the phase it was in", "[exchange]") {
  World world;
  world.group.members[0].total_timeout = 3s;
  test::Script script{};
  base::Phase phase = base::Phase::Head;
  SECTION("connect") {
    for (int i = 0; i < 9; ++i) script.connects.push_back(test::would_block());
    phase = base::Phase::Connect;
  }
  SECTION("send") {
    for (int i = 0; i < 9; ++i) script.writes.push_back(test::would_block());
    phase = base::Phase::Send;
  }
  SECTION("head") {}
  world.connector.add(script);
  world.run();
  REQUIRE(world.client.reports.size() == 1);
  CHECK(world.client.reports[0].error.code == ProxyErrc::TotalTimeout);
  CHECK(world.client.reports[0].error.phase == phase);
  CHECK(world.client.reports[0].limit == 3s);
}

TEST_CASE("a client that goes away during its upload is told of once, without a member", "[exchange]") {
  World world;
  world.client.request.body = BodyKind::Length;
  world.client.request.length = 4;
  world.client.stall_body();
  CHECK_FALSE(world.step().done);
  world.exchange->client_gone();
  CHECK(world.step().done);
  REQUIRE(world.client.reports.size() == 1);
  CHECK(world.client.reports[0].member == nullptr);
  CHECK(world.client.reports[0].error.code == ProxyErrc::ClientGone);
}
