// The one include of httpd's headers; every other file of this room includes this one, last.
//
// WHAT    Asks for httpd's typed command functions (no casts in the directive table), names this
//         module for ap_log_*, and turns the macros OK, DECLINED, DONE and SUSPENDED, which would
//         rewrite enum values of ours, into constants of this room.
#pragma once

#define AP_HAVE_DESIGNATED_INITIALIZER 1

#include <httpd.h>

#include <http_config.h>
#include <http_connection.h>
#include <http_core.h>
#include <http_log.h>
#include <http_main.h>
#include <http_protocol.h>
#include <http_request.h>
#include <http_ssl.h>
#include <http_vhost.h>
#include <ap_listen.h>
#include <ap_mpm.h>
#include <apr_fnmatch.h>
#include <apr_optional_hooks.h>
#include <apr_strings.h>
#include <mod_core.h>
#include <mod_status.h>
#include <mpm_common.h>
#include <scoreboard.h>
#include <util_filter.h>

extern "C" {
extern module AP_MODULE_DECLARE_DATA cxxproxy_module;
}

APLOG_USE_MODULE(cxxproxy);

namespace cxxproxy::httpd::detail {
inline constexpr int kOkMacro = OK;
inline constexpr int kDeclinedMacro = DECLINED;
inline constexpr int kDoneMacro = DONE;
inline constexpr int kSuspendedMacro = SUSPENDED;
}  // namespace cxxproxy::httpd::detail

#undef OK
#undef DECLINED
#undef DONE
#undef SUSPENDED

namespace cxxproxy::httpd {
inline constexpr int kOk = detail::kOkMacro;
inline constexpr int kDeclined = detail::kDeclinedMacro;
inline constexpr int kDone = detail::kDoneMacro;
inline constexpr int kSuspended = detail::kSuspendedMacro;
}  // namespace cxxproxy::httpd
