// <Proxy url> sections: directives of other modules (Require, Header, SSLProxy…) for a backend URL.
//
// WHAT    A section is parsed like a <Location> into a per-directory vector of its own and kept with
//         its server. walk_proxy_sections merges the matching ones over what <Location> gave.
// SHAPES  <ProxyMatch> and <Proxy ~> search the URL with an expression; their named groups become
//         environment variables MATCH_NAME. Another pattern with one of * ? [ is matched with fnmatch,
//         any other as a prefix, case folded in scheme and host. Main server's sections are tried first, then the vhost's.
// SOURCE  httpd's modules/proxy/mod_proxy.c: proxysection and proxy_walk decide the same way.
#pragma once

#include "config/vhost_config.h"
#include "httpd/httpd_api.h"

namespace cxxproxy::httpd {

// Handler of <Proxy …>, <ProxyMatch …> (`is_match`) and their Cxx names; `arguments` is the text behind
// the name, with its '>'.
const char* open_proxy_section(cmd_parms* cmd, const char* arguments, bool is_match);

// Is this section for this backend URL?
bool section_matches(const config::ProxySection& section, const char* url) noexcept;

// Merges every matching section into r->per_dir_config. `url`, of the backend, has no "proxy:" in front.
int walk_proxy_sections(request_rec* r, const char* url) noexcept;

}  // namespace cxxproxy::httpd
