// ProxyPassReverse for the answer of one request.
//
// WHAT    Rewrites the URL in Location, Content-Location, URI and Destination from the backend's
//         name to this server's, with the scheme, host and port that the client used.
// SOURCE  http/reverse_map.h decides; httpd's ap_construct_url names this server.
#pragma once

#include "httpd/httpd_api.h"

namespace cxxproxy::httpd {

void rewrite_answer_fields(request_rec* r);

}  // namespace cxxproxy::httpd
