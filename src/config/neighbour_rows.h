// Directives of httpd modules that people load together with mod_proxy, and that are their own.
//
// WHAT    With the module that has the directive it is not ours to read. Without it, configtest says which
//         module to load instead of "Invalid command".
// SHAPES  Plain constant data, as config/directive_rows.h.
// SOURCE  httpd's manual of mod_proxy_html, mod_heartmonitor and mod_lbmethod_heartbeat 2.4.
#pragma once

#include <array>

namespace cxxproxy::config {

struct NeighbourRow {
  const char* name;
  const char* module_file;  // as <IfModule> knows it
  const char* advice;
};

inline constexpr const char* kLoadProxyHtml = "belongs to mod_proxy_html, which is not loaded (it works with mod_cxxproxy)";

inline constexpr auto kNeighbourRows = std::to_array<NeighbourRow>({
    {"ProxyHTMLEnable", "mod_proxy_html.c", kLoadProxyHtml},
    {"ProxyHTMLURLMap", "mod_proxy_html.c", kLoadProxyHtml},
    {"ProxyHTMLLinks", "mod_proxy_html.c", kLoadProxyHtml},
    {"ProxyHTMLEvents", "mod_proxy_html.c", kLoadProxyHtml},
    {"ProxyHTMLInterp", "mod_proxy_html.c", kLoadProxyHtml},
    {"ProxyHTMLDoctype", "mod_proxy_html.c", kLoadProxyHtml},
    {"ProxyHTMLFixups", "mod_proxy_html.c", kLoadProxyHtml},
    {"ProxyHTMLMeta", "mod_proxy_html.c", kLoadProxyHtml},
    {"ProxyHTMLExtended", "mod_proxy_html.c", kLoadProxyHtml},
    {"ProxyHTMLStripComments", "mod_proxy_html.c", kLoadProxyHtml},
    {"ProxyHTMLBufSize", "mod_proxy_html.c", kLoadProxyHtml},
    {"ProxyHTMLCharsetOut", "mod_proxy_html.c", kLoadProxyHtml},
    {"HeartbeatStorage", "mod_heartmonitor.c",
     "belongs to mod_heartmonitor, which is not loaded; lbmethod=heartbeat, which reads it, is not supported by mod_cxxproxy"},
});

}  // namespace cxxproxy::config
