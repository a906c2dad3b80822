// A table of the shared segment in a mapping of its own that processes share.
#pragma once

#include <sys/mman.h>

#include <cstdlib>

#include "balancer/limits.h"

namespace cxxproxy::test {

template <class Table>
class SharedTable {
 public:
  SharedTable(std::uint32_t rows, std::uint32_t places) : size_(Table::size(rows, places)) {
    memory_ = ::mmap(nullptr, size_, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory_ == MAP_FAILED) std::abort();
    table_ = Table(static_cast<char*>(memory_), rows, places);
  }
  ~SharedTable() { ::munmap(memory_, size_); }
  SharedTable(const SharedTable&) = delete;
  SharedTable& operator=(const SharedTable&) = delete;

  const Table& operator*() const { return table_; }
  const Table* operator->() const { return &table_; }

 private:
  std::size_t size_;
  void* memory_;
  Table table_;
};

using SharedLimits = SharedTable<balancer::Limits>;

}  // namespace cxxproxy::test
