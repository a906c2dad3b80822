#include "config/field_statements.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <memory>
#include <system_error>
#include <utility>

#include "base/ascii.h"
#include "config/declare.h"
#include "config/parameter_rows.h"
#include "http/forwarded.h"

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

Problem say_forwarded_fields(Setting<unsigned>& fields, const Statement& said, Words words) {
  struct Named {
    std::string_view word;
    unsigned field;
  };
  constexpr std::array<Named, 6> kFields{{{"For", http::kForwardedFor},
                                          {"Host", http::kForwardedHost},
                                          {"Server", http::kForwardedServer},
                                          {"Proto", http::kForwardedProto},
                                          {"Port", http::kForwardedPort},
                                          {"Forwarded", http::kForwardedElement}}};
  constexpr std::string_view kAllowed = "For, Host, Server, Proto, Port or Forwarded";
  if (words.empty()) return std::string(said.directive) + ": needs at least one of " + std::string(kAllowed) + " (ProxyAddHeaders Off adds none)";
  unsigned set = 0;
  for (const std::string_view word : words) {
    unsigned field = 0;
    for (const Named& known : kFields) {
      if (base::iequals(known.word, word)) field = known.field;
    }
    if (field == 0) return problem(said, word, "unknown word (" + std::string(kAllowed) + ")");
    set |= field;
  }
  fields.set(set, said.where);
  return std::nullopt;
}

Problem say_forwarded_trust(Declarations& lists, Setting<const ForwardedTrust*>& trust, const Statement& said, Words words) {
  if (words.empty()) return std::string(said.directive) + ": needs All, None, or addresses (192.0.2.1, 10.0.0.0/8, 2001:db8::/32)";
  auto made = std::make_unique<ForwardedTrust>();
  for (const std::string_view word : words) made->text.append(made->text.empty() ? "" : " ").append(word);
  if (words.size() == 1 && base::iequals(words[0], "All")) {
    made->kind = ForwardedTrust::Kind::Everybody;
  } else if (words.size() == 1 && base::iequals(words[0], "None")) {
    made->kind = ForwardedTrust::Kind::Nobody;
  } else {
    made->kind = ForwardedTrust::Kind::Listed;
    for (const std::string_view word : words) {
      const auto range = base::parse_ip_range(word);
      if (!range) return problem(said, word, "no address or network (192.0.2.1, 10.0.0.0/8, 2001:db8::/32; all bits behind the prefix are 0), and All and None stand alone");
      made->ranges.push_back(*range);
    }
  }
  trust.set(made.get(), said.where);
  lists.trusts.push_back(std::move(made));
  return std::nullopt;
}

Problem say_error_override(FieldSettings& fields, const Statement& said, Words words) {
  if (words.empty()) return std::string(said.directive) + ": needs Off, or On and perhaps codes (On 404 500)";
  const bool on = base::iequals(words[0], "On");
  if (on || base::iequals(words[0], "Off")) {
    fields.error_override.set(on, said.where);
    words = words.subspan(1);
  } else if (!fields.error_override.is_set()) {
    return problem(said, words[0], "unknown word (Off or On)");
  }
  for (std::string_view word : words) {
    if (!fields.error_override.value_or(false)) return problem(said, word, "codes stand behind On only");
    while (!word.empty()) {
      const std::string_view text = word.substr(0, word.find(','));
      word.remove_prefix(std::min(word.size(), text.size() + 1));
      int code = 0;
      const auto read = std::from_chars(text.data(), text.data() + text.size(), code);
      if (text.size() != 3 || read.ec != std::errc{} || read.ptr != text.data() + 3 || code < ErrorCodes::kFirst || code > ErrorCodes::kLast) {
        return problem(said, text, "not a status from 400 to 599");
      }
      fields.error_codes.add(code);
    }
  }
  return std::nullopt;
}

Problem say_via(Setting<Via>& via, const Statement& said, std::string_view text) {
  constexpr std::array<std::pair<std::string_view, Via>, 4> kWords{{{"Off", Via::Off}, {"On", Via::On}, {"Full", Via::Full}, {"Block", Via::Block}}};
  for (const auto& [word, meaning] : kWords) {
    if (!base::iequals(word, text)) continue;
    via.set(meaning, said.where);
    return std::nullopt;
  }
  return problem(said, text, "unknown word (Off, On, Full or Block)");
}

Problem say_buffer_size(Setting<std::int64_t>& size, const Statement& said, ParameterId like, std::string_view text) {
  const auto value = parse_value(parameter_row(like), text);
  if (!value) return problem(said, text, value.error());
  size.set(*value, said.where);
  return std::nullopt;
}

Problem say_source_address(Setting<base::IpAddress>& source, const Statement& said, std::string_view text) {
  const auto address = base::parse_ip_address(text);
  if (!address) return problem(said, text, "not an IP address (names are not looked up)");
  source.set(*address, said.where);
  return std::nullopt;
}

Problem say_max_forwards(Setting<std::int64_t>& max_forwards, const Statement& said, std::string_view text) {
  constexpr std::int64_t kMost = 2'147'483'647;
  std::int64_t value = 0;
  const auto read = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || read.ec != std::errc{} || read.ptr != text.data() + text.size() || value < -1 || value > kMost) {
    return problem(said, text, "not a number from -1 to " + std::to_string(kMost));
  }
  max_forwards.set(value, said.where);
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
