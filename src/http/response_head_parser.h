// The head of a backend's HTTP/1 answer, parsed as it arrives.
//
// WHAT    parse() is given ALL bytes of the answer that have come so far, from the first byte of the
//         status line; the caller may grow and move the buffer between calls. Each byte is looked at
//         once. After Done head() views into the buffer of the last call, so it is valid as long
//         as those bytes stay where they are; bytes behind head_size() were not looked at.
// SHAPES  The buffer is writable because each obs-fold becomes one space in place (RFC 9112 5.2).
//         Lines may end with a bare LF, as small backends do; a bare CR, NUL or other CTL is never
//         accepted. Blanks between name and colon are taken away (RFC 9112 5.1). The status line is
//         exact: `HTTP/1.DIGIT SP 3DIGIT [SP reason]`, nothing before it; a code from 600 on has no
//         meaning but is passed on (some sites use 999), one below 100 is refused.
//         Limits count bytes: a line with its folds, the whole head; `fields` counts fields. One
//         parser serves many heads: reset() keeps the memory. Not for several threads at once.
// ERRORS  Failed: problem() says what (BadStatusLine, BadField, FieldTooLarge, HeadTooLarge,
//         TooManyFields); the connection is of no more use. It fails as soon as the bytes suffice.
// SOURCE  RFC 9112 2.2, 4, 5; BadHeaderRule follows ProxyBadHeader of mod_proxy.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "http/field.h"
#include "http/problem.h"

namespace cxxproxy::http {

struct HeadLimits {
  std::size_t field = 16 * 1024;
  std::size_t head = 64 * 1024;
  std::size_t fields = 512;
};

// What to do with a line whose name is missing or no token (a CTL is refused under every rule).
enum class BadHeaderRule : std::uint8_t {
  Refuse,
  Skip,       // leave the line out
  StartBody,  // a line without colon ends the head and begins the body; else as Refuse
};

struct ResponseHead {
  int minor_version = 1;
  int status = 0;
  std::string_view text;  // all of it, with the ends of its lines; reason and fields are parts of it
  std::string_view reason;
  std::vector<FieldView> fields;
  // What BadHeaderRule did to it. Either may have hidden how long the body is.
  bool lines_left_out = false;
  bool ended_by_bad_line = false;
};

enum class Progress : std::uint8_t { NeedMore, Done, Failed };

class ResponseHeadParser {
 public:
  explicit ResponseHeadParser(HeadLimits limits = {}, BadHeaderRule rule = BadHeaderRule::Refuse) noexcept
      : limits_(limits), rule_(rule) {}

  // For the next head (after an interim response give it the bytes behind head_size()).
  void reset() noexcept;

  Progress parse(std::span<char> bytes_so_far);

  const ResponseHead& head() const noexcept { return head_; }
  std::size_t head_size() const noexcept { return head_size_; }
  Problem problem() const noexcept { return problem_; }

  // Did any byte arrive? Tells "closed without an answer" from "closed inside the head".
  bool started() const noexcept { return scanned_ > 0; }

 private:
  enum class Part : std::uint8_t { StatusLine, Fields, Finished };

  Progress run(std::span<char> bytes);
  void follow(const char* begin) noexcept;
  Progress fail(base::ProxyErrc code, std::string_view detail) noexcept;
  Progress finish(std::size_t size) noexcept;
  Progress fail_too_long() noexcept;
  bool settle_pending(char next) noexcept;
  Progress take_line(std::span<char> bytes, std::string_view line);
  void append_fold(std::span<char> bytes, std::string_view text) noexcept;
  Progress take_status_line(std::string_view line) noexcept;
  Progress take_field(std::string_view line);
  Progress take_bad_line(std::string_view line) noexcept;

  HeadLimits limits_;
  BadHeaderRule rule_;
  Part part_ = Part::StatusLine;
  std::size_t scanned_ = 0;     // no line end before this offset is left to be found
  std::size_t physical_ = 0;    // start of the line that ends at the next LF
  std::size_t line_start_ = 0;  // start of the line with its folds
  bool pending_ = false;        // there is a field whose next line may still be a fold
  bool in_fold_ = false;        // the line at physical_ continues that field
  bool skip_line_ = false;      // that field is left out (BadHeaderRule::Skip), else it is the last of head_
  const char* begin_ = nullptr;  // of the bytes that head_ views into
  ResponseHead head_;
  std::size_t head_size_ = 0;
  Problem problem_;
};

}  // namespace cxxproxy::http
