#include "httpd/mapping.h"

#include <cstring>
#include <new>
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

bool is_set(const apr_table_t* table, const char* name) noexcept {
  return !apr_is_empty_table(table) && apr_table_get(table, name) != nullptr;
}

const Chosen* find_chosen(const request_rec* r) noexcept {
  const RequestState* const state = find_request_state(r);
  return state != nullptr && state->chosen.filename != nullptr ? &state->chosen : nullptr;
}

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

// The rule that covers the request's path; `own` is the one of its <Location>.
RouteMatch find_rule(const request_rec* r, const config::SaidRoute* own, PathForm form, const config::Variables* variables) {
  const std::string_view uri(r->uri);
  if (own != nullptr) {
    if (RouteMatch match = config::rule_matches(*own, uri, variables)) return match;
  }
  const config::ResolvedVhost& vhost = resolved_vhost(r->server);
  return form == PathForm::Encoded ? vhost.find_encoded_route(uri, variables) : vhost.find_route(uri, variables);
}

// Variables in the host or port of a rule's URL give text of these only; one at the very end may be the path.
bool variables_stay_inside(std::string_view url, const config::Variables& variables) {
  const std::size_t scheme = url.find("://");
  const std::size_t end = http::origin_end(url);
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

// The backend URL of a rule for this request, in pieces; texts made for it lie in the request's pool.
struct Built {
  std::string_view url;    // the rule's, filled
  std::size_t origin_end;  // of it
  std::string_view rest;   // of the path, appended
  std::string_view query;  // with its '?', where the path goes as it came
  bool as_it_came = false;  // nocanon had its way: path and query are the client's own bytes

  // "ProxyPass / http://h" and /foo: without a slash the client would choose another host or port.
  bool needs_slash() const noexcept {
    return origin_end == url.size() && !rest.empty() && rest.front() != '/' && rest.front() != '?';
  }
};

// Most rules give every request the same URL, and the decoded path goes behind it.
bool is_the_same_for_all(const Route& rule, const config::Variables* variables) noexcept {
  return rule.pattern == nullptr && !rule.options.nocanon && !(rule.options.interpolate && variables != nullptr);
}

// The other rules; false if the request would change host or port.
bool fill_url(const request_rec* r, const RouteMatch& found, const config::Variables* variables, Built& built) {
  const Route& route = *found.route;
  if (route.options.interpolate && variables != nullptr) {
    if (!variables_stay_inside(route.url, *variables)) return false;
    built.url = joined_in(r->pool, {config::interpolated(route.url, variables)});
    built.origin_end = http::origin_end(built.url);
  }
  std::string_view subject(r->uri);
  const RouteMatch* match = &found;
  RouteMatch raw;
  if (route.options.nocanon && route.options.mapping != Mapping::Servlet) {
    const std::string_view target(r->unparsed_uri);
    const std::string_view path = target.substr(0, target.find('?'));
    // An expression may be about the query string as well, as with mod_proxy.
    const bool whole = route.pattern != nullptr && !route.options.noquery;
    raw = config::rule_matches(route, whole ? target : path, variables);
    built.as_it_came = raw && (route.pattern != nullptr || raw.matched == match->matched);
    if (built.as_it_came) {
      subject = whole ? target : path;
      if (!whole && !route.options.noquery) built.query = target.substr(path.size());
      match = &raw;
    } else {
      ap_log_rerror(APLOG_MARK, APLOG_WARNING, 0, r, "CXP0032: nocanon of the rule for %s does not work for a path that was normalised",
                    route.path.c_str());
    }
  }
  built.rest = route.pattern != nullptr ? subject : subject.substr(match->matched);
  if (route.pattern == nullptr) return true;
  if (!config::references_stay_inside(built.url, subject, match->groups)) return false;
  const std::string filled = config::expand_references(built.url, subject, match->groups);
  if (filled.size() > kLongestUrl) return false;
  if (filled == built.url) return true;
  built.url = joined_in(r->pool, {filled});
  built.origin_end = http::origin_end(built.url);
  built.rest = built.query = {};
  return true;
}

int refuse_other_host(request_rec* r, const Route& rule) {
  const std::string url = config::without_userinfo(rule.url);
  ap_log_rerror(APLOG_MARK, APLOG_ERR, 0, r, "CXP0031: the path of this request would change host or port of %s (rule for %s), answered %d",
                url.c_str(), rule.path.c_str(), HTTP_BAD_REQUEST);
  return HTTP_BAD_REQUEST;
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

BackendUrl split_backend_url(std::string_view url) noexcept {
  const http::SocketUrl parts = http::split_socket(url);
  const std::size_t end = http::origin_end(parts.rest);
  return {url, parts.socket, parts.rest.substr(0, end), parts.rest.substr(end)};
}

BackendUrl backend_url(const request_rec* r) noexcept {
  if (r->proxyreq != PROXYREQ_REVERSE || r->filename == nullptr) return {};
  std::string_view url(r->filename);
  const std::string_view prefix = own_prefix();
  const Chosen* const chosen = find_chosen(r);
  if (chosen != nullptr && chosen->filename == r->filename && prefix.size() + chosen->origin_size <= url.size()) {
    url.remove_prefix(prefix.size());
    return {url, {}, {url.data(), chosen->origin_size}, {url.data() + chosen->origin_size, url.size() - chosen->origin_size}};
  }
  return url.starts_with(prefix) ? split_backend_url(url.substr(prefix.size())) : BackendUrl{};
}

config::Target target_of(const request_rec* r, const BackendUrl& url) {
  const Chosen* const chosen = find_chosen(r);
  if (chosen != nullptr) {
    if (chosen->filename == r->filename) return chosen->target;
    // A module that has changed the path does not mean another backend.
    const std::string_view origin(chosen->filename + own_prefix().size(), chosen->origin_size);
    if (url.origin == origin && url.socket.empty()) return chosen->target;
  }
  return resolved_vhost(r->server).find_target(url.whole);
}

int translate(request_rec* r, PathForm form) {
  const config::LocationConfig& location = location_config(r);
  const config::ResolvedVhost& vhost = resolved_vhost(r->server);
  const bool is_early = form == PathForm::Encoded;
  const bool has_own = location.route != nullptr && (location.route->options.mapping != Mapping::Decoded) == is_early;
  if (is_early && !has_own && !vhost.has_encoded_rules) return kDeclined;
  // mod_rewrite [P] has decided, or a rule with mapping=: nobody else shall look for a file.
  if (r->proxyreq != PROXYREQ_NONE) return !is_early && !backend_url(r).whole.empty() ? kOk : kDeclined;
  // "*" names the server itself, and CONNECT a host, not a path of ours.
  if (r->uri == nullptr || r->uri[0] != '/' || std::strcmp(r->unparsed_uri, "*") == 0) return kDeclined;
  if (is_set(r->subprocess_env, "no-proxy")) return kDeclined;
  const RequestVariables environment(r);
  const config::Variables* variables = location.interpolate.value_or(false) ? &environment : nullptr;
  const config::SaidRoute* own = has_own ? location.route : nullptr;
  const RouteMatch match = find_rule(r, own, form, variables);
  if (match.route == nullptr || match.route->exclude) return kDeclined;
  if (r->method_number == M_CONNECT) return refuse(r, HTTP_METHOD_NOT_ALLOWED, "CONNECT to a reverse proxy");
  const Route& rule = *match.route;
  Built built{rule.url, rule.origin_end, r->uri + match.matched, {}};
  if (!is_the_same_for_all(rule, variables) && !fill_url(r, match, variables, built)) return refuse_other_host(r, rule);

  const std::string_view prefix = own_prefix();
  r->filename = joined_in(r->pool, {prefix, built.url, built.needs_slash() ? "/" : "", built.rest, built.query});
  r->handler = prefix == "proxy:" ? "proxy-server" : "cxxproxy";
  r->proxyreq = PROXYREQ_REVERSE;
  if (built.as_it_came) apr_table_setn(r->notes, "proxy-nocanon", "1");
  if (rule.options.noquery) apr_table_setn(r->notes, "proxy-noquery", "1");
  if (is_early) apr_table_setn(r->notes, "proxy-noencode", "1");
  if (rule.options.mapping == Mapping::Servlet && rule.pattern == nullptr) take_clean_path(r, match.clean);
  if (const config::Target target = &rule == own ? vhost.target_of(*own) : vhost.target_of(rule)) {
    request_state(r).chosen = {target, r->filename, built.origin_end};
  }
  return is_early ? kDone : kOk;
}

// The path was decoded when the request was read; what goes to the backend is encoded again, so that
// no decoded byte can end the path, the request line or the head.
int make_canonical(request_rec* r) {
  const BackendUrl url = backend_url(r);
  if (url.whole.empty()) return kDeclined;
  const bool as_it_came = is_set(r->notes, "proxy-nocanon");
  const bool is_encoded = as_it_came || is_set(r->notes, "proxy-noencode");
  if (is_encoded && !base::is_visible(url.rest)) return refuse(r, HTTP_FORBIDDEN, "a space or control character in the backend URL");
  if (as_it_came) return kOk;
  std::string encoded;
  std::string_view path = url.rest;
  if (!is_encoded && !http::is_canonical_path(path)) {
    http::append_canonical_path(encoded, path, slashes_stay_encoded(r) ? http::EncodedSlashes::Keep : http::EncodedSlashes::Encode);
    path = encoded;
  }
  const bool has_query = r->args != nullptr && !is_set(r->notes, "proxy-noquery");
  const std::string_view query(has_query ? r->args : "");
  if (!base::is_visible(query)) return refuse(r, HTTP_FORBIDDEN, "a space or control character in the query string");
  const bool has_slash = url.rest.starts_with('/');
  if (has_slash && encoded.empty() && !has_query) return kOk;  // as it stands there
  const std::string_view before(r->filename, own_prefix().size() + url.whole.size() - url.rest.size());
  const char* const given = r->filename;
  r->filename = joined_in(r->pool, {before, has_slash ? "" : "/", path, has_query ? "?" : "", query});
  if (RequestState* const state = find_request_state(r); state != nullptr && state->chosen.filename == given) state->chosen.filename = r->filename;
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
