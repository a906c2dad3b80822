#include "config/field_statements.h"

#include <utility>

#include "base/ascii.h"
#include "config/declare.h"

namespace cxxproxy::config {
namespace {

// A value of a Set-Cookie attribute: what ends one would begin another.
bool fits_cookie(std::string_view text) noexcept { return base::is_field_value(text) && text.find(';') == std::string_view::npos; }

}  // namespace

Problem say_cookie_rule(std::vector<SaidCookieRule>& rules, const Statement& said, http::CookieAttribute attribute, Words words) {
  const bool path = attribute == http::CookieAttribute::Path;
  SaidCookieRule rule;
  if (words.size() == 3 && base::iequals(words[2], "interpolate")) {
    rule.interpolate = true;
    words = words.first(2);
  }
  if (words.size() == 3) return problem(said, words[2], "unknown word (interpolate)");
  if (words.size() != 2) {
    return std::string(said.directive) + (path ? ": needs the path that the backend sets and the public path"
                                               : ": needs the domain that the backend sets and the public domain");
  }
  for (const std::string_view word : words) {
    if (!fits_cookie(word)) return problem(said, word, "not allowed in a cookie's attribute (no ';', no control character)");
  }
  rule.attribute = attribute;
  rule.from = words[0];
  rule.to = words[1];
  rule.where = said.where;
  rules.push_back(std::move(rule));
  return std::nullopt;
}

Problem say_cookie_flags(std::vector<SaidCookieFlags>& rules, const Statement& said, Words words) {
  constexpr std::string_view kFlags = "Secure, HttpOnly, Partitioned, SameSite=Strict|Lax|None, NoSecure, NoHttpOnly, NoPartitioned or NoSameSite";
  SaidCookieFlags rule;
  rule.where = said.where;
  rule.pattern = "*";
  if (words.size() == 1 && base::iequals(words[0], "Off")) {
    rule.off = true;
    rules.push_back(std::move(rule));
    return std::nullopt;
  }
  http::CookieFlags scratch;
  if (!words.empty() && !http::take_cookie_flag(scratch, words[0])) {
    if (words[0].find('=') != std::string_view::npos) return problem(said, words[0], "unknown flag (" + std::string(kFlags) + ")");
    rule.pattern = words[0];
    words = words.subspan(1);
  }
  if (words.empty()) return std::string(said.directive) + ": needs Off, or at least one of " + std::string(kFlags);
  for (const std::string_view word : words) {
    if (!http::take_cookie_flag(rule.flags, word)) return problem(said, word, "unknown flag (" + std::string(kFlags) + ")");
  }
  rules.push_back(std::move(rule));
  return std::nullopt;
}

Problem say_reverse_mode(Setting<http::Boundary>& mode, const Statement& said, std::string_view text) {
  if (base::iequals(text, "Segment")) {
    mode.set(http::Boundary::Segment, said.where);
  } else if (base::iequals(text, "Text")) {
    mode.set(http::Boundary::Text, said.where);
  } else {
    return problem(said, text, "unknown word (Segment or Text)");
  }
  return std::nullopt;
}

}  // namespace cxxproxy::config
