// `apache2 -t -D DUMP_CXXPROXY` and `-D DUMP_CXXPROXY_EXPLAIN`: what the configuration comes to, on stdout.
//
// WHAT    The test_config hook, which httpd runs behind check_config under -t only. The explanation of a URL makes a
//         request without a client and sends it through the same steps as a real one: the virtual host by address
//         and Host, the <Location> walk, translate_name, <Proxy> sections, fixups. No handler runs.
// SHAPES  Everything lives in a pool of its own. Text of the file goes to stdout as it is, passwords as three dots.
// ERRORS  A URL that cannot be explained says why; the others are explained nevertheless.
#pragma once

#include <string>

#include "config/lint.h"
#include "httpd/httpd_api.h"

namespace cxxproxy::httpd {

void test_config(apr_pool_t* pconf, server_rec* main_server) noexcept;

// "main server", or "virtual host *:80 www.example.com (FILE:LINE)".
std::string server_title(const server_rec* server, const server_rec* main_server);

std::string explain_url(apr_pool_t* pool, server_rec* main_server, const config::WholeFacts& facts, const std::string& url);

}  // namespace cxxproxy::httpd
