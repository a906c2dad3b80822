#include "httpd/dump.h"

#include <algorithm>
#include <cstdio>
#include <vector>

#include "config/dump.h"
#include "config/dump_values.h"
#include "httpd/config_hooks.h"
#include "httpd/guard.h"
#include "httpd/lint_facts.h"
#include "httpd/httpd_api.h"

namespace cxxproxy::httpd {
namespace {

const config::LocationConfig& scope_of(const server_rec* server) {
  static constexpr config::LocationConfig kNothing{};
  const auto* scope = static_cast<const config::LocationConfig*>(ap_get_module_config(server->lookup_defaults, &cxxproxy_module));
  return scope != nullptr ? *scope : kNothing;
}

void print(const std::string& text) { std::fwrite(text.data(), 1, text.size(), stdout); }

// What <Location> sections say by themselves, in the order in which they are merged.
std::string dump_locations(const server_rec* server) {
  const auto* core = static_cast<const core_server_config*>(ap_get_core_module_config(server->module_config));
  const config::VhostConfig nothing;
  std::string out;
  for (int i = 0; i < core->sec_url->nelts; ++i) {
    auto* section = reinterpret_cast<ap_conf_vector_t**>(core->sec_url->elts)[i];
    const auto* of_core = static_cast<const core_dir_config*>(ap_get_core_module_config(section));
    const auto* scope = static_cast<const config::LocationConfig*>(ap_get_module_config(section, &cxxproxy_module));
    if (scope == nullptr || of_core->d == nullptr) continue;
    std::string said;
    for (const auto& row : config::kDirectiveRows) {
      const auto value = config::effective_value(row, nothing, *scope);
      if (value && value->said) config::dump_line(said, 3, std::string(row.standard_name) + ' ' + value->text, config::source_text(true, value->where));
    }
    if (!said.empty()) config::dump_line(out, 2, std::string(of_core->r != nullptr ? "<LocationMatch " : "<Location ") + of_core->d + '>', {});
    out += said;
  }
  return out.empty() ? out : "  sections of this server\n" + out;
}

void dump_servers(server_rec* main_server) {
  print("mod_cxxproxy: the configuration as requests see it\n");
  const config::VhostConfig& main_config = vhost_config(main_server);
  // httpd has the virtual hosts in the reverse order of the file.
  std::vector<const server_rec*> servers;
  for (const server_rec* server = main_server->next; server != nullptr; server = server->next) servers.push_back(server);
  servers.push_back(main_server);
  std::reverse(servers.begin(), servers.end());
  for (const server_rec* server : servers) {
    const config::VhostConfig& own = vhost_config(server);
    print("\n");
    if (server != main_server && &own == &main_config) {
      print(server_title(server, main_server) + "\n  as the main server\n");
    } else {
      print(config::dump_server({server_title(server, main_server), &own, &scope_of(server)}) + dump_locations(server));
    }
  }
}

void explain(apr_pool_t* pconf, server_rec* main_server) {
  const config::VhostConfig& main_config = vhost_config(main_server);
  if (main_config.explain.empty()) print("mod_cxxproxy: nothing to explain, add -C \"CxxProxyExplain http://host/path\"\n");
  const config::WholeFacts facts = gather_facts(main_server);
  for (const std::string& url : main_config.explain) {
    apr_pool_t* pool = nullptr;
    if (apr_pool_create(&pool, pconf) != APR_SUCCESS) return;
    print(explain_url(pool, main_server, facts, url));
    apr_pool_destroy(pool);
  }
}

}  // namespace

std::string server_title(const server_rec* server, const server_rec* main_server) {
  if (server == main_server) return "main server";
  std::string title = "virtual host";
  std::string last;
  for (const server_addr_rec* address = server->addrs; address != nullptr; address = address->next) {
    std::string text = address->virthost != nullptr ? address->virthost : "*";
    if (address->host_port != 0) text += ':' + std::to_string(address->host_port);
    // "*" is one line and two addresses, for IPv4 and IPv6.
    if (text != last) title += ' ' + text;
    last = std::move(text);
  }
  if (server->server_hostname != nullptr) title += std::string(" ") + server->server_hostname;
  if (server->defn_name != nullptr) title += std::string(" (") + server->defn_name + ':' + std::to_string(server->defn_line_number) + ')';
  return title;
}

void test_config(apr_pool_t* pconf, server_rec* main_server) noexcept {
  guard("test_config", 0, [&] {
    if (ap_exists_config_define("DUMP_CXXPROXY")) dump_servers(main_server);
    if (ap_exists_config_define("DUMP_CXXPROXY_EXPLAIN")) explain(pconf, main_server);
    std::fflush(stdout);
    return 0;
  });
}

}  // namespace cxxproxy::httpd
