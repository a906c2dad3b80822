// lbmethod=bytraffic: the member that has moved the fewest bytes, both ways, for its weight; the first in
// file order among equals, as in mod_proxy.
//
// Different from mod_proxy: old traffic counts less and less (half after kHalfLife), a member that comes
// back or is new begins with what the others have, so that it is not flooded, and requests in flight
// count with the bytes that a request of this member usually moves, so that a burst is spread.
#include <cmath>

#include "balancer/methods.h"

namespace cxxproxy::balancer {
namespace {

constexpr auto kRelaxed = std::memory_order_relaxed;
constexpr base::Duration kHalfLife = std::chrono::seconds(60);
constexpr base::Duration kAgeing = std::chrono::seconds(1);  // how often
constexpr std::uint64_t kSmallRequest = 512;                 // until something is known

class ByTraffic final : public Policy {
 public:
  std::optional<std::size_t> pick(const View& view, const PickHint&) noexcept override {
    (void)view.turn();
    age(view);
    const std::size_t size = view.offer().size();
    std::size_t best = view.offer().member(0);
    double least = load(view, best);
    for (std::size_t place = 1; place < size; ++place) {
      const std::size_t member = view.offer().member(place);
      const double own = load(view, member);
      if (own >= least) continue;
      best = member;
      least = own;
    }
    return best;
  }

  bool needs_traffic() const noexcept override { return true; }

  // Raises a member to the mean level of the others; one that has more keeps it.
  void came_back(const View& view, std::size_t member) noexcept override {
    double level = 0.0;
    std::size_t others = 0;
    for (std::size_t place = 0; place < view.offer().size(); ++place) {
      const std::size_t other = view.offer().member(place);
      if (other == member) continue;
      level += static_cast<double>(view.slot(other).traffic.load(kRelaxed)) / view.weight(other);
      ++others;
    }
    if (others == 0) return;
    const auto wanted = static_cast<std::uint64_t>(level / static_cast<double>(others) * view.weight(member));
    std::uint64_t own = view.slot(member).traffic.load(kRelaxed);
    while (own < wanted && !view.slot(member).traffic.compare_exchange_weak(own, wanted, kRelaxed)) {
    }
  }

 private:
  static double load(const View& view, std::size_t member) noexcept {
    const MemberSlot& slot = view.slot(member);
    double bytes = static_cast<double>(slot.traffic.load(kRelaxed));
    if (const std::uint32_t in_flight = view.in_flight(member); in_flight != 0) {
      const std::uint64_t moved = slot.bytes_to_member.load(kRelaxed) + slot.bytes_from_member.load(kRelaxed);
      const std::uint64_t ended = slot.chosen.load(kRelaxed) - std::min<std::uint64_t>(slot.chosen.load(kRelaxed), in_flight);
      const std::uint64_t usual = ended == 0 ? kSmallRequest : std::max(moved / ended, kSmallRequest);
      bytes += static_cast<double>(in_flight) * static_cast<double>(usual);
    }
    return bytes / view.weight(member);
  }

  // One thread of all processes does it, about once a second. What is added meanwhile is not lost.
  static void age(const View& view) noexcept {
    std::atomic<std::int64_t>& aged_at = view.balancer().aged_at;
    const std::int64_t now = base::micros(view.now());
    std::int64_t last = aged_at.load(kRelaxed);
    if (now - last < kAgeing.count() || !aged_at.compare_exchange_strong(last, now, kRelaxed) || last == 0) return;
    const double gone = 1.0 - std::exp2(-static_cast<double>(now - last) / static_cast<double>(kHalfLife.count()));
    for (std::size_t member = 0; member < view.members(); ++member) {
      std::atomic<std::uint64_t>& traffic = view.slot(member).traffic;
      traffic.fetch_sub(static_cast<std::uint64_t>(static_cast<double>(traffic.load(kRelaxed)) * gone), kRelaxed);
    }
  }
};

}  // namespace

std::unique_ptr<Policy> make_by_traffic() { return std::make_unique<ByTraffic>(); }

}  // namespace cxxproxy::balancer
