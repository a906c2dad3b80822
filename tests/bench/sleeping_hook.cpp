// A module for the benchmark: a hook that sleeps for as many milliseconds as the field X-Bench-Sleep says, as a hook that asks a
// slow directory server does.
#include <apr_time.h>

#include <cstdlib>

#define AP_HAVE_DESIGNATED_INITIALIZER
#include <httpd.h>
#include <http_config.h>
#include <http_request.h>

extern "C" {

static int sleep_as_told(request_rec* r) {
  if (const char* milliseconds = apr_table_get(r->headers_in, "X-Bench-Sleep")) apr_sleep(apr_time_from_msec(std::atoi(milliseconds)));
  return DECLINED;
}

static void register_hooks(apr_pool_t*) { ap_hook_fixups(sleep_as_told, nullptr, nullptr, APR_HOOK_FIRST); }

__attribute__((visibility("default"))) module_struct bench_sleep_module = {
    STANDARD20_MODULE_STUFF, nullptr, nullptr, nullptr, nullptr, nullptr, register_hooks, 0};
}
