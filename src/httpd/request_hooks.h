// The hooks of one request's life, in the order httpd runs them.
//
// WHAT    pre_translate_name and translate_name choose the rule and mark the request, map_to_storage keeps the file system
//         out of it and merges <Proxy> sections, fixups makes the URL canonical, handler does the
//         exchange; child_init makes what a child process needs before its first request.
// ERRORS  Each answers an httpd status and fails closed: never a decline for a proxied path.
// SOURCE  The public contract of a proxied request is mod_proxy's: r->proxyreq, r->filename
//         "proxy:scheme://…", r->handler "proxy-server". Beside a foreign mod_proxy the prefix is
//         "cxxproxy:" and the handler "cxxproxy", so that neither module takes the other's requests.
#pragma once

#include "httpd/httpd_api.h"

namespace cxxproxy::httpd {

int pre_translate_name(request_rec* r) noexcept;
int translate_name(request_rec* r) noexcept;
int map_to_storage(request_rec* r) noexcept;
int fixups(request_rec* r) noexcept;
int handler(request_rec* r) noexcept;
void child_init(apr_pool_t* pchild, server_rec* main_server) noexcept;

}  // namespace cxxproxy::httpd
