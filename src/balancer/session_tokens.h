// The cookie of stickycookie: what is in it, and whether one that came back is ours.
//
// WHAT    Each route of a balancer has a token, which is the value of the cookie: a keyed MAC of the balancer's name, the cookie's
//         name and the route (or the URL of a member without one). It names the member to who has the key, and tells
//         nothing to anybody else; and it is its own signature, since without the key none can be made.
//         append_session_cookie() writes the Set-Cookie field.
// SHAPES  128 bits as 32 lower-case hexadecimal digits. All tokens are made with the object (at the start of a child), so
//         a request costs a look into a table. The first half of a token finds its place, the second is compared in constant
//         time: 64 bits that nobody can find out piece by piece.
// ERRORS  route_of() is kNoRoute for whatever is not one of the tokens.
// SOURCE  RFC 6265 4.1; docs/decisions/0014-session-cookie.md.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "config/spec.h"

namespace cxxproxy::balancer {

inline constexpr std::size_t kTokenBytes = 16;
using TokenMac = std::array<std::uint8_t, kTokenBytes>;

class SessionTokens {
 public:
  SessionTokens() = default;  // of a balancer without stickycookie
  // `mac` knows the key.
  SessionTokens(const config::BalancerSpec& balancer, const std::function<TokenMac(std::string_view)>& mac);

  std::size_t route_of(std::string_view token) const noexcept;
  // Of a place in BalancerSpec::routes.
  std::string_view token_of(std::size_t route) const noexcept;

 private:
  struct Entry {
    std::string token;
    std::size_t route;
  };
  std::vector<Entry> by_token_;
  std::vector<std::size_t> places_;  // in by_token_, of each route
};

// "NAME=token; Path=/; HttpOnly; SameSite=Lax"; `tls`: the client speaks TLS.
void append_session_cookie(std::string& field, const config::StickyCookie& cookie, std::string_view token, bool tls);

}  // namespace cxxproxy::balancer
