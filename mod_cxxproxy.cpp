// mod_cxxproxy: a reverse proxy and load balancer for Apache httpd 2.4.
//
// This file is the way in: the module record, the table of directives and the list of hooks. A
// request passes them in this order.
//
//   translate_name   The path is looked up in the ProxyPass rules: the one of the <Location> first,
//                    then the server's in file order. A match makes r->filename "proxy:" + URL; no
//                    match leaves the request to the rest of httpd.
//                    Rules with mapping= had their turn before, in pre_translate_name, when the path was
//                    not decoded yet.
//   map_to_storage   Such a request has no file: the directory walk is left out, and <Proxy> sections
//                    for its URL are merged in. Access control and authentication run afterwards, so
//                    a refused request never reaches a backend.
//   fixups           The URL is written out canonically, with the query string.
//   handler          A member is chosen, the request is sent, the answer is passed on.
//
// Before the first request: pre_config and check_config read and check the configuration (configtest
// stops there), post_config makes the shared segment, child_init what each child process needs;
// child_status takes back what a child that ended had in flight.
//
// Directives are rows of src/config/directive_rows.h, read by src/httpd/directives.cpp. Rooms and
// lifetimes: docs/ARCHITECTURE.md.
#include "httpd/config_hooks.h"
#include "httpd/directives.h"
#include "httpd/dump.h"
#include "httpd/parker.h"
#include "httpd/reactor.h"
#include "httpd/parked_report.h"
#include "httpd/request_hooks.h"
#include "httpd/shared_state.h"
#include "httpd/status_page.h"
#include "httpd/tsan.h"
#include "httpd/upstream_facts.h"
#include "httpd/httpd_api.h"

namespace {

constexpr auto kCommands = cxxproxy::httpd::make_command_table();

void register_hooks(apr_pool_t*) {
  namespace hooks = cxxproxy::httpd;
  ap_hook_pre_config(hooks::pre_config, nullptr, nullptr, APR_HOOK_MIDDLE);
  ap_hook_check_config(hooks::check_configuration, nullptr, nullptr, APR_HOOK_MIDDLE);
  ap_hook_test_config(hooks::test_config, nullptr, nullptr, APR_HOOK_MIDDLE);
  ap_hook_post_config(hooks::log_warnings, nullptr, nullptr, APR_HOOK_MIDDLE);
  ap_hook_post_config(hooks::make_shared_state, nullptr, nullptr, APR_HOOK_MIDDLE);
  ap_hook_child_init(hooks::child_init, nullptr, nullptr, APR_HOOK_MIDDLE);
  ap_hook_child_status(hooks::note_child, nullptr, nullptr, APR_HOOK_MIDDLE);
  ap_hook_monitor(hooks::log_parked, nullptr, nullptr, APR_HOOK_MIDDLE);

  // Rules with mapping= see the path before anybody decodes or rewrites it.
  ap_hook_pre_translate_name(hooks::pre_translate_name, nullptr, nullptr, APR_HOOK_MIDDLE);
  // Before mod_alias, so that ProxyPass wins over Alias, and after mod_rewrite, whose [P] decides
  // without us; the order that mod_proxy has and configurations rely on.
  ap_hook_translate_name(hooks::translate_name, nullptr, nullptr, APR_HOOK_FIRST);
  // Before the core looks for a directory.
  ap_hook_map_to_storage(hooks::map_to_storage, nullptr, nullptr, APR_HOOK_FIRST);
  // mod_rewrite may make a request ours in a directory's fixups.
  static const char* const kAfterRewrite[] = {"mod_rewrite.c", nullptr};
  ap_hook_fixups(hooks::fixups, kAfterRewrite, nullptr, APR_HOOK_FIRST);
  // Before handlers that take any method or any file.
  ap_hook_handler(hooks::handler, nullptr, nullptr, APR_HOOK_FIRST);
  // Before whoever writes a log.
  ap_hook_log_transaction(hooks::tell_upstream_facts, nullptr, nullptr, APR_HOOK_REALLY_FIRST);
  hooks::register_status_page();
  hooks::register_parker();
  hooks::register_reactor();
  hooks::register_tsan();
}

}  // namespace

extern "C" {

// `module` at the start of a declaration is a keyword to some C++20 compilers, its struct tag is not.
// Visible although everything else is hidden: LoadModule looks the record up by name.
__attribute__((visibility("default"))) module_struct cxxproxy_module = {
    STANDARD20_MODULE_STUFF,
    cxxproxy::httpd::create_dir_config,
    cxxproxy::httpd::merge_dir_config,
    cxxproxy::httpd::create_server_config,
    cxxproxy::httpd::merge_server_config,
    kCommands.data(),
    register_hooks,
    0,
};
}
