#include "httpd/request_key.h"

#include <string_view>

#include "balancer/mix.h"
#include "balancer/request_key.h"
#include "httpd/httpd_api.h"

namespace cxxproxy::httpd {
namespace {

// The first Cookie field that has the name decides.
struct CookieSearch {
  std::string_view name;
  std::optional<std::string_view> found;
};

int look_into(void* search, const char*, const char* value) noexcept {
  auto& wanted = *static_cast<CookieSearch*>(search);
  wanted.found = balancer::find_cookie(value, wanted.name);
  return wanted.found ? 0 : 1;
}

std::optional<std::string_view> value_of(const char* text) noexcept {
  return text != nullptr ? std::optional<std::string_view>(text) : std::nullopt;
}

std::optional<std::string_view> key_text(const request_rec* r, const config::HashKey& key) noexcept {
  using Source = config::HashKey::Source;
  switch (key.source) {
    case Source::Client: return value_of(r->useragent_ip);
    case Source::Path: return value_of(r->uri);
    case Source::Uri: return value_of(r->unparsed_uri);
    case Source::Query: return r->args != nullptr ? balancer::find_parameter(r->args, key.name) : std::nullopt;
    case Source::Header: return value_of(apr_table_get(r->headers_in, key.name.c_str()));
    case Source::Cookie: {
      CookieSearch search{key.name, {}};
      apr_table_do(look_into, &search, r->headers_in, "Cookie", nullptr);
      return search.found;
    }
  }
  return std::nullopt;
}

}  // namespace

std::optional<std::uint64_t> request_key(const request_rec* r, const config::BalancerSpec& balancer) noexcept {
  if (balancer.method != config::Method::Hash) return std::nullopt;
  const std::optional<std::string_view> text = key_text(r, balancer.hash_key);
  return text ? std::optional(balancer::text_hash(*text)) : std::nullopt;
}

}  // namespace cxxproxy::httpd
