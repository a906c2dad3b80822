// The chunked coding of an answer, decoded as it arrives.
//
// WHAT    next() takes the bytes at hand and says how many it consumed and which of them are
//         payload (a view into the input). Call it again with the bytes that were not consumed, and
//         later with more. The trailer section is validated and dropped, never merged anywhere.
// SHAPES  One step gives at most one run of payload; state Data means "there is payload, call
//         again", NeedMore means everything was consumed. Done comes with the last CRLF: bytes
//         behind it are not consumed. Strict: CRLF ends every line and every chunk's data; the size
//         is 1..16 hex digits up to 2^63-1; blanks and extensions behind it are bounded and hold no
//         CTL except tab. No allocation.
// ERRORS  Failed: BadChunk with a detail; nothing after it is to be trusted.
// SOURCE  RFC 9112 7.1; CVE-2015-3183, CVE-2025-22871 (bare LF after the size).
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "http/problem.h"

namespace cxxproxy::http {

struct ChunkLimits {
  std::size_t line = 1024;           // a chunk-size line with its extensions
  std::size_t trailers = 16 * 1024;  // the whole trailer section
};

class ChunkedDecoder {
 public:
  enum class State : std::uint8_t { NeedMore, Data, Done, Failed };
  struct Step {
    std::size_t consumed = 0;
    std::string_view payload;
    State state = State::NeedMore;
  };

  explicit ChunkedDecoder(ChunkLimits limits = {}) noexcept : limits_(limits) {}

  void reset() noexcept { *this = ChunkedDecoder(limits_); }

  Step next(std::string_view input) noexcept;

  bool done() const noexcept { return at_ == At::End; }
  // Payload bytes of the open chunk that are still to come, a hint for the size of the next read.
  std::uint64_t left_in_chunk() const noexcept { return at_ == At::Payload ? size_ : 0; }
  Problem problem() const noexcept { return problem_; }

 private:
  enum class At : std::uint8_t {
    SizeStart,
    Size,
    Blank,
    Extension,
    SizeLf,
    Payload,
    PayloadCr,
    PayloadLf,
    TrailerStart,
    TrailerName,
    TrailerValue,
    TrailerLf,
    FinalLf,
    End,
    Broken,
  };

  bool take(char c) noexcept;
  bool take_size(char c) noexcept;
  bool take_trailer(char c) noexcept;
  bool broken(std::string_view detail) noexcept;
  bool end_of_size() noexcept;

  ChunkLimits limits_;
  At at_ = At::SizeStart;
  std::uint64_t size_ = 0;
  unsigned digits_ = 0;
  std::size_t line_ = 0;      // bytes of the size line so far
  std::size_t trailers_ = 0;  // bytes of the trailer section so far
  Problem problem_;
};

}  // namespace cxxproxy::http
