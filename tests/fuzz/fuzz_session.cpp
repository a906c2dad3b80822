// Sessions: whatever a client writes into its URL and cookies, what is found is a known route, and a cookie of
// stickycookie counts only when it is exactly one that was given out.
//
// Input: one byte of options, then pieces that end with 0xff: the URL, and Cookie fields. "@0" to "@3" in a
// field stand for the tokens of the members.
#include <string>
#include <string_view>
#include <vector>

#include "balancer/session.h"
#include "balancer/session_tokens.h"
#include "config/session_routes.h"
#include "fuzz_input.h"

namespace {

using namespace cxxproxy;
using fuzz::require;

// No secret, but different for different texts.
balancer::TokenMac mac(std::string_view message) {
  balancer::TokenMac result{};
  std::uint64_t state = 0xcbf29ce484222325;
  for (const char c : message) state = (state ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  for (std::uint8_t& byte : result) byte = static_cast<std::uint8_t>((state = state * 6364136223846793005 + 1442695040888963407) >> 56);
  return result;
}

config::BalancerSpec make_balancer(unsigned options) {
  config::BalancerSpec spec;
  spec.name = "b";
  for (const char* route : {"1", "node.2", "", "1"}) {
    config::MemberSpec member;
    member.name = "http://h" + std::to_string(spec.members.size()) + '/';
    member.route = route;
    spec.members.push_back(member);
  }
  if ((options & 1u) != 0) {
    spec.sticky_cookie.name = "SID";
  } else {
    spec.sticky = {.cookie = "SID", .parameter = "sid", .separator = (options & 2u) != 0 ? '\0' : '.', .semicolon_ends = (options & 4u) != 0};
  }
  config::index_routes(spec);
  return spec;
}

std::string with_tokens(std::string_view field, const balancer::SessionTokens& tokens) {
  std::string text;
  for (std::size_t i = 0; i < field.size(); ++i) {
    const bool stands_for_one = field[i] == '@' && i + 1 < field.size() && field[i + 1] >= '0' && field[i + 1] <= '3';
    if (stands_for_one) text += tokens.token_of(static_cast<std::size_t>(field[++i] - '0'));
    else text += field[i];
  }
  return text;
}

void check(const balancer::Session& session, const config::BalancerSpec& spec) {
  require(session.index == config::kNoRoute || session.index < spec.routes.size());
  require(session.index == config::kNoRoute || !session.name.empty());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::Input input(data, size);
  const config::BalancerSpec spec = make_balancer(input.byte());
  const std::string_view url = input.piece();
  const balancer::SessionTokens tokens(spec, mac);
  std::vector<std::string> fields;
  while (!input.empty() && fields.size() < 4) fields.push_back(with_tokens(input.piece(), tokens));
  const std::vector<std::string_view> cookies(fields.begin(), fields.end());
  if (!spec.sticky_cookie.is_on()) {
    const balancer::Session session = balancer::find_session(spec, url, cookies);
    check(session, spec);
    if (session.index != config::kNoRoute) require(session.route == spec.routes[session.index].name);
    return 0;
  }
  const balancer::Session session = balancer::find_session(spec, tokens, cookies);
  check(session, spec);
  bool given = false;
  for (const std::string& field : fields) {
    given = given || (session.index != config::kNoRoute && field.find(tokens.token_of(session.index)) != std::string::npos);
    require(tokens.route_of(field) == config::kNoRoute || field == tokens.token_of(tokens.route_of(field)));
  }
  require(given == (session.index != config::kNoRoute));
  return 0;
}
