// The balancers in the page of mod_status (ProxyStatus).
//
// WHAT    What is parked in the whole server and, where that is so, at the backends of the server that is asked; and a table for each of its
//         balancers. All from the shared segment, so it is the same whichever process answers; with ?auto the lines that mod_proxy writes
//         there, and more.
// SHAPES  Nothing is shown without `ProxyStatus On`, as with mod_proxy. Names are escaped.
// SOURCE  Field names of the ?auto form: httpd's mod_proxy (ProxyBalancer[n]Worker[m]...).
#pragma once

#include "httpd/httpd_api.h"

namespace cxxproxy::httpd {

void register_status_page() noexcept;

}  // namespace cxxproxy::httpd
