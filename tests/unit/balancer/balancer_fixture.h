// A balancer with its spec and slots, in ordinary memory or in a mapping that processes share.
#pragma once

#include <sys/mman.h>

#include <cstdlib>
#include <memory>
#include <new>
#include <string>
#include <vector>

#include "balancer/balancer.h"
#include "balancer/by_requests.h"
#include "balancer/flight.h"

namespace cxxproxy::test {

inline config::BalancerSpec make_spec(const std::vector<std::uint32_t>& loadfactors) {
  config::BalancerSpec spec;
  spec.name = "mycluster";
  spec.key = "server|mycluster";
  for (std::size_t i = 0; i < loadfactors.size(); ++i) {
    config::MemberSpec member;
    member.name = "http://127.0.0.1:" + std::to_string(8000 + i);
    member.key = spec.key + "|" + member.name;
    member.loadfactor = loadfactors[i];
    spec.members.push_back(member);
  }
  return spec;
}

// Slots in one anonymous shared mapping, as the children of a server have them.
class SharedSlots {
 public:
  static constexpr std::uint32_t kPlaces = 9;

  explicit SharedSlots(std::size_t members)
      : size_(sizeof(balancer::BalancerSlot) + members * sizeof(balancer::MemberSlot) +
              (members + 1) * balancer::Flights::row_size(kPlaces) + 64) {
    void* const memory = ::mmap(nullptr, size_, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) std::abort();
    auto* const bytes = static_cast<char*>(memory);
    balancer_ = new (bytes) balancer::BalancerSlot{};
    for (std::size_t i = 0; i < members; ++i) {
      members_.push_back(new (bytes + sizeof(balancer::BalancerSlot) + i * sizeof(balancer::MemberSlot)) balancer::MemberSlot{});
      rows_.push_back(static_cast<std::uint32_t>(i));
    }
    using Word = balancer::Flights::Count;
    auto* const words = new (bytes + sizeof(balancer::BalancerSlot) + members * sizeof(balancer::MemberSlot)) Word[16]{};
    flights_ = {words + 1, *words, kPlaces, words + 16, static_cast<std::uint32_t>(members + 1)};
  }
  ~SharedSlots() { ::munmap(balancer_, size_); }
  SharedSlots(const SharedSlots&) = delete;
  SharedSlots& operator=(const SharedSlots&) = delete;

  void start(const config::BalancerSpec& spec, base::Instant now) {
    balancer::start_balancer(*balancer_, spec);
    for (std::size_t i = 0; i < members_.size(); ++i) balancer::start_member(*members_[i], spec.members[i], now);
  }

  balancer::BalancerSlot& balancer() { return *balancer_; }
  balancer::MemberSlot& member(std::size_t i) { return *members_[i]; }
  const std::vector<balancer::MemberSlot*>& members() const { return members_; }
  balancer::Flights& flights() { return flights_; }
  // As one child sees all of it.
  balancer::Shared shared(std::uint32_t process) {
    return {*balancer_, members_, flights_, flights_.claim(process), static_cast<std::uint32_t>(members_.size()), rows_};
  }
  std::uint64_t in_flight() const {
    std::uint64_t sum = 0;
    for (std::uint32_t row = 0; row < flights_.rows(); ++row) sum += flights_.in_all(row);
    return sum;
  }

  std::uint64_t chosen() const {
    std::uint64_t sum = 0;
    for (const balancer::MemberSlot* slot : members_) sum += slot->chosen.load();
    return sum;
  }
  // As a status page would change them: state first, then the epoch.
  void set_status(std::size_t i, std::uint32_t status) {
    members_[i]->status.store(status);
    balancer_->epoch.fetch_add(1);
  }

 private:
  std::size_t size_;
  balancer::BalancerSlot* balancer_ = nullptr;
  balancer::Flights flights_;
  std::vector<balancer::MemberSlot*> members_;
  std::vector<std::uint32_t> rows_;
};

class CountingObserver final : public balancer::PickObserver {
 public:
  void rest_is_over(std::size_t) noexcept override { rests_over.fetch_add(1); }
  void all_failed() noexcept override { all_failed_times.fetch_add(1); }
  void panic() noexcept override { panics.fetch_add(1); }
  void panic_is_over() noexcept override { panics_over.fetch_add(1); }

  std::atomic<unsigned> rests_over{0};
  std::atomic<unsigned> all_failed_times{0};
  std::atomic<unsigned> panics{0};
  std::atomic<unsigned> panics_over{0};
};

// One process's view of a balancer, driven by one thread with a clock of its own.
class Bench {
 public:
  explicit Bench(config::BalancerSpec given) : spec(std::move(given)), slots(spec.members.size()) {
    slots.start(spec, clock.now());
    balancer = std::make_unique<balancer::Balancer>(spec, slots.shared(1));
  }
  explicit Bench(const std::vector<std::uint32_t>& loadfactors) : Bench(make_spec(loadfactors)) {}

  // 'A' for the first member, '-' for nobody.
  char pick(const balancer::TriedSet& tried = {}) {
    const auto index = balancer->pick(tried, clock.now(), &seen);
    return index ? static_cast<char>('A' + *index) : '-';
  }
  std::string picks(std::size_t count) {
    std::string order;
    for (std::size_t i = 0; i < count; ++i) order += pick();
    return order;
  }
  bool fail(char member) { return balancer->failed(static_cast<std::size_t>(member - 'A'), clock.now()); }
  bool succeed(char member) { return balancer->succeeded(static_cast<std::size_t>(member - 'A')); }

  config::BalancerSpec spec;
  SharedSlots slots;
  base::ManualClock clock;
  CountingObserver seen;
  std::unique_ptr<balancer::Balancer> balancer;
};

inline balancer::TriedSet tried(const std::string& members) {
  balancer::TriedSet set;
  for (const char c : members) set.insert(static_cast<std::size_t>(c - 'A'));
  return set;
}

inline std::size_t count(const std::string& order, char member) {
  std::size_t found = 0;
  for (const char c : order) found += c == member ? 1 : 0;
  return found;
}

}  // namespace cxxproxy::test
