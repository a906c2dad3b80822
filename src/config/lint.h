// What people get wrong in a configuration that reads well: the thinking half of configtest.
//
// WHAT    lint() looks at the servers of one configuration as a whole and adds a warning for each line
//         that cannot do what its author meant. docs/configtest.md has a chapter for each.
// SHAPES  Pure: what only httpd knows (names, addresses, directives of other modules) comes in as
//         ServerFacts and WholeFacts. Runs at each start and reload, so it is linear in the number of
//         rules. A warning must be true for every request it speaks of: when in doubt, nothing is said.
// ERRORS  Findings, never with is_error: all that is reported here starts and serves.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "config/resolve.h"

namespace cxxproxy::config {

struct ListenPoint {
  std::string host;  // an address as text, "" for all of them
  std::uint16_t port = 0;
};

struct ServerFacts {
  std::vector<std::string> names;        // ServerName and ServerAlias in lower case; aliases may have * and ?
  std::vector<ListenPoint> addresses;    // of <VirtualHost>; empty for the main server
  bool preserves_host = false;           // ProxyPreserveHost On for the server
  bool tls_to_backends = false;          // SSLProxyEngine On
  bool verifies_backends = false;        // SSLProxyVerify require
  bool hands_over = false;               // RewriteRule [P] or SetHandler "proxy:..." in it
  bool merges_slashes = true;            // MergeSlashes On
  bool decodes_slashes = false;          // AllowEncodedSlashes On
  std::string other_texts;               // arguments of other modules' directives that name a balancer, lower case
};

// A <Proxy> section as its author wrote it.
struct SectionFact {
  std::size_t server = 0;  // index in the servers' order
  std::string pattern;
  SourceLine where;
  bool denies = false;  // it says that nobody may
  bool grants = false;  // it says that somebody may
};

struct WholeFacts {
  std::vector<ServerFacts> servers;  // as many as there are ServerViews
  std::vector<ListenPoint> listens;
  std::vector<SectionFact> sections;
  std::vector<Finding> refused;  // backends of other modules' directives that cannot be served
};

std::vector<Finding> lint(std::span<const ServerView> servers, const Resolution& resolution, const WholeFacts& facts);

// Host names of all backends that a resolver must know, each with the line that names it first.
struct NamedHost {
  std::string host;
  SourceLine where;
};
std::vector<NamedHost> hosts_to_resolve(std::span<const ServerView> servers);

// By file and line, findings of one line in the order they were made.
void sort_findings(std::vector<Finding>& findings);

}  // namespace cxxproxy::config
