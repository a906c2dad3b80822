// lbmethod=hash: requests with the same key go to the same member. Each member has points on a ring,
// in proportion to its weight; a key belongs to the next point after it. When a member goes, only its keys
// move; when it comes back, they come back.
//
// With hashfactor=F no member takes more than F times its share of what is in flight at the moment: the
// keys beyond go to the next points. A request without the key is spread by weight.
// SOURCE  Karger et al., Consistent Hashing, 1997; Mirrokni et al., Consistent Hashing with Bounded Loads, 2017.
#include <algorithm>
#include <vector>

#include "balancer/methods.h"

namespace cxxproxy::balancer {
namespace {

// Points of a member of average weight, and of the whole ring: 256 KiB for each process at most.
constexpr std::size_t kPointsEach = 200;
constexpr std::size_t kMostPoints = 32 * 1024;

class ConsistentHash final : public Policy {
 public:
  explicit ConsistentHash(const config::BalancerSpec& spec) : factor_(spec.hash_factor) {
    double weights = 0.0;
    for (const config::MemberSpec& member : spec.members) weights += member.loadfactor;
    const std::size_t wanted = std::min(kMostPoints, kPointsEach * spec.members.size());
    for (std::size_t i = 0; i < spec.members.size(); ++i) {
      const double share = spec.members[i].loadfactor / weights;
      const auto points = std::max<std::size_t>(1, static_cast<std::size_t>(static_cast<double>(wanted) * share + 0.5));
      // From the URL, not from the place in the file: a member that is added above moves nobody's keys.
      const std::uint64_t own = text_hash(spec.members[i].name);
      for (std::size_t n = 0; n < points; ++n) {
        ring_.push_back({static_cast<std::uint32_t>(mix(own + n * 0x9e3779b97f4a7c15) >> 32), static_cast<std::uint32_t>(i)});
      }
    }
    std::sort(ring_.begin(), ring_.end(), [](const Point& a, const Point& b) { return a.at != b.at ? a.at < b.at : a.member < b.member; });
  }

  bool needs_total() const noexcept override { return factor_ != 0; }

  std::optional<std::size_t> pick(const View& view, const PickHint& hint) noexcept override {
    const std::uint64_t draw = view.draw();
    if (!hint.has_key || ring_.empty()) return draw_by_share(view, draw);
    const auto wanted = static_cast<std::uint32_t>(hint.key >> 32);
    const auto found = std::lower_bound(ring_.begin(), ring_.end(), wanted, [](const Point& point, std::uint32_t at) { return point.at < at; });
    const auto start = static_cast<std::size_t>(found - ring_.begin());
    const std::uint64_t all = factor_ != 0 ? std::uint64_t{view.in_flight()} + 1 : 0;
    std::optional<std::size_t> own;
    std::size_t asked = kNoMember;
    for (std::size_t step = 0; step < ring_.size(); ++step) {
      const std::size_t place = start + step;
      const std::size_t member = ring_[place < ring_.size() ? place : place - ring_.size()].member;
      if (member == asked || !view.offer().contains(member)) continue;
      if (factor_ == 0 || has_room(view, member, all)) return member;
      asked = member;
      if (!own) own = member;
    }
    return own;  // only while counts change: never are all above their share
  }

 private:
  struct Point {
    std::uint32_t at;
    std::uint32_t member;
  };

  // Its share of `all`, times the factor, rounded up.
  bool has_room(const View& view, std::size_t member, std::uint64_t all) const noexcept {
    const std::uint64_t shares = std::max<std::uint32_t>(1, view.offer().shares());
    const std::uint64_t most = (all * view.weight(member) * factor_ + shares * 100 - 1) / (shares * 100);
    return view.in_flight(member) < most;
  }

  const std::uint64_t factor_;  // times 100, 0 = no bound
  std::vector<Point> ring_;
};

}  // namespace

std::unique_ptr<Policy> make_consistent_hash(const config::BalancerSpec& spec) { return std::make_unique<ConsistentHash>(spec); }

}  // namespace cxxproxy::balancer
