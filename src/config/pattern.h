// Regular expressions as rules use them, without naming who matches them.
//
// WHAT    Pattern is one compiled expression; Surroundings is what reading a configuration needs from
//         the server around it: a compiler for expressions and the folder of relative socket paths.
//         The httpd room implements both with httpd's own functions, tests with their own.
//         expand_references() fills $0..$9 of a rule's URL from a match.
// SHAPES  A Pattern is immutable and matches from any thread. It searches anywhere in the subject; '$'
//         is the real end of it, never the place before a last newline. Groups are positions in the
//         subject; a group that took no part has none.
// ERRORS  compile() answers one sentence for configtest.
// SOURCE  httpd's ap_pregsub: "$n" is a reference, a backslash takes the next character as it is;
//         CVE-2019-10098 and CVE-2020-1927 for the end of the subject.
#pragma once

#include <array>
#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"

namespace cxxproxy::config {

inline constexpr std::size_t kGroups = 10;

struct Group {
  std::size_t begin = 0;
  std::size_t end = 0;
  bool took_part = false;

  std::string_view of(std::string_view subject) const noexcept { return took_part ? subject.substr(begin, end - begin) : std::string_view{}; }
};
using Groups = std::array<Group, kGroups>;

class Pattern {
 public:
  Pattern() = default;
  virtual ~Pattern() = default;
  Pattern(const Pattern&) = delete;
  Pattern& operator=(const Pattern&) = delete;

  virtual bool match(std::string_view subject, Groups& groups) const noexcept = 0;
};

class Surroundings {
 public:
  virtual base::Result<std::shared_ptr<const Pattern>, std::string> compile(std::string_view expression) const = 0;
  // An absolute path; a relative one is meant from the folder of DefaultRuntimeDir.
  virtual std::string runtime_path(std::string_view path) const = 0;

 protected:
  ~Surroundings() = default;
};

// Where the first "$digit" of a rule's URL is, npos if there is none.
std::size_t first_reference(std::string_view url) noexcept;

// The URL without the references at its very end.
std::string_view without_last_references(std::string_view url) noexcept;

// The URL with its references filled in. Equal to `url` when it holds no reference and no backslash.
std::string expand_references(std::string_view url, std::string_view subject, const Groups& groups);

// Text of a request inside a host name or port, or "host:port" where a variable stands for both.
bool is_authority_text(std::string_view text, bool may_hold_port) noexcept;

// May a URL with filled references go where `url` leads? References that end the authority (in
// "http://host:8080$1" everything from $1 on) are the path: empty, or begin with '/' or '?'. Any other
// reference in the authority gives a part of the host or port: letters, digits, '-', '.' and '_'.
bool references_stay_inside(std::string_view url, std::string_view subject, const Groups& groups) noexcept;

}  // namespace cxxproxy::config
