// What the checks of lint.h share: rules as they were written, one server at a time.
//
// WHAT    RuleView is one ProxyPass line, in a server or in a <Location>. ServerLint holds one server's
//         lists, innermost last, and says things about them.
// SHAPES  Pointers into the Declarations, valid while lint() runs.
#pragma once

#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "config/lint.h"
#include "config/route_table.h"
#include "config/tried_rules.h"

namespace cxxproxy::config {

// One server's own lines, indexed once and shared by all servers that inherit them.
struct ListView {
  const Declarations* lists = nullptr;
  bool of_main = false;
  TriedRules rules;      // without mapping=, in file order
  TriedRules encoded;    // mapping=encoded and expressions with mapping=: the path as it came, in file order
  TriedRules servlet;    // mapping=servlet
  TriedRules locations;  // of <Location>, without mapping=, last one first

  std::unordered_map<std::string, std::vector<const SaidRoute*>> by_path;             // without a slash at the end
  std::set<std::string> paths;                                                        // the same paths
  std::unordered_set<std::string> places;                                             // host:port of plain backends that rules lead to
  std::unordered_set<std::string> used_balancers;                                     // names that rules lead to
  std::unordered_map<std::string, std::vector<const DeclaredBalancer*>> member_places;  // host:port of members
  std::unordered_set<std::string> reversed_places;                                    // of ProxyPassReverse
  std::unordered_set<std::string> reversed_balancers;
  bool knows_all_targets = true;  // all rules are plain prefixes
  bool reverses_paths = false;  // there is a ProxyPassReverse from a path to a path
};

class ListViews {
 public:
  const ListView& of(const Declarations& lists, bool of_main);

 private:
  std::unordered_map<const Declarations*, ListView> views_;
};

struct ServerLint {
  const ServerView* server = nullptr;
  const ResolvedVhost* vhost = nullptr;
  const ServerFacts* facts = nullptr;
  std::vector<const ListView*> layers;  // main server's first
  std::vector<Finding>* findings = nullptr;

  const ListView& own() const noexcept { return *layers.back(); }
  void warn(SourceLine where, std::string text) const { findings->push_back({false, where, std::move(text)}); }
};

// A prefix of the decoded path whose URL is the same for every request.
bool is_plain_prefix(const SaidRoute& rule) noexcept;

// "ProxyPass /x http://h/", or "ProxyPass http://h/ in <Location /x>".
std::string line_text(const SaidRoute& rule, bool in_location);
std::string place_of(const http::Url& url);          // "host:port"
std::string without_last_slash(std::string_view path);
std::string at(SourceLine where);  // "(line 3 of FILE)"

// The URL for a path that a rule covers, as requests get it.
std::string joined_url(std::string_view url, std::string_view rest);
bool has_path(std::string_view url) noexcept;

void lint_paths(const ServerLint& lint);     // lint_rules.cpp: each rule by itself
void lint_shadows(const ServerLint& lint);   // lint_rules.cpp: rules that another one hides
void lint_backends(const ServerLint& lint);  // lint_backends.cpp: members, their parameters, balancers
void lint_reverses(const ServerLint& lint);  // lint_reverse.cpp
void lint_loops(const ServerLint& lint, std::span<const ServerView> servers, const WholeFacts& facts);  // lint_loops.cpp
void lint_tls(const ServerLint& lint);       // lint_backends.cpp

}  // namespace cxxproxy::config
