#include "httpd/dump.h"

#include <string>
#include <string_view>
#include <vector>

#include "base/ascii.h"
#include "config/declare.h"
#include "config/dump.h"
#include "config/dump_values.h"
#include "http/url.h"
#include "httpd/config_hooks.h"
#include "httpd/mapping.h"
#include "httpd/proxy_sections.h"
#include "httpd/request_hooks.h"
#include "httpd/httpd_api.h"

namespace cxxproxy::httpd {
namespace {

void tell(std::string& out, std::string_view what, std::string_view text) {
  out.append("  ").append(what).append(what.size() < 12 ? 12 - what.size() : 1, ' ').append(text) += '\n';
}

// The address at which a client would arrive: that of the virtual host with this name, else of a Listen line.
std::string arrival(const config::WholeFacts& facts, const http::Url& url) {
  const bool is_number = url.ipv6 || url.host.find_first_not_of("0123456789.") == std::string::npos;
  if (is_number) return url.host;
  for (const config::ServerFacts& server : facts.servers) {
    for (const std::string& name : server.names) {
      if (ap_strcasecmp_match(url.host.c_str(), name.c_str()) != 0) continue;
      for (const config::ListenPoint& point : server.addresses) {
        if ((point.port == url.port || point.port == 0) && !point.host.empty()) return point.host;
      }
    }
  }
  for (const config::ListenPoint& point : facts.listens) {
    if (point.port == url.port && !point.host.empty()) return point.host;
  }
  return "127.0.0.1";
}

bool somebody_listens(const config::WholeFacts& facts, std::uint16_t port) {
  for (const config::ListenPoint& point : facts.listens) {
    if (point.port == port) return true;
  }
  return false;
}

// A connection and a request that nobody sent.
request_rec* make_request(apr_pool_t* pool, server_rec* main_server, const http::Url& url, const std::string& address) {
  auto* connection = static_cast<conn_rec*>(apr_pcalloc(pool, sizeof(conn_rec)));
  connection->pool = pool;
  connection->base_server = main_server;
  if (apr_sockaddr_info_get(&connection->local_addr, address.c_str(), APR_UNSPEC, url.port, 0, pool) != APR_SUCCESS) return nullptr;
  if (apr_sockaddr_info_get(&connection->client_addr, "127.0.0.1", APR_UNSPEC, 1, 0, pool) != APR_SUCCESS) return nullptr;
  connection->local_ip = apr_pstrdup(pool, address.c_str());
  connection->client_ip = apr_pstrdup(pool, "127.0.0.1");
  connection->conn_config = ap_create_conn_config(pool);
  connection->notes = apr_table_make(pool, 5);
  connection->bucket_alloc = apr_bucket_alloc_create(pool);
  connection->log = &main_server->log;
  ap_update_vhost_given_ip(connection);
  request_rec* r = ap_create_request(connection);
  r->method = "GET";
  r->method_number = M_GET;
  r->protocol = const_cast<char*>("HTTP/1.1");
  r->proto_num = HTTP_VERSION(1, 1);
  r->status = HTTP_OK;
  r->request_time = apr_time_now();
  r->useragent_addr = connection->client_addr;
  r->useragent_ip = connection->client_ip;
  apr_table_set(r->headers_in, "Host", url.authority().c_str());
  return r;
}

// The path as the core gives it to rules with mapping=, not decoded yet; false when it refuses it.
bool take_path(request_rec* r, std::string_view target) {
  ap_parse_uri(r, apr_pstrmemdup(r->pool, target.data(), target.size()));
  const auto* core = static_cast<const core_server_config*>(ap_get_core_module_config(r->server->module_config));
  const unsigned merge = core->merge_slashes != AP_CORE_CONFIG_OFF ? AP_NORMALIZE_MERGE_SLASHES : 0;
  return r->uri != nullptr && ap_normalize_path(r->uri, AP_NORMALIZE_NOT_ABOVE_ROOT | AP_NORMALIZE_DECODE_UNRESERVED | merge) != 0;
}

// Decodes `path` in its place, as the core does it for all other rules.
bool decode_path(const request_rec* r, char* path) {
  const auto* core = static_cast<const core_dir_config*>(ap_get_core_module_config(r->server->lookup_defaults));
  if (core->allow_encoded_slashes == 0) return ap_unescape_url(path) == kOk;
  if (ap_unescape_url_keep2f(path, core->decode_encoded_slashes) != kOk) return false;
  return core->decode_encoded_slashes == 0 || ap_normalize_path(path, AP_NORMALIZE_NOT_ABOVE_ROOT | AP_NORMALIZE_MERGE_SLASHES) != 0;
}

void walk_sections(request_rec* r) {
  r->per_dir_config = r->server->lookup_defaults;
  ap_location_walk(r);
  ap_if_walk(r);
}

// As the core's walk decides it.
bool covers(const core_dir_config& section, const char* uri) {
  if (section.r != nullptr) return ap_regexec(section.r, uri, 0, nullptr, 0) == 0;
  if (section.d_is_fnmatch != 0) return apr_fnmatch(section.d, uri, APR_FNM_PATHNAME) == APR_SUCCESS;
  const std::string_view path(section.d);
  const std::string_view asked(uri);
  if (!asked.starts_with(path)) return false;
  return path.empty() || path.back() == '/' || asked.size() == path.size() || asked[path.size()] == '/';
}

void tell_locations(std::string& out, request_rec* r) {
  const auto* core = static_cast<const core_server_config*>(ap_get_core_module_config(r->server->module_config));
  for (int i = 0; i < core->sec_url->nelts; ++i) {
    auto* section = reinterpret_cast<ap_conf_vector_t**>(core->sec_url->elts)[i];
    const auto* of_core = static_cast<const core_dir_config*>(ap_get_core_module_config(section));
    if (of_core->d == nullptr || !covers(*of_core, r->uri)) continue;
    tell(out, "location", std::string(of_core->r != nullptr ? "<LocationMatch " : "<Location ") + of_core->d + '>');
  }
}

// The rules in the order in which a request meets them: those with mapping= first, with the path that is not decoded.
class RuleTeller {
 public:
  RuleTeller(std::string& out, server_rec* main_server, const request_rec* r) : out_(out), main_server_(main_server), r_(r) {}

  void look_at(PathForm form, std::string_view uri, const config::SaidRoute* of_location) {
    const auto belongs = [form](const config::SaidRoute& rule) {
      return (rule.options.mapping == config::Mapping::Decoded) == (form == PathForm::Decoded);
    };
    if (of_location != nullptr && belongs(*of_location)) look_at(*of_location, uri, true, false);
    for (const config::Declarations* layer : vhost_config(r_->server).layers()) {
      const bool inherited = r_->server != main_server_ && layer == &vhost_config(main_server_).own_lists();
      for (const config::SaidRoute& rule : layer->routes) {
        if (belongs(rule)) look_at(rule, uri, false, inherited);
      }
    }
  }

  void finish() {
    if (!found_) tell(out_, "rule", "none: " + std::to_string(passed_) + (passed_ == 1 ? " rule does" : " rules do") + " not match, httpd answers by itself");
  }

 private:
  void look_at(const config::SaidRoute& rule, std::string_view uri, bool in_location, bool inherited) {
    if (!config::said_rule_covers(rule, uri)) {
      passed_ += found_ ? 0 : 1;
      return;
    }
    std::string text = config::rule_text(rule, in_location) + " (" + config::source_text(true, rule.where) + ')';
    if (inherited) text += " of the main server";
    if (found_) return tell(out_, "hidden", text + " covers this path too, and comes later");
    found_ = true;
    if (rule.exclude) text += ": the path is kept here, no backend is asked";
    if (passed_ != 0) text += passed_ == 1 ? "; 1 rule before it does not match" : "; " + std::to_string(passed_) + " rules before it do not match";
    tell(out_, "rule", text);
  }

  std::string& out_;
  server_rec* main_server_;
  const request_rec* r_;
  unsigned passed_ = 0;
  bool found_ = false;
};

std::vector<const config::MemberSpec*> members_of(const config::Target& target) {
  std::vector<const config::MemberSpec*> members;
  if (target.member != nullptr) members.push_back(target.member);
  if (target.balancer != nullptr) {
    for (const config::MemberSpec& member : target.balancer->members) members.push_back(&member);
  }
  return members;
}

void tell_reverse(std::string& out, const config::AnswerChain* chain, const config::Target& target, unsigned& count) {
  if (chain == nullptr) return;
  tell_reverse(out, chain->before, target, count);
  if (chain->rules != nullptr) {
    for (const config::SaidReverse& said : chain->rules->reverse) {
      const http::Url& real = said.rule.real;
      bool applies = real.scheme.empty() || (target.balancer != nullptr && said.balancer == target.balancer->name);
      for (const config::MemberSpec* member : members_of(target)) applies = applies || (member->url.host == real.host && member->url.port == real.port);
      if (!applies) continue;
      const std::string from = !said.balancer.empty() ? "balancer://" + said.balancer : real.scheme.empty() ? real.path : real.text();
      tell(out, "reverse", "ProxyPassReverse " + said.rule.public_path + ' ' + from + " (" + config::source_text(true, said.where) + ')');
      ++count;
    }
  }
  tell_reverse(out, chain->after, target, count);
}

void tell_sections(std::string& out, const request_rec* r, const char* url) {
  for (const config::Declarations* lists : vhost_config(r->server).layers()) {
    for (const config::ProxySection& section : lists->sections) {
      if (section_matches(section, url)) tell(out, "section", "<Proxy " + section.pattern + "> (" + config::source_text(true, section.where) + ')');
    }
  }
}

void tell_settings(std::string& out, const request_rec* r) {
  for (const auto& row : config::kDirectiveRows) {
    const auto value = config::effective_value(row, vhost_config(r->server), location_config(r));
    if (value) tell(out, "setting", std::string(row.standard_name) + ' ' + value->text + " (" + config::source_text(value->said, value->where) + ')');
  }
}

// What a backend gets, from the URL that the hooks have made.
void tell_backend(std::string& out, request_rec* r) {
  const std::string_view filename(r->filename);
  const std::string url(filename.substr(filename.find(':') + 1));
  const auto scheme = url.find("://");
  const auto slash = url.find('/', scheme == std::string::npos ? 0 : scheme + 3);
  const std::string path = slash == std::string::npos ? "/" : url.substr(slash);
  const config::Target target = target_of(r, split_backend_url(url));
  tell(out, "url", config::without_userinfo(url));
  tell_sections(out, r, url.c_str());
  if (target.balancer != nullptr) {
    tell(out, "balancer", "balancer://" + target.balancer->name + ", members: " + std::to_string(target.balancer->members.size()));
    for (const config::MemberSpec* member : members_of(target)) {
      tell(out, "backend", member->name + ": GET " + member->url.path + path + " HTTP/1.1");
    }
  } else if (target.member != nullptr) {
    tell(out, "backend", target.member->name + ": GET " + path + " HTTP/1.1");
  } else {
    tell(out, "backend", base::istarts_with(url, "balancer://") ? "none, answered 503" : "not declared: GET " + path + " HTTP/1.1");
  }
  const RequestSettings settings = request_settings(r);
  const auto members = members_of(target);
  const bool in_url = target.balancer == nullptr && (target.member == nullptr || target.member->any_host);
  std::string host = "that of the backend";
  if (settings.preserve_host) host = std::string(apr_table_get(r->headers_in, "Host")) + ", as the client sent it";
  else if (in_url && slash != std::string::npos && scheme != std::string::npos) host = url.substr(scheme + 3, slash - scheme - 3);
  else if (members.size() == 1) host = members[0]->url.authority();
  tell(out, "host", host);
  unsigned reverses = 0;
  tell_reverse(out, location_config(r).answers, target, reverses);
  if (reverses == 0) tell(out, "reverse", "no ProxyPassReverse is for this backend");
}

// What modules decide before and after the path is decoded; the status where the request ends there.
int map_request(std::string& out, server_rec* main_server, request_rec* r) {
  RuleTeller rules(out, main_server, r);
  walk_sections(r);
  char* const encoded = apr_pstrdup(r->pool, r->uri);
  const config::SaidRoute* early_rule = location_config(r).route;
  const int early = pre_translate_name(r);
  const bool taken = early == kDone;
  // Where a rule with mapping= has it, the decoded path is only of interest for the rules that it hides.
  char* const decoded = taken ? apr_pstrdup(r->pool, encoded) : r->uri;
  const bool decodes = decode_path(r, decoded);
  walk_sections(r);
  if (taken) {
    tell(out, "path", std::string(encoded) + ", not decoded");
    if (std::string_view(encoded) != r->uri) tell(out, "path", std::string(r->uri) + ", for access control");
  } else if (!decodes) {
    tell(out, "answer", "httpd refuses this path (%2F needs AllowEncodedSlashes)");
    return kDone;
  } else {
    tell(out, "path", decoded);
  }
  tell_locations(out, r);
  rules.look_at(PathForm::Encoded, encoded, early_rule);
  if (decodes) rules.look_at(PathForm::Decoded, decoded, location_config(r).route);
  rules.finish();
  return taken || early != kDeclined ? early : translate_name(r);
}

void tell_request(std::string& out, server_rec* main_server, const config::WholeFacts& facts, request_rec* r) {
  tell(out, "server", server_title(r->server, main_server));
  std::size_t index = 0;
  for (const server_rec* server = main_server; server != nullptr && server != r->server; server = server->next) ++index;
  if (facts.servers[index].hands_over) tell(out, "note", "this server has RewriteRule [P] or SetHandler \"proxy:...\", which is not followed here");
  int status = map_request(out, main_server, r);
  if (ap_is_HTTP_ERROR(status)) return tell(out, "answer", std::to_string(status));
  if (r->filename == nullptr || r->proxyreq != PROXYREQ_REVERSE) return tell_settings(out, r);
  status = map_to_storage(r);
  if (status == kOk) status = fixups(r);
  if (status != kOk) return tell(out, "answer", std::to_string(status));
  tell_backend(out, r);
  tell_settings(out, r);
}

}  // namespace

std::string explain_url(apr_pool_t* pool, server_rec* main_server, const config::WholeFacts& facts, const std::string& url) {
  std::string out = url + '\n';
  const auto origin = http::parse_origin(url);
  if (!origin) return out + "  " + origin.error().text + '\n';
  const std::string target = origin->rest.starts_with('/') ? std::string(origin->rest) : '/' + std::string(origin->rest);
  request_rec* r = make_request(pool, main_server, origin->url, arrival(facts, origin->url));
  if (r == nullptr) return out + "  no address to arrive at\n";
  if (!somebody_listens(facts, origin->url.port)) tell(out, "note", "no Listen line is for port " + std::to_string(origin->url.port));
  ap_update_vhost_from_headers(r);
  r->per_dir_config = r->server->lookup_defaults;
  if (take_path(r, target)) {
    tell_request(out, main_server, facts, r);
  } else {
    tell(out, "server", server_title(r->server, main_server));
    tell(out, "answer", "httpd refuses this path");
  }
  return out;
}

}  // namespace cxxproxy::httpd
