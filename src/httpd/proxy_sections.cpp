#include "httpd/proxy_sections.h"

#include <algorithm>
#include <new>
#include <string>
#include <string_view>
#include <vector>

#include "base/ascii.h"
#include "config/statements.h"
#include "httpd/config_hooks.h"
#include "httpd/guard.h"
#include "httpd/surroundings.h"
#include "httpd/httpd_api.h"

namespace cxxproxy::httpd {
namespace {

// scheme://host compares without case, the path exactly.
bool starts_with_url(std::string_view url, std::string_view prefix) noexcept {
  if (url.size() < prefix.size()) return false;
  const std::size_t scheme = prefix.find("://");
  const std::size_t host_end = scheme == std::string_view::npos ? 0 : std::min(prefix.find('/', scheme + 3), prefix.size());
  return base::istarts_with(url, prefix.substr(0, host_end)) && url.substr(0, prefix.size()).substr(host_end) == prefix.substr(host_end);
}

// An expression and the names of its groups, for the environment.
struct SectionPattern {
  ap_regex_t* regex = nullptr;
  apr_array_header_t* names = nullptr;
};

const SectionPattern* compile_section(cmd_parms* cmd, const char* expression) {
  auto* const pattern = new (apr_palloc(cmd->pool, sizeof(SectionPattern))) SectionPattern;
  pattern->regex = ap_pregcomp(cmd->pool, expression, AP_REG_DOLLAR_ENDONLY);
  if (pattern->regex == nullptr) return nullptr;
  pattern->names = apr_array_make(cmd->pool, 2, sizeof(char*));
  ap_regname(pattern->regex, pattern->names, AP_REG_MATCH, 1);
  return pattern;
}

// The named groups of an expression that matches.
void set_names(request_rec* r, const SectionPattern& pattern, const char* url) {
  const auto count = static_cast<std::size_t>(pattern.names->nelts);
  std::vector<ap_regmatch_t> groups(std::max<std::size_t>(count, 1));
  if (count == 0 || ap_regexec(pattern.regex, url, groups.size(), groups.data(), 0) != 0) return;
  const auto* names = reinterpret_cast<const char* const*>(pattern.names->elts);
  for (std::size_t i = 0; i < count; ++i) {
    if (names[i] == nullptr || groups[i].rm_so < 0 || groups[i].rm_eo < groups[i].rm_so) continue;
    apr_table_setn(r->subprocess_env, names[i],
                   apr_pstrmemdup(r->pool, url + groups[i].rm_so, static_cast<apr_size_t>(groups[i].rm_eo - groups[i].rm_so)));
  }
}

// Restores what a section changes in cmd_parms while its inside is read.
class SectionScope {
 public:
  SectionScope(cmd_parms* cmd, char* path) noexcept : cmd_(cmd), path_(cmd->path), override_(cmd->override) {
    cmd->path = path;
    cmd->override = OR_ALL | ACCESS_CONF | PROXY_CONF;
  }
  ~SectionScope() {
    cmd_->path = path_;
    cmd_->override = override_;
  }
  SectionScope(const SectionScope&) = delete;
  SectionScope& operator=(const SectionScope&) = delete;

 private:
  cmd_parms* cmd_;
  char* path_;
  int override_;
};

// A section with nothing but members and parameters inside merges nothing into a request; servers
// with thousands of balancers should not try each of them for every request.
bool says_something_to_requests(const ap_directive_t* inside) noexcept {
  for (; inside != nullptr; inside = inside->next) {
    const std::string_view name(inside->directive);
    const std::string_view standard = base::istarts_with(name, "Cxx") ? name.substr(3) : name;
    if (!base::iequals(standard, "BalancerMember") && !base::iequals(standard, "ProxySet")) return true;
  }
  return false;
}

ap_conf_vector_t* merge_matching(request_rec* r, ap_conf_vector_t* merged, const config::Declarations& lists, const char* url) {
  for (const config::ProxySection& section : lists.sections) {
    if (!section_matches(section, url)) continue;
    if (section.expression != nullptr) set_names(r, *static_cast<const SectionPattern*>(section.expression), url);
    merged = ap_merge_per_dir_configs(r->pool, merged, static_cast<ap_conf_vector_t*>(section.directives));
  }
  return merged;
}

}  // namespace

bool section_matches(const config::ProxySection& section, const char* url) noexcept {
  if (section.expression != nullptr) {
    return ap_regexec(static_cast<const SectionPattern*>(section.expression)->regex, url, 0, nullptr, 0) == 0;
  }
  if (section.wildcard) return apr_fnmatch(section.pattern.c_str(), url, 0) == APR_SUCCESS;
  return starts_with_url(url, section.pattern);
}

const char* open_proxy_section(cmd_parms* cmd, const char* arguments, bool is_match) {
  if (const char* wrong = ap_check_cmd_context(cmd, NOT_IN_DIR_CONTEXT)) return wrong;
  const char* end = ap_strrchr_c(arguments, '>');
  if (end == nullptr) return apr_pstrcat(cmd->pool, cmd->cmd->name, "> directive missing closing '>'", nullptr);
  const char* inside = apr_pstrmemdup(cmd->pool, arguments, static_cast<apr_size_t>(end - arguments));

  std::vector<std::string_view> words;
  while (*inside != '\0') words.emplace_back(ap_getword_conf(cmd->pool, &inside));
  const std::string directive = std::string(cmd->cmd->name) + '>';
  const HttpdSurroundings surroundings(cmd->pool);
  const config::Statement said{directive, {cmd->directive->filename, static_cast<unsigned>(cmd->directive->line_num)}, &surroundings};
  config::VhostConfig& server = vhost_config(cmd->server);
  if (!is_match && !words.empty() && words.front() == "~") {
    is_match = true;
    words.erase(words.begin());
  }
  if (const auto wrong = is_match ? config::say_match_section(said, words) : config::say_section(server, said, words)) return apr_pstrmemdup(cmd->pool, wrong->data(), wrong->size());

  // ap_getword_conf's words end in NUL, which cmd->path needs.
  char* pattern = apr_pstrmemdup(cmd->pool, words.front().data(), words.front().size());
  const SectionPattern* expression = is_match ? compile_section(cmd, pattern) : nullptr;
  if (is_match && expression == nullptr) return apr_psprintf(cmd->pool, "%s>: %s: not a regular expression", cmd->cmd->name, pattern);
  const SectionScope scope(cmd, pattern);
  ap_conf_vector_t* directives = ap_create_per_dir_config(cmd->pool);
  auto* ours = static_cast<config::LocationConfig*>(ap_set_config_vectors(cmd->server, directives, pattern, &cxxproxy_module, cmd->pool));
  ours->section_url = pattern;
  // The walk leaves cmd->directive at the last line inside.
  ap_directive_t* const inside_first = cmd->directive->first_child;
  if (const char* wrong = ap_walk_config(inside_first, cmd, directives)) return wrong;
  if (says_something_to_requests(inside_first)) {
    server.own->sections.push_back({pattern, !is_match && config::is_wildcard(pattern), expression, directives, said.where});
  }
  return nullptr;
}

int walk_proxy_sections(request_rec* r, const char* url) noexcept {
  return guard("proxy sections", HTTP_INTERNAL_SERVER_ERROR, [&] {
    ap_conf_vector_t* merged = r->per_dir_config;
    const config::VhostConfig& server = vhost_config(r->server);
    for (const config::Declarations* lists : server.inherited) merged = merge_matching(r, merged, *lists, url);
    r->per_dir_config = merge_matching(r, merged, server.own_lists(), url);
    return kOk;
  });
}

}  // namespace cxxproxy::httpd
