#include "httpd/client_session.h"

#include <string>
#include <vector>

#include "base/ascii.h"
#include "httpd/client_side.h"
#include "httpd/httpd_api.h"

namespace cxxproxy::httpd {
namespace {

const char* c_str_in(apr_pool_t* pool, std::string_view text) { return apr_pstrmemdup(pool, text.data(), text.size()); }

bool route_has_changed(const config::MemberSpec& member, const balancer::Session& session) noexcept {
  return session.index == config::kNoRoute || session.index != member.own_route;
}

std::vector<std::string_view> cookies_of(const request_rec* r) {
  std::vector<std::string_view> cookies;
  const apr_array_header_t* table = apr_table_elts(r->headers_in);
  const auto* entries = reinterpret_cast<const apr_table_entry_t*>(table->elts);
  for (int i = 0; i < table->nelts; ++i) {
    if (entries[i].key != nullptr && entries[i].val != nullptr && base::iequals(entries[i].key, "Cookie")) cookies.emplace_back(entries[i].val);
  }
  return cookies;
}

}  // namespace

balancer::Session session_of(const request_rec* r, const config::BalancerSpec& balancer, const balancer::SessionTokens& tokens,
                             std::string_view url) {
  if (balancer.sticky.is_on()) return balancer::find_session(balancer, url, cookies_of(r));
  if (!balancer.sticky_cookie.is_on()) return {};
  const balancer::Session session = balancer::find_session(balancer, tokens, cookies_of(r));
  if (!session.name.empty() && session.index == config::kNoRoute) {
    ap_log_rerror(APLOG_MARK, APLOG_DEBUG, 0, r, "CXP0028: balancer://%s: the cookie %s is not one of ours, or its member is gone",
                  balancer.name.c_str(), balancer.sticky_cookie.name.c_str());
  }
  return session;
}

const char* url_of(const config::MemberSpec& member) noexcept {
  return member.name.c_str() + (member.url.socket.empty() ? 0 : member.name.find('|') + 1);
}

void tell_chosen(request_rec* r, const config::BalancerSpec& balancer, const config::MemberSpec& member, const balancer::Session& session) {
  apr_table_t* const environment = r->subprocess_env;
  apr_table_setn(environment, "BALANCER_WORKER_NAME", url_of(member));
  apr_table_setn(environment, "BALANCER_WORKER_ROUTE", member.route.c_str());
  if (!balancer.sticky.is_on() && !balancer.sticky_cookie.is_on()) return;
  if (route_has_changed(member, session)) apr_table_setn(environment, "BALANCER_ROUTE_CHANGED", "1");
  if (!session.route) return;
  const char* const name = c_str_in(r->pool, session.name);
  const char* const route = c_str_in(r->pool, *session.route);
  apr_table_setn(r->notes, "session-sticky", name);
  apr_table_setn(r->notes, "session-route", route);
  apr_table_setn(environment, "BALANCER_SESSION_STICKY", name);
  apr_table_setn(environment, "BALANCER_SESSION_ROUTE", route);
}

void set_session_cookie(request_rec* r, const config::BalancerSpec& balancer, const balancer::SessionTokens& tokens,
                        const config::MemberSpec& member, const balancer::Session& session) {
  if (!balancer.sticky_cookie.is_on() || !route_has_changed(member, session)) return;
  std::string field;
  balancer::append_session_cookie(field, balancer.sticky_cookie, tokens.token_of(member.own_route), is_tls(r));
  apr_table_addn(r->headers_out, "Set-Cookie", c_str_in(r->pool, field));
  apr_table_mergen(r->headers_out, "Cache-Control", "no-cache=\"Set-Cookie\"");
}

}  // namespace cxxproxy::httpd
