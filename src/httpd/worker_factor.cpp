#include "httpd/worker_factor.h"

#include <algorithm>
#include <charconv>
#include <string_view>

#include "base/ascii.h"
#include "config/directive_rows.h"
#include "httpd/child_state.h"
#include "httpd/directives.h"
#include "httpd/httpd_api.h"

namespace cxxproxy::httpd {
namespace {

constexpr const char* kDirective = "AsyncRequestWorkerFactor";
constexpr unsigned kStock = 2;
constexpr unsigned kEnough = 400;
constexpr unsigned kStockThreads = 25;

unsigned g_raised_to = 0;  // 0: nothing was done

struct Said {
  bool factor = false;
  bool ours = false;
  unsigned threads = kStockThreads;
};

bool is_ours(std::string_view name) noexcept {
  const bool standard_names = !foreign_mod_proxy_loaded();
  return std::any_of(config::kDirectiveRows.begin(), config::kDirectiveRows.end(), [&](const auto& row) {
    return base::iequals(name, row.own_name) || (standard_names && base::iequals(name, row.standard_name));
  });
}

void look(const ap_directive_t* node, Said& said) {
  for (; node != nullptr; node = node->next) {
    const std::string_view name = node->directive;
    if (base::iequals(name, kDirective)) said.factor = true;
    else if (base::iequals(name, "ThreadsPerChild")) {
      const std::string_view text = node->args;
      (void)std::from_chars(text.data(), text.data() + text.size(), said.threads);
    } else if (!said.ours) said.ours = is_ours(name);
    look(node->first_child, said);
  }
}

}  // namespace

void raise_worker_factor(apr_pool_t* pconf) {
  g_raised_to = 0;
  if (ap_conftree == nullptr || ap_find_linked_module("event.c") == nullptr) return;
  Said said;
  look(ap_conftree, said);
  if (said.factor || !said.ours) return;
  const unsigned factor = std::clamp(parking_room(std::nullopt) / std::max(said.threads, 1u), kStock, kEnough);
  if (factor == kStock) return;
  ap_directive_t* last = ap_conftree;
  while (last->next != nullptr) last = last->next;
  auto* const line = static_cast<ap_directive_t*>(apr_pcalloc(pconf, sizeof(ap_directive_t)));
  line->directive = kDirective;
  line->args = apr_psprintf(pconf, "%u", factor);
  line->filename = "mod_cxxproxy";
  last->next = line;
  g_raised_to = factor;
}

void log_worker_factor(server_rec* main_server) {
  if (g_raised_to == 0) return;
  ap_log_error(APLOG_MARK, APLOG_INFO, 0, main_server,
               "CXP0063: AsyncRequestWorkerFactor is not set: it is %u, so that a child can hold that many waiting requests for each thread", g_raised_to);
}

}  // namespace cxxproxy::httpd
