#include "message.h"

#include <algorithm>
#include <charconv>
#include <strings.h>

#include "common.h"

namespace bench {

namespace {

bool same(std::string_view a, std::string_view b) {
  return a.size() == b.size() && strncasecmp(a.data(), b.data(), a.size()) == 0;
}

}  // namespace

Head parse_head(std::string_view text) {
  Head head;
  std::size_t at = text.find("\r\n");
  head.first_line = text.substr(0, at);
  head.close = head.first_line.find("HTTP/1.0") != std::string_view::npos;
  for (at += 2; at < text.size();) {
    const std::size_t end = text.find("\r\n", at);
    const std::string_view line = text.substr(at, end - at);
    at = end + 2;
    const std::size_t colon = line.find(':');
    if (colon == std::string_view::npos) continue;
    const std::string_view name = line.substr(0, colon);
    std::string_view value = line.substr(colon + 1);
    while (!value.empty() && value.front() == ' ') value.remove_prefix(1);
    if (same(name, "content-length")) {
      std::from_chars(value.data(), value.data() + value.size(), head.length);
    } else if (same(name, "transfer-encoding")) {
      head.chunked = same(value, "chunked");
    } else if (same(name, "connection")) {
      if (same(value, "close")) head.close = true;
      if (same(value, "keep-alive")) head.close = false;
    } else if (same(name, "upgrade")) {
      head.upgrade = true;
    }
  }
  return head;
}

void BodyReader::begin_length(std::uint64_t length) {
  left_ = length;
  state_ = length == 0 ? State::Done : State::Length;
}

std::size_t BodyReader::take(std::string_view data, BodySink& sink) {
  std::size_t used = 0;
  while (used < data.size() && state_ != State::Done && state_ != State::Malformed) {
    const std::string_view rest = data.substr(used);
    if (state_ == State::UntilClose) {
      sink.piece(rest);
      return data.size();
    }
    if (state_ == State::Length || state_ == State::Data) {
      const std::string_view piece = rest.substr(0, static_cast<std::size_t>(std::min<std::uint64_t>(left_, rest.size())));
      sink.piece(piece);
      used += piece.size();
      left_ -= piece.size();
      if (left_ == 0) state_ = state_ == State::Length ? State::Done : State::DataEnd;
      continue;
    }
    const std::size_t end = rest.find('\n');
    const std::size_t size = end == std::string_view::npos ? rest.size() : end + 1;
    line_.append(rest.substr(0, size));
    used += size;
    if (end != std::string_view::npos) take_line();
  }
  return used;
}

void BodyReader::take_line() {
  const bool empty = line_ == "\r\n";
  if (state_ == State::DataEnd) {
    state_ = empty ? State::Size : State::Malformed;
  } else if (state_ == State::Trailer) {
    if (empty) state_ = State::Done;
  } else {
    const auto [stop, error] = std::from_chars(line_.data(), line_.data() + line_.size(), left_, 16);
    const bool good = error == std::errc{} && (*stop == '\r' || *stop == ';');
    state_ = !good ? State::Malformed : left_ == 0 ? State::Trailer : State::Data;
  }
  line_.clear();
}

void BodyReader::end() {
  if (state_ == State::UntilClose) state_ = State::Done;
}

void PatternCheck::piece(std::string_view data) {
  for (std::string_view rest = data; !rest.empty() && good_;) {
    const std::string_view part = rest.substr(0, kBuffer);
    good_ = matches(size_ + static_cast<std::uint64_t>(part.data() - data.data()), part);
    rest.remove_prefix(part.size());
  }
  size_ += data.size();
}

}  // namespace bench
