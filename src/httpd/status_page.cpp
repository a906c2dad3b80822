#include "httpd/status_page.h"

#include <string>

#include "balancer/latency.h"
#include "balancer/slots.h"
#include "config/resolved_vhost.h"
#include "httpd/child_state.h"
#include "httpd/config_hooks.h"
#include "httpd/guard.h"
#include "httpd/shared_state.h"
#include "httpd/httpd_api.h"

namespace cxxproxy::httpd {
namespace {

using config::StatusFlag;

// The words that mod_proxy uses: "Init Ok", "Init Err", "Init Dis" ...
std::string state_text(const balancer::MemberSlot& slot) {
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
  if (has(StatusFlag::CheckFailed)) text += " HcFl";
  if (failed) text += " Err";
  const bool ejected = slot.ejected_until.load(std::memory_order_relaxed) != 0;
  if (ejected) text += " Ejct";
  if (!failed && !ejected && !has(StatusFlag::Disabled) && !has(StatusFlag::Stopped)) text += " Ok";
  return text;
}

unsigned long count_of(const std::atomic<std::uint64_t>& counter) {
  return static_cast<unsigned long>(counter.load(std::memory_order_relaxed));
}

// Microseconds to the first byte, a moving average; 0 = not measured.
unsigned latency_of(const balancer::MemberSlot& slot) noexcept {
  return balancer::latency_last(slot.latency.load(std::memory_order_relaxed));
}

// Milliseconds.
unsigned long age_of(const balancer::Parked& parked, base::Instant now) noexcept {
  return static_cast<unsigned long>(std::chrono::duration_cast<std::chrono::milliseconds>(parked.age(now)).count());
}

void write_parked_lines(request_rec* r, const std::string& prefix, const balancer::ParkedBoth& parked, base::Instant now) {
  ap_rprintf(r, "%sParkedRequests: %u\n", prefix.c_str(), parked.requests.count);
  ap_rprintf(r, "%sParkedRequestsOldest: %lu ms\n", prefix.c_str(), age_of(parked.requests, now));
  ap_rprintf(r, "%sParkedTunnels: %u\n", prefix.c_str(), parked.tunnels.count);
  ap_rprintf(r, "%sParkedTunnelsOldest: %lu ms\n", prefix.c_str(), age_of(parked.tunnels, now));
}

constexpr const char* kParkedHeads = "<th>Parked requests</th><th>Oldest</th><th>Parked tunnels</th><th>Oldest</th>";

void write_parked_cells(request_rec* r, const balancer::ParkedBoth& parked, base::Instant now) {
  for (const balancer::Parked& kind : {parked.requests, parked.tunnels}) ap_rprintf(r, "<td>%u</td><td>%lu s</td>", kind.count, age_of(kind, now) / 1000);
}

// All that is parked, and where it is at backends that are in no balancer.
void write_parked(request_rec* r, const config::ResolvedVhost& vhost, const balancer::ParkedCounts& counts, bool lines) {
  const base::Instant now = base::SteadyClock{}.now();
  if (lines) {
    write_parked_lines(r, "Proxy", counts.all(), now);
  } else {
    ap_rprintf(r, "<hr />\n<h1>Proxy: parked requests and tunnels</h1>\n\n<table border=\"0\"><tr><th>Backend</th>%s</tr>\n<tr><td>all</td>", kParkedHeads);
    write_parked_cells(r, counts.all(), now);
    ap_rputs("</tr>\n", r);
  }
  unsigned number = 0;
  for (const config::ResolvedLists* list : vhost.backends) {
    for (const config::MemberSpec* member : list->plain) {
      const balancer::ParkedBoth parked = counts.of_row(slot_places().members.at(member->member_id));
      if (parked.is_empty()) continue;
      if (lines) {
        const std::string prefix = "ProxyBackend[" + std::to_string(number++) + "]";
        ap_rprintf(r, "%sName: %s\n", prefix.c_str(), member->name.c_str());
        write_parked_lines(r, prefix, parked, now);
      } else {
        ap_rprintf(r, "<tr><td>%s</td>", ap_escape_html(r->pool, member->name.c_str()));
        write_parked_cells(r, parked, now);
        ap_rputs("</tr>\n", r);
      }
    }
  }
  if (!lines) ap_rputs("</table>\n", r);
}

void write_lines(request_rec* r, const config::BalancerSpec& group, const net::SharedSegment& segment, unsigned number) {
  ap_rprintf(r, "ProxyBalancer[%u]Name: balancer://%s\n", number, group.name.c_str());
  ap_rprintf(r, "ProxyBalancer[%u]Waiting: %u\n", number, segment.limits().waiting(segment.balancer_row(slot_places().balancers.at(group.balancer_id))));
  for (std::size_t i = 0; i < group.members.size(); ++i) {
    const std::uint32_t row = slot_places().members.at(group.members[i].member_id);
    const auto& slot = segment.members()[row];
    const auto place = static_cast<unsigned>(i);
    ap_rprintf(r, "ProxyBalancer[%u]Worker[%u]Name: %s\n", number, place, group.members[i].name.c_str());
    ap_rprintf(r, "ProxyBalancer[%u]Worker[%u]Status: %s\n", number, place, state_text(slot).c_str());
    ap_rprintf(r, "ProxyBalancer[%u]Worker[%u]Elected: %lu\n", number, place, count_of(slot.chosen));
    ap_rprintf(r, "ProxyBalancer[%u]Worker[%u]Busy: %u\n", number, place, segment.flights().in_all(row));
    ap_rprintf(r, "ProxyBalancer[%u]Worker[%u]Sent: %luK\n", number, place, count_of(slot.bytes_to_member) / 1024);
    ap_rprintf(r, "ProxyBalancer[%u]Worker[%u]Rcvd: %luK\n", number, place, count_of(slot.bytes_from_member) / 1024);
    ap_rprintf(r, "ProxyBalancer[%u]Worker[%u]SentBytes: %lu\n", number, place, count_of(slot.bytes_to_member));
    ap_rprintf(r, "ProxyBalancer[%u]Worker[%u]RcvdBytes: %lu\n", number, place, count_of(slot.bytes_from_member));
    ap_rprintf(r, "ProxyBalancer[%u]Worker[%u]Failures: %lu\n", number, place, count_of(slot.failures));
    ap_rprintf(r, "ProxyBalancer[%u]Worker[%u]Errors: %lu\n", number, place, count_of(slot.errors));
    ap_rprintf(r, "ProxyBalancer[%u]Worker[%u]Latency: %u us\n", number, place, latency_of(slot));
    write_parked_lines(r, "ProxyBalancer[" + std::to_string(number) + "]Worker[" + std::to_string(place) + "]", segment.parked().of_row(row), base::SteadyClock{}.now());
    const ChildState* const child = child_state();
    if (child == nullptr) continue;
    const upstream::ConnectionPool& pool = child->pool_of(group.members[i].member_id);  // of the child that answers
    ap_rprintf(r, "ProxyBalancer[%u]Worker[%u]ChildInUse: %u\n", number, place, pool.in_use());
    ap_rprintf(r, "ProxyBalancer[%u]Worker[%u]ChildIdle: %u\n", number, place, static_cast<unsigned>(pool.idle()));
  }
}

void write_table(request_rec* r, const config::BalancerSpec& group, const net::SharedSegment& segment, bool full) {
  ap_rprintf(r, "<hr />\n<h1>Proxy LoadBalancer Status for balancer://%s</h1>\n\n", ap_escape_html(r->pool, group.name.c_str()));
  ap_rputs("<table border=\"0\"><tr><th>Member</th><th>Status</th><th>Elected</th><th>Busy</th><th>Sent</th><th>Rcvd</th><th>Failures</th><th>Errors</th><th>Latency</th>", r);
  ap_rputs(kParkedHeads, r);
  ap_rputs(full ? "<th>Factor</th><th>Set</th><th>Retry</th><th>Max</th></tr>\n" : "</tr>\n", r);
  for (const config::MemberSpec& member : group.members) {
    const std::uint32_t row = slot_places().members.at(member.member_id);
    const auto& slot = segment.members()[row];
    ap_rprintf(r, "<tr><td>%s</td><td>%s</td><td>%lu</td><td>%u</td>", ap_escape_html(r->pool, member.name.c_str()),
               state_text(slot).c_str(), count_of(slot.chosen), segment.flights().in_all(row));
    ap_rprintf(r, "<td>%luK</td><td>%luK</td><td>%lu</td><td>%lu</td><td>%u us</td>", count_of(slot.bytes_to_member) / 1024,
               count_of(slot.bytes_from_member) / 1024, count_of(slot.failures), count_of(slot.errors), latency_of(slot));
    write_parked_cells(r, segment.parked().of_row(row), base::SteadyClock{}.now());
    if (full) {
      ap_rprintf(r, "<td>%u.%02u</td><td>%u</td><td>%lu s</td><td>%u</td>", member.loadfactor / 100, member.loadfactor % 100, member.lbset,
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
    const bool lines = (flags & AP_STATUS_SHORT) != 0;
    write_parked(r, vhost, segment->parked(), lines);
    unsigned number = 0;
    for (const config::BalancerSpec* group : vhost.balancers()) {
      if (lines) {
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
