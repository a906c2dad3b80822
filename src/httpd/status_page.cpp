#include "httpd/status_page.h"

#include <string>

#include "balancer/slots.h"
#include "config/resolved_vhost.h"
#include "httpd/config_hooks.h"
#include "httpd/guard.h"
#include "httpd/shared_state.h"
#include "httpd/httpd_api.h"

namespace cxxproxy::httpd {
namespace {

using config::StatusFlag;

// The words that mod_proxy uses: "Init Ok", "Init Err", "Init Dis" ...
std::string state_of(const balancer::MemberSlot& slot) {
  const std::uint32_t status = slot.status.load(std::memory_order_relaxed);
  const auto has = [status](StatusFlag flag) { return (status & config::bit(flag)) != 0; };
  std::string text = "Init";
  if (has(StatusFlag::IgnoreErrors)) text += " Ign";
  if (has(StatusFlag::Drain)) text += " Drn";
  if (has(StatusFlag::HotSpare)) text += " Spar";
  if (has(StatusFlag::HotStandby)) text += " Stby";
  if (has(StatusFlag::Disabled)) text += " Dis";
  if (has(StatusFlag::Stopped)) text += " Stop";
  const bool failed = slot.failed_at.load(std::memory_order_relaxed) != 0;
  if (failed) text += " Err";
  if (!failed && !has(StatusFlag::Disabled) && !has(StatusFlag::Stopped)) text += " Ok";
  return text;
}

unsigned long count_of(const std::atomic<std::uint64_t>& counter) {
  return static_cast<unsigned long>(counter.load(std::memory_order_relaxed));
}

void write_lines(request_rec* r, const config::BalancerSpec& group, const net::SharedSegment& segment, unsigned number) {
  ap_rprintf(r, "ProxyBalancer[%u]Name: balancer://%s\n", number, group.name.c_str());
  for (std::size_t i = 0; i < group.members.size(); ++i) {
    const auto* slot = segment.members().at(group.members[i].member_id);
    if (slot == nullptr) continue;
    const auto place = static_cast<unsigned>(i);
    ap_rprintf(r, "ProxyBalancer[%u]Worker[%u]Name: %s\n", number, place, group.members[i].name.c_str());
    ap_rprintf(r, "ProxyBalancer[%u]Worker[%u]Status: %s\n", number, place, state_of(*slot).c_str());
    ap_rprintf(r, "ProxyBalancer[%u]Worker[%u]Elected: %lu\n", number, place, count_of(slot->chosen));
    ap_rprintf(r, "ProxyBalancer[%u]Worker[%u]Failures: %lu\n", number, place, count_of(slot->failures));
  }
}

void write_table(request_rec* r, const config::BalancerSpec& group, const net::SharedSegment& segment, bool full) {
  ap_rprintf(r, "<hr />\n<h1>Proxy LoadBalancer Status for balancer://%s</h1>\n\n", ap_escape_html(r->pool, group.name.c_str()));
  ap_rputs("<table border=\"0\"><tr><th>Member</th><th>Status</th><th>Elected</th><th>Failures</th>", r);
  ap_rputs(full ? "<th>Factor</th><th>Retry</th><th>Max</th></tr>\n" : "</tr>\n", r);
  for (const config::MemberSpec& member : group.members) {
    const auto* slot = segment.members().at(member.member_id);
    if (slot == nullptr) continue;
    ap_rprintf(r, "<tr><td>%s</td><td>%s</td><td>%lu</td><td>%lu</td>", ap_escape_html(r->pool, member.name.c_str()),
               state_of(*slot).c_str(), count_of(slot->chosen), count_of(slot->failures));
    if (full) {
      ap_rprintf(r, "<td>%u.%02u</td><td>%lu s</td><td>%u</td>", member.loadfactor / 100, member.loadfactor % 100,
                 static_cast<unsigned long>(member.retry.count() / 1'000'000), member.max);
    }
    ap_rputs("</tr>\n", r);
  }
  ap_rputs("</table>\n", r);
}

int show(request_rec* r, int flags) noexcept {
  return guard("status page", kOk, [&] {
    const config::ResolvedVhost& vhost = resolved_vhost(r->server);
    const auto segment = shared_segment();
    if (vhost.show_status == config::ShowStatus::Off || !segment) return kOk;
    unsigned number = 0;
    for (const config::BalancerSpec* group : vhost.balancers) {
      if ((flags & AP_STATUS_SHORT) != 0) {
        write_lines(r, *group, *segment, number++);
      } else {
        write_table(r, *group, *segment, vhost.show_status == config::ShowStatus::Full);
      }
    }
    return kOk;
  });
}

}  // namespace

void register_status_page() noexcept { APR_OPTIONAL_HOOK(ap, status_hook, show, nullptr, nullptr, APR_HOOK_MIDDLE); }

}  // namespace cxxproxy::httpd
