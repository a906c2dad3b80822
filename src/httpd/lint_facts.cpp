#include "httpd/lint_facts.h"

#include <map>
#include <string>
#include <string_view>
#include <utility>

#include "base/ascii.h"
#include "config/declare.h"
#include "httpd/config_hooks.h"
#include "httpd/directives.h"
#include "net/name_check.h"
#include "httpd/httpd_api.h"

namespace cxxproxy::httpd {
namespace {

constexpr base::Duration kLongestLookup = std::chrono::seconds(2);

std::string lower(std::string_view text) {
  std::string result(text);
  for (char& c : result) c = base::to_lower(c);
  return result;
}

// "" for an address that stands for all.
std::string host_text(apr_sockaddr_t* address) {
  char text[64] = "";
  if (address == nullptr || apr_sockaddr_ip_getbuf(text, sizeof text, address) != APR_SUCCESS) return {};
  const std::string_view host(text);
  return host == "0.0.0.0" || host == "::" || host == "255.255.255.255" ? std::string() : std::string(host);
}

void add_names(const apr_array_header_t* names, std::vector<std::string>& into) {
  if (names == nullptr) return;
  for (int i = 0; i < names->nelts; ++i) {
    if (const char* name = reinterpret_cast<const char* const*>(names->elts)[i]) into.push_back(lower(name));
  }
}

config::ServerFacts facts_of(const server_rec* server, const server_rec* main_server) {
  config::ServerFacts facts;
  if (server->server_hostname != nullptr) facts.names.push_back(lower(server->server_hostname));
  add_names(server->names, facts.names);
  add_names(server->wild_names, facts.names);
  if (server != main_server) {
    for (const server_addr_rec* address = server->addrs; address != nullptr; address = address->next) {
      facts.addresses.push_back({host_text(address->host_addr), address->host_port});
    }
  }
  const auto* location = static_cast<const config::LocationConfig*>(ap_get_module_config(server->lookup_defaults, &cxxproxy_module));
  const auto* core_server = static_cast<const core_server_config*>(ap_get_core_module_config(server->module_config));
  const auto* core_scope = static_cast<const core_dir_config*>(ap_get_core_module_config(server->lookup_defaults));
  facts.merges_slashes = core_server->merge_slashes != AP_CORE_CONFIG_OFF;
  facts.decodes_slashes = core_scope->allow_encoded_slashes != 0 && core_scope->decode_encoded_slashes != 0;
  if (location != nullptr) facts.preserves_host = location->preserve_host.value_or(false);
  return facts;
}

// The directives of all servers, one after the other.
class TreeReader {
 public:
  TreeReader(config::WholeFacts& facts, server_rec* main_server) : facts_(facts), pool_(main_server->process->pconf) {
    std::size_t index = 0;
    for (const server_rec* server = main_server; server != nullptr; server = server->next, ++index) {
      if (server->defn_name != nullptr) by_line_.emplace(std::pair(std::string(server->defn_name), server->defn_line_number), index);
    }
  }

  void read(const ap_directive_t* node, std::size_t server) {
    for (; node != nullptr; node = node->next) {
      if (base::iequals(node->directive, "<VirtualHost")) {
        const auto found = by_line_.find({node->filename, static_cast<unsigned>(node->line_num)});
        if (found != by_line_.end()) read(node->first_child, found->second);
        continue;
      }
      take(*node, server);
      read(node->first_child, server);
    }
  }

 private:
  void take(const ap_directive_t& node, std::size_t server) {
    const std::string_view name(node.directive);
    const std::string arguments = lower(node.args != nullptr ? node.args : "");
    config::ServerFacts& facts = facts_.servers[server];
    const bool is_rewrite = base::iequals(name, "RewriteRule") || base::iequals(name, "RewriteMap");
    const bool is_handler = base::iequals(name, "SetHandler") || base::iequals(name, "AddHandler");
    if (base::iequals(name, "SSLProxyEngine")) facts.tls_to_backends = facts.tls_to_backends || arguments == "on";
    if (base::iequals(name, "SSLProxyVerify")) facts.verifies_backends = facts.verifies_backends || arguments == "require";
    if (is_rewrite || is_handler || base::iequals(name, "Header") || base::iequals(name, "RequestHeader")) {
      if (arguments.find("balancer://") != std::string::npos) facts.other_texts.append(arguments).append("\n");
    }
    const bool hands_over = is_rewrite && has_proxy_flag(arguments);
    const bool proxies = hands_over && base::iequals(name, "RewriteRule");
    if (hands_over) facts.hands_over = true;
    if (is_handler && arguments.find("proxy:") != std::string::npos) facts.hands_over = true;
    if (proxies || is_handler) refuse_backend(node, proxies);
    if (base::iequals(name, "<Proxy") || base::iequals(name, "<CxxProxy")) take_section(node, server);
  }

  // A backend of a kind that is not there yet: better now than a 500 for each request.
  void refuse_backend(const ap_directive_t& node, bool is_rule) {
    const char* arguments = node.args != nullptr ? node.args : "";
    std::string url = ap_getword_conf(pool_, &arguments);
    if (is_rule) url = ap_getword_conf(pool_, &arguments);
    const bool is_own = !is_rule && base::istarts_with(url, "cxxproxy:");
    if (!is_own && foreign_mod_proxy_loaded()) return;
    if (!is_rule) {
      if (!is_own && !base::istarts_with(url, "proxy:")) return;
      url.erase(0, url.find(':') + 1);
    }
    const config::SourceLine where{node.filename, static_cast<unsigned>(node.line_num)};
    if (auto why = config::why_not_served({node.directive, where, nullptr}, url)) facts_.refused.push_back({true, where, std::move(*why)});
  }

  static bool has_proxy_flag(const std::string& arguments) {
    const auto flags = arguments.rfind('[');
    if (flags == std::string::npos) return false;
    std::string flag;
    for (const char c : arguments.substr(flags + 1)) {
      if (c != ',' && c != ']' && c != ' ') {
        flag.push_back(c);
        continue;
      }
      if (flag == "p" || flag == "proxy") return true;
      flag.clear();
    }
    return false;
  }

  void take_section(const ap_directive_t& node, std::size_t server) {
    config::SectionFact section;
    section.server = server;
    section.where = {node.filename, static_cast<unsigned>(node.line_num)};
    std::string_view arguments(node.args != nullptr ? node.args : "");
    for (const char c : arguments.substr(0, arguments.find('>'))) {
      if (c == '"' || c == '\'') continue;
      if (c == ' ' && !section.pattern.empty()) break;
      if (c != ' ') section.pattern.push_back(c);
    }
    for (const ap_directive_t* inside = node.first_child; inside != nullptr; inside = inside->next) judge_access(*inside, section);
    facts_.sections.push_back(std::move(section));
  }

  // Anything that is no plain refusal counts as a way in.
  static void judge_access(const ap_directive_t& inside, config::SectionFact& section) {
    const std::string arguments = lower(inside.args != nullptr ? inside.args : "");
    const std::string_view name(inside.directive);
    const bool all_denied = arguments.find("denied") != std::string::npos && arguments.find("not") == std::string::npos;
    if (base::iequals(name, "Require") && all_denied) {
      section.denies = true;
    } else if (base::iequals(name, "Deny") && arguments == "from all") {
      section.denies = true;
    } else if (base::iequals(name, "Require") || base::iequals(name, "Allow") || base::iequals(name, "Satisfy") || name.starts_with('<')) {
      section.grants = true;
    }
  }

  config::WholeFacts& facts_;
  apr_pool_t* pool_;
  std::map<std::pair<std::string, unsigned>, std::size_t> by_line_;
};

}  // namespace

config::WholeFacts gather_facts(server_rec* main_server) {
  config::WholeFacts facts;
  for (const server_rec* server = main_server; server != nullptr; server = server->next) facts.servers.push_back(facts_of(server, main_server));
  for (ap_listen_rec* listener = ap_listeners; listener != nullptr; listener = listener->next) {
    facts.listens.push_back({host_text(listener->bind_addr), listener->bind_addr != nullptr ? listener->bind_addr->port : apr_port_t{0}});
  }
  TreeReader(facts, main_server).read(ap_conftree, 0);
  // A virtual host has what the main server says of these.
  for (config::ServerFacts& server : facts.servers) {
    server.tls_to_backends = server.tls_to_backends || facts.servers[0].tls_to_backends;
    server.verifies_backends = server.verifies_backends || facts.servers[0].verifies_backends;
  }
  return facts;
}

std::vector<config::Finding> find_unknown_names(std::span<const config::ServerView> servers) {
  const auto named = config::hosts_to_resolve(servers);
  std::vector<std::string> hosts;
  for (const auto& host : named) hosts.push_back(host.host);
  const auto answers = net::check_names(hosts, kLongestLookup);
  std::vector<config::Finding> findings;
  bool resolver_is_silent = false;
  for (std::size_t i = 0; i < named.size(); ++i) {
    if (answers[i] == net::NameAnswer::Known) continue;
    if (answers[i] == net::NameAnswer::NoSuchName) {
      findings.push_back({false, named[i].where, named[i].host + ": the name of this backend does not resolve (ProxyCheckNames Off keeps configtest from asking)"});
    } else if (!std::exchange(resolver_is_silent, true)) {
      findings.push_back({false, named[i].where, named[i].host + ": the resolver does not answer, names of backends were not checked (ProxyCheckNames Off keeps configtest from asking)"});
    }
  }
  return findings;
}

}  // namespace cxxproxy::httpd
