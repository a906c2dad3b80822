#include "http/set_cookie.h"

#include "base/ascii.h"

namespace cxxproxy::http {
namespace {

using base::iequals;
using base::trim;

// The parts of a field between its semicolons, in order.
class Parts {
 public:
  explicit Parts(std::string_view field) noexcept : rest_(field) {}

  bool next() noexcept {
    if (done_) return false;
    const std::size_t end = rest_.find(';');
    part_ = rest_.substr(0, end);
    done_ = end == std::string_view::npos;
    if (!done_) rest_.remove_prefix(end + 1);
    is_attribute_ = seen_any_;
    seen_any_ = true;
    return true;
  }

  std::string_view part() const noexcept { return part_; }
  bool is_attribute() const noexcept { return is_attribute_; }
  std::string_view name() const noexcept { return trim(part_.substr(0, part_.find('='))); }
  // As it stands, without the blanks around it; empty without a '='.
  std::string_view value() const noexcept {
    const std::size_t equals = part_.find('=');
    return equals == std::string_view::npos ? std::string_view{} : trim(part_.substr(equals + 1));
  }

 private:
  std::string_view rest_;
  std::string_view part_;
  bool seen_any_ = false;
  bool is_attribute_ = false;
  bool done_ = false;
};

std::string_view without_quotes(std::string_view value) noexcept {
  const bool quoted = value.size() >= 2 && value.front() == '"' && value.back() == '"';
  return quoted ? value.substr(1, value.size() - 2) : value;
}

std::string_view same_site_text(SameSite same_site) noexcept {
  switch (same_site) {
    case SameSite::Strict: return "Strict";
    case SameSite::Lax: return "Lax";
    case SameSite::None: return "None";
    case SameSite::Keep:
    case SameSite::Remove: break;
  }
  return {};
}

// One flag without a value: what a change makes of it.
struct Flag {
  std::string_view name;
  FlagChange change;
  bool there = false;
};

}  // namespace

bool covers_cookie_value(CookieAttribute attribute, std::string_view from, std::string_view value, Boundary boundary) noexcept {
  const bool path = attribute == CookieAttribute::Path;
  if (path ? !value.starts_with(from) : !base::istarts_with(value, from)) return false;
  if (boundary == Boundary::Text || value.size() == from.size() || from.empty()) return true;
  const char separator = path ? '/' : '.';
  return from.back() == separator || value[from.size()] == separator;
}

std::optional<std::string> rewrite_cookie_attributes(std::string_view field, const CookieValueMap& map) {
  std::optional<std::string> result;
  std::size_t copied = 0;  // characters of `field` that are in `result`
  for (Parts parts(field); parts.next();) {
    if (!parts.is_attribute()) continue;
    const bool path = iequals(parts.name(), "Path");
    if (!path && !iequals(parts.name(), "Domain")) continue;
    const std::string_view value = without_quotes(parts.value());
    if (value.empty()) continue;  // a view without a place in the field, and nothing to map
    const auto mapped = map.mapped(path ? CookieAttribute::Path : CookieAttribute::Domain, value);
    if (!mapped) continue;
    const auto at = static_cast<std::size_t>(value.data() - field.data());
    if (!result) result.emplace();
    result->append(field.substr(copied, at - copied)).append(*mapped);
    copied = at + value.size();
  }
  if (result) result->append(field.substr(copied));
  return result;
}

bool take_cookie_flag(CookieFlags& flags, std::string_view word) noexcept {
  constexpr std::string_view kSameSite = "samesite=";
  if (base::istarts_with(word, kSameSite)) {
    const std::string_view value = word.substr(kSameSite.size());
    for (const SameSite known : {SameSite::Strict, SameSite::Lax, SameSite::None}) {
      if (!iequals(value, same_site_text(known))) continue;
      flags.same_site = known;
      return true;
    }
    return false;
  }
  if (iequals(word, "nosamesite")) {
    flags.same_site = SameSite::Remove;
    return true;
  }
  const FlagChange change = base::istarts_with(word, "no") ? FlagChange::Remove : FlagChange::Add;
  const std::string_view name = change == FlagChange::Remove ? word.substr(2) : word;
  if (iequals(name, "secure")) {
    flags.secure = change;
  } else if (iequals(name, "httponly")) {
    flags.http_only = change;
  } else if (iequals(name, "partitioned")) {
    flags.partitioned = change;
  } else {
    return false;
  }
  return true;
}

std::string_view cookie_name(std::string_view field) noexcept {
  const std::string_view cookie = field.substr(0, field.find(';'));
  return trim(cookie.substr(0, cookie.find('=')));
}

// Goes back to the last '*' when a character does not fit: linear in most cases, never exponential.
bool cookie_name_matches(std::string_view pattern, std::string_view name) noexcept {
  std::size_t p = 0;
  std::size_t n = 0;
  std::size_t star = std::string_view::npos;
  std::size_t star_name = 0;
  while (n < name.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      star_name = n;
    } else if (p < pattern.size() && (pattern[p] == '?' || pattern[p] == name[n])) {
      ++p;
      ++n;
    } else if (star != std::string_view::npos) {
      p = star + 1;
      n = ++star_name;
    } else {
      return false;
    }
  }
  while (p < pattern.size() && pattern[p] == '*') ++p;
  return p == pattern.size();
}

std::optional<std::string> set_cookie_flags(std::string_view field, const CookieFlags& flags) {
  std::string result;
  result.reserve(field.size() + 48);
  Flag plain[] = {{"Secure", flags.secure}, {"HttpOnly", flags.http_only}, {"Partitioned", flags.partitioned}};
  bool same_site_written = false;
  for (Parts parts(field); parts.next();) {
    bool dropped = false;
    bool same_site = false;
    if (parts.is_attribute()) {
      for (Flag& flag : plain) {
        if (!iequals(parts.name(), flag.name)) continue;
        flag.there = true;
        dropped = flag.change == FlagChange::Remove;
      }
      same_site = flags.same_site != SameSite::Keep && iequals(parts.name(), "SameSite");
      dropped = dropped || (same_site && (flags.same_site == SameSite::Remove || same_site_written));
    }
    if (dropped) continue;
    if (parts.is_attribute()) result += ';';
    if (same_site) {
      if (parts.part().starts_with(' ')) result += ' ';
      result.append("SameSite=").append(same_site_text(flags.same_site));
      same_site_written = true;
    } else {
      result.append(parts.part());
    }
  }
  for (const Flag& flag : plain) {
    if (flag.change == FlagChange::Add && !flag.there) result.append("; ").append(flag.name);
  }
  if (!same_site_written && !same_site_text(flags.same_site).empty()) {
    result.append("; SameSite=").append(same_site_text(flags.same_site));
  }
  if (result == field) return std::nullopt;
  return result;
}

}  // namespace cxxproxy::http
