// Cuts a fuzz input into typed pieces, and the trap that every invariant ends in.
//
// SHAPES  Pieces are views into the input; an exhausted input gives zeros and empty texts, so that
//         every input is valid.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace cxxproxy::fuzz {

inline void require(bool holds) {
  if (!holds) __builtin_trap();
}

class Input {
 public:
  Input(const std::uint8_t* data, std::size_t size) : rest_(reinterpret_cast<const char*>(data), size) {}

  unsigned byte() {
    if (rest_.empty()) return 0;
    const auto value = static_cast<unsigned char>(rest_.front());
    rest_.remove_prefix(1);
    return value;
  }

  // Up to the next 0xff (which is consumed), so that a piece may hold line ends and NUL.
  std::string_view piece() {
    const std::size_t end = std::min(rest_.find('\xff'), rest_.size());
    const std::string_view text = rest_.substr(0, end);
    rest_.remove_prefix(std::min(end + 1, rest_.size()));
    return text;
  }

  std::string_view rest() const { return rest_; }
  bool empty() const { return rest_.empty(); }

 private:
  std::string_view rest_;
};

}  // namespace cxxproxy::fuzz
