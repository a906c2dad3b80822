#include "httpd/config_hooks.h"

#include <map>
#include <new>
#include <span>
#include <vector>

#include "config/lint.h"
#include "config/nearest_name.h"
#include "config/resolve.h"
#include "httpd/directives.h"
#include "httpd/facts_readers.h"
#include "httpd/guard.h"
#include "httpd/lint_facts.h"
#include "httpd/mapping.h"
#include "httpd/pool_object.h"
#include "httpd/session_keys.h"
#include "httpd/worker_factor.h"
#include "httpd/httpd_api.h"

namespace cxxproxy::httpd {
namespace {

// A per-directory object that directives write to; merged ones have only the LocationConfig.
struct OwnedLocation {
  config::LocationConfig config;
  config::AnswerRules rules;
  config::AnswerChain chain;
};

// What merging for one request allocates: no destructor, so the pool may simply forget it.
struct MergedLocation {
  config::LocationConfig config;
  config::AnswerChain joined;
};
static_assert(std::is_trivially_destructible_v<MergedLocation>);

constexpr config::LocationConfig kNothingSaid{};

// Who connected, whatever mod_remoteip made of it.
base::IpAddress peer_of(const request_rec* r) noexcept {
  const apr_sockaddr_t* const peer = r->connection->client_addr;
  if (peer == nullptr || (peer->family != APR_INET && peer->family != APR_INET6)) return {};
  return base::ip_address_of(peer->ipaddr_ptr, peer->family == APR_INET6);
}

bool is_config_test() noexcept { return ap_state_query(AP_SQ_RUN_MODE) == AP_SQ_RM_CONFIG_TEST; }

// The first of the two passes at start is thrown away; what it warned about would be said twice.
bool is_first_pass() noexcept { return ap_state_query(AP_SQ_MAIN_STATE) == AP_SQ_MS_CREATE_PRE_CONFIG; }

// Address and name of a server, with a count where several have the same: stays the same when
// servers with other names come and go.
std::string server_key(const server_rec* server, std::map<std::string, unsigned>& seen) {
  std::string key = server->addrs != nullptr && server->addrs->virthost != nullptr
                        ? std::string(server->addrs->virthost) + ':' + std::to_string(server->addrs->host_port)
                        : std::string("*");
  key += '/';
  if (server->server_hostname != nullptr) key += server->server_hostname;
  const unsigned earlier = seen[key]++;
  if (earlier != 0) key += '#' + std::to_string(earlier + 1);
  return key;
}

std::vector<config::ServerView> views_of(server_rec* main_server) {
  std::vector<config::ServerView> views;
  std::map<std::string, unsigned> seen;
  for (const server_rec* server = main_server; server != nullptr; server = server->next) {
    views.push_back({&vhost_config(server), server == main_server ? "main" : server_key(server, seen)});
  }
  return views;
}

void log_finding(const config::Finding& finding, server_rec* server, bool to_console) {
  const int level = (finding.is_error ? APLOG_ERR : APLOG_WARNING) | (to_console ? APLOG_STARTUP : 0);
  ap_log_error(APLOG_MARK, level, 0, to_console ? nullptr : server, "mod_cxxproxy: %s%s (line %u of %s)", finding.is_error || !to_console ? "" : "warning: ",
               finding.text.c_str(), finding.where.line, finding.where.file);
}

// What resolving found, and what the checks of config/lint.h add.
std::vector<config::Finding> think_along(std::span<const config::ServerView> views, config::Resolution& resolution, server_rec* main_server) {
  std::vector<config::Finding> findings = std::move(resolution.findings);
  const auto add = [&](std::vector<config::Finding> more) { findings.insert(findings.end(), more.begin(), more.end()); };
  add(read_session_keys(*resolution.whole, main_server->process->pconf));
  const config::WholeFacts facts = gather_facts(main_server);
  add(facts.refused);
  add(config::lint(views, resolution, facts));
  // At a real start the network may not be there yet, and nobody should wait for it.
  if (is_config_test() && vhost_config(main_server).check_names.value_or(true)) add(find_unknown_names(views));
  config::sort_findings(findings);
  return findings;
}

void log_misspelt(const ap_directive_t* node, const std::vector<std::string_view>& known) {
  for (; node != nullptr; node = node->next) {
    module* found_in = ap_top_module;
    if (ap_find_command_in_modules(node->directive, &found_in) == nullptr) {
      const std::string_view nearest = config::nearest_name(node->directive, known);
      if (!nearest.empty()) {
        ap_log_error(APLOG_MARK, APLOG_ERR | APLOG_STARTUP, 0, nullptr, "mod_cxxproxy: %s: unknown directive, did you mean %s? (line %d of %s)",
                     node->directive, nearest.data(), node->line_num, node->filename);
      }
    }
    log_misspelt(node->first_child, known);
  }
}

}  // namespace

void* create_server_config(apr_pool_t* pool, server_rec*) noexcept {
  return guard("create server config", static_cast<void*>(nullptr),
               [&]() -> void* { return own_in_pool(pool, std::make_unique<config::VhostConfig>()); });
}

void* merge_server_config(apr_pool_t* pool, void* base, void* overrides) noexcept {
  return guard("merge server config", overrides, [&]() -> void* {
    return own_in_pool(pool, config::merge(*static_cast<config::VhostConfig*>(base), *static_cast<config::VhostConfig*>(overrides)));
  });
}

void* create_dir_config(apr_pool_t* pool, char*) noexcept {
  return guard("create dir config", static_cast<void*>(nullptr), [&]() -> void* {
    OwnedLocation* owned = own_in_pool(pool, std::make_unique<OwnedLocation>());
    owned->config.own_rules = &owned->rules;
    owned->chain.rules = &owned->rules;
    owned->config.answers = &owned->chain;
    return &owned->config;
  });
}

void* merge_dir_config(apr_pool_t* pool, void* base, void* overrides) noexcept {
  auto* merged = new (apr_palloc(pool, sizeof(MergedLocation))) MergedLocation;
  merged->config =
      config::merge(*static_cast<config::LocationConfig*>(base), *static_cast<config::LocationConfig*>(overrides), merged->joined);
  return &merged->config;
}

int pre_config(apr_pool_t* pconf, apr_pool_t*, apr_pool_t*) noexcept {
  // httpd refuses an unknown directive by itself; all that is added here is the hint.
  return guard("pre_config", kOk, [&] {
    std::vector<std::string_view> known;
    for (const auto& row : config::kDirectiveRows) {
      known.emplace_back(row.standard_name);
      known.emplace_back(row.own_name);
    }
    for (const auto& row : config::kNeighbourRows) known.emplace_back(row.name);
    log_misspelt(ap_conftree, known);
    raise_worker_factor(pconf);
    return kOk;
  });
}

int check_configuration(apr_pool_t*, apr_pool_t*, apr_pool_t*, server_rec* main_server) noexcept {
  return guard("check_config", HTTP_INTERNAL_SERVER_ERROR, [&] {
    const auto views = views_of(main_server);
    auto resolution = config::resolve(views);
    std::size_t next = 0;
    for (server_rec* server = main_server; server != nullptr; server = server->next) vhost_config(server).resolved = resolution.vhosts[next++];
    config::VhostConfig& main_config = vhost_config(main_server);
    main_config.findings = think_along(views, resolution, main_server);
    main_config.whole = std::move(resolution.whole);

    int status = kOk;
    for (const auto& finding : main_config.findings) {
      if (finding.is_error || is_config_test()) log_finding(finding, main_server, true);
      if (finding.is_error) status = HTTP_INTERNAL_SERVER_ERROR;
    }
    return status;
  });
}

int log_warnings(apr_pool_t*, apr_pool_t*, apr_pool_t* ptemp, server_rec* main_server) noexcept {
  return guard("post_config", HTTP_INTERNAL_SERVER_ERROR, [&] {
    if (is_first_pass()) return kOk;
    for (const auto& finding : vhost_config(main_server).findings) log_finding(finding, main_server, false);
    log_worker_factor(main_server);
    look_for_facts_readers(ptemp);
    return kOk;
  });
}

config::VhostConfig& vhost_config(const server_rec* server) noexcept {
  return *static_cast<config::VhostConfig*>(ap_get_module_config(server->module_config, &cxxproxy_module));
}

const config::LocationConfig& location_config(const request_rec* r) noexcept {
  const auto* found = static_cast<const config::LocationConfig*>(ap_get_module_config(r->per_dir_config, &cxxproxy_module));
  return found != nullptr ? *found : kNothingSaid;
}

const config::ResolvedConfig& resolved_config(const server_rec* main_server) noexcept { return *vhost_config(main_server).whole; }

const config::ResolvedVhost& resolved_vhost(const server_rec* server) noexcept { return *vhost_config(server).resolved; }

RequestSettings request_settings(const request_rec* r) noexcept {
  const config::LocationConfig& location = location_config(r);
  RequestSettings settings;
  settings.preserve_host = location.preserve_host.value_or(settings.preserve_host);
  settings.add_headers = location.add_headers.value_or(settings.add_headers);
  settings.continue_from_backend = location.continue_from_backend.value_or(settings.continue_from_backend);
  settings.park = location.park.value_or(settings.park);
  settings.tunnel_timeout = location.tunnel_timeout.value;
  const config::ResolvedVhost& vhost = resolved_vhost(r->server);
  settings.bad_header = vhost.bad_header;
  settings.via = vhost.via;
  settings.fields = &location.fields;
  settings.forwarded_fields = location.fields.forwarded_fields.value_or(settings.forwarded_fields);
  if (const config::ForwardedTrust* trust = location.fields.forwarded_trust.value_or(nullptr)) settings.trust_client = trust->trusts(peer_of(r));
  settings.proxy_timeout = location.proxy_timeout.is_set() ? location.proxy_timeout.value : vhost.proxy_timeout;
  return settings;
}

config::AnswerView answer_view(const request_rec* r) noexcept {
  const config::LocationConfig& location = location_config(r);
  const config::AnswerChain* const chain = location.answers == nullptr || location.answers->says_nothing() ? nullptr : location.answers;
  config::AnswerView view{chain, resolved_vhost(r->server), location.fields.reverse_mode.value_or(http::Boundary::Segment)};
  if (location.interpolate.value_or(false)) view.expand = [r](std::string_view text) { return filled_with_variables(r, text); };
  return view;
}

}  // namespace cxxproxy::httpd
