#include "httpd/mapping.h"

#include <algorithm>
#include <cstring>
#include <new>
#include <optional>
#include <string>

#include "base/ascii.h"
#include "config/declare.h"
#include "http/target.h"
#include "http/url.h"
#include "httpd/config_hooks.h"
#include "httpd/directives.h"
#include "httpd/pool_text.h"
#include "httpd/request_state.h"
#include "httpd/httpd_api.h"

namespace cxxproxy::httpd {
namespace {

using config::Mapping;
using config::Route;
using config::RouteMatch;

constexpr std::size_t kLongestUrl = 64 * 1024;  // as ap_pregsub

// "proxy:" where the standard names are ours, "cxxproxy:" beside a foreign mod_proxy. Every hook of
// every request asks, and the list of modules no longer changes: it is searched once.
std::string_view own_prefix() noexcept {
  static const bool foreign = foreign_mod_proxy_loaded();
  return foreign ? "cxxproxy:" : "proxy:";
}

bool has_control_or_space(std::string_view text) noexcept {
  for (const char c : text) {
    if (base::is_control(c) || c == ' ') return true;
  }
  return false;
}

bool has_note(const request_rec* r, const char* name) noexcept { return apr_table_get(r->notes, name) != nullptr; }

class RequestVariables final : public config::Variables {
 public:
  explicit RequestVariables(const request_rec* r) noexcept : r_(r) {}
  std::string value(std::string_view name) const override {
    const char* found = apr_table_get(r_->subprocess_env, std::string(name).c_str());
    return found != nullptr ? found : "";
  }

 private:
  const request_rec* r_;
};

// A rule that covers the request's path.
struct Choice {
  const Route* route = nullptr;
  RouteMatch match;
  config::Target target;
};

Choice choose(const request_rec* r, PathForm form, const config::Variables* variables) {
  const config::ResolvedVhost& vhost = resolved_vhost(r->server);
  const std::string_view uri(r->uri);
  const config::SaidRoute* own = location_config(r).route;
  const bool wants_encoded = form == PathForm::Encoded;
  if (own != nullptr && (own->options.mapping != Mapping::Decoded) == wants_encoded) {
    RouteMatch match = config::rule_matches(*own, uri, variables);
    if (match) return {own, std::move(match), vhost.target_of(*own)};
  }
  if (wants_encoded && !vhost.has_encoded_rules) return {};
  RouteMatch match = wants_encoded ? vhost.find_encoded_route(uri, variables) : vhost.find_route(uri, variables);
  if (!match) return {};
  const Route* route = match.route;
  return {route, std::move(match), vhost.target_of(*route)};
}

std::size_t authority_end(std::string_view url) noexcept {
  const std::size_t scheme = url.find("://");
  if (scheme == std::string_view::npos) return url.size();
  const auto ends = [](char c) { return c == '/' || c == '?'; };
  return static_cast<std::size_t>(std::find_if(url.begin() + static_cast<std::ptrdiff_t>(scheme) + 3, url.end(), ends) - url.begin());
}

// Variables in the host or port of a rule's URL give text of these only; one at the very end may be the path.
bool variables_stay_inside(std::string_view url, const config::Variables& variables) {
  const std::size_t scheme = url.find("://");
  const std::size_t end = authority_end(url);
  for (std::size_t at = url.find("${"); at < end; at = url.find("${", at + 2)) {
    const std::size_t close = url.find('}', at);
    if (close == std::string_view::npos) break;
    const std::string value = variables.value(url.substr(at + 2, close - at - 2));
    const bool may_be_path = close + 1 == url.size() && at > scheme + 3;
    const bool is_path = may_be_path && (value.empty() || value[0] == '/' || value[0] == '?');
    if (!is_path && !config::is_authority_text(value, true)) return false;
  }
  return true;
}

// The backend URL of a rule for this request; nothing if the request would change its host or port.
struct Built {
  std::optional<std::string> url;
  bool as_it_came = false;  // nocanon had its way: path and query are the client's own bytes
};

Built build_url(const request_rec* r, const Choice& choice, const config::Variables* variables) {
  const Route& route = *choice.route;
  const bool variable = route.options.interpolate && variables != nullptr;
  if (variable && !variables_stay_inside(route.url, *variables)) return {};
  const std::string with_variables = variable ? config::interpolated(route.url, variables) : std::string();
  const std::string_view url = variable ? std::string_view(with_variables) : std::string_view(route.url);

  std::string_view subject(r->uri);
  const RouteMatch* match = &choice.match;
  RouteMatch raw;
  Built built;
  std::string_view query;  // with its '?', where the path goes as it came
  if (route.options.nocanon && route.options.mapping != Mapping::Servlet) {
    const std::string_view target(r->unparsed_uri);
    const std::string_view path = target.substr(0, target.find('?'));
    // An expression may be about the query string as well, as with mod_proxy.
    const bool whole = route.pattern != nullptr && !route.options.noquery;
    raw = config::rule_matches(route, whole ? target : path, variables);
    built.as_it_came = raw && (route.pattern != nullptr || raw.matched == match->matched);
    if (built.as_it_came) {
      subject = whole ? target : path;
      if (!whole && !route.options.noquery) query = target.substr(path.size());
      match = &raw;
    } else {
      ap_log_rerror(APLOG_MARK, APLOG_WARNING, 0, r, "CXP0032: nocanon of the rule for %s does not work for a path that was normalised",
                    route.path.c_str());
    }
  }
  if (route.pattern != nullptr) {
    if (!config::references_stay_inside(url, subject, match->groups)) return {};
    std::string filled = config::expand_references(url, subject, match->groups);
    if (filled.size() > kLongestUrl) return {};
    if (filled != url) {
      built.url = std::move(filled);
      return built;
    }
  }
  const std::string_view rest = route.pattern != nullptr ? subject : subject.substr(match->matched);
  // "ProxyPass / http://h" and /foo: without a slash the client would choose another host or port.
  const bool authority_is_open = authority_end(url) == url.size();
  const bool would_change_host = authority_is_open && !rest.empty() && rest.front() != '/' && rest.front() != '?';
  built.url.emplace().reserve(url.size() + 1 + rest.size() + query.size());
  built.url->append(url).append(would_change_host ? "/" : "").append(rest).append(query);
  return built;
}

// Access control sees the path without parameters, so it is the request's path from here on.
void take_clean_path(request_rec* r, const std::string& clean) noexcept {
  if (clean.size() <= std::strlen(r->uri)) std::memcpy(r->uri, clean.c_str(), clean.size() + 1);
}

bool slashes_stay_encoded(const request_rec* r) {
  const auto* core = static_cast<const core_dir_config*>(ap_get_core_module_config(r->per_dir_config));
  return core->allow_encoded_slashes != 0 && core->decode_encoded_slashes == 0;
}

bool contains_unix(std::string_view text) noexcept {
  for (std::size_t i = 0; i + 5 <= text.size(); ++i) {
    if (base::istarts_with(text.substr(i), "unix:")) return true;
  }
  return false;
}

}  // namespace

std::string filled_with_variables(const request_rec* r, std::string_view text) {
  const RequestVariables variables(r);
  return config::interpolated(text, &variables);
}

int refuse(request_rec* r, int status, const char* why) {
  ap_log_rerror(APLOG_MARK, APLOG_INFO, 0, r, "CXP0030: %s, answered %d", why, status);
  return status;
}

std::string_view proxied_url(const request_rec* r) noexcept {
  if (r->proxyreq != PROXYREQ_REVERSE || r->filename == nullptr) return {};
  const std::string_view filename(r->filename);
  const std::string_view prefix = own_prefix();
  return filename.starts_with(prefix) ? filename.substr(prefix.size()) : std::string_view{};
}

namespace {

bool ends_origin(char c) noexcept { return c == '/' || c == '?' || c == '#'; }

}  // namespace

BackendUrl split_backend_url(std::string_view url) noexcept {
  const http::SocketUrl parts = http::split_socket(url);
  const std::size_t scheme = parts.rest.find("://");
  if (scheme == std::string_view::npos) return {parts.socket, parts.rest, {}};
  const auto authority = parts.rest.begin() + static_cast<std::ptrdiff_t>(scheme) + 3;
  const auto end = static_cast<std::size_t>(std::find_if(authority, parts.rest.end(), ends_origin) - parts.rest.begin());
  return {parts.socket, parts.rest.substr(0, end), parts.rest.substr(end)};
}

BackendUrl split_backend_url(const request_rec* r, std::string_view url) noexcept {
  const RequestState* const state = find_request_state(r);
  const std::string_view origin = state != nullptr ? state->chosen.origin : std::string_view{};
  if (origin.empty() || !url.starts_with(origin)) return split_backend_url(url);
  const std::string_view rest = url.substr(origin.size());
  if (!rest.empty() && !ends_origin(rest.front())) return split_backend_url(url);
  return {{}, url.substr(0, origin.size()), rest};
}

config::Target target_of(const request_rec* r, std::string_view url) { return target_of(r, url, split_backend_url(url)); }

config::Target target_of(const request_rec* r, std::string_view url, const BackendUrl& parts) {
  const RequestState* const state = find_request_state(r);
  if (state != nullptr && !state->chosen.origin.empty() && state->chosen.origin == parts.origin && parts.socket.empty()) return state->chosen.target;
  return resolved_vhost(r->server).find_target(url);
}

int translate(request_rec* r, PathForm form) {
  // mod_rewrite [P] has decided, or a rule with mapping=: nobody else shall look for a file.
  if (r->proxyreq != PROXYREQ_NONE) return form == PathForm::Decoded && !proxied_url(r).empty() ? kOk : kDeclined;
  // "*" names the server itself, and CONNECT a host, not a path of ours.
  if (r->uri == nullptr || r->uri[0] != '/' || std::string_view(r->unparsed_uri) == "*") return kDeclined;
  if (apr_table_get(r->subprocess_env, "no-proxy") != nullptr) return kDeclined;
  const RequestVariables environment(r);
  const config::Variables* variables = location_config(r).interpolate.value_or(false) ? &environment : nullptr;
  const Choice choice = choose(r, form, variables);
  if (choice.route == nullptr || choice.route->exclude) return kDeclined;
  if (r->method_number == M_CONNECT) return refuse(r, HTTP_METHOD_NOT_ALLOWED, "CONNECT to a reverse proxy");
  const Built built = build_url(r, choice, variables);
  if (!built.url) {
    const std::string url = config::without_userinfo(choice.route->url);
    ap_log_rerror(APLOG_MARK, APLOG_ERR, 0, r, "CXP0031: the path of this request would change host or port of %s (rule for %s), answered %d",
                  url.c_str(), choice.route->path.c_str(), HTTP_BAD_REQUEST);
    return HTTP_BAD_REQUEST;
  }

  const std::string_view prefix = own_prefix();
  r->filename = joined_in(r->pool, {prefix, *built.url});
  r->handler = prefix == "proxy:" ? "proxy-server" : "cxxproxy";
  r->proxyreq = PROXYREQ_REVERSE;
  const config::RuleOptions& options = choice.route->options;
  if (built.as_it_came) apr_table_setn(r->notes, "proxy-nocanon", "1");
  if (options.noquery) apr_table_setn(r->notes, "proxy-noquery", "1");
  if (form == PathForm::Encoded) apr_table_setn(r->notes, "proxy-noencode", "1");
  if (options.mapping == Mapping::Servlet && choice.route->pattern == nullptr) take_clean_path(r, choice.match.clean);
  if (choice.target) {
    request_state(r).chosen = {choice.target, split_backend_url(std::string_view(r->filename).substr(prefix.size())).origin};
  }
  return form == PathForm::Encoded ? kDone : kOk;
}

// The path was decoded when the request was read; what goes to the backend is encoded again, so that
// no decoded byte can end the path, the request line or the head.
int make_canonical(request_rec* r) {
  const std::string_view url = proxied_url(r);
  if (url.empty()) return kDeclined;
  const BackendUrl parts = split_backend_url(r, url);
  if (has_note(r, "proxy-nocanon")) {
    if (has_control_or_space(parts.rest)) return refuse(r, HTTP_FORBIDDEN, "a space or control character in the backend URL");
    return kOk;
  }
  std::string canonical;
  canonical.reserve(own_prefix().size() + url.size() + 1 + (r->args != nullptr ? std::strlen(r->args) + 1 : 0));
  canonical.append(own_prefix()).append(url.substr(0, url.size() - parts.rest.size()));
  if (!parts.rest.starts_with('/')) canonical += '/';
  if (has_note(r, "proxy-noencode")) {
    if (has_control_or_space(parts.rest)) return refuse(r, HTTP_FORBIDDEN, "a space or control character in the backend URL");
    canonical.append(parts.rest);
  } else {
    http::append_canonical_path(canonical, parts.rest, slashes_stay_encoded(r) ? http::EncodedSlashes::Keep : http::EncodedSlashes::Encode);
  }
  if (r->args != nullptr && !has_note(r, "proxy-noquery")) {
    if (has_control_or_space(r->args)) return refuse(r, HTTP_FORBIDDEN, "a space or control character in the query string");
    canonical.append("?").append(r->args);
  }
  r->filename = joined_in(r->pool, {canonical});
  return kOk;
}

int take_handler_url(request_rec* r) {
  if (r->proxyreq != PROXYREQ_NONE || r->handler == nullptr || r->filename == nullptr) return kDeclined;
  std::string_view url(r->handler);
  if (url.starts_with("cxxproxy:")) {
    url.remove_prefix(9);
  } else if (url.starts_with("proxy:") && !foreign_mod_proxy_loaded()) {
    url.remove_prefix(6);
  } else {
    return kDeclined;
  }
  // httpd takes the content type for a handler where there is none, and a backend or client may have set that.
  const std::string_view type(r->content_type != nullptr ? r->content_type : "");
  if (type.substr(0, type.find(';')) == std::string_view(r->handler)) return kDeclined;
  std::string filename(own_prefix());
  filename.append(url);
  if (url.ends_with("|http:")) filename += "//localhost";
  filename.append(r->filename);
  r->filename = joined_in(r->pool, {filename});
  r->proxyreq = PROXYREQ_REVERSE;
  return make_canonical(r);
}

bool request_mentions_socket(request_rec* r) {
  if (r->the_request != nullptr) {
    char* decoded = apr_pstrdup(r->pool, r->the_request);
    (void)ap_unescape_urlencoded(decoded);
    if (contains_unix(r->the_request) || contains_unix(decoded)) return true;
  }
  const apr_array_header_t* fields = apr_table_elts(r->headers_in);
  const auto* entries = reinterpret_cast<const apr_table_entry_t*>(fields->elts);
  for (int i = 0; i < fields->nelts; ++i) {
    if (entries[i].val != nullptr && contains_unix(entries[i].val)) return true;
  }
  return false;
}

}  // namespace cxxproxy::httpd
