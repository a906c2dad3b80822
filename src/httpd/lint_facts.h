// What the checks of config/lint.h need to know of httpd and of other modules.
//
// WHAT    Names and addresses of servers, Listen, and directives of other modules, which are read from
//         the tree of the configuration as httpd keeps it. Host names of backends are looked up here.
// SHAPES  Runs in check_config. The names are asked for in configtest only, at most two seconds
//         (docs/decisions/0009-names-in-configtest.md).
#pragma once

#include <span>
#include <vector>

#include "config/lint.h"
#include "httpd/httpd_api.h"

namespace cxxproxy::httpd {

config::WholeFacts gather_facts(server_rec* main_server);

std::vector<config::Finding> find_unknown_names(std::span<const config::ServerView> servers);

}  // namespace cxxproxy::httpd
