#include "httpd/shared_state.h"

#include <algorithm>

#include "base/clock.h"
#include "httpd/config_hooks.h"
#include "httpd/guard.h"
#include "httpd/session_keys.h"
#include "httpd/httpd_api.h"

namespace cxxproxy::httpd {
namespace {

constexpr const char* kRetainedKey = "mod_cxxproxy shared segment";

// Plain values only: they outlive the module's code between two generations.
struct Retained {
  apr_pool_t* pool;
  void* address;
  apr_size_t size;
  std::uint64_t generation;
};

Retained* retained() noexcept { return static_cast<Retained*>(ap_retained_data_get(kRetainedKey)); }

// A child that is told to stop may serve on beside the one that takes its slot: twice the limit.
std::uint32_t places_for_children() {
  int children = 0;
  if (ap_mpm_query(AP_MPMQ_HARD_LIMIT_DAEMONS, &children) != APR_SUCCESS || children < 1) children = 1;
  return 2 * static_cast<std::uint32_t>(children) + 1;
}

int make(server_rec* main_server) {
  Retained* kept = retained();
  if (kept == nullptr) kept = static_cast<Retained*>(ap_retained_data_create(kRetainedKey, sizeof(Retained)));
  const config::ResolvedConfig& resolved = resolved_config(main_server);
  const auto needs_key = [](const auto& balancer) { return balancer->sticky_cookie.is_on() && balancer->sticky_cookie.key_file.empty(); };
  const bool needs_server_key = std::any_of(resolved.balancers.begin(), resolved.balancers.end(), needs_key);
  if (needs_server_key && !make_server_key(main_server)) return HTTP_INTERNAL_SERVER_ERROR;

  apr_pool_t* pool = nullptr;
  apr_pool_create(&pool, main_server->process->pool);
  apr_pool_tag(pool, "mod_cxxproxy shared segment");
  const net::SegmentSize size{static_cast<std::uint32_t>(resolved.balancers.size()), static_cast<std::uint32_t>(resolved.members.size()),
                              places_for_children()};
  auto fresh = net::SharedSegment::create(pool, size, kept->generation + 1);
  if (!fresh) {
    ap_log_error(APLOG_MARK, APLOG_CRIT, fresh.error().os_error, main_server,
                 "CXP0010: cannot make the shared memory for %u balancers and %u members",
                 static_cast<unsigned>(resolved.balancers.size()), static_cast<unsigned>(resolved.members.size()));
    apr_pool_destroy(pool);
    return HTTP_INTERNAL_SERVER_ERROR;
  }
  const base::Instant now = base::SteadyClock{}.now();
  for (const auto* member : resolved.members) balancer::start_member(*fresh->members().at(member->member_id), *member, now);
  for (const auto& group : resolved.balancers) balancer::start_balancer(*fresh->balancers().at(group->balancer_id), *group);

  if (kept->pool != nullptr) {
    if (const auto former = net::SharedSegment::attach(kept->address, kept->size)) {
      const auto carried = net::carry_over(*former, *fresh);
      ap_log_error(APLOG_MARK, APLOG_DEBUG, 0, main_server, "CXP0011: kept the state of %u balancers and %u members over the reload",
                   static_cast<unsigned>(carried.balancers), static_cast<unsigned>(carried.members));
    }
    apr_pool_destroy(kept->pool);  // unmaps it here; children of the former generation keep theirs
  }
  *kept = {pool, fresh->address(), fresh->size(), fresh->generation()};
  return kOk;
}

}  // namespace

int make_shared_state(apr_pool_t*, apr_pool_t*, apr_pool_t*, server_rec* main_server) noexcept {
  return guard("post_config", HTTP_INTERNAL_SERVER_ERROR, [&] {
    const int state = ap_state_query(AP_SQ_MAIN_STATE);
    const bool only_a_look = state == AP_SQ_MS_CREATE_PRE_CONFIG || ap_state_query(AP_SQ_RUN_MODE) == AP_SQ_RM_CONFIG_TEST ||
                             ap_state_query(AP_SQ_RUN_MODE) == AP_SQ_RM_CONFIG_DUMP;
    return only_a_look ? kOk : make(main_server);
  });
}

void child_has_ended(server_rec* server, pid_t process, ap_generation_t, int, mpm_child_status status) noexcept {
  if (status != MPM_CHILD_EXITED || process <= 0) return;
  (void)guard("child_status", 0, [&] {
    const auto segment = shared_segment();
    if (!segment) return 0;
    balancer::Flights flights = segment->flights();
    const std::uint32_t left = flights.release(static_cast<std::uint32_t>(process));
    if (left != 0) {
      ap_log_error(APLOG_MARK, APLOG_NOTICE, 0, server, "CXP0013: process %ld ended with %lu requests in flight, they are no longer counted",
                   static_cast<long>(process), static_cast<unsigned long>(left));
    }
    return 0;
  });
}

std::optional<net::SharedSegment> shared_segment() noexcept {
  const Retained* kept = retained();
  if (kept == nullptr || kept->pool == nullptr) return std::nullopt;
  return net::SharedSegment::attach(kept->address, kept->size);
}

}  // namespace cxxproxy::httpd
