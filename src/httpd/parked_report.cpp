#include "httpd/parked_report.h"

#include "config/resolved_vhost.h"
#include "httpd/config_hooks.h"
#include "httpd/exchange_log.h"
#include "httpd/guard.h"
#include "httpd/shared_state.h"
#include "httpd/httpd_api.h"

namespace cxxproxy::httpd {
namespace {

using balancer::Parked;
using balancer::ParkedBoth;

constexpr base::Duration kBetweenReports = std::chrono::minutes(1);

void append(std::string& text, const Parked& parked, const char* what, base::Instant now) {
  if (parked.count == 0) return;
  if (!text.empty()) text += ", and ";
  text.append(std::to_string(parked.count)).append(what).append(parked.count == 1 ? "" : "s");
  text.append(", the oldest for ").append(seconds(std::chrono::floor<std::chrono::seconds>(parked.age(now))));
}

void tell(server_rec* server, const std::string& where, const ParkedBoth& parked, base::Instant now) {
  if (parked.is_empty()) return;
  ap_log_error(APLOG_MARK, APLOG_INFO, 0, server, "CXP0064: %s: parked: %s", where.c_str(), parked_text(parked, now).c_str());
}

void report(server_rec* main_server, const net::SharedSegment& segment, base::Instant now) {
  const config::ResolvedConfig& config = resolved_config(main_server);
  const auto of = [&segment](const config::MemberSpec& member) { return segment.parked().of_row(slot_places().members[member.member_id]); };
  tell(main_server, "all backends", segment.parked().all(), now);
  for (const auto& balancer : config.balancers) {
    for (const config::MemberSpec& member : balancer->members) tell(main_server, subject(balancer.get(), &member), of(member), now);
  }
  for (const auto& member : config.plain) tell(main_server, subject(nullptr, member.get()), of(*member), now);
}

}  // namespace

std::string parked_text(const ParkedBoth& parked, base::Instant now) {
  std::string text;
  append(text, parked.requests, " request", now);
  append(text, parked.tunnels, " tunnel", now);
  return text.empty() ? "nothing" : text;
}

int log_parked(apr_pool_t*, server_rec* main_server) noexcept {
  return guard("monitor", kDeclined, [&] {
    static base::Instant next{};
    const base::Instant now = base::SteadyClock{}.now();
    if (now < next || !APLOG_IS_LEVEL(main_server, APLOG_INFO)) return kDeclined;
    const auto segment = shared_segment();
    if (!segment || segment->parked().all().is_empty()) return kDeclined;
    next = now + kBetweenReports;
    report(main_server, *segment, now);
    return kDeclined;
  });
}

}  // namespace cxxproxy::httpd
