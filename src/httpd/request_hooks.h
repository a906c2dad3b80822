// The hooks of one request's life, in the order httpd runs them.
//
// WHAT    translate_name chooses the rule and marks the request, map_to_storage keeps the file system
//         out of it and merges <Proxy> sections, fixups prepares the URL, handler does the exchange;
//         child_init makes what a child process needs before its first request.
// ERRORS  Each answers an httpd status and fails closed: never a decline for a proxied path.
#pragma once

#include "httpd/httpd_api.h"

namespace cxxproxy::httpd {

int translate_name(request_rec* r);
int map_to_storage(request_rec* r);
int fixups(request_rec* r);
int handler(request_rec* r);
void child_init(apr_pool_t* pchild, server_rec* main_server);

}  // namespace cxxproxy::httpd
