#include "http/chunked_decoder.h"

#include <string>
#include <vector>

#include <catch2/catch.hpp>

using namespace cxxproxy::http;
using State = ChunkedDecoder::State;

namespace {

struct Outcome {
  State state = State::NeedMore;
  std::string payload;
  std::size_t consumed = 0;
  std::string detail;

  bool operator==(const Outcome&) const = default;
};

std::ostream& operator<<(std::ostream& out, const Outcome& outcome) {
  return out << static_cast<int>(outcome.state) << " '" << outcome.payload << "' consumed " << outcome.consumed << " '"
             << outcome.detail << "'";
}

// Offers the text piece by piece; a piece is offered again until it is consumed.
Outcome feed(std::string_view text, const std::vector<std::size_t>& ends, ChunkLimits limits) {
  ChunkedDecoder decoder(limits);
  Outcome out;
  for (const std::size_t end : ends) {
    for (;;) {
      const auto step = decoder.next(text.substr(out.consumed, end - out.consumed));
      out.consumed += step.consumed;
      out.payload += step.payload;
      out.state = step.state;
      if (step.state != State::Data) break;
      CHECK_FALSE(step.payload.empty());
    }
    if (out.state != State::NeedMore) break;
    CHECK(out.consumed == end);
  }
  CHECK(decoder.done() == (out.state == State::Done));
  CHECK(static_cast<bool>(decoder.problem()) == (out.state == State::Failed));
  out.detail = decoder.problem().detail;
  // What is over stays over.
  if (out.state != State::NeedMore) {
    CHECK(decoder.next("0\r\n\r\n").consumed == 0);
    CHECK(decoder.next("0\r\n\r\n").state == out.state);
  }
  return out;
}

Outcome decode(const std::string& text, ChunkLimits limits = {}) {
  Outcome whole = feed(text, {text.size()}, limits);
  std::vector<std::size_t> each;
  for (std::size_t end = 1; end <= text.size(); ++end) {
    each.push_back(end);
    const Outcome parts = feed(text, {end, text.size()}, limits);
    if (parts != whole) {
      CAPTURE(text, end);
      CHECK(parts == whole);
    }
  }
  CHECK(feed(text, each, limits) == whole);
  return whole;
}

}  // namespace

TEST_CASE("well-formed chunked bodies", "[chunked]") {
  struct Row {
    const char* text;
    const char* payload;
  };
  const Row row = GENERATE(values<Row>({
      {"0\r\n\r\n", ""},
      {"2\r\nhi\r\n0\r\n\r\n", "hi"},
      {"2\r\nhi\r\n3\r\n yo\r\n0\r\n\r\n", "hi yo"},
      {"A\r\n0123456789\r\n0\r\n\r\n", "0123456789"},
      {"a\r\n0123456789\r\n00000\r\n\r\n", "0123456789"},
      {"0000000000000002\r\nhi\r\n0\r\n\r\n", "hi"},
      {"2;a=b\r\nhi\r\n0;c\r\n\r\n", "hi"},
      {"2 ; a = \"x y\";b\r\nhi\r\n0\r\n\r\n", "hi"},
      {"2;\r\nhi\r\n0\r\n\r\n", "hi"},
      {"2 \t\r\nhi\r\n0\r\n\r\n", "hi"},
      {"2;\xff\xc3\xa9\r\nhi\r\n0\r\n\r\n", "hi"},
      {"4\r\n\r\n\r\n\r\n0\r\n\r\n", "\r\n\r\n"},
      {"5\r\n0\r\n\r\n\r\n0\r\n\r\n", "0\r\n\r\n"},
      {"0\r\nA: b\r\n\r\n", ""},
      {"1\r\nx\r\n0\r\nA: b\r\nContent-Length: 5\r\nX:\r\nY:a:b\tc\xff\r\n\r\n", "x"},
  }));
  CAPTURE(row.text);
  const std::string text = row.text;
  const Outcome alone = decode(text);
  CHECK(alone.state == State::Done);
  CHECK(alone.payload == row.payload);
  CHECK(alone.consumed == text.size());
  // Bytes behind the end belong to somebody else.
  const Outcome followed = decode(text + "HTTP/1.1 200 OK\r\n");
  CHECK(followed.state == State::Done);
  CHECK(followed.payload == row.payload);
  CHECK(followed.consumed == text.size());
  for (std::size_t size = 0; size < text.size(); ++size) CHECK(decode(text.substr(0, size)).state == State::NeedMore);
}

TEST_CASE("malformed chunked bodies", "[chunked]") {
  const std::string text = GENERATE(values<std::string>({
      "\r\n",
      "\n",
      " 2\r\nhi\r\n0\r\n\r\n",
      "\t2\r\nhi\r\n",
      ";a\r\n",
      "g\r\n",
      "-1\r\n",
      "+2\r\nhi\r\n0\r\n\r\n",
      "0x2\r\nhi\r\n0\r\n\r\n",
      "2\nhi\r\n0\r\n\r\n",
      "2;a\nhi\r\n0\r\n\r\n",
      "2 \nhi\r\n",
      "2\r\rhi",
      "2\rhi",
      "2;a\rb\r\nhi",
      "2;a\x01\r\nhi",
      "2;a\x7f\r\nhi",
      std::string("2;\0\r\nhi", 7),
      "2 2\r\nhi",
      "2,\r\nhi",
      "2\"\r\nhi",
      "2\r\nhi\n0\r\n\r\n",
      "2\r\nhi0\r\n\r\n",
      "2\r\nhii\r\n0\r\n\r\n",
      "2\r\nhi\r0\r\n\r\n",
      "2\r\nhi\r\r\n0\r\n\r\n",
      "3\r\nhi\r\n0\r\n\r\n",
      "2\r\nhi\r\n\r\n0\r\n\r\n",
      "2\r\nhi\r\n 0\r\n\r\n",
      "0\n\r\n",
      "0\r\n\n",
      "0\r\n\rx",
      "0\r\n0\r\n\r\n",
      "0\r\nA\r\n\r\n",
      "0\r\n: b\r\n\r\n",
      "0\r\n A: b\r\n\r\n",
      "0\r\nA : b\r\n\r\n",
      "0\r\nA: b\n\r\n",
      "0\r\nA: b\r\n c\r\n\r\n",
      "0\r\nA: b\rc\r\n\r\n",
      "0\r\nA: \x01\r\n\r\n",
      "0\r\nA\xff: b\r\n\r\n",
      std::string("0\r\nA: \0\r\n\r\n", 10),
      "0\r\nHTTP/1.1 200 OK\r\n",
      "00000000000000002\r\nhi\r\n0\r\n\r\n",
      "8000000000000000\r\n",
      "ffffffffffffffff\r\n",
      "fffffffffffffffff\r\n",
      "10000000000000000\r\n",
      "2\xff\r\nhi",
      "\xff",
      "2\r\n\r\n\r\nx",
  }));
  CAPTURE(text);
  // Some rows fail only with the bytes of the next message, where the framing is already lost.
  const Outcome outcome = decode(text + "\r\nHTTP/1.1 200 OK\r\n\r\n");
  CHECK(outcome.state == State::Failed);
  CHECK_FALSE(outcome.detail.empty());
}

TEST_CASE("the largest size is 2^63-1 and is counted down", "[chunked]") {
  ChunkedDecoder decoder;
  CHECK(decoder.left_in_chunk() == 0);
  CHECK(decoder.next("7fffffffffffffff\r\n").state == State::NeedMore);
  CHECK(decoder.left_in_chunk() == 0x7fffffffffffffffu);
  const auto step = decoder.next("abc");
  CHECK(step.state == State::Data);
  CHECK(step.payload == "abc");
  CHECK(decoder.left_in_chunk() == 0x7ffffffffffffffcu);
  decoder.reset();
  CHECK(decoder.left_in_chunk() == 0);
  CHECK(decoder.next("0\r\n\r\n").state == State::Done);
}

TEST_CASE("extensions and trailers are bounded", "[chunked]") {
  const ChunkLimits limits{.line = 10, .trailers = 12};
  CHECK(decode("0;2345678\r\n\r\n", limits).state == State::Failed);  // 9 bytes and CRLF
  CHECK(decode("0;234567\r\n\r\n", limits).state == State::Done);
  CHECK(decode("0         \r\n\r\n", limits).state == State::Failed);
  CHECK(decode("0\r\nA: 45678\r\n\r\n", limits).state == State::Done);
  CHECK(decode("0\r\nA: 456789\r\n\r\n", limits).state == State::Failed);
  CHECK(decode("0\r\nA:\r\nB:\r\nC:\r\n\r\n", limits).state == State::Failed);

  CHECK(feed("1;" + std::string(2000, 'x'), {2002}, {}).state == State::Failed);
  CHECK(feed("0\r\nA: " + std::string(20000, 'x'), {20006}, {}).state == State::Failed);
}

TEST_CASE("payload is a view into the input", "[chunked]") {
  const std::string text = "5\r\nhello\r\n0\r\n\r\n";
  ChunkedDecoder decoder;
  const auto step = decoder.next(text);
  CHECK(step.state == State::Data);
  CHECK(step.payload.data() == text.data() + 3);
  CHECK(step.consumed == 8);
}
