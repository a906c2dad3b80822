// The order of byrequests told the plain way: one credit per member, changed at every turn. Slow,
// stateful and obviously right; what the balancer computes is compared with it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace cxxproxy::test {

class NaiveRoundRobin {
 public:
  explicit NaiveRoundRobin(std::vector<std::uint32_t> weights) : weights_(std::move(weights)), credit_(weights_.size(), 0) {}

  std::size_t next() {
    std::int64_t total = 0;
    std::size_t best = weights_.size();
    for (std::size_t i = 0; i < weights_.size(); ++i) {
      if (weights_[i] == 0) continue;  // not offered
      credit_[i] += weights_[i];
      total += weights_[i];
      if (best == weights_.size() || credit_[i] > credit_[best]) best = i;
    }
    credit_[best] -= total;
    return best;
  }

  std::vector<std::uint64_t> counts(std::uint64_t turns) {
    std::vector<std::uint64_t> counted(weights_.size(), 0);
    for (std::uint64_t i = 0; i < turns; ++i) ++counted[next()];
    return counted;
  }

 private:
  std::vector<std::uint32_t> weights_;
  std::vector<std::int64_t> credit_;
};

}  // namespace cxxproxy::test
