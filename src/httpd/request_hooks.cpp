#include "httpd/request_hooks.h"

#include <charconv>
#include <memory>
#include <new>
#include <string>
#include <string_view>
#include <utility>

#include "base/ascii.h"
#include "config/declare.h"
#include "exchange/exchange.h"
#include "httpd/child_state.h"
#include "httpd/client_side.h"
#include "httpd/config_hooks.h"
#include "httpd/guard.h"
#include "httpd/mapping.h"
#include "httpd/parker.h"
#include "httpd/reactor.h"
#include "httpd/pool_object.h"
#include "httpd/proxy_sections.h"
#include "httpd/served_request.h"
#include "httpd/upstream_facts.h"
#include "httpd/httpd_api.h"

namespace cxxproxy::httpd {
namespace {

using base::ProxyErrc;

constexpr std::string_view kBalancerScheme = "balancer://";

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

// A backend that only a RewriteRule or a handler names, or whose host a request fills: no kept connections,
// no state. `like` has the parameters of the rule, if there is one.
ProxyErrc make_undeclared(const BackendUrl& parts, const config::MemberSpec* like, upstream::Resolver& resolver, Undeclared& out) {
  auto origin = http::parse_origin(parts.origin);
  if (!origin) return origin.error().kind == http::UrlProblem::Malformed ? ProxyErrc::BadTarget : ProxyErrc::UnsupportedScheme;
  if (origin->url.scheme != "http" && origin->url.scheme != "ws") return ProxyErrc::UnsupportedScheme;
  if (like != nullptr) out.spec = *like;
  const std::string socket = like != nullptr ? like->url.socket : std::string(parts.socket);
  out.spec.url = std::move(origin->url);
  out.spec.url.socket = socket;
  out.spec.authority = out.spec.url.authority();
  out.spec.name = out.spec.url.name();
  out.spec.reuse = false;
  out.member = std::make_unique<upstream::MemberUpstream>(out.spec, resolver);
  out.pointer = out.member.get();
  return ProxyErrc::None;
}

// On this thread to its end, or until it would wait long and can be parked.
int serve(request_rec* r, ServedRequest& served, const exchange::Destination& destination) {
  const Driver driver = driver_for(r);
  if (driver != Driver::Loop) may_block(r);
  if (const int status = served.begin(destination); status != kOk) return status;
  if (served.drive(driver) == ServedRequest::Outcome::Park) {
    if (park(r, served)) return kSuspended;
    (void)served.drive(Driver::Thread);
  }
  return served.finish();
}

ServedRequest& make_served(request_rec* r, ChildState& child, const Errand& errand) {
  return *make_in_pool<ServedRequest>(r->pool, r, child, errand);
}

bool is_switched_off(const config::MemberSpec& member) noexcept {
  return (member.status & (config::bit(config::StatusFlag::Disabled) | config::bit(config::StatusFlag::Stopped))) != 0;
}

// For what fails before an exchange begins: one log line and the status that belongs to it.
int answer_failure(request_rec* r, std::string_view origin, ProxyErrc code, std::string_view detail = {}) {
  tell_end(r, code);
  const auto& failure = base::info(code);
  const std::string subject = config::without_userinfo(origin);  // a rule may hold a password
  const std::string_view why = detail.empty() ? failure.sentence : detail;
  ap_log_rerror(APLOG_MARK, APLOG_ERR, 0, r, "CXP%04u: %.*s: %.*s, answered %d", static_cast<unsigned>(failure.tag),
                static_cast<int>(subject.size()), subject.data(), static_cast<int>(why.size()), why.data(), failure.status);
  return failure.status;
}

int exchange_for(request_rec* r, const BackendUrl& parts) {
  ChildState* child = child_state();
  if (child == nullptr) return HTTP_INTERNAL_SERVER_ERROR;
  Errand errand;
  errand.host_path = parts.rest.empty() ? std::string_view("/") : parts.rest;
  errand.path = parts.rest;
  errand.target = target_of(r, parts);
  const config::MemberSpec* like = nullptr;
  if (errand.target.member != nullptr && errand.target.member->any_host) like = std::exchange(errand.target.member, nullptr);
  if (errand.target) {
    note_asked(r, errand.target);
    if (errand.target.balancer != nullptr) apr_table_setn(r->subprocess_env, "BALANCER_NAME", errand.target.balancer->url.c_str());
    if (errand.target.member != nullptr && is_switched_off(*errand.target.member)) {
      return answer_failure(r, parts.origin, ProxyErrc::NoUsableMember, "switched off by its status parameter");
    }
    return serve(r, make_served(r, *child, errand), child->destination(errand.target));
  }
  if (base::istarts_with(parts.origin, kBalancerScheme)) return answer_failure(r, parts.origin, ProxyErrc::NoSuchBalancer);
  if (!parts.socket.empty() && request_mentions_socket(r)) {
    return answer_failure(r, parts.origin, ProxyErrc::BadTarget, "a unix socket that the request itself may have named");
  }
  ServedRequest& served = make_served(r, *child, errand);
  Undeclared& undeclared = served.undeclared();
  const ProxyErrc problem = make_undeclared(parts, like, child->resolver(), undeclared);
  if (problem != ProxyErrc::None) return answer_failure(r, parts.origin, problem);
  return serve(r, served, {nullptr, {&undeclared.pointer, 1}});
}

int handle(request_rec* r) {
  if (const int status = take_handler_url(r); status != kOk && status != kDeclined) return status;
  const BackendUrl url = backend_url(r);
  if (url.whole.empty()) {
    may_block(r);
    return kDeclined;
  }
  if (const int status = check_trace(r); status != kOk) return status;
  bool answered = false;
  if (const int status = count_forwards(r, answered); status != kOk || answered) return status;
  return exchange_for(r, url);
}

}  // namespace

int pre_translate_name(request_rec* r) noexcept {
  return guard("pre_translate_name", HTTP_INTERNAL_SERVER_ERROR, [&] { return translate(r, PathForm::Encoded); });
}

int translate_name(request_rec* r) noexcept {
  return guard("translate_name", HTTP_INTERNAL_SERVER_ERROR, [&] { return translate(r, PathForm::Decoded); });
}

int map_to_storage(request_rec* r) noexcept {
  return guard("map_to_storage", HTTP_INTERNAL_SERVER_ERROR, [&] {
    const std::string_view url = backend_url(r).whole;
    if (url.empty()) return kDeclined;
    const int walked = walk_proxy_sections(r, url.data());
    return walked == kDeclined ? kOk : walked;  // the file system has no part in it
  });
}

int fixups(request_rec* r) noexcept {
  return guard("fixups", HTTP_INTERNAL_SERVER_ERROR, [&] { return make_canonical(r); });
}

int handler(request_rec* r) noexcept {
  return guard("handler", HTTP_INTERNAL_SERVER_ERROR, [&] { return handle(r); });
}

void child_init(apr_pool_t* pchild, server_rec* main_server) noexcept { make_child_state(pchild, main_server); }

}  // namespace cxxproxy::httpd
