#include "httpd/child_state.h"

#include <unistd.h>

#include "httpd/config_hooks.h"
#include "httpd/guard.h"
#include "httpd/shared_state.h"
#include "httpd/httpd_api.h"

namespace cxxproxy::httpd {
namespace {

ChildState* g_child = nullptr;

}  // namespace

ChildState::ChildState(const config::ResolvedConfig& config, const net::SharedSegment& segment, std::uint32_t process) {
  members_.reserve(config.members.size());
  for (const config::MemberSpec* member : config.members) {
    members_.push_back(std::make_unique<upstream::MemberUpstream>(*member, resolver_));
    member_pointers_.push_back(members_.back().get());
  }
  balancer::Flights flights = segment.flights();
  const std::uint32_t place = flights.claim(process);
  groups_.reserve(config.balancers.size());
  for (const auto& spec : config.balancers) {
    Group group;
    std::vector<balancer::MemberSlot*> slots;
    for (const config::MemberSpec& member : spec->members) {
      slots.push_back(segment.members().at(member.member_id));
      group.members.push_back(member_pointers_.at(member.member_id));
    }
    const balancer::Shared shared{*segment.balancers().at(spec->balancer_id), slots, flights, place, segment.balancer_row(spec->balancer_id)};
    group.balancer = std::make_unique<balancer::Balancer>(*spec, shared);
    groups_.push_back(std::move(group));
  }
}

exchange::Destination ChildState::destination(const config::Target& target) const {
  if (target.balancer != nullptr) {
    const Group& group = groups_.at(target.balancer->balancer_id);
    return {group.balancer.get(), group.members};
  }
  return {nullptr, std::span(member_pointers_).subspan(target.member->member_id, 1)};
}

void make_child_state(server_rec* main_server) noexcept {
  (void)guard("child_init", 0, [&] {
    const auto segment = shared_segment();
    if (!segment) {
      ap_log_error(APLOG_MARK, APLOG_CRIT, 0, main_server, "CXP0012: the shared memory of this server generation is missing");
      return 0;
    }
    g_child = new ChildState(resolved_config(main_server), *segment, static_cast<std::uint32_t>(::getpid()));
    return 0;
  });
}

ChildState* child_state() noexcept { return g_child; }

}  // namespace cxxproxy::httpd
