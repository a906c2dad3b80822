#include "httpd/guard.h"

namespace cxxproxy::httpd {

void log_escaped_exception(const char* subject, const char* what) noexcept {
  ap_log_error(APLOG_MARK, APLOG_CRIT, 0, nullptr, "mod_cxxproxy: %s: internal error: %s", subject, what);
}

}  // namespace cxxproxy::httpd
