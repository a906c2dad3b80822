#include "http/response_head_parser.h"

#include <algorithm>
#include <cstring>

#include "base/ascii.h"
#include "http/clean_text.h"

namespace cxxproxy::http {
namespace {

using base::ProxyErrc;

constexpr std::string_view kVersionPrefix = "HTTP/1.";
constexpr std::size_t kShortestStatusLine = 12;  // HTTP/1.1 200
constexpr std::size_t kUsualFields = 32;

bool is_blank(char c) noexcept { return c == ' ' || c == '\t'; }

std::string_view view(std::span<const char> bytes, std::size_t from, std::size_t to) noexcept {
  return {bytes.data() + from, to - from};
}

}  // namespace

void ResponseHeadParser::reset() noexcept {
  part_ = Part::StatusLine;
  scanned_ = physical_ = line_start_ = head_size_ = 0;
  pending_ = in_fold_ = skip_line_ = false;
  head_.fields.clear();
  head_.text = head_.reason = {};
  head_.status = 0;
  head_.minor_version = 1;
  head_.lines_left_out = head_.ended_by_bad_line = false;
  problem_ = {};
}

Progress ResponseHeadParser::fail(ProxyErrc code, std::string_view detail) noexcept {
  problem_ = {code, detail};
  return Progress::Failed;
}

Progress ResponseHeadParser::parse(std::span<char> bytes_so_far) {
  if (problem_) return Progress::Failed;
  if (begin_ != bytes_so_far.data()) follow(bytes_so_far.data());
  if (part_ == Part::Finished) return Progress::Done;
  if (part_ == Part::StatusLine) {
    const std::size_t size = std::min(kVersionPrefix.size(), bytes_so_far.size());
    if (view(bytes_so_far, 0, size) != kVersionPrefix.substr(0, size)) {
      scanned_ = bytes_so_far.size();
      return fail(ProxyErrc::BadStatusLine, "the answer does not start with HTTP/1.");
    }
  }
  return run(bytes_so_far);
}

// The caller has moved the bytes: what was found in them has kept its distance from the first one.
void ResponseHeadParser::follow(const char* begin) noexcept {
  if (part_ != Part::StatusLine) {
    const auto move = [this, begin](std::string_view& text) { text = {begin + (text.data() - begin_), text.size()}; };
    move(head_.reason);
    for (FieldView& field : head_.fields) {
      move(field.name);
      move(field.value);
    }
  }
  begin_ = begin;
  head_.text = {begin_, head_size_};
}

// Which limit is crossed first must not depend on how the bytes were split.
Progress ResponseHeadParser::fail_too_long() noexcept {
  if (limits_.head - line_start_ <= limits_.field) return fail(ProxyErrc::HeadTooLarge, "the head is too long");
  return fail(ProxyErrc::FieldTooLarge, part_ == Part::StatusLine ? "the status line is too long" : "a field is too long");
}

// Only the first byte of the next line tells whether a field is complete.
bool ResponseHeadParser::settle_pending(char next) noexcept {
  pending_ = false;
  in_fold_ = is_blank(next);
  if (in_fold_) return true;
  line_start_ = physical_;
  if (skip_line_ || head_.fields.size() <= limits_.fields) return true;
  fail(ProxyErrc::TooManyFields, "more fields than allowed");
  return false;
}

Progress ResponseHeadParser::run(std::span<char> bytes) {
  while (scanned_ < bytes.size()) {
    if (pending_ && !settle_pending(bytes[physical_])) return Progress::Failed;
    const auto* const line_feed = static_cast<const char*>(std::memchr(bytes.data() + scanned_, '\n', bytes.size() - scanned_));
    scanned_ = line_feed != nullptr ? static_cast<std::size_t>(line_feed - bytes.data()) + 1 : bytes.size();
    if (scanned_ - line_start_ > std::min(limits_.field, limits_.head - line_start_)) return fail_too_long();
    if (line_feed == nullptr) return Progress::NeedMore;
    std::string_view line = view(bytes, physical_, scanned_ - 1);
    if (line.ends_with('\r')) line.remove_suffix(1);
    const Progress progress = take_line(bytes, line);
    if (progress != Progress::NeedMore) return progress;
    physical_ = scanned_;
  }
  return Progress::NeedMore;
}

Progress ResponseHeadParser::take_line(std::span<char> bytes, std::string_view line) {
  if (part_ == Part::StatusLine) return take_status_line(line);
  if (line.empty()) return finish(scanned_);
  if (!is_clean_text(line)) return fail(ProxyErrc::BadField, "a field holds a control character");
  if (in_fold_) {
    if (!skip_line_) append_fold(bytes, base::trim(line));
  } else {
    const Progress progress = take_field(line);
    if (progress != Progress::NeedMore) return progress;
  }
  pending_ = true;
  return Progress::NeedMore;
}

// The line end and the blanks around it become one space (RFC 9112 5.2), as httpd's own reader does it:
// the line is moved up to the text before it, over bytes that nobody looks at again.
void ResponseHeadParser::append_fold(std::span<char> bytes, std::string_view text) noexcept {
  if (text.empty()) return;
  std::string_view& value = head_.fields.back().value;
  const auto start = static_cast<std::size_t>(value.data() - bytes.data());
  std::size_t end = start + value.size();
  if (!value.empty()) bytes[end++] = ' ';
  std::memmove(bytes.data() + end, text.data(), text.size());
  value = view(bytes, start, end + text.size());
}

Progress ResponseHeadParser::take_status_line(std::string_view line) noexcept {
  const auto bad = [this](std::string_view detail) { return fail(ProxyErrc::BadStatusLine, detail); };
  if (!is_clean_text(line)) return bad("the status line holds a control character");
  if (line.size() < kShortestStatusLine || !base::is_digit(line[7]))
    return bad("the status line is too short or has no version");
  if (line[8] != ' ') return bad("no single space between version and status code");
  int status = 0;
  for (const char c : line.substr(9, 3)) {
    if (!base::is_digit(c)) return bad("the status code is not three digits");
    status = status * 10 + (c - '0');
  }
  if (status < 100) return bad("the status code is below 100");
  if (line.size() > kShortestStatusLine && line[kShortestStatusLine] != ' ')
    return bad("no space behind the status code");
  head_.reason = base::trim(line.substr(kShortestStatusLine));
  head_.minor_version = line[7] - '0';
  head_.status = status;
  part_ = Part::Fields;
  line_start_ = scanned_;
  return Progress::NeedMore;
}

// A field line without its folds; what is wrong with its name is known before its value ends.
Progress ResponseHeadParser::take_field(std::string_view line) {
  const char* name_end = line.data();  // the end of the line stops both loops
  while (base::is_token_char(*name_end)) ++name_end;
  const char* colon = name_end;
  while (is_blank(*colon)) ++colon;
  skip_line_ = name_end == line.data() || *colon != ':';
  if (skip_line_) return take_bad_line(line);
  if (head_.fields.empty()) head_.fields.reserve(kUsualFields);
  head_.fields.push_back({{line.data(), name_end}, base::trim({colon + 1, line.data() + line.size()})});
  return Progress::NeedMore;
}

// No token stands before its first colon, or it has none.
Progress ResponseHeadParser::take_bad_line(std::string_view line) noexcept {
  const std::size_t colon = line.find(':');
  const bool has_colon = colon != std::string_view::npos;
  if (rule_ == BadHeaderRule::Skip) {
    head_.lines_left_out = true;
    return Progress::NeedMore;
  }
  if (rule_ == BadHeaderRule::StartBody && !has_colon) {
    head_.ended_by_bad_line = true;
    return finish(physical_);
  }
  if (!has_colon) return fail(ProxyErrc::BadField, "a field line has no colon");
  if (base::trim(line.substr(0, colon)).empty()) return fail(ProxyErrc::BadField, "a field has an empty name");
  return fail(ProxyErrc::BadField, is_blank(line.front()) ? "a field line starts with a blank" : "a field name is not a token");
}

Progress ResponseHeadParser::finish(std::size_t size) noexcept {
  part_ = Part::Finished;
  head_size_ = size;
  head_.text = {begin_, size};
  return Progress::Done;
}

}  // namespace cxxproxy::http
