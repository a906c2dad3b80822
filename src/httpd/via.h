// This proxy's element of the Via field (ProxyVia).
//
// WHAT    "1.1 name[:port]", with httpd's version as a comment for Full. The version is the client's.
// SHAPES  Memory of the request. The name is the server's as UseCanonicalName chooses it, but never the client's own
//         Host: that one says nothing about which proxy this is.
// SOURCE  RFC 9110 7.6.3; the text is mod_proxy's.
#pragma once

#include "config/spec.h"
#include "httpd/httpd_api.h"

namespace cxxproxy::httpd {

// nullptr for Off and Block.
const char* via_element(request_rec* r, config::Via via);

}  // namespace cxxproxy::httpd
