#include "httpd/client_session.h"

#include <string>
#include <vector>

#include "base/ascii.h"
#include "httpd/httpd_api.h"

namespace cxxproxy::httpd {
namespace {

const char* c_str_in(apr_pool_t* pool, std::string_view text) { return apr_pstrmemdup(pool, text.data(), text.size()); }

}  // namespace

balancer::Session session_of(const request_rec* r, const config::BalancerSpec& balancer, std::string_view url) {
  if (!balancer.sticky.is_on()) return {};
  std::vector<std::string_view> cookies;
  const apr_array_header_t* table = apr_table_elts(r->headers_in);
  const auto* entries = reinterpret_cast<const apr_table_entry_t*>(table->elts);
  for (int i = 0; i < table->nelts; ++i) {
    if (entries[i].key != nullptr && entries[i].val != nullptr && base::iequals(entries[i].key, "Cookie")) cookies.emplace_back(entries[i].val);
  }
  return balancer::find_session(balancer, url, cookies);
}

void tell_chosen(request_rec* r, const config::BalancerSpec& balancer, const config::MemberSpec& member, const balancer::Session& session) {
  apr_table_t* const environment = r->subprocess_env;
  // As mod_proxy: without the socket of "unix:/path|http://host".
  const std::size_t url = member.url.socket.empty() ? 0 : member.name.find('|') + 1;
  apr_table_setn(environment, "BALANCER_WORKER_NAME", member.name.c_str() + url);
  apr_table_setn(environment, "BALANCER_WORKER_ROUTE", member.route.c_str());
  if (!balancer.sticky.is_on()) return;
  if (session.index == config::kNoRoute || member.route != balancer.routes[session.index].name) {
    apr_table_setn(environment, "BALANCER_ROUTE_CHANGED", "1");
  }
  if (!session.route) return;
  const char* const name = c_str_in(r->pool, session.name);
  const char* const route = c_str_in(r->pool, *session.route);
  apr_table_setn(r->notes, "session-sticky", name);
  apr_table_setn(r->notes, "session-route", route);
  apr_table_setn(environment, "BALANCER_SESSION_STICKY", name);
  apr_table_setn(environment, "BALANCER_SESSION_ROUTE", route);
}

}  // namespace cxxproxy::httpd
