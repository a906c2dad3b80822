// Set-Cookie rewriting: whatever a backend sends, only values of Domain and Path change, and flags
// are set once.
//
// Input: one byte of options, one of flags, then pieces that end with 0xff: the field, and backend and
// public side of rules in turn, for the path and the domain alternately.
#include <array>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/ascii.h"
#include "fuzz_input.h"
#include "http/set_cookie.h"

namespace {

using namespace cxxproxy;
using fuzz::require;

struct Rule {
  http::CookieAttribute attribute;
  std::string_view from;
  std::string_view to;
};

struct Rules final : http::CookieValueMap {
  std::vector<Rule> rules;
  http::Boundary boundary = http::Boundary::Segment;

  std::optional<std::string> mapped(http::CookieAttribute attribute, std::string_view value) const override {
    for (const Rule& rule : rules) {
      if (rule.attribute == attribute && http::covers_cookie_value(attribute, rule.from, value, boundary)) return std::string(rule.to);
    }
    return std::nullopt;
  }
};

std::vector<std::string_view> split(std::string_view field) {
  std::vector<std::string_view> parts;
  for (;;) {
    const auto end = field.find(';');
    parts.push_back(field.substr(0, end));
    if (end == std::string_view::npos) return parts;
    field.remove_prefix(end + 1);
  }
}

std::string_view name_of(std::string_view part) { return base::trim(part.substr(0, part.find('='))); }

bool is(std::string_view part, std::string_view name) { return base::iequals(name_of(part), name); }

void check_rewritten(std::string_view field, std::string_view result) {
  const auto before = split(field);
  const auto after = split(result);
  require(before.size() == after.size());
  for (std::size_t i = 0; i < before.size(); ++i) {
    if (i > 0 && (is(before[i], "Path") || is(before[i], "Domain"))) {
      require(name_of(before[i]) == name_of(after[i]));
    } else {
      require(before[i] == after[i]);
    }
  }
}

void check_flagged(std::string_view field, std::string_view result, const http::CookieFlags& flags) {
  require(split(result)[0] == split(field)[0]);
  std::size_t secure = 0;
  std::size_t same_site = 0;
  const auto parts = split(result);
  for (std::size_t i = 1; i < parts.size(); ++i) {
    secure += is(parts[i], "Secure") ? 1u : 0u;
    same_site += is(parts[i], "SameSite") ? 1u : 0u;
  }
  if (flags.secure == http::FlagChange::Add) require(secure >= 1);
  if (flags.secure == http::FlagChange::Remove) require(secure == 0);
  if (flags.same_site == http::SameSite::Remove) require(same_site == 0);
  if (flags.same_site > http::SameSite::Remove) require(same_site == 1);
  const auto again = http::set_cookie_flags(result, flags);
  require(!again);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::Input input(data, size);
  const unsigned options = input.byte();
  const unsigned chosen = input.byte();
  const std::string_view field = input.piece();
  Rules rules;
  rules.boundary = (options & 1u) != 0 ? http::Boundary::Text : http::Boundary::Segment;
  while (!input.empty() && rules.rules.size() < 8) {
    const auto attribute = rules.rules.size() % 2 == 0 ? http::CookieAttribute::Path : http::CookieAttribute::Domain;
    const std::string_view from = input.piece();
    const std::string_view to = input.piece();
    if (to.find_first_of(";") == std::string_view::npos) rules.rules.push_back({attribute, from, to});
  }
  if (const auto result = http::rewrite_cookie_attributes(field, rules)) check_rewritten(field, *result);

  http::CookieFlags flags;
  flags.secure = static_cast<http::FlagChange>(chosen % 3);
  flags.http_only = static_cast<http::FlagChange>(chosen / 3 % 3);
  flags.partitioned = static_cast<http::FlagChange>(chosen / 9 % 3);
  flags.same_site = static_cast<http::SameSite>(chosen / 27 % 5);
  if (const auto result = http::set_cookie_flags(field, flags)) check_flagged(field, *result, flags);
  const std::string_view name = http::cookie_name(field);
  require(http::cookie_name_matches("*", name) && http::cookie_name_matches(name, name));
  return 0;
}
