#include "httpd/session_keys.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string>
#include <utility>

#include "net/descriptor.h"
#include "net/hmac.h"
#include "httpd/httpd_api.h"

namespace cxxproxy::httpd {
namespace {

constexpr const char* kRetainedKey = "mod_cxxproxy session key";
constexpr std::size_t kServerKey = 32;
constexpr std::size_t kShortest = 32;
constexpr std::size_t kLongest = 4096;

// What is wrong with the file, "" if nothing.
std::string read_key(const char* path, std::string& key) {
  const net::Descriptor file(::open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  struct stat facts{};
  if (!file.is_open() || ::fstat(file.number(), &facts) != 0) return std::string("cannot be read: ") + std::strerror(errno);
  if (!S_ISREG(facts.st_mode)) return "is no regular file";
  if ((facts.st_mode & (S_IRWXO | S_IWGRP)) != 0) return "is open to others; chmod 600 (or 640) it";
  auto bytes = net::read_at_most(file, kLongest + 2);  // a line end may follow
  if (!bytes) return std::string("cannot be read: ") + std::strerror(bytes.error());
  key = std::move(*bytes);
  if (key.ends_with('\n')) key.pop_back();
  if (key.ends_with('\r')) key.pop_back();
  if (key.size() >= kShortest && key.size() <= kLongest) return {};
  key.clear();
  return "has not between " + std::to_string(kShortest) + " and " + std::to_string(kLongest) + " bytes";
}

}  // namespace

std::vector<config::Finding> read_session_keys(const config::ResolvedConfig& config, apr_pool_t* temporary) {
  std::vector<config::Finding> findings;
  for (const auto& balancer : config.balancers) {
    config::StickyCookie& cookie = balancer->sticky_cookie;
    if (!cookie.is_on() || cookie.key_file.empty()) continue;
    const char* const path = ap_server_root_relative(temporary, cookie.key_file.c_str());
    const std::string problem = path != nullptr ? read_key(path, cookie.key) : "is no name of a file";
    if (!problem.empty()) {
      findings.push_back({true, cookie.key_where, "balancer://" + balancer->name + ": stickycookiekey=" + cookie.key_file + ' ' + problem});
    }
  }
  return findings;
}

bool make_server_key(server_rec* main_server) noexcept {
  if (ap_retained_data_get(kRetainedKey) != nullptr) return true;
  unsigned char bytes[kServerKey];
  if (const apr_status_t status = apr_generate_random_bytes(bytes, sizeof bytes); status != APR_SUCCESS) {
    ap_log_error(APLOG_MARK, APLOG_CRIT, status, main_server, "CXP0018: no random bytes for the key of stickycookie");
    return false;
  }
  std::copy_n(bytes, sizeof bytes, static_cast<unsigned char*>(ap_retained_data_create(kRetainedKey, kServerKey)));
  return true;
}

balancer::SessionTokens session_tokens(const config::BalancerSpec& balancer) {
  if (!balancer.sticky_cookie.is_on()) return {};
  std::string_view key = balancer.sticky_cookie.key;
  if (key.empty()) key = {static_cast<const char*>(ap_retained_data_get(kRetainedKey)), kServerKey};
  return {balancer, [key](std::string_view message) {
            balancer::TokenMac token{};
            const auto whole = net::hmac_sha1(key, message);
            std::copy_n(whole.begin(), token.size(), token.begin());
            return token;
          }};
}

}  // namespace cxxproxy::httpd
