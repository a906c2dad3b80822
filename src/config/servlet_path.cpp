#include "config/servlet_path.h"

#include <algorithm>
#include <vector>

namespace cxxproxy::config {
namespace {

struct Segment {
  std::string_view name;
  std::size_t begin = 0;     // of the name, in the request path
  std::size_t name_end = 0;  // where a parameter may begin
};

struct Parts {
  std::vector<Segment> segments;
  bool ends_with_slash = true;
  bool above_root = false;
};

// The path as segments, with "." and ".." resolved.
Parts split(std::string_view path) {
  Parts parts;
  std::size_t at = 0;
  while (at < path.size()) {
    if (path[at] == '/') {
      ++at;
      continue;
    }
    const std::size_t end = std::min(path.find('/', at), path.size());
    const std::string_view name = path.substr(at, end - at).substr(0, path.substr(at, end - at).find(';'));
    parts.ends_with_slash = end < path.size();
    if (name == "..") {
      if (parts.segments.empty()) {
        parts.above_root = true;
        return parts;
      }
      parts.segments.pop_back();
      parts.ends_with_slash = true;
    } else if (name == "." || name.empty()) {
      parts.ends_with_slash = true;
    } else {
      parts.segments.push_back({name, at, at + name.size()});
    }
    at = end;
  }
  return parts;
}

std::string joined(const Parts& parts) {
  std::string clean = "/";
  for (const Segment& segment : parts.segments) {
    if (clean.back() != '/') clean += '/';
    clean += segment.name;
  }
  if (parts.ends_with_slash && clean.back() != '/') clean += '/';
  return clean;
}

}  // namespace

ServletMatch servlet_match(std::string_view rule, std::string_view path) {
  if (!rule.starts_with('/') || !path.starts_with('/')) return {};
  const Parts wanted = split(rule);
  const Parts given = split(path);
  if (given.above_root || given.segments.size() < wanted.segments.size()) return {};
  const std::size_t depth = wanted.segments.size();
  for (std::size_t i = 0; i < depth; ++i) {
    if (given.segments[i].name != wanted.segments[i].name) return {};
  }
  const bool rule_ends_with_slash = rule.back() == '/';
  const bool more = given.segments.size() > depth;
  if (depth > 0 && rule_ends_with_slash && !more && !given.ends_with_slash) return {};

  ServletMatch match;
  match.clean = joined(given);
  match.matched = path.size();
  if (more) match.matched = given.segments[depth].begin;
  if (depth > 0 && !rule_ends_with_slash) {
    // The slash behind the last segment belongs to the rest, and so do its parameters.
    const Segment& last = given.segments[depth - 1];
    if (last.name_end < path.size() && path[last.name_end] == ';') {
      match.matched = last.name_end;
    } else if (match.matched > 0 && path[match.matched - 1] == '/') {
      --match.matched;
    }
  }
  return match;
}

}  // namespace cxxproxy::config
