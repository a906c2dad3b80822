#include "httpd/request_hooks.h"

#include <charconv>
#include <memory>
#include <new>
#include <string>
#include <string_view>

#include "base/ascii.h"
#include "config/declare.h"
#include "exchange/exchange.h"
#include "http/target.h"
#include "httpd/child_state.h"
#include "httpd/client_side.h"
#include "httpd/config_hooks.h"
#include "httpd/directives.h"
#include "httpd/guard.h"
#include "httpd/inline_driver.h"
#include "httpd/proxy_sections.h"
#include "httpd/httpd_api.h"

namespace cxxproxy::httpd {
namespace {

using base::ProxyErrc;

constexpr std::string_view kBalancerScheme = "balancer://";

const char* c_str_in(apr_pool_t* pool, std::string_view text) { return apr_pstrmemdup(pool, text.data(), text.size()); }

// "proxy:" where the standard names are ours, "cxxproxy:" beside a foreign mod_proxy. Every hook of
// every request asks, and the list of modules no longer changes: it is searched once.
std::string_view own_prefix() noexcept {
  static const bool foreign = foreign_mod_proxy_loaded();
  return foreign ? "cxxproxy:" : "proxy:";
}

// The backend URL of a request that is ours to serve, empty for any other.
std::string_view proxied_url(const request_rec* r) noexcept {
  if (r->proxyreq != PROXYREQ_REVERSE || r->filename == nullptr) return {};
  const std::string_view filename(r->filename);
  const std::string_view prefix = own_prefix();
  return filename.starts_with(prefix) ? filename.substr(prefix.size()) : std::string_view{};
}

bool has_control_or_space(std::string_view text) noexcept {
  for (const char c : text) {
    if (base::is_control(c) || c == ' ') return true;
  }
  return false;
}

int refuse(request_rec* r, int status, const char* why) {
  ap_log_rerror(APLOG_MARK, APLOG_INFO, 0, r, "CXP0030: %s, answered %d", why, status);
  return status;
}

// scheme://authority and what follows, of any URL that we serve.
struct UrlParts {
  std::string_view origin;
  std::string_view rest;
};

// What translate_name found, so that the handler need not look the URL up again.
struct Chosen {
  config::Target target;
  std::string_view origin;  // of the rule's URL; another one in r->filename means that it was changed
};

UrlParts split_origin(std::string_view url) noexcept {
  const std::size_t scheme = url.find("://");
  if (scheme == std::string_view::npos) return {url, {}};
  const std::size_t end = url.find_first_of("/?#", scheme + 3);
  return {url.substr(0, end), end == std::string_view::npos ? std::string_view{} : url.substr(end)};
}

int translate(request_rec* r) {
  if (r->proxyreq != PROXYREQ_NONE) return kDeclined;  // mod_rewrite [P] has decided
  // "*" names the server itself, and CONNECT a host, not a path of ours.
  if (r->uri == nullptr || r->uri[0] != '/' || std::string_view(r->unparsed_uri) == "*") return kDeclined;
  if (apr_table_get(r->subprocess_env, "no-proxy") != nullptr) return kDeclined;
  const std::string_view uri(r->uri);
  const RouteChoice choice = choose_route(r, uri);
  if (choice.kind != RouteKind::Proxied) return kDeclined;
  if (r->method_number == M_CONNECT) return refuse(r, HTTP_METHOD_NOT_ALLOWED, "CONNECT to a reverse proxy");
  const std::string_view prefix = own_prefix();
  const std::string_view rest = uri.substr(choice.matched);
  // "ProxyPass / http://h" and /foo: without a slash the client would choose another host or port.
  const bool would_change_host = !rest.empty() && rest.front() != '/' && split_origin(choice.url).rest.empty();
  r->filename = apr_psprintf(r->pool, "%.*s%.*s%s%.*s", static_cast<int>(prefix.size()), prefix.data(), static_cast<int>(choice.url.size()),
                             choice.url.data(), would_change_host ? "/" : "", static_cast<int>(rest.size()), rest.data());
  r->handler = prefix == "proxy:" ? "proxy-server" : "cxxproxy";
  r->proxyreq = PROXYREQ_REVERSE;
  if (choice.target) {
    auto* const chosen = new (apr_palloc(r->pool, sizeof(Chosen))) Chosen();
    chosen->target = choice.target;
    chosen->origin = split_origin(choice.url).origin;
    ap_set_module_config(r->request_config, &cxxproxy_module, chosen);
  }
  return kOk;
}

bool slashes_stay_encoded(const request_rec* r) {
  const auto* core = static_cast<const core_dir_config*>(ap_get_core_module_config(r->per_dir_config));
  return core->allow_encoded_slashes != 0 && core->decode_encoded_slashes == 0;
}

// The path was decoded when the request was read; what goes to the backend is encoded again, so that
// no decoded byte can end the path, the request line or the head.
int make_canonical(request_rec* r) {
  const std::string_view url = proxied_url(r);
  if (url.empty()) return kDeclined;
  const UrlParts parts = split_origin(url);
  if (apr_table_get(r->notes, "proxy-nocanon") != nullptr) {
    if (has_control_or_space(parts.rest)) return refuse(r, HTTP_FORBIDDEN, "a space or control character in the backend URL");
    return kOk;
  }
  std::string canonical(own_prefix());
  canonical.append(parts.origin);
  if (!parts.rest.starts_with('/')) canonical += '/';
  http::append_canonical_path(canonical, parts.rest, slashes_stay_encoded(r) ? http::EncodedSlashes::Keep : http::EncodedSlashes::Encode);
  if (r->args != nullptr) {
    if (has_control_or_space(r->args)) return refuse(r, HTTP_FORBIDDEN, "a space or control character in the query string");
    canonical.append("?").append(r->args);
  }
  r->filename = const_cast<char*>(c_str_in(r->pool, canonical));
  return kOk;
}

// ---------------------------------------------------------------- the handler

// TRACE as the core's TraceEnable says; Max-Forwards counts down and ends loops (RFC 9110 7.6.2).
int check_trace(request_rec* r) {
  if (r->method_number != M_TRACE) return kOk;
  const auto* core = static_cast<const core_server_config*>(ap_get_core_module_config(r->server->module_config));
  if (core->trace_enable == AP_TRACE_DISABLE) return refuse(r, HTTP_METHOD_NOT_ALLOWED, "TRACE is forbidden by TraceEnable");
  const bool body = apr_table_get(r->headers_in, "Content-Length") != nullptr || apr_table_get(r->headers_in, "Transfer-Encoding") != nullptr;
  if (core->trace_enable != AP_TRACE_EXTENDED && body) return refuse(r, HTTP_REQUEST_ENTITY_TOO_LARGE, "TRACE with a body");
  return kOk;
}

int count_forwards(request_rec* r, bool& answered) {
  const char* text = apr_table_get(r->headers_in, "Max-Forwards");
  if (text == nullptr) {
    const auto configured = resolved_vhost(r->server).max_forwards;
    if (configured >= 0) apr_table_setn(r->headers_in, "Max-Forwards", apr_psprintf(r->pool, "%" APR_INT64_T_FMT, static_cast<apr_int64_t>(configured)));
    return kOk;
  }
  const std::string_view digits(text);
  unsigned long left = 0;
  const auto parsed = std::from_chars(digits.data(), digits.data() + digits.size(), left);
  if (digits.empty() || parsed.ec != std::errc{} || parsed.ptr != digits.data() + digits.size()) {
    return refuse(r, HTTP_BAD_REQUEST, "Max-Forwards is not a number");
  }
  if (left == 0) {
    if (r->method_number != M_TRACE && r->method_number != M_OPTIONS) return refuse(r, HTTP_BAD_REQUEST, "Max-Forwards has reached zero");
    r->proxyreq = PROXYREQ_NONE;  // the answer is our own
    answered = true;
    return r->method_number == M_TRACE ? ap_send_http_trace(r) : ap_send_http_options(r);
  }
  apr_table_setn(r->headers_in, "Max-Forwards", apr_psprintf(r->pool, "%lu", left - 1));
  return kOk;
}

struct Undeclared {
  config::MemberSpec spec;
  std::unique_ptr<upstream::MemberUpstream> member;
  upstream::MemberUpstream* pointer = nullptr;
};

// A backend that only a RewriteRule names: no kept connections, no state.
ProxyErrc make_undeclared(std::string_view url, upstream::Resolver& resolver, Undeclared& out) {
  auto origin = http::parse_origin(url);
  if (!origin) return origin.error().kind == http::UrlProblem::Malformed ? ProxyErrc::BadTarget : ProxyErrc::UnsupportedScheme;
  if (origin->url.scheme != "http") return ProxyErrc::UnsupportedScheme;
  out.spec.url = std::move(origin->url);
  out.spec.name = out.spec.url.text();
  out.spec.reuse = false;
  out.member = std::make_unique<upstream::MemberUpstream>(out.spec, resolver);
  out.pointer = out.member.get();
  return ProxyErrc::None;
}

int status_of(request_rec* r, const exchange::Exchange& exchange, const ClientSide& client) {
  const base::Error& error = exchange.failure();
  if (!exchange.body_complete()) r->connection->keepalive = AP_CONN_CLOSE;
  if (!error && client.replaced_status() != 0) return client.replaced_status();
  if (!error || exchange.answer_started()) return kOk;
  if (client.filter_status() != 0 && base::info(error.code).side == base::Side::Client && error.code != ProxyErrc::ClientGone) {
    return client.filter_status();
  }
  const int status = base::status_for(error);
  r->status_line = nullptr;  // of an answer that never went out
  if (error.code == ProxyErrc::ClientGone) {
    r->connection->aborted = 1;
    r->status = status;
    return kDone;
  }
  if (status == HTTP_BAD_GATEWAY) {
    const std::string_view sentence = base::info(error.code).sentence;
    apr_table_setn(r->notes, "error-notes", apr_pstrcat(r->pool, "Reason: <strong>", c_str_in(r->pool, sentence), "</strong>", nullptr));
  }
  return status;
}

void tell_balancer(request_rec* r, const config::BalancerSpec& balancer) {
  apr_table_setn(r->subprocess_env, "BALANCER_NAME", apr_pstrcat(r->pool, "balancer://", balancer.name.c_str(), nullptr));
}

int serve(request_rec* r, ChildState& child, const Errand& errand, const exchange::Destination& destination) {
  const RequestSettings settings = request_settings(r);
  ClientSide client(r, errand, settings);
  if (client.problem() != ProxyErrc::None) {
    r->connection->keepalive = AP_CONN_CLOSE;
    return refuse(r, base::info(client.problem()).status, "the request's body framing is not understood");
  }
  if (!client.prepare_body()) return client.filter_status();
  const base::Duration server_timeout(r->server->timeout);
  exchange::Exchange exchange(destination, client,
                              {.clock = child.clock(),
                               .connector = child.connector(),
                               .default_timeout = settings.proxy_timeout.value_or(server_timeout),
                               .may_wait = true});
  run_inline(exchange, r, child.clock());
  return status_of(r, exchange, client);
}

bool is_switched_off(const config::MemberSpec& member) noexcept {
  return (member.status & (config::bit(config::StatusFlag::Disabled) | config::bit(config::StatusFlag::Stopped))) != 0;
}

// For what fails before an exchange begins: one log line and the status that belongs to it.
int answer_failure(request_rec* r, std::string_view origin, ProxyErrc code, std::string_view detail = {}) {
  const auto& failure = base::info(code);
  const std::string subject = config::without_userinfo(origin);  // a rule may hold a password
  const std::string_view why = detail.empty() ? failure.sentence : detail;
  ap_log_rerror(APLOG_MARK, APLOG_ERR, 0, r, "CXP%04u: %.*s: %.*s, answered %d", static_cast<unsigned>(failure.tag),
                static_cast<int>(subject.size()), subject.data(), static_cast<int>(why.size()), why.data(), failure.status);
  return failure.status;
}

int exchange_for(request_rec* r, std::string_view url) {
  ChildState* child = child_state();
  if (child == nullptr) return HTTP_INTERNAL_SERVER_ERROR;
  const UrlParts parts = split_origin(url);
  Errand errand;
  errand.host_path = parts.rest.empty() ? std::string_view("/") : parts.rest;
  errand.path = parts.rest;
  const auto* chosen = static_cast<const Chosen*>(ap_get_module_config(r->request_config, &cxxproxy_module));
  errand.target = chosen != nullptr && chosen->origin == parts.origin ? chosen->target : resolved_vhost(r->server).find_target(url);
  if (errand.target) {
    if (errand.target.balancer != nullptr) tell_balancer(r, *errand.target.balancer);
    if (errand.target.member != nullptr && is_switched_off(*errand.target.member)) {
      return answer_failure(r, parts.origin, ProxyErrc::NoUsableMember, "switched off by its status parameter");
    }
    return serve(r, *child, errand, child->destination(errand.target));
  }
  if (base::istarts_with(url, kBalancerScheme)) return answer_failure(r, parts.origin, ProxyErrc::NoSuchBalancer);
  Undeclared undeclared;
  const ProxyErrc problem = make_undeclared(url, child->resolver(), undeclared);
  if (problem != ProxyErrc::None) return answer_failure(r, parts.origin, problem);
  return serve(r, *child, errand, {nullptr, {&undeclared.pointer, 1}});
}

// SetHandler "proxy:URL" or "cxxproxy:URL": the file's path is appended, as mod_proxy does.
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
  const std::string_view prefix = own_prefix();
  r->filename = apr_psprintf(r->pool, "%.*s%.*s%s", static_cast<int>(prefix.size()), prefix.data(), static_cast<int>(url.size()), url.data(),
                             r->filename);
  r->proxyreq = PROXYREQ_REVERSE;
  return make_canonical(r);
}

int handle(request_rec* r) {
  if (const int status = take_handler_url(r); status != kOk && status != kDeclined) return status;
  const std::string_view url = proxied_url(r);
  if (url.empty()) return kDeclined;
  if (const int status = check_trace(r); status != kOk) return status;
  bool answered = false;
  if (const int status = count_forwards(r, answered); status != kOk || answered) return status;
  return exchange_for(r, url);
}

}  // namespace

int translate_name(request_rec* r) noexcept {
  return guard("translate_name", HTTP_INTERNAL_SERVER_ERROR, [&] { return translate(r); });
}

int map_to_storage(request_rec* r) noexcept {
  return guard("map_to_storage", HTTP_INTERNAL_SERVER_ERROR, [&] {
    const std::string_view url = proxied_url(r);
    if (url.empty()) return kDeclined;
    const int walked = walk_proxy_sections(r, url);
    return walked == kDeclined ? kOk : walked;  // the file system has no part in it
  });
}

int fixups(request_rec* r) noexcept {
  return guard("fixups", HTTP_INTERNAL_SERVER_ERROR, [&] { return make_canonical(r); });
}

int handler(request_rec* r) noexcept {
  return guard("handler", HTTP_INTERNAL_SERVER_ERROR, [&] { return handle(r); });
}

void child_init(apr_pool_t*, server_rec* main_server) noexcept { make_child_state(main_server); }

}  // namespace cxxproxy::httpd
