// Will anybody read what a log may know of the way to the backend?
//
// WHAT    The facts of upstream_facts.h are a twentieth of the work of a small request, and most configurations log none of them.
//         Somebody may read them if a directive names one (of a LogFormat with a name: if another names that), or if a module
//         has a hook at the end of requests that is not known to read nothing else.
// SHAPES  Found out once for each configuration, in the parent.
#pragma once

#include "httpd/httpd_api.h"

namespace cxxproxy::httpd {

// post_config.
void look_for_facts_readers(apr_pool_t* ptemp);
bool facts_have_readers() noexcept;

}  // namespace cxxproxy::httpd
