// How many connections a child of the event MPM accepts, where nobody has said it.
//
// WHAT    The MPM takes (AsyncRequestWorkerFactor + 1) x ThreadsPerChild connections in each child, and counts
//         those that wait without a thread among them. Its default of 2 is meant for kept connections; with it,
//         75 waiting requests would fill a child of 25 threads. A configuration that names one of our
//         directives and not AsyncRequestWorkerFactor gets one line more, which is logged
//         (CXP0063). A line of the administrator's own, also with the value 2, is never touched.
// SHAPES  In pre_config, between reading and processing the configuration.
#pragma once

#include "httpd/httpd_api.h"

namespace cxxproxy::httpd {

void raise_worker_factor(apr_pool_t* pconf);
// In post_config: says what was done.
void log_worker_factor(server_rec* main_server);

}  // namespace cxxproxy::httpd
