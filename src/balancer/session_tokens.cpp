#include "balancer/session_tokens.h"

#include <algorithm>

namespace cxxproxy::balancer {

namespace {

constexpr std::size_t kTokenDigits = 2 * kTokenBytes;
constexpr std::size_t kPublicDigits = kTokenDigits / 2;

std::string hexadecimal(const TokenMac& bytes) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string text;
  for (const std::uint8_t byte : bytes) text.append({kDigits[byte >> 4], kDigits[byte & 15]});
  return text;
}

// Looks at every byte, whatever it finds.
bool equal_in_constant_time(std::string_view a, std::string_view b) noexcept {
  unsigned differences = a.size() == b.size() ? 0 : 1;
  for (std::size_t i = 0; i < std::min(a.size(), b.size()); ++i) differences |= static_cast<unsigned char>(a[i] ^ b[i]);
  return differences == 0;
}

}  // namespace

SessionTokens::SessionTokens(const config::BalancerSpec& balancer, const std::function<TokenMac(std::string_view)>& mac) {
  for (std::size_t route = 0; route < balancer.routes.size(); ++route) {
    std::string message("stickycookie");
    for (const std::string& part : {balancer.name, balancer.sticky_cookie.name, balancer.routes[route].name}) message.append(1, '\0').append(part);
    by_token_.push_back({hexadecimal(mac(message)), route});
  }
  std::sort(by_token_.begin(), by_token_.end(), [](const Entry& a, const Entry& b) { return a.token < b.token; });
  places_.resize(by_token_.size());
  for (std::size_t place = 0; place < by_token_.size(); ++place) places_[by_token_[place].route] = place;
}

std::size_t SessionTokens::route_of(std::string_view token) const noexcept {
  if (token.size() != kTokenDigits) return config::kNoRoute;
  const std::string_view first = token.substr(0, kPublicDigits);
  const auto begin_of = [](const Entry& entry) { return std::string_view(entry.token).substr(0, kPublicDigits); };
  const auto found = std::lower_bound(by_token_.begin(), by_token_.end(), first,
                                      [&](const Entry& entry, std::string_view wanted) { return begin_of(entry) < wanted; });
  if (found == by_token_.end() || begin_of(*found) != first) return config::kNoRoute;
  return equal_in_constant_time(found->token, token) ? found->route : config::kNoRoute;
}

std::string_view SessionTokens::token_of(std::size_t route) const noexcept {
  return route < places_.size() ? std::string_view(by_token_[places_[route]].token) : std::string_view{};
}

void append_session_cookie(std::string& field, const config::StickyCookie& cookie, std::string_view token, bool tls) {
  using config::StickyCookie;
  field.append(cookie.name).append(1, '=').append(token).append("; Path=").append(cookie.path);
  if (cookie.http_only) field += "; HttpOnly";
  switch (cookie.same_site) {
    case StickyCookie::SameSite::Lax: field += "; SameSite=Lax"; break;
    case StickyCookie::SameSite::Strict: field += "; SameSite=Strict"; break;
    case StickyCookie::SameSite::None: field += "; SameSite=None"; break;
    case StickyCookie::SameSite::Off: break;
  }
  if (cookie.secure == StickyCookie::Secure::On || (cookie.secure == StickyCookie::Secure::Auto && tls)) field += "; Secure";
}

}  // namespace cxxproxy::balancer
