#include "httpd/shared_state.h"

#include <algorithm>
#include <cstdlib>
#include <string>
#include <unordered_map>

#include "base/clock.h"
#include "config/dump_values.h"
#include "httpd/config_hooks.h"
#include "httpd/guard.h"
#include "httpd/kept_state.h"
#include "httpd/pool_object.h"
#include "httpd/session_keys.h"
#include "net/bells.h"
#include "httpd/httpd_api.h"

namespace cxxproxy::httpd {
namespace {

// Another layout of Retained needs another key: the module may be another one after a reload.
constexpr const char* kRetainedKey = "mod_cxxproxy shared segment 2";

struct Child {
  pid_t process;
  std::uint64_t generation;
};

// Plain values only: they outlive the module's code between two generations.
struct Retained {
  apr_pool_t* pool;
  void* address;
  apr_size_t size;
  std::uint64_t generation;
  Child* children;  // malloc: it grows
  std::size_t living;
  std::size_t room;
};

const balancer::SlotPlaces* g_places = nullptr;  // owned by pconf

Retained* retained() noexcept { return static_cast<Retained*>(ap_retained_data_get(kRetainedKey)); }

// Children that may live at a time: those that serve out their last requests after a reload have no part in the limit
// with every MPM, and reloads may follow each other faster than they end.
std::uint32_t places_for_children() noexcept {
  int limit = 0;
  if (ap_mpm_query(AP_MPMQ_HARD_LIMIT_DAEMONS, &limit) != APR_SUCCESS || limit < 1) limit = 1;
  const auto children = static_cast<std::uint32_t>(limit);
  return std::min(8 * children, 2 * children + 512) + 1;
}

// Room for what later configurations add, and for members that were taken out while children still use them.
net::SegmentSize size_for(const config::ResolvedConfig& resolved) noexcept {
  const auto balancers = static_cast<std::uint32_t>(resolved.balancers.size());
  const auto members = static_cast<std::uint32_t>(resolved.members.size());
  return {2 * balancers + 32, 2 * members + 128, places_for_children()};
}

std::uint64_t oldest_living(const Retained& kept) noexcept {
  std::uint64_t oldest = kept.generation;
  for (std::size_t i = 0; i < kept.living; ++i) oldest = std::min(oldest, kept.children[i].generation);
  return oldest;
}

// The segment goes on when everybody finds a slot in it.
bool use_present(const Retained& kept, const config::ResolvedConfig& resolved, const balancer::Turnover& turnover, balancer::SlotPlaces& places) {
  const auto present = net::SharedSegment::attach(kept.address, kept.size);
  if (!present || present->flights().places() < places_for_children()) return false;
  balancer::Slots slots = present->slots();
  auto placed = balancer::place_slots(slots, resolved, turnover, base::SteadyClock{}.now());
  if (!placed) return false;
  places = std::move(*placed);
  return true;
}

// A new segment, with what the present one knows.
base::Result<net::SharedSegment> make_larger(Retained& kept, apr_pool_t* process_pool, const config::ResolvedConfig& resolved,
                                             const balancer::Turnover& turnover, balancer::SlotPlaces& places) {
  apr_pool_t* pool = nullptr;
  apr_pool_create(&pool, process_pool);
  apr_pool_tag(pool, "mod_cxxproxy shared segment");
  auto fresh = net::SharedSegment::create(pool, size_for(resolved));
  if (!fresh) {
    apr_pool_destroy(pool);
    return fresh;
  }
  balancer::Slots slots = fresh->slots();
  places = balancer::place_slots(slots, resolved, turnover, base::SteadyClock{}.now()).value();
  if (kept.pool != nullptr) {
    if (const auto former = net::SharedSegment::attach(kept.address, kept.size)) {
      balancer::recall(balancer::remember(former->slots(), turnover.generation - 1), slots, resolved, places, turnover.children_left());
    }
    apr_pool_destroy(kept.pool);  // unmaps it here; children of the former generation keep theirs
  }
  kept.pool = pool;
  kept.address = fresh->address();
  kept.size = fresh->size();
  return fresh;
}

using Letters = std::unordered_map<std::uint64_t, std::uint32_t>;  // by the hash of the slot's key

// The letters in force of the members of the present generation.
Letters letters_in_force(const Retained& kept) {
  Letters letters;
  const auto segment = net::SharedSegment::attach(kept.address, kept.size);
  if (!segment) return letters;
  for (const balancer::MemberSlot& slot : segment->members()) {
    if (slot.generation == kept.generation) letters.emplace(slot.key.hash, slot.status.load(std::memory_order_relaxed));
  }
  return letters;
}

void tell_changed_letters(const config::ResolvedConfig& resolved, const balancer::SlotPlaces& places, const Letters& before, server_rec* main_server) {
  const auto segment = shared_segment();
  const auto text = [](std::uint32_t flags) { return flags == 0 ? std::string("none") : config::status_letters(flags); };
  for (const auto& balancer : resolved.balancers) {
    for (const config::MemberSpec& member : balancer->members) {
      const balancer::MemberSlot& slot = segment->members()[places.members[member.member_id]];
      const auto was = before.find(slot.key.hash);
      const std::uint32_t is = slot.status.load(std::memory_order_relaxed);
      if (was == before.end() || was->second == is) continue;
      ap_log_error(APLOG_MARK, APLOG_NOTICE, 0, main_server, "CXP0027: balancer://%s %s: status %s -> %s, changed in the file",
                   balancer->name.c_str(), member.name.c_str(), text(was->second).c_str(), text(is).c_str());
    }
  }
}

int make(apr_pool_t* pconf, server_rec* main_server) {
  Retained* kept = retained();
  if (kept == nullptr) kept = static_cast<Retained*>(ap_retained_data_create(kRetainedKey, sizeof(Retained)));
  const config::ResolvedConfig& resolved = resolved_config(main_server);
  const auto needs_key = [](const auto& balancer) { return balancer->sticky_cookie.is_on() && balancer->sticky_cookie.key_file.empty(); };
  const bool needs_server_key = std::any_of(resolved.balancers.begin(), resolved.balancers.end(), needs_key);
  if (needs_server_key && !make_server_key(main_server)) return HTTP_INTERNAL_SERVER_ERROR;
  const Letters before = letters_in_force(*kept);
  ++kept->generation;
  const balancer::Turnover turnover{kept->generation, oldest_living(*kept)};
  auto places = std::make_unique<balancer::SlotPlaces>();
  if (!use_present(*kept, resolved, turnover, *places)) {
    if (const auto fresh = make_larger(*kept, main_server->process->pool, resolved, turnover, *places); !fresh) {
      ap_log_error(APLOG_MARK, APLOG_CRIT, fresh.error().os_error, main_server,
                   "CXP0010: cannot make the shared memory for %u balancers and %u members",
                   static_cast<unsigned>(resolved.balancers.size()), static_cast<unsigned>(resolved.members.size()));
      return HTTP_INTERNAL_SERVER_ERROR;
    }
  }
  if (persists(resolved)) {
    balancer::Slots slots = shared_segment()->slots();
    if (kept->generation == 1) recall_state(main_server, resolved, slots, *places);
    keep_state_at_end(pconf, main_server, kept->generation);
  }
  if (places->members_kept + places->balancers_kept != 0) {
    ap_log_error(APLOG_MARK, APLOG_DEBUG, 0, main_server, "CXP0011: kept the state of %u balancers and %u members",
                 static_cast<unsigned>(places->balancers_kept), static_cast<unsigned>(places->members_kept));
  }
  tell_changed_letters(resolved, *places, before, main_server);
  g_places = own_in_pool(pconf, std::move(places));
  return kOk;
}

void note_start(Retained& kept, pid_t process) noexcept {
  if (kept.living == kept.room) {
    const std::size_t room = std::max<std::size_t>(64, 2 * kept.room);
    void* const larger = std::realloc(kept.children, room * sizeof(Child));
    if (larger == nullptr) std::abort();  // as httpd does without memory
    kept.children = static_cast<Child*>(larger);
    kept.room = room;
  }
  kept.children[kept.living++] = {process, kept.generation};
}

void note_end(Retained& kept, pid_t process) noexcept {
  for (std::size_t i = 0; i < kept.living; ++i) {
    if (kept.children[i].process != process) continue;
    kept.children[i] = kept.children[--kept.living];
    return;
  }
}

}  // namespace

int make_shared_state(apr_pool_t* pconf, apr_pool_t*, apr_pool_t*, server_rec* main_server) noexcept {
  return guard("post_config", HTTP_INTERNAL_SERVER_ERROR, [&] {
    const int state = ap_state_query(AP_SQ_MAIN_STATE);
    const bool only_a_look = state == AP_SQ_MS_CREATE_PRE_CONFIG || ap_state_query(AP_SQ_RUN_MODE) == AP_SQ_RM_CONFIG_TEST ||
                             ap_state_query(AP_SQ_RUN_MODE) == AP_SQ_RM_CONFIG_DUMP;
    return only_a_look ? kOk : make(pconf, main_server);
  });
}

void note_child(server_rec* server, pid_t process, ap_generation_t, int, mpm_child_status status) noexcept {
  Retained* const kept = retained();
  if (kept == nullptr || process <= 0) return;
  if (status == MPM_CHILD_STARTED) note_start(*kept, process);
  if (status != MPM_CHILD_EXITED) return;
  note_end(*kept, process);
  const auto segment = shared_segment();
  if (!segment) return;
  balancer::Flights flights = segment->flights();
  // Before its place is free for another one.
  if (const auto place = flights.place_of(static_cast<std::uint32_t>(process))) {
    segment->parked().release(*place);
    if (segment->limits().release(*place) != 0) net::ring_all(segment->limits());
  }
  const std::uint32_t left = flights.release(static_cast<std::uint32_t>(process));
  if (left != 0) {
    ap_log_error(APLOG_MARK, APLOG_NOTICE, 0, server, "CXP0013: process %ld ended with %lu requests in flight, they are no longer counted",
                 static_cast<long>(process), static_cast<unsigned long>(left));
  }
}

std::optional<net::SharedSegment> shared_segment() noexcept {
  const Retained* kept = retained();
  if (kept == nullptr || kept->pool == nullptr) return std::nullopt;
  return net::SharedSegment::attach(kept->address, kept->size);
}

const balancer::SlotPlaces& slot_places() noexcept { return *g_places; }

}  // namespace cxxproxy::httpd
