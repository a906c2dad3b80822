#include "config/answer_rules.h"

#include <span>

#include "config/resolved_vhost.h"

namespace cxxproxy::config {
namespace {

using http::CookieAttribute;

// The first answer of `ask` over the scopes of a chain, in their order.
template <class Ask>
auto first_in(const AnswerChain* chain, const Ask& ask) -> decltype(ask(*chain->rules)) {
  if (chain == nullptr) return {};
  if (auto found = first_in(chain->before, ask)) return found;
  if (chain->rules != nullptr) {
    if (auto found = ask(*chain->rules)) return found;
  }
  return first_in(chain->after, ask);
}

std::optional<std::string> map_back_from_balancer(const AnswerView& view, const SaidReverse& said, std::string_view location) {
  const BalancerSpec* balancer = view.vhost.find_balancer(said.balancer);
  if (balancer == nullptr) return std::nullopt;
  for (const MemberSpec& member : balancer->members) {
    http::ReverseRule rule = said.rule;
    rule.real = member.url;
    if (!rule.real.path.empty() && rule.real.path.back() == '/' && !said.balancer_path.empty()) rule.real.path.pop_back();
    rule.real.path += said.balancer_path;
    // mod_proxy compares text, but does not double the slash of a rule for "/" here.
    const bool whole_server = rule.public_path == "/" && said.balancer_path.empty();
    const auto boundary = whole_server ? http::Boundary::Segment : view.boundary;
    if (auto mapped = http::map_back(location, std::span(&rule, 1), boundary)) return mapped;
  }
  return std::nullopt;
}

std::optional<std::string> map_back_interpolated(const AnswerView& view, const SaidReverse& said, std::string_view location) {
  const auto rule = http::make_reverse_rule(view.expand(said.raw_url), view.expand(said.rule.public_path));
  if (!rule) return std::nullopt;
  return http::map_back(location, std::span(&*rule, 1), view.boundary);
}

class CookieMap final : public http::CookieValueMap {
 public:
  explicit CookieMap(const AnswerView& view) noexcept : view_(view) {}

  std::optional<std::string> mapped(CookieAttribute attribute, std::string_view value) const override {
    return first_in(view_.chain, [&](const AnswerRules& rules) -> std::optional<std::string> {
      for (const SaidCookieRule& said : rules.cookies) {
        if (said.attribute != attribute) continue;
        const bool expand = said.interpolate && view_.expand;
        const std::string expanded = expand ? view_.expand(said.from) : std::string();
        const std::string_view from = expand ? std::string_view(expanded) : std::string_view(said.from);
        if (!http::covers_cookie_value(attribute, from, value, view_.boundary)) continue;
        return expand ? view_.expand(said.to) : said.to;
      }
      return std::nullopt;
    });
  }

 private:
  const AnswerView& view_;
};

// Inner scopes first, so that a <Location> can say something else about a cookie, or Off.
const SaidCookieFlags* find_flags(const AnswerChain* chain, std::string_view name) {
  if (chain == nullptr) return nullptr;
  if (const SaidCookieFlags* found = find_flags(chain->after, name)) return found;
  if (chain->rules != nullptr) {
    for (const SaidCookieFlags& said : chain->rules->flags) {
      if (said.off || http::cookie_name_matches(said.pattern, name)) return &said;
    }
  }
  return find_flags(chain->before, name);
}

}  // namespace

std::optional<std::string> map_back(const AnswerView& view, std::string_view location) {
  return first_in(view.chain, [&](const AnswerRules& rules) -> std::optional<std::string> {
    for (const SaidReverse& said : rules.reverse) {
      std::optional<std::string> mapped;
      if (!said.balancer.empty()) {
        mapped = map_back_from_balancer(view, said, location);
      } else if (said.interpolate && view.expand) {
        mapped = map_back_interpolated(view, said, location);
      } else {
        mapped = http::map_back(location, std::span(&said.rule, 1), view.boundary);
      }
      if (mapped) return mapped;
    }
    return std::nullopt;
  });
}

std::optional<std::string> map_cookie(const AnswerView& view, std::string_view field) {
  if (view.chain == nullptr) return std::nullopt;
  auto result = http::rewrite_cookie_attributes(field, CookieMap(view));
  const SaidCookieFlags* flags = find_flags(view.chain, http::cookie_name(field));
  if (flags == nullptr || flags->off) return result;
  auto flagged = http::set_cookie_flags(result ? *result : field, flags->flags);
  return flagged ? flagged : result;
}

}  // namespace cxxproxy::config
