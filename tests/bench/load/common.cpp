#include "common.h"

#include <sys/resource.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>

namespace bench {

namespace {

std::string make_pattern() {
  std::string text(kPeriod + kBuffer, '\0');
  for (std::size_t i = 0; i < text.size(); ++i) text[i] = static_cast<char>('a' + (i % kPeriod) * 31 / 8 % 26);
  return text;
}

}  // namespace

std::string_view pattern(std::uint64_t offset, std::size_t size) {
  static const std::string text = make_pattern();
  return std::string_view(text).substr(static_cast<std::size_t>(offset % kPeriod), size);
}

std::uint64_t now() {
  timespec time{};
  clock_gettime(CLOCK_MONOTONIC, &time);
  return static_cast<std::uint64_t>(time.tv_sec) * 1'000'000'000U + static_cast<std::uint64_t>(time.tv_nsec);
}

void fail(const std::string& what) {
  std::fprintf(stderr, "bench_load: %s\n", what.c_str());
  std::exit(1);
}

void raise_descriptor_limit() {
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

Epoll::Epoll() : fd_(epoll_create1(EPOLL_CLOEXEC)) {
  if (fd_ < 0) fail("epoll_create1: " + std::string(std::strerror(errno)));
}

int Epoll::wait(epoll_event* events, int most, int milliseconds) const {
  const int count = epoll_wait(fd_, events, most, milliseconds);
  return count < 0 ? 0 : count;
}

void Epoll::control(int what, int fd, std::uint32_t events, std::uint64_t tag) const {
  epoll_event event{};
  event.events = events;
  event.data.u64 = tag;
  if (epoll_ctl(fd_, what, fd, &event) != 0) fail("epoll_ctl: " + std::string(std::strerror(errno)));
}

}  // namespace bench
