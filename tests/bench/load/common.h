// WHAT    What client and backend share: the bytes of every body, the clock, descriptors, epoll.
// SHAPES  A body is a piece of one periodic text that begins with its first byte, so the receiver can check each byte by its
//         offset. Nanoseconds of CLOCK_MONOTONIC, which both processes share.
// ERRORS  fail() prints a sentence and ends the program with 1.
#pragma once

#include <sys/epoll.h>

#include <cstdint>
#include <string>
#include <string_view>

namespace bench {

inline constexpr std::size_t kPeriod = 4093;             // a prime: no buffer size is a multiple of it
inline constexpr std::size_t kBuffer = 256 * 1024;       // the most that is read or compared at a time

std::string_view pattern(std::uint64_t offset, std::size_t size);  // size <= kBuffer
inline bool matches(std::uint64_t offset, std::string_view data) { return data == pattern(offset, data.size()); }

std::uint64_t now();

[[noreturn]] void fail(const std::string& what);
void raise_descriptor_limit();

class Epoll {
 public:
  Epoll();
  void add(int fd, std::uint32_t events, std::uint64_t tag) const { control(EPOLL_CTL_ADD, fd, events, tag); }
  void change(int fd, std::uint32_t events, std::uint64_t tag) const { control(EPOLL_CTL_MOD, fd, events, tag); }
  void remove(int fd) const { control(EPOLL_CTL_DEL, fd, 0, 0); }
  // Returns how many of `events` were filled.
  int wait(epoll_event* events, int most, int milliseconds) const;

 private:
  void control(int what, int fd, std::uint32_t events, std::uint64_t tag) const;
  int fd_;
};

}  // namespace bench
