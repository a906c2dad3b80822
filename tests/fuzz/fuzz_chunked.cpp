// The chunked coding: any cut gives the same payload and end, and a strict reader written the other
// way round (whole body at once) agrees about every body.
// Input: one byte that cuts, then the body and what follows it.
#include <optional>
#include <string>

#include "base/ascii.h"
#include "fuzz_input.h"
#include "http/chunked_decoder.h"

namespace {

using namespace cxxproxy;
using fuzz::require;
using State = http::ChunkedDecoder::State;

struct Outcome {
  State state = State::NeedMore;
  std::string payload;
  std::size_t consumed = 0;
  std::string_view detail;

  bool operator==(const Outcome&) const = default;
};

void offer(http::ChunkedDecoder& decoder, std::string_view bytes, Outcome& out) {
  for (;;) {
    const auto step = decoder.next(bytes);
    require(step.consumed <= bytes.size());
    if (!step.payload.empty()) {
      require(step.state == State::Data && step.payload.data() >= bytes.data());
      require(step.payload.data() + step.payload.size() == bytes.data() + step.consumed);
    }
    out.payload += step.payload;
    out.consumed += step.consumed;
    out.state = step.state;
    bytes.remove_prefix(step.consumed);
    if (step.state != State::Data) break;
  }
  if (out.state == State::NeedMore) require(bytes.empty());
  out.detail = decoder.problem().detail;
}

// A line that ends with CRLF and holds no other CR or LF; nothing without one.
std::optional<std::string_view> take_line(std::string_view& rest) {
  const std::size_t end = rest.find("\r\n");
  if (end == std::string_view::npos) return std::nullopt;
  const std::string_view line = rest.substr(0, end);
  if (!base::is_field_value(line)) return std::nullopt;
  rest.remove_prefix(end + 2);
  return line;
}

// The size of the body in bytes of the coding if it is complete and well-formed.
std::optional<std::size_t> read_strictly(std::string_view body, std::string& payload) {
  std::string_view rest = body;
  for (;;) {
    const auto line = take_line(rest);
    if (!line || line->size() + 2 > http::ChunkLimits{}.line) return std::nullopt;
    std::size_t digits = 0;
    std::uint64_t size = 0;
    while (digits < line->size() && base::hex_value((*line)[digits]) >= 0) {
      if (digits >= 16 || size > (0x7fffffffffffffffu >> 4)) return std::nullopt;
      size = size * 16 + static_cast<std::uint64_t>(base::hex_value((*line)[digits++]));
    }
    const std::string_view extension = base::trim(line->substr(digits));
    if (digits == 0 || (!extension.empty() && extension.front() != ';')) return std::nullopt;
    if (size == 0) break;
    if (size > rest.size() || !rest.substr(static_cast<std::size_t>(size)).starts_with("\r\n")) return std::nullopt;
    payload += rest.substr(0, static_cast<std::size_t>(size));
    rest.remove_prefix(static_cast<std::size_t>(size) + 2);
  }
  const std::size_t trailers = rest.size();
  for (;;) {
    const auto line = take_line(rest);
    if (!line || trailers - rest.size() > http::ChunkLimits{}.trailers) return std::nullopt;
    if (line->empty()) return body.size() - rest.size();
    const std::size_t colon = line->find(':');
    if (colon == std::string_view::npos || !base::is_token(line->substr(0, colon))) return std::nullopt;
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::Input input(data, size);
  const unsigned cut = input.byte();
  const std::string_view bytes = input.rest();

  http::ChunkedDecoder decoder;
  Outcome whole;
  offer(decoder, bytes, whole);

  decoder.reset();
  Outcome halves;
  const std::size_t split = bytes.size() * cut / 256;
  offer(decoder, bytes.substr(0, split), halves);
  if (halves.state == State::NeedMore) offer(decoder, bytes.substr(split), halves);
  require(whole == halves);

  decoder.reset();
  Outcome each;
  for (std::size_t i = 0; i < bytes.size() && each.state == State::NeedMore; ++i)
    offer(decoder, bytes.substr(i, 1), each);
  require(whole == each);

  std::string payload;
  const auto strict = read_strictly(bytes, payload);
  require(strict.has_value() == (whole.state == State::Done));
  if (strict) require(*strict == whole.consumed && payload == whole.payload);
  return 0;
}
