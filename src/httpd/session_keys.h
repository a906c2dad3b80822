// The keys of stickycookie: from a file, or made by the server.
//
// WHAT    read_session_keys() reads the files that stickycookiekey names, while the configuration is checked (as root, and in a
//         configtest too). make_server_key() makes the key for balancers without a file, once in the life of a server.
//         session_tokens() are the tokens of one balancer.
// SHAPES  The server's own key is 32 random bytes in httpd's retained data: it survives graceful and ordinary restarts, and no
//         file and no log ever has it. A key file has 32 to 4096 bytes, without the line end behind them, and is nobody's to
//         read but its owner's and its group's, nobody's to write but its owner's.
// ERRORS  A finding for each file that cannot be read, is too short or open to others; the server does not start then.
#pragma once

#include <vector>

#include "balancer/session_tokens.h"
#include "config/resolved_vhost.h"
#include "httpd/httpd_api.h"

namespace cxxproxy::httpd {

std::vector<config::Finding> read_session_keys(const config::ResolvedConfig& config, apr_pool_t* temporary);

// False: the system gave no random bytes; logged.
bool make_server_key(server_rec* main_server) noexcept;

balancer::SessionTokens session_tokens(const config::BalancerSpec& balancer);

}  // namespace cxxproxy::httpd
