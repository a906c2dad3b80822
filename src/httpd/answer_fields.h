// The fields of a backend's answer as httpd's response tables need them.
//
// WHAT    answer_fields() copies the end-to-end fields in their order, with URLs and cookies mapped to this server
//         (ProxyPassReverse and its like) and old date formats rewritten.
// SHAPES  All memory is the request's. As mod_proxy does it: Set-Cookie fields come last, behind those that other
//         modules put into `earlier`, the table that this one replaces; nothing else of that one stays.
// SOURCE  config/answer_rules.h decides; httpd's ap_construct_url names this server; RFC 9110 5.6.7 (dates), 7.6.1.
#pragma once

#include "http/response_head_parser.h"
#include "httpd/httpd_api.h"

namespace cxxproxy::httpd {

// `via` is this proxy's element of Via, or null.
apr_table_t* answer_fields(request_rec* r, const http::ResponseHead& head, const apr_table_t* earlier, const char* via);

}  // namespace cxxproxy::httpd
