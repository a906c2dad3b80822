#include "http/framing.h"

#include <string>
#include <vector>

#include <catch2/catch.hpp>

using namespace cxxproxy::http;
using cxxproxy::base::ProxyErrc;

namespace {

using List = std::vector<FieldView>;

ResponseHead answer(int status, List fields, int minor = 1) {
  ResponseHead head;
  head.minor_version = minor;
  head.status = status;
  head.fields = std::move(fields);
  return head;
}

struct Row {
  int status;
  int minor;
  bool head_request;
  List fields;
  BodyKind kind;
  std::uint64_t length;
  bool persistent;
};

}  // namespace

TEST_CASE("where a body ends", "[framing]") {
  const Row row = GENERATE(values<Row>({
      {200, 1, false, {{"Content-Length", "5"}}, BodyKind::Length, 5, true},
      {200, 1, false, {{"content-length", "0"}}, BodyKind::Length, 0, true},
      {200, 1, false, {{"Content-Length", "0005"}}, BodyKind::Length, 5, true},
      {200, 1, false, {{"Content-Length", "9223372036854775807"}}, BodyKind::Length, 9223372036854775807u, true},
      {200, 1, false, {{"Content-Length", "5"}, {"Content-Length", "5"}}, BodyKind::Length, 5, true},
      {200, 1, false, {{"Content-Length", "5, 5"}, {"Content-Length", "05"}}, BodyKind::Length, 5, true},
      {200, 1, false, {{"Transfer-Encoding", "chunked"}}, BodyKind::Chunked, 0, true},
      {200, 1, false, {{"transfer-encoding", "CHUNKED"}}, BodyKind::Chunked, 0, true},
      {200, 1, false, {{"Transfer-Encoding", "chunked"}, {"Content-Length", "5"}}, BodyKind::Chunked, 0, false},
      {200, 1, false, {}, BodyKind::UntilClose, 0, false},
      {200, 0, false, {}, BodyKind::UntilClose, 0, false},
      {500, 1, false, {}, BodyKind::UntilClose, 0, false},
      {999, 1, false, {{"Content-Length", "5"}}, BodyKind::Length, 5, true},
      {205, 1, false, {{"Content-Length", "0"}}, BodyKind::Length, 0, true},
      // no body
      {200, 1, true, {{"Content-Length", "5"}}, BodyKind::None, 0, true},
      {200, 1, true, {{"Transfer-Encoding", "chunked"}}, BodyKind::None, 0, true},
      {200, 1, true, {}, BodyKind::None, 0, true},
      {200, 1, true, {{"Connection", "close"}}, BodyKind::None, 0, false},
      {204, 1, false, {}, BodyKind::None, 0, true},
      {204, 1, false, {{"Content-Length", "0"}}, BodyKind::None, 0, true},
      {204, 1, false, {{"Content-Length", "5"}}, BodyKind::None, 0, false},
      {204, 1, false, {{"Transfer-Encoding", "chunked"}}, BodyKind::None, 0, false},
      {304, 1, false, {{"Content-Length", "5"}}, BodyKind::None, 0, true},
      {304, 1, false, {{"Transfer-Encoding", "chunked"}}, BodyKind::None, 0, true},
      {304, 0, false, {}, BodyKind::None, 0, false},
      {100, 1, false, {}, BodyKind::None, 0, true},
      {103, 1, false, {{"Link", "x"}, {"Content-Length", "0"}}, BodyKind::None, 0, true},
      {101, 1, false, {{"Connection", "Upgrade"}}, BodyKind::None, 0, false},
      // persistence
      {200, 1, false, {{"Content-Length", "5"}, {"Connection", "Close"}}, BodyKind::Length, 5, false},
      {200, 1, false, {{"Content-Length", "5"}, {"Connection", "x, close"}}, BodyKind::Length, 5, false},
      {200, 1, false, {{"Content-Length", "5"}, {"Connection", "closed"}}, BodyKind::Length, 5, true},
      {200,
       1,
       false,
       {{"Content-Length", "5"}, {"Connection", "keep-alive"}, {"Connection", "close"}},
       BodyKind::Length,
       5,
       false},
      {200, 0, false, {{"Content-Length", "5"}}, BodyKind::Length, 5, false},
      {200, 0, false, {{"Content-Length", "5"}, {"Connection", "Keep-Alive"}}, BodyKind::Length, 5, true},
      {200, 0, false, {{"Content-Length", "5"}, {"Connection", "Keep-Alive, close"}}, BodyKind::Length, 5, false},
      {200, 2, false, {{"Content-Length", "5"}}, BodyKind::Length, 5, true},
  }));
  CAPTURE(row.status, row.minor, row.head_request, row.fields.size());
  const auto framing = response_framing(answer(row.status, row.fields, row.minor), row.head_request);
  REQUIRE(framing);
  CHECK(framing->kind == row.kind);
  CHECK(framing->length == row.length);
  CHECK(framing->persistent == row.persistent);
}

TEST_CASE("an ambiguous length is refused, whatever the status", "[framing]") {
  const List fields = GENERATE(values<List>({
      {{"Content-Length", "5"}, {"Content-Length", "6"}},
      {{"Content-Length", "5, 6"}},
      {{"Content-Length", "5,"}},
      {{"Content-Length", ",5"}},
      {{"Content-Length", "5,,5"}},
      {{"Content-Length", ""}},
      {{"Content-Length", "+5"}},
      {{"Content-Length", "-5"}},
      {{"Content-Length", "-0"}},
      {{"Content-Length", "0x5"}},
      {{"Content-Length", "5 5"}},
      {{"Content-Length", "5;"}},
      {{"Content-Length", "5.0"}},
      {{"Content-Length", "five"}},
      {{"Content-Length", "\"5\""}},
      {{"Content-Length", "1e3"}},
      {{"Content-Length", "\xd9\xa5"}},
      {{"Content-Length", "9223372036854775808"}},
      {{"Content-Length", "18446744073709551616"}},
      {{"Content-Length", "18446744073709551621"}},
      {{"Content-Length", "99999999999999999999999999"}},
      {{"Content-Length", "5"}, {"Content-Length", ""}},
      {{"Transfer-Encoding", ""}},
      {{"Transfer-Encoding", ","}},
      {{"Transfer-Encoding", "gzip"}},
      {{"Transfer-Encoding", "identity"}},
      {{"Transfer-Encoding", "gzip, chunked"}},
      {{"Transfer-Encoding", "chunked, gzip"}},
      {{"Transfer-Encoding", "chunked, chunked"}},
      {{"Transfer-Encoding", "chunked"}, {"Transfer-Encoding", "chunked"}},
      {{"Transfer-Encoding", "chunked"}, {"Transfer-Encoding", "identity"}},
      {{"Transfer-Encoding", "identity"}, {"Transfer-Encoding", "chunked"}},
      {{"Transfer-Encoding", "xchunked"}},
      {{"Transfer-Encoding", "chunkedx"}},
      {{"Transfer-Encoding", "chunked;q=1"}},
      {{"Transfer-Encoding", "\"chunked\""}},
      {{"Transfer-Encoding", "chun ked"}},
      {{"Transfer-Encoding", "chunked\t\xff"}},
      {{"Transfer-Encoding", "chunked"}, {"Content-Length", "x"}},
      {{"Transfer-Encoding", "chunked"}, {"Content-Length", "1"}, {"Content-Length", "2"}},
  }));
  CAPTURE(fields.front().name, fields.front().value);
  for (const int status : {200, 204, 304, 404, 100}) {
    for (const bool head_request : {false, true}) {
      const auto framing = response_framing(answer(status, fields), head_request);
      REQUIRE_FALSE(framing);
      CHECK(framing.error().code == ProxyErrc::BadFraming);
      CHECK_FALSE(framing.error().detail.empty());
    }
  }
}

TEST_CASE("what the client may be told as the length", "[framing]") {
  for (const bool head_request : {false, true}) {
    CHECK(response_framing(answer(200, {{"Content-Length", "05, 5"}}), head_request)->announced == 5u);
    CHECK(response_framing(answer(304, {{"Content-Length", "5"}}), head_request)->announced == 5u);
    CHECK_FALSE(response_framing(answer(204, {{"Content-Length", "5"}}), head_request)->announced);
    CHECK_FALSE(response_framing(answer(103, {{"Content-Length", "0"}}), head_request)->announced);
    CHECK_FALSE(response_framing(answer(200, {{"Transfer-Encoding", "chunked"}, {"Content-Length", "5"}}), head_request)->announced);
    CHECK_FALSE(response_framing(answer(200, {{"Connection", "close"}}), head_request)->announced);
  }
}

TEST_CASE("a head that lost a line leaves no connection behind", "[framing]") {
  ResponseHead head = answer(200, {{"Content-Length", "5"}});
  CHECK(response_framing(head, false)->persistent);
  head.lines_left_out = true;
  CHECK_FALSE(response_framing(head, false)->persistent);
  head.status = 103;
  head.fields.clear();
  CHECK(response_framing(head, false));
  head.ended_by_bad_line = true;
  CHECK_FALSE(response_framing(head, false));
}

TEST_CASE("a transfer coding in an HTTP/1.0 answer is refused", "[framing]") {
  CHECK_FALSE(response_framing(answer(200, {{"Transfer-Encoding", "chunked"}}, 0), false));
}

TEST_CASE("an interim answer that announces a body is refused", "[framing]") {
  for (const int status : {100, 102, 103, 199, 101}) {
    CAPTURE(status);
    CHECK_FALSE(response_framing(answer(status, {{"Content-Length", "1"}}), false));
    CHECK_FALSE(response_framing(answer(status, {{"Transfer-Encoding", "chunked"}}), false));
  }
}

TEST_CASE("a length is decimal digits and nothing else", "[framing]") {
  CHECK(parse_length("0") == 0u);
  CHECK(parse_length("00000000000000000000000000001") == 1u);
  CHECK(parse_length("9223372036854775807") == 9223372036854775807u);
  for (const auto* bad : {"", " 5", "5 ", "+5", "-5", "5a", "0x5", "9223372036854775808", "92233720368547758070"}) {
    CAPTURE(bad);
    CHECK_FALSE(parse_length(bad));
  }
  CHECK_FALSE(parse_length(std::string_view("5\0", 2)));
}
