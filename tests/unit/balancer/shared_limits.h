// The table of limits in a mapping that processes share.
#pragma once

#include <sys/mman.h>

#include <cstdlib>

#include "balancer/limits.h"

namespace cxxproxy::test {

class SharedLimits {
 public:
  SharedLimits(std::uint32_t rows, std::uint32_t places) : size_(balancer::Limits::size(rows, places)) {
    memory_ = ::mmap(nullptr, size_, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory_ == MAP_FAILED) std::abort();
    limits_ = balancer::Limits(static_cast<char*>(memory_), rows, places);
  }
  ~SharedLimits() { ::munmap(memory_, size_); }
  SharedLimits(const SharedLimits&) = delete;
  SharedLimits& operator=(const SharedLimits&) = delete;

  const balancer::Limits& operator*() const { return limits_; }
  const balancer::Limits* operator->() const { return &limits_; }

 private:
  std::size_t size_;
  void* memory_;
  balancer::Limits limits_;
};

}  // namespace cxxproxy::test
