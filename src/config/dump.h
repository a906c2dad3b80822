// The resolved table of a server as text: what `apache2 -t -D DUMP_CXXPROXY` prints.
//
// WHAT    Rules in the order in which they are tried, ProxyPassReverse lines, balancers and backends with their
//         parameters, effective directives; each with FILE:LINE or "default". docs/configtest.md describes the format.
// SHAPES  Two spaces for each level; what is said and where are two columns. URLs go without a password.
#pragma once

#include <string>

#include "config/lint.h"
#include "config/location_config.h"

namespace cxxproxy::config {

struct DumpedServer {
  std::string title;  // "main server", or the virtual host's address, name and line
  const VhostConfig* config = nullptr;
  const LocationConfig* scope = nullptr;  // the server's own per-directory values
};

std::string dump_server(const DumpedServer& server);

// Lines of `text` and FILE:LINE behind each other, for whoever prints more of the kind.
void dump_line(std::string& out, unsigned level, std::string_view text, std::string_view source);

// Does the rule cover this path of a request?
bool said_rule_covers(const SaidRoute& rule, std::string_view uri);

// "ProxyPass /x http://h/", "ProxyPass /x !"
std::string rule_text(const SaidRoute& rule, bool in_location);

}  // namespace cxxproxy::config
