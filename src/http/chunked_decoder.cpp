#include "http/chunked_decoder.h"

#include <algorithm>

#include "base/ascii.h"

namespace cxxproxy::http {
namespace {

constexpr unsigned kMaxDigits = 16;
constexpr std::uint64_t kMaxSize = 0x7fffffffffffffffu;

bool is_text(char c) noexcept { return !base::is_control(c) || c == '\t'; }

}  // namespace

ChunkedDecoder::Step ChunkedDecoder::next(std::string_view input) noexcept {
  if (at_ == At::End) return {0, {}, State::Done};
  if (at_ == At::Broken) return {0, {}, State::Failed};
  for (std::size_t i = 0; i < input.size();) {
    if (at_ == At::Payload) {
      const auto size = static_cast<std::size_t>(std::min<std::uint64_t>(size_, input.size() - i));
      size_ -= size;
      if (size_ == 0) at_ = At::PayloadCr;
      return {i + size, input.substr(i, size), State::Data};
    }
    if (!take(input[i])) return {i, {}, State::Failed};
    ++i;
    if (at_ == At::End) return {i, {}, State::Done};
  }
  return {input.size(), {}, State::NeedMore};
}

bool ChunkedDecoder::broken(std::string_view detail) noexcept {
  at_ = At::Broken;
  problem_ = {base::ProxyErrc::BadChunk, detail};
  return false;
}

bool ChunkedDecoder::take(char c) noexcept {
  switch (at_) {
    case At::SizeStart:
    case At::Size:
    case At::Blank:
    case At::Extension:
    case At::SizeLf: return take_size(c);
    case At::PayloadCr:
      if (c != '\r') return broken("a chunk is longer than its size says");
      at_ = At::PayloadLf;
      return true;
    case At::PayloadLf:
      if (c != '\n') return broken("no line feed behind a chunk");
      at_ = At::SizeStart;
      return true;
    case At::TrailerStart:
    case At::TrailerName:
    case At::TrailerValue:
    case At::TrailerLf:
    case At::FinalLf: return take_trailer(c);
    case At::Payload:
    case At::End:
    case At::Broken: break;
  }
  return broken("internal state");
}

bool ChunkedDecoder::take_size(char c) noexcept {
  if (at_ == At::SizeStart) {
    size_ = 0;
    digits_ = 0;
    line_ = 0;
    if (base::hex_value(c) < 0) return broken("a chunk size does not start with a hex digit");
    at_ = At::Size;
  }
  if (++line_ > limits_.line) return broken("a chunk-size line is too long");
  if (at_ == At::SizeLf) {
    if (c != '\n') return broken("a bare CR in a chunk-size line");
    at_ = size_ == 0 ? At::TrailerStart : At::Payload;
    return true;
  }
  const int digit = at_ == At::Size ? base::hex_value(c) : -1;
  if (digit >= 0) {
    if (++digits_ > kMaxDigits) return broken("a chunk size has too many digits");
    if (size_ > (kMaxSize >> 4)) return broken("a chunk size is too large");
    size_ = (size_ << 4) | static_cast<std::uint64_t>(digit);
    return true;
  }
  if (c == '\r') {
    at_ = At::SizeLf;
    return true;
  }
  if (at_ == At::Extension) return is_text(c) || broken("a control character in a chunk extension");
  if (c == ';') {
    at_ = At::Extension;
    return true;
  }
  if (c == ' ' || c == '\t') {
    at_ = At::Blank;
    return true;
  }
  return broken(c == '\n' ? "a bare LF ends a chunk-size line" : "junk behind a chunk size");
}

bool ChunkedDecoder::take_trailer(char c) noexcept {
  if (++trailers_ > limits_.trailers) return broken("the trailer section is too long");
  switch (at_) {
    case At::TrailerStart:
      if (c == '\r') {
        at_ = At::FinalLf;
        return true;
      }
      at_ = At::TrailerName;
      return base::is_token_char(c) || broken("a trailer field has no name");
    case At::TrailerName:
      if (c == ':') {
        at_ = At::TrailerValue;
        return true;
      }
      return base::is_token_char(c) || broken("a trailer field name is not a token");
    case At::TrailerValue:
      if (c == '\r') {
        at_ = At::TrailerLf;
        return true;
      }
      return is_text(c) || broken("a control character in a trailer field");
    case At::TrailerLf: at_ = At::TrailerStart; return c == '\n' || broken("a bare CR in a trailer field");
    default: at_ = At::End; return c == '\n' || broken("no line feed at the end of the chunked body");
  }
}

}  // namespace cxxproxy::http
