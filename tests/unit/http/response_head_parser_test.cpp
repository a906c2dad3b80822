#include "http/response_head_parser.h"

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <catch2/catch.hpp>

using namespace cxxproxy::http;
using cxxproxy::base::ProxyErrc;

namespace {

// Everything a caller can see, copied out of the buffer.
struct Outcome {
  Progress progress = Progress::NeedMore;
  ProxyErrc code = ProxyErrc::None;
  std::string detail;
  int minor_version = -1;
  int status = -1;
  std::string reason;
  std::vector<std::pair<std::string, std::string>> fields;
  std::size_t head_size = 0;

  bool operator==(const Outcome&) const = default;
};

std::ostream& operator<<(std::ostream& out, const Outcome& outcome) {
  out << static_cast<int>(outcome.progress) << " code " << static_cast<int>(outcome.code) << " '" << outcome.detail
      << "' status " << outcome.status << " size " << outcome.head_size;
  for (const auto& [name, value] : outcome.fields) out << " <" << name << "|" << value << ">";
  return out;
}

Outcome outcome_of(const ResponseHeadParser& parser, Progress progress) {
  Outcome out;
  out.progress = progress;
  out.code = parser.problem().code;
  out.detail = parser.problem().detail;
  if (progress != Progress::Done) return out;
  out.minor_version = parser.head().minor_version;
  out.status = parser.head().status;
  out.reason = parser.head().reason;
  out.head_size = parser.head_size();
  for (const FieldView& field : parser.head().fields) out.fields.emplace_back(field.name, field.value);
  return out;
}

// Feeds prefixes of the text; the buffer moves at each step.
Outcome feed(const std::string& text, const std::vector<std::size_t>& sizes, HeadLimits limits, BadHeaderRule rule) {
  ResponseHeadParser parser(limits, rule);
  std::string buffer;
  Progress progress = Progress::NeedMore;
  std::size_t fed = 0;
  for (const std::size_t size : sizes) {
    std::string moved = buffer + text.substr(fed, size - fed);
    buffer.assign(buffer.size(), '\xee');
    buffer = std::move(moved);
    fed = size;
    progress = parser.parse(buffer);
    if (progress != Progress::NeedMore) break;
  }
  return outcome_of(parser, progress);
}

// Parses the text in one piece, at every split position and byte by byte; all must agree.
Outcome parse(const std::string& text, HeadLimits limits = {}, BadHeaderRule rule = BadHeaderRule::Refuse) {
  Outcome whole = feed(text, {text.size()}, limits, rule);
  if (text.size() < 3000) {
    for (std::size_t split = 1; split < text.size(); ++split) {
      const Outcome parts = feed(text, {split, text.size()}, limits, rule);
      if (parts != whole) {
        CAPTURE(text, split);
        CHECK(parts == whole);
      }
    }
  }
  std::vector<std::size_t> sizes;
  for (std::size_t size = 1; size <= std::min<std::size_t>(text.size(), 3000); ++size) sizes.push_back(size);
  sizes.push_back(text.size());
  CHECK(feed(text, sizes, limits, rule) == whole);
  return whole;
}

Outcome parse_field(const std::string& line, BadHeaderRule rule = BadHeaderRule::Refuse) {
  return parse("HTTP/1.1 200 OK\r\nA: 1\r\n" + line + "\r\nB: 2\r\n\r\nbody", {}, rule);
}

using Pairs = std::vector<std::pair<std::string, std::string>>;

}  // namespace

TEST_CASE("a plain response head", "[response_head]") {
  const Outcome head =
      parse("HTTP/1.1 200 OK\r\nServer: x\r\nContent-Length:2\r\nX-Empty:\r\nX-B: \t a b \t \r\n\r\nhi");
  CHECK(head.progress == Progress::Done);
  CHECK(head.minor_version == 1);
  CHECK(head.status == 200);
  CHECK(head.reason == "OK");
  CHECK(head.fields == Pairs{{"Server", "x"}, {"Content-Length", "2"}, {"X-Empty", ""}, {"X-B", "a b"}});
  CHECK(head.head_size ==
        std::string("HTTP/1.1 200 OK\r\nServer: x\r\nContent-Length:2\r\nX-Empty:\r\nX-B: \t a b \t \r\n\r\n").size());
}

TEST_CASE("status lines that are accepted", "[response_head]") {
  struct Row {
    const char* line;
    int minor;
    int status;
    const char* reason;
  };
  const Row row = GENERATE(values<Row>({
      {"HTTP/1.1 200 OK", 1, 200, "OK"},
      {"HTTP/1.0 404 Not Found", 0, 404, "Not Found"},
      {"HTTP/1.1 200", 1, 200, ""},
      {"HTTP/1.1 200 ", 1, 200, ""},
      {"HTTP/1.1 200  OK ", 1, 200, "OK"},
      {"HTTP/1.2 200 OK", 2, 200, "OK"},
      {"HTTP/1.9 200 OK", 9, 200, "OK"},
      {"HTTP/1.1 100 Continue", 1, 100, "Continue"},
      {"HTTP/1.1 599 x", 1, 599, "x"},
      {"HTTP/1.1 999 Request denied", 1, 999, "Request denied"},
      {"HTTP/1.1 200 O\xe9\tK", 1, 200, "O\xe9\tK"},
  }));
  CAPTURE(row.line);
  for (const std::string end : {"\r\n", "\n"}) {
    const Outcome head = parse(row.line + end + end);
    CHECK(head.progress == Progress::Done);
    CHECK(head.minor_version == row.minor);
    CHECK(head.status == row.status);
    CHECK(head.reason == row.reason);
    CHECK(head.fields.empty());
  }
}

TEST_CASE("status lines that are refused", "[response_head]") {
  const std::string line = GENERATE(values<std::string>({
      "",
      " HTTP/1.1 200 OK",
      "\r\nHTTP/1.1 200 OK",
      "\nHTTP/1.1 200 OK",
      "garbage",
      "http/1.1 200 OK",
      "HTTP/2.0 200 OK",
      "HTTP/0.9 200 OK",
      "HTTP/11 200 OK",
      "HTTP/1.x 200 OK",
      "HTTP/1. 200 OK",
      "HTTP/1.11 200 OK",
      "HTTP/1.1200 OK",
      "HTTP/1.1",
      "HTTP/1.1 ",
      "HTTP/1.1 20",
      "HTTP/1.1 2 0 OK",
      "HTTP/1.1  200 OK",
      "HTTP/1.1\t200 OK",
      "HTTP/1.1 200\tOK",
      "HTTP/1.1 200OK",
      "HTTP/1.1 2000 OK",
      "HTTP/1.1 +20 OK",
      "HTTP/1.1 -20 OK",
      "HTTP/1.1 2x0 OK",
      "HTTP/1.1 099 OK",
      "HTTP/1.1 000 OK",
      "HTTP/1.1 200 O\rK",
      "HTTP/1.1 200 O\x01K",
      "HTTP/1.1 200 O\x7fK",
      "HTTP/1.1 200 OK\r",
      "ICY 200 OK",
      "HTTP /1.1 200 OK",
      "HTTPS/1.1 200 OK",
      std::string("HTTP/1.1 200 O\0K", 16),
      "<html>",
      "\x15\x03\x01",
  }));
  CAPTURE(line);
  const Outcome head = parse(line + "\r\nA: b\r\n\r\n");
  CHECK(head.progress == Progress::Failed);
  CHECK(head.code == ProxyErrc::BadStatusLine);
  CHECK_FALSE(head.detail.empty());
}

TEST_CASE("an answer that is no HTTP/1 fails with its first wrong byte", "[response_head]") {
  for (const std::string text : {"X", "HX", "HTTP/2", "\r", "HTTP/1,"}) {
    CAPTURE(text);
    ResponseHeadParser parser;
    std::string buffer = text.substr(0, text.size() - 1);
    if (!buffer.empty()) CHECK(parser.parse(buffer) == Progress::NeedMore);
    buffer = text;
    CHECK(parser.parse(buffer) == Progress::Failed);
    CHECK(parser.problem().code == ProxyErrc::BadStatusLine);
  }
}

TEST_CASE("field lines that are accepted", "[response_head]") {
  struct Row {
    const char* line;
    const char* name;
    const char* value;
  };
  const Row row = GENERATE(values<Row>({
      {"X: y", "X", "y"},
      {"X:y", "X", "y"},
      {"X:", "X", ""},
      {"X:  \t", "X", ""},
      {"x-LONG_name!#$%&'*+-.^`|~09: y", "x-LONG_name!#$%&'*+-.^`|~09", "y"},
      {"X: a:b: c", "X", "a:b: c"},
      {"X: \"q, r\"", "X", "\"q, r\""},
      {"X: \xff\x80", "X", "\xff\x80"},
      {"X: a\tb", "X", "a\tb"},
      {"X : y", "X", "y"},
      {"X \t: y", "X", "y"},
      {"Content-Length : 5", "Content-Length", "5"},
  }));
  CAPTURE(row.line);
  const Outcome head = parse_field(row.line);
  CHECK(head.progress == Progress::Done);
  CHECK(head.fields == Pairs{{"A", "1"}, {row.name, row.value}, {"B", "2"}});
}

TEST_CASE("field lines that are refused", "[response_head]") {
  const std::string line = GENERATE(values<std::string>({
      "nocolon",
      ": y",
      "X Y: z",
      "X\tY: z",
      "X(: y",
      "X\": y",
      "X,: y",
      "X;: y",
      "X/: y",
      "X=: y",
      "X?: y",
      "X@: y",
      "[X]: y",
      "{X}: y",
      "X\xff: y",
      "X\x01: y",
      "X: a\x01",
      "X: a\x7f",
      "X: a\rb",
      "X: a\r",
      "X\r: y",
      "\rX: y",
      "X:\r y",
      "X: \x1b[0m",
      "X: a\x0b",
      "X: a\x0c",
      std::string("X: a\0b", 6),
      std::string("X\0: y", 5),
      "HTTP/1.1 200 OK",
      "Content-Length\x0b: 5",
      "Transfer-Encoding\x85: chunked",
  }));
  CAPTURE(line);
  const Outcome head = parse_field(line);
  CHECK(head.progress == Progress::Failed);
  CHECK(head.code == ProxyErrc::BadField);
  CHECK_FALSE(head.detail.empty());
}

TEST_CASE("a first field line that starts with a blank is refused", "[response_head]") {
  for (const std::string text : {"HTTP/1.1 200 OK\r\n A: b\r\n\r\n", "HTTP/1.1 200 OK\r\n\tA: b\r\n\r\n",
                                 "HTTP/1.1 200 OK\r\n \r\n\r\n", "HTTP/1.1 200 OK\r\n : b\r\n\r\n"}) {
    CAPTURE(text);
    CHECK(parse(text).code == ProxyErrc::BadField);
  }
}

TEST_CASE("every control character is refused wherever it stands in a field", "[response_head]") {
  for (int byte = 0; byte < 256; ++byte) {
    const char c = static_cast<char>(byte);
    CAPTURE(byte);
    const bool control = byte < 0x20 || byte == 0x7f;
    const Outcome value = parse_field(std::string("X: a") + c + "b");
    // A line feed makes a new line "b", which has no colon.
    CHECK((value.progress == Progress::Done) == (!control || c == '\t'));
    const Outcome name = parse_field(std::string("X") + c + "Y: z");
    CHECK((name.progress == Progress::Done) == (c == ':' || cxxproxy::base::is_token_char(c)));
  }
}

TEST_CASE("bare line feeds end lines, bare carriage returns never do", "[response_head]") {
  const Outcome head = parse("HTTP/1.1 200 OK\nA: b\nC: d\r\nE: f\n\nbody");
  CHECK(head.progress == Progress::Done);
  CHECK(head.fields == Pairs{{"A", "b"}, {"C", "d"}, {"E", "f"}});
  CHECK(head.head_size == 33);
  CHECK(parse("HTTP/1.1 200 OK\rA: b\r\n\r\n").code == ProxyErrc::BadStatusLine);
  CHECK(parse("HTTP/1.1 200 OK\r\nA: b\rC: d\r\n\r\n").code == ProxyErrc::BadField);
  CHECK(parse("HTTP/1.1 200 OK\r\nA: b\r\r\n\r\n").code == ProxyErrc::BadField);
  CHECK(parse("HTTP/1.1 200 OK\r\nA: b\r\n\r\r\n").code == ProxyErrc::BadField);
  CHECK(parse("HTTP/1.1 200 OK\r\nA: b\r\n\r").progress == Progress::NeedMore);
}

TEST_CASE("folded values become one line", "[response_head]") {
  const Outcome head = parse("HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\t d \r\nE: f\n g\n\n");
  REQUIRE(head.progress == Progress::Done);
  CHECK(head.fields == Pairs{{"A", "b c d"}, {"E", "f g"}});
  const Outcome empty = parse("HTTP/1.1 200 OK\r\nA:\r\n \r\n b\r\nC: d\r\n \r\n\r\n");
  REQUIRE(empty.progress == Progress::Done);
  CHECK(empty.fields == Pairs{{"A", "b"}, {"C", "d"}});
  CHECK(parse("HTTP/1.1 200 OK\r\nA: b\r\n c\rd\r\n\r\n").code == ProxyErrc::BadField);
  CHECK(parse("HTTP/1.1 200 OK\r\nA: b\r\n c\x01\r\n\r\n").code == ProxyErrc::BadField);
  // A fold cannot smuggle a name: what looks like a field is a piece of the value.
  const Outcome hidden = parse("HTTP/1.1 200 OK\r\nA: b\r\n Content-Length: 5\r\n\r\n");
  CHECK(hidden.fields == Pairs{{"A", "b Content-Length: 5"}});
}

TEST_CASE("bytes behind the head are left alone, also a second head", "[response_head]") {
  std::string buffer = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nA: b\r\n\r\n c";
  const std::string before = buffer;
  ResponseHeadParser parser;
  CHECK_FALSE(parser.started());
  REQUIRE(parser.parse(buffer) == Progress::Done);
  CHECK(parser.started());
  CHECK(parser.head().status == 100);
  const std::size_t first = parser.head_size();
  CHECK(first == 25);
  CHECK(parser.parse(buffer) == Progress::Done);
  parser.reset();
  CHECK_FALSE(parser.started());
  REQUIRE(parser.parse(std::span(buffer).subspan(first)) == Progress::Done);
  CHECK(parser.head().status == 200);
  CHECK(parser.head().fields.size() == 1);
  CHECK(first + parser.head_size() + 2 == buffer.size());
  CHECK(buffer == before);
}

TEST_CASE("views follow a buffer that moved after Done", "[response_head]") {
  std::string first = "HTTP/1.1 200 Fine\r\nA: b\r\n\r\n";
  ResponseHeadParser parser;
  REQUIRE(parser.parse(first) == Progress::Done);
  std::string second = first;
  first.assign(first.size(), 'x');
  REQUIRE(parser.parse(second) == Progress::Done);
  CHECK(parser.head().reason == "Fine");
  CHECK(parser.head().fields.at(0).value == "b");
}

TEST_CASE("a failed parser stays failed until reset", "[response_head]") {
  ResponseHeadParser parser;
  std::string bad = "nope";
  std::string good = "HTTP/1.1 200 OK\r\n\r\n";
  CHECK(parser.parse(bad) == Progress::Failed);
  CHECK(parser.parse(good) == Progress::Failed);
  parser.reset();
  CHECK(parser.problem().code == ProxyErrc::None);
  CHECK(parser.parse(good) == Progress::Done);
}

TEST_CASE("every limit is exact", "[response_head]") {
  const HeadLimits limits{.field = 40, .head = 100, .fields = 3};
  const std::string start = "HTTP/1.1 200 OK\r\n";  // 17 bytes
  const auto field_of = [](std::size_t size) { return "A: " + std::string(size - 5, 'v') + "\r\n"; };

  CHECK(parse(start + field_of(40) + "\r\n", limits).progress == Progress::Done);
  CHECK(parse(start + field_of(41) + "\r\n", limits).code == ProxyErrc::FieldTooLarge);
  CHECK(parse(start + std::string(41, 'v'), limits).code == ProxyErrc::FieldTooLarge);
  CHECK(parse(start + std::string(40, 'v'), limits).progress == Progress::NeedMore);
  // A fold counts for its field.
  CHECK(parse(start + field_of(20) + " " + field_of(19) + "\r\n", limits).progress == Progress::Done);
  CHECK(parse(start + field_of(20) + " " + field_of(20) + "\r\n", limits).code == ProxyErrc::FieldTooLarge);

  CHECK(parse("HTTP/1.1 200 " + std::string(25, 'r') + "\r\n\r\n", limits).progress == Progress::Done);
  CHECK(parse("HTTP/1.1 200 " + std::string(26, 'r') + "\r\n\r\n", limits).code == ProxyErrc::FieldTooLarge);
  CHECK(parse("HTTP/1.1 200 " + std::string(28, 'r'), limits).code == ProxyErrc::FieldTooLarge);

  CHECK(parse(start + field_of(40) + field_of(40) + "\r\n", limits).progress == Progress::Done);  // 99 bytes
  CHECK(parse(start + field_of(40) + field_of(40) + "A:\n\n", limits).code == ProxyErrc::HeadTooLarge);
  CHECK(parse(start + field_of(40) + field_of(40) + "AAAA", limits).code == ProxyErrc::HeadTooLarge);

  const std::string three = start + "A: 1\r\nB: 2\r\nC: 3\r\n";
  CHECK(parse(three + "\r\n", limits).progress == Progress::Done);
  CHECK(parse(three + "D: 4\r\n\r\n", limits).code == ProxyErrc::TooManyFields);
}

TEST_CASE("the default limits hold against endless heads", "[response_head]") {
  CHECK(parse("HTTP/1.1 200 OK\r\nA: " + std::string(20000, 'x')).code == ProxyErrc::FieldTooLarge);
  CHECK(parse("HTTP/1.1 200 " + std::string(20000, 'x')).code == ProxyErrc::FieldTooLarge);
  std::string many = "HTTP/1.1 200 OK\r\n";
  for (int i = 0; i < 600; ++i) many += "A: b\r\n";
  CHECK(parse(many).code == ProxyErrc::TooManyFields);
  std::string large = "HTTP/1.1 200 OK\r\n";
  for (int i = 0; i < 100; ++i) large += "A: " + std::string(1000, 'b') + "\r\n";
  CHECK(parse(large).code == ProxyErrc::HeadTooLarge);
  CHECK(parse("HTTP/1.1 200 OK\r\nA: b" + std::string(10000, '\n')).progress == Progress::Done);
  std::string folds = "HTTP/1.1 200 OK\r\nA: b\r\n";
  for (int i = 0; i < 10000; ++i) folds += " \n";
  CHECK(parse(folds).code == ProxyErrc::FieldTooLarge);
}

TEST_CASE("lenient rules for bad header lines", "[response_head]") {
  SECTION("Skip leaves out lines without a usable name, with their folds") {
    for (const std::string line : {"nocolon", ": y", "X Y: z", "X\xff: y", "nocolon\r\n fold: x", ": y\n\tz"}) {
      CAPTURE(line);
      const Outcome head = parse_field(line, BadHeaderRule::Skip);
      CHECK(head.progress == Progress::Done);
      CHECK(head.fields == Pairs{{"A", "1"}, {"B", "2"}});
    }
    CHECK(parse("HTTP/1.1 200 OK\r\n junk: x\r\n y\r\nB: 2\r\n\r\n", {}, BadHeaderRule::Skip).fields ==
          Pairs{{"B", "2"}});
    std::string kept = "HTTP/1.1 200 OK\r\nA: 1\r\n fold\r\n\r\n";
    std::string lost = "HTTP/1.1 200 OK\r\nA: 1\r\nnocolon\r\n\r\n";
    ResponseHeadParser parser({}, BadHeaderRule::Skip);
    REQUIRE(parser.parse(lost) == Progress::Done);
    CHECK(parser.head().lines_left_out);
    parser.reset();
    REQUIRE(parser.parse(kept) == Progress::Done);
    CHECK_FALSE(parser.head().lines_left_out);
  }
  SECTION("StartBody makes the line the beginning of the body") {
    const Outcome head = parse_field("nocolon", BadHeaderRule::StartBody);
    CHECK(head.progress == Progress::Done);
    CHECK(head.fields == Pairs{{"A", "1"}});
    CHECK(head.head_size == std::string("HTTP/1.1 200 OK\r\nA: 1\r\n").size());
    CHECK(parse_field(": y", BadHeaderRule::StartBody).code == ProxyErrc::BadField);
    CHECK(parse_field("X Y: z", BadHeaderRule::StartBody).code == ProxyErrc::BadField);
  }
  SECTION("control characters are refused under every rule") {
    for (const auto rule : {BadHeaderRule::Refuse, BadHeaderRule::Skip, BadHeaderRule::StartBody}) {
      for (const std::string line :
           {"noco\x01lon", "noco\rlon", "X: a\x7f", "Content-Length\x0b: 5", "nocolon\r\n a\rb"}) {
        CAPTURE(line);
        if (rule == BadHeaderRule::StartBody && line.starts_with("nocolon")) continue;
        CHECK(parse_field(line, rule).code == ProxyErrc::BadField);
      }
      CHECK(parse("nope", {}, rule).code == ProxyErrc::BadStatusLine);
    }
  }
}
