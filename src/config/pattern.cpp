#include "config/pattern.h"

#include <algorithm>

#include "base/ascii.h"

namespace cxxproxy::config {
namespace {

bool is_reference(std::string_view text, std::size_t at) noexcept {
  return at + 1 < text.size() && text[at] == '$' && base::is_digit(text[at + 1]);
}

std::string_view value_at(std::string_view url, std::size_t at, std::string_view subject, const Groups& groups) noexcept {
  return groups[static_cast<std::size_t>(url[at + 1] - '0')].of(subject);
}

// Position behind the last reference of a run "$1$2..." that begins at `at`.
std::size_t end_of_run(std::string_view url, std::size_t at) noexcept {
  while (is_reference(url, at)) at += 2;
  return at;
}

}  // namespace

bool is_authority_text(std::string_view text, bool may_hold_port) noexcept {
  return std::all_of(text.begin(), text.end(), [&](char c) {
    return base::is_alnum(c) || c == '-' || c == '.' || c == '_' || (may_hold_port && (c == ':' || c == '[' || c == ']'));
  });
}

std::string_view without_last_references(std::string_view url) noexcept {
  while (url.size() >= 2 && is_reference(url, url.size() - 2)) url.remove_suffix(2);
  return url;
}

std::size_t first_reference(std::string_view url) noexcept {
  for (std::size_t at = 0; at < url.size(); ++at) {
    if (is_reference(url, at)) return at;
    if (url[at] == '\\') ++at;
  }
  return std::string_view::npos;
}

std::string expand_references(std::string_view url, std::string_view subject, const Groups& groups) {
  std::string out;
  out.reserve(url.size() + subject.size());
  for (std::size_t at = 0; at < url.size(); ++at) {
    if (is_reference(url, at)) {
      out += value_at(url, at, subject, groups);
      ++at;
      continue;
    }
    if (url[at] == '\\' && at + 1 < url.size()) ++at;
    out += url[at];
  }
  return out;
}

bool references_stay_inside(std::string_view url, std::string_view subject, const Groups& groups) noexcept {
  const std::size_t scheme = url.find("://");
  if (scheme == std::string_view::npos) return false;
  const std::size_t begin = scheme + 3;
  const std::size_t end = std::min(url.find_first_of("/?", begin), url.size());
  if (first_reference(url) < begin) return false;  // the scheme is the rule's
  for (std::size_t at = begin; at < end;) {
    if (!is_reference(url, at)) {
      ++at;
      continue;
    }
    const std::size_t run = end_of_run(url, at);
    // References that end the authority: the path, behind a host if the authority is references alone.
    const bool ends_authority = run == url.size() || url[run] == '?';
    const bool may_be_host = !ends_authority || at == begin;
    bool has_host = at != begin;
    bool in_path = false;
    for (; at < run; at += 2) {
      const std::string_view value = value_at(url, at, subject, groups);
      if (value.empty() || in_path) continue;
      in_path = ends_authority && (value.front() == '/' || value.front() == '?');
      if (in_path ? !has_host : !(may_be_host && is_authority_text(value, false))) return false;
      has_host = true;
    }
  }
  return true;
}

}  // namespace cxxproxy::config
