#include "balancer/session.h"

#include "base/ascii.h"
#include "config/session_routes.h"

namespace cxxproxy::balancer {

namespace {

constexpr auto kNowhere = std::string_view::npos;

// The next value of this name in a Cookie field, which loses what was looked at.
std::optional<std::string_view> next_cookie(std::string_view& field, std::string_view name) noexcept {
  while (!field.empty()) {
    const std::size_t end = field.find_first_of(";,");
    const std::string_view pair = base::trim(field.substr(0, end));
    field = end == kNowhere ? std::string_view{} : field.substr(end + 1);
    const std::size_t equals = pair.find('=');
    if (equals == kNowhere || base::trim(pair.substr(0, equals)) != name) continue;
    const std::string_view value = base::trim(pair.substr(equals + 1));
    const bool quoted = value.size() >= 2 && value.front() == '"' && value.back() == '"';
    return quoted ? value.substr(1, value.size() - 2) : value;
  }
  return std::nullopt;
}

class Search {
 public:
  explicit Search(const config::BalancerSpec& balancer) noexcept : balancer_(balancer) {}

  const Session& found() const noexcept { return session_; }
  bool has_value() const noexcept { return !session_.name.empty(); }
  bool is_over() const noexcept { return session_.index != config::kNoRoute; }

  void in_url(std::string_view url) noexcept {
    const config::StickySession& sticky = balancer_.sticky;
    const std::size_t path_end = url.find('?');
    const std::string_view path_ends = sticky.semicolon_ends ? ";?&/" : "?&/";
    const std::string_view query_ends = sticky.semicolon_ends ? ";?&" : "?&";
    for (std::size_t at = url.find_first_of(";?&"); at != kNowhere && !is_over(); at = url.find_first_of(";?&", at + 1)) {
      const std::string_view rest = url.substr(at + 1);
      if (!is_named(rest, sticky.parameter)) continue;
      const std::string_view value = rest.substr(sticky.parameter.size() + 1);
      consider(sticky.parameter, value.substr(0, value.find_first_of(at < path_end ? path_ends : query_ends)));
    }
  }

  void in_cookies(std::string_view field) noexcept {
    const std::string& name = balancer_.sticky.cookie;
    while (!is_over()) {
      const auto value = next_cookie(field, name);
      if (!value) return;
      consider(name, *value);
    }
  }

 private:
  static bool is_named(std::string_view text, std::string_view name) noexcept {
    return text.size() > name.size() && text[name.size()] == '=' && text.starts_with(name);
  }

  void consider(std::string_view name, std::string_view value) noexcept {
    if (value.empty()) return;
    if (session_.name.empty()) session_.name = name;
    const char separator = balancer_.sticky.separator;
    if (separator == '\0') {
      note(value);
      (void)accept(value);
      return;
    }
    const std::size_t first = value.find(separator);
    if (first == kNowhere) return;
    note(value.substr(first + 1));
    const std::size_t last = value.rfind(separator);
    if (accept(value.substr(last + 1)) || accept(value.substr(first + 1))) return;
    // No route is longer than that: what stands further in front needs no look.
    for (std::size_t at = last; at > first && value.size() - at <= config::kLongestRoute;) {
      at = value.rfind(separator, at - 1);
      if (accept(value.substr(at + 1))) return;
    }
  }

  // What logs are told when no route is known.
  void note(std::string_view route) noexcept {
    if (!session_.route) session_.route = route;
  }

  bool accept(std::string_view route) noexcept {
    const std::size_t index = config::find_route(balancer_, route);
    if (index == config::kNoRoute) return false;
    session_.index = index;
    session_.route = route;
    return true;
  }

  const config::BalancerSpec& balancer_;
  Session session_;
};

}  // namespace

Session find_session(const config::BalancerSpec& balancer, std::string_view url, std::span<const std::string_view> cookies) noexcept {
  Search search(balancer);
  if (!balancer.sticky.is_on()) return search.found();
  search.in_url(url);
  if (search.has_value()) return search.found();
  for (const std::string_view field : cookies) {
    if (search.is_over()) break;
    search.in_cookies(field);
  }
  return search.found();
}

Session find_session(const config::BalancerSpec& balancer, const SessionTokens& tokens, std::span<const std::string_view> cookies) noexcept {
  Session session;
  const std::string& name = balancer.sticky_cookie.name;
  for (std::string_view field : cookies) {
    while (const auto value = next_cookie(field, name)) {
      session.name = name;
      session.index = tokens.route_of(*value);
      if (session.index == config::kNoRoute) continue;
      const std::string& route = balancer.members[balancer.routes[session.index].members.front()].route;
      if (!route.empty()) session.route = route;
      return session;
    }
  }
  return session;
}

}  // namespace cxxproxy::balancer
