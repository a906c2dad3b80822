#include "httpd/directives.h"

#include <string>
#include <vector>

#include "base/ascii.h"
#include "config/declare.h"
#include "config/field_statements.h"
#include "config/statements.h"
#include "httpd/config_hooks.h"
#include "httpd/proxy_sections.h"
#include "httpd/surroundings.h"
#include "httpd/httpd_api.h"

namespace cxxproxy::httpd {
namespace {

using config::DirectiveId;
using config::DirectiveRow;
using config::LocationConfig;
using config::Problem;

// One directive line: what it is, and where it stands.
struct Line {
  cmd_parms* cmd;
  const DirectiveRow& row;
  LocationConfig& location;
  HttpdSurroundings surroundings;
  config::Statement said;

  config::VhostConfig& server() const { return vhost_config(cmd->server); }
  std::string_view section() const { return location.section_url != nullptr ? location.section_url : std::string_view{}; }
  bool in_section() const { return location.section_url != nullptr; }
  bool in_location() const { return cmd->path != nullptr && !in_section(); }
};

const char* declined_text() noexcept { return DECLINE_CMD; }

Line make_line(cmd_parms* cmd, void* dir_config) {
  const config::SourceLine where{cmd->directive->filename, static_cast<unsigned>(cmd->directive->line_num)};
  return {cmd, *static_cast<const DirectiveRow*>(cmd->info), *static_cast<LocationConfig*>(dir_config), HttpdSurroundings(cmd->pool),
          {cmd->cmd->name, where, nullptr}};
}

std::vector<std::string_view> split_words(cmd_parms* cmd, const char* arguments) {
  std::vector<std::string_view> words;
  while (*arguments != '\0') words.emplace_back(ap_getword_conf(cmd->pool, &arguments));
  return words;
}

std::string cannot_stand_in(const Line& line, std::string_view place) {
  return std::string(line.said.directive) + " cannot occur within " + std::string(place);
}

// The path of <LocationMatch> and <Location ~> is an expression. mod_proxy takes one with a wildcard for
// one as well.
bool has_pattern_path(const Line& line) {
  if (apr_fnmatch_test(line.cmd->path) != 0) return true;
  const ap_directive_t* parent = line.cmd->directive->parent;
  for (; parent != nullptr; parent = parent->parent) {
    if (base::iequals(parent->directive, "<LocationMatch")) return true;
    if (base::iequals(parent->directive, "<Location")) {
      const char* arguments = parent->args;
      return std::string_view(ap_getword_conf(line.cmd->temp_pool, &arguments)) == "~";
    }
  }
  return false;
}

Problem check_location(const Line& line) {
  if (line.in_section()) return cannot_stand_in(line, "<Proxy> section");
  if (const char* wrong = ap_check_cmd_context(line.cmd, NOT_IN_DIRECTORY | NOT_IN_FILES | NOT_IN_LIMIT | NOT_IN_HTACCESS)) return wrong;
  return std::nullopt;
}

Problem proxy_pass(const Line& line, config::RuleKind kind, config::Words words) {
  if (auto wrong = check_location(line)) return wrong;
  if (!line.in_location()) return say_proxy_pass(line.server(), line.said, kind, words);
  if (has_pattern_path(line)) kind = config::RuleKind::Expression;
  return say_location_pass(line.server(), line.location, line.said, kind, line.cmd->path, words);
}

Problem say_and_note_reverse(const Line& line, std::string_view path, std::string_view url, bool interpolate) {
  auto& rules = line.location.own_rules->reverse;
  if (auto wrong = say_reverse(rules, line.said, path, url, interpolate)) return wrong;
  const config::SaidReverse& said = rules.back();
  // Where a rule with variables leads is known to requests only.
  if (interpolate) {
    line.server().own->reverses.push_back({std::string(path), {}, {}, said.where});
  } else {
    line.server().own->reverses.push_back({said.rule.public_path, said.rule.real, said.balancer, said.where});
  }
  return std::nullopt;
}

Problem proxy_pass_reverse(const Line& line, config::Words words) {
  if (auto wrong = check_location(line)) return wrong;
  const bool interpolate = words.size() > 1 && base::iequals(words.back(), "interpolate");
  if (interpolate) words = words.first(words.size() - 1);
  if (words.size() == 1 && line.in_location()) return say_and_note_reverse(line, line.cmd->path, words[0], interpolate);
  if (words.size() != 2) {
    return std::string(line.said.directive) + ": needs a path and a URL" + (line.in_location() ? ", or the URL alone" : "");
  }
  return say_and_note_reverse(line, words[0], words[1], interpolate);
}

// A directive about the server as a whole.
Problem global_only(const Line& line) {
  const char* wrong = ap_check_cmd_context(line.cmd, GLOBAL_ONLY);
  return wrong != nullptr ? Problem(wrong) : std::nullopt;
}

Problem in_server_or_section(const Line& line) {
  if (line.in_location()) return std::string(line.said.directive) + ": stands in a server or in <Proxy>, not in another section";
  return std::nullopt;
}

Problem read_words(const Line& line, config::Words words) {
  switch (line.row.id) {
    case DirectiveId::ProxyPass:
      return proxy_pass(line, config::RuleKind::Prefix, words);
    case DirectiveId::ProxyPassMatch:
      return proxy_pass(line, config::RuleKind::Expression, words);
    case DirectiveId::ProxyPassReverse:
      return proxy_pass_reverse(line, words);
    case DirectiveId::ProxyPassReverseCookieDomain:
      return say_cookie_rule(line.location.own_rules->cookies, line.said, http::CookieAttribute::Domain, words);
    case DirectiveId::ProxyPassReverseCookiePath:
      return say_cookie_rule(line.location.own_rules->cookies, line.said, http::CookieAttribute::Path, words);
    case DirectiveId::ProxyForwardedFields:
      return say_forwarded_fields(line.location.fields.forwarded_fields, line.said, words);
    case DirectiveId::ProxyErrorOverride:
      return say_error_override(line.location.fields, line.said, words);
    case DirectiveId::ProxyForwardedTrust:
      return say_forwarded_trust(*line.server().own, line.location.fields.forwarded_trust, line.said, words);
    case DirectiveId::ProxyCookieFlags:
      return say_cookie_flags(line.location.own_rules->flags, line.said, words);
    case DirectiveId::BalancerMember:
      if (auto wrong = in_server_or_section(line)) return wrong;
      return say_member(line.server(), line.said, line.section(), words);
    case DirectiveId::ProxySet:
      if (auto wrong = in_server_or_section(line)) return wrong;
      return say_set(line.server(), line.said, line.section(), words);
    default:
      return std::string(line.said.directive) + ": has no meaning here";
  }
}

Problem set_for_server(const Line& line, config::Setting<bool>& setting, bool on) {
  if (const char* wrong = ap_check_cmd_context(line.cmd, NOT_IN_DIR_CONTEXT)) return wrong;
  setting.set(on, line.said.where);
  return std::nullopt;
}

Problem read_flag(const Line& line, bool on) {
  switch (line.row.id) {
    case DirectiveId::ProxyPreserveHost:
      line.location.preserve_host.set(on, line.said.where);
      return std::nullopt;
    case DirectiveId::ProxyAddHeaders:
      line.location.add_headers.set(on, line.said.where);
      return std::nullopt;
    case DirectiveId::Proxy100Continue:
      line.location.continue_from_backend.set(on, line.said.where);
      return std::nullopt;
    case DirectiveId::ProxyPassInterpolateEnv:
      line.location.interpolate.set(on, line.said.where);
      return std::nullopt;
    case DirectiveId::ProxyPassInherit:
      return set_for_server(line, line.server().rule_inherit, on);
    case DirectiveId::BalancerInherit:
      return set_for_server(line, line.server().balancer_inherit, on);
    case DirectiveId::BalancerPersist:
      return set_for_server(line, line.server().persist, on);
    case DirectiveId::ProxyPark:
      line.location.park.set(on, line.said.where);
      return std::nullopt;
    case DirectiveId::ProxyKeepAliveGuard:
      if (auto wrong = global_only(line)) return wrong;
      line.server().keep_alive_guard.set(on, line.said.where);
      return std::nullopt;
    case DirectiveId::ProxyWebsocketFallback:
      return std::nullopt;
    case DirectiveId::ProxyRequests:
      if (!on) return std::nullopt;
      return std::string(line.said.directive) + ": On: mod_cxxproxy is a reverse proxy, it does no forward proxying (Off only)";
    case DirectiveId::ProxyCheckNames:
      if (auto wrong = global_only(line)) return wrong;
      line.server().check_names.set(on, line.said.where);
      return std::nullopt;
    default:
      return std::string(line.said.directive) + ": has no meaning here";
  }
}

Problem read_word(const Line& line, std::string_view word) {
  const bool in_server = line.cmd->path == nullptr;
  switch (line.row.id) {
    case DirectiveId::ProxyTimeout:
      if (const char* wrong = ap_check_cmd_context(line.cmd, NOT_IN_LIMIT | NOT_IN_HTACCESS)) return wrong;
      return say_timeout(in_server ? line.server().proxy_timeout : line.location.proxy_timeout, line.said, word);
    case DirectiveId::ProxyPassReverseMode:
      return say_reverse_mode(line.location.fields.reverse_mode, line.said, word);
    case DirectiveId::ProxyVia:
      if (const char* wrong = ap_check_cmd_context(line.cmd, NOT_IN_DIR_CONTEXT)) return wrong;
      return say_via(line.server().via, line.said, word);
    case DirectiveId::ProxyIOBufferSize:
      if (const char* wrong = ap_check_cmd_context(line.cmd, NOT_IN_DIR_CONTEXT)) return wrong;
      return say_buffer_size(line.server().io_buffer_size, line.said, config::ParameterId::IoBufferSize, word);
    case DirectiveId::ProxyReceiveBufferSize:
      if (const char* wrong = ap_check_cmd_context(line.cmd, NOT_IN_DIR_CONTEXT)) return wrong;
      return say_buffer_size(line.server().receive_buffer_size, line.said, config::ParameterId::ReceiveBufferSize, word);
    case DirectiveId::ProxySourceAddress:
      if (const char* wrong = ap_check_cmd_context(line.cmd, NOT_IN_DIR_CONTEXT)) return wrong;
      return say_source_address(line.server().source_address, line.said, word);
    case DirectiveId::ProxyMaxForwards:
      if (const char* wrong = ap_check_cmd_context(line.cmd, NOT_IN_DIR_CONTEXT)) return wrong;
      return say_max_forwards(line.server().max_forwards, line.said, word);
    case DirectiveId::ProxyWebsocketIdleTimeout:
      return say_timeout(line.location.tunnel_timeout, line.said, word);
    case DirectiveId::ProxyParkAfter:
    case DirectiveId::ProxyKeepAliveStay: {
      if (const char* wrong = ap_check_cmd_context(line.cmd, GLOBAL_ONLY)) return wrong;
      auto& setting = line.row.id == DirectiveId::ProxyParkAfter ? line.server().park_after : line.server().keep_alive_stay;
      return say_thread_wait(setting, line.said, word);
    }
    case DirectiveId::ProxyReactor:
      if (const char* wrong = ap_check_cmd_context(line.cmd, GLOBAL_ONLY)) return wrong;
      return say_reactor(line.server().reactor, line.said, word);
    case DirectiveId::ProxyTunnelDrain:
      if (const char* wrong = ap_check_cmd_context(line.cmd, GLOBAL_ONLY)) return wrong;
      return say_timeout(line.server().tunnel_drain, line.said, word);
    case DirectiveId::ProxyParkMax:
      if (const char* wrong = ap_check_cmd_context(line.cmd, GLOBAL_ONLY)) return wrong;
      return say_park_max(line.server().park_max, line.said, word);
    case DirectiveId::ProxyBadHeader:
      if (const char* wrong = ap_check_cmd_context(line.cmd, NOT_IN_DIR_CONTEXT)) return wrong;
      return say_bad_header(line.server().bad_header, line.said, word);
    case DirectiveId::ProxyStatus:
      if (const char* wrong = ap_check_cmd_context(line.cmd, NOT_IN_DIR_CONTEXT)) return wrong;
      return say_show_status(line.server().show_status, line.said, word);
    case DirectiveId::ProxyExplain:
      if (auto wrong = global_only(line)) return wrong;
      return say_explain(line.server(), line.said, word);
    default:
      return std::string(line.said.directive) + ": has no meaning here";
  }
}

// The one frame around every directive: whose is it, is it supported, and nothing is thrown at httpd.
template <class F>
const char* read_directive(cmd_parms* cmd, void* dir_config, F&& read) noexcept {
  try {
    Line line = make_line(cmd, dir_config);
    line.said.surroundings = &line.surroundings;
    const bool standard_name = !base::istarts_with(line.said.directive, "Cxx") && !base::istarts_with(line.said.directive, "<Cxx");
    if (standard_name && foreign_mod_proxy_loaded()) return declined_text();
    if (!line.row.is_supported()) {
      return apr_psprintf(cmd->pool, "%s is not supported yet by mod_cxxproxy", cmd->cmd->name);
    }
    const Problem wrong = std::forward<F>(read)(line);
    return wrong ? apr_pstrmemdup(cmd->pool, wrong->data(), wrong->size()) : nullptr;
  } catch (const std::bad_alloc&) {
    std::abort();
  } catch (const std::exception& failure) {
    return apr_psprintf(cmd->pool, "%s: internal error: %s", cmd->cmd->name, failure.what());
  }
}

}  // namespace

bool foreign_mod_proxy_loaded() noexcept {
  const module* found = ap_find_linked_module("mod_proxy.c");
  return found != nullptr && found->cmds != nullptr && found->cmds->name != nullptr;
}

const char* take_raw(cmd_parms* cmd, void* dir_config, const char* arguments) noexcept {
  return read_directive(cmd, dir_config, [&](const Line& line) -> Problem {
    if (line.row.id == DirectiveId::ProxySection || line.row.id == DirectiveId::ProxyMatchSection) {
      const char* wrong = open_proxy_section(cmd, arguments, line.row.id == DirectiveId::ProxyMatchSection);
      return wrong != nullptr ? Problem(wrong) : std::nullopt;
    }
    return read_words(line, split_words(cmd, arguments));
  });
}

const char* refuse_neighbour(cmd_parms* cmd, void*, const char*) noexcept {
  const auto& row = *static_cast<const config::NeighbourRow*>(cmd->info);
  // Beside a foreign mod_proxy it is somebody else's matter.
  if (foreign_mod_proxy_loaded() || ap_find_linked_module(row.module_file) != nullptr) return declined_text();
  return apr_psprintf(cmd->pool, "%s %s", row.name, row.advice);
}

const char* take_one(cmd_parms* cmd, void* dir_config, const char* argument) noexcept {
  return read_directive(cmd, dir_config, [&](const Line& line) { return read_word(line, argument); });
}

const char* take_flag(cmd_parms* cmd, void* dir_config, int on) noexcept {
  return read_directive(cmd, dir_config, [&](const Line& line) { return read_flag(line, on != 0); });
}

}  // namespace cxxproxy::httpd
