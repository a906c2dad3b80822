// A module for benchmark and tests: a hook that blocks, as a hook that asks a slow directory server does. The field X-Bench-Sleep says for
// how many milliseconds; X-Bench-Wait names a FIFO, and the hook waits until somebody opens it for writing.
#include <apr_time.h>
#include <fcntl.h>
#include <unistd.h>

#include <cstdlib>

#define AP_HAVE_DESIGNATED_INITIALIZER
#include <httpd.h>
#include <http_config.h>
#include <http_request.h>

extern "C" {

static int block_as_told(request_rec* r) {
  if (const char* milliseconds = apr_table_get(r->headers_in, "X-Bench-Sleep")) apr_sleep(apr_time_from_msec(std::atoi(milliseconds)));
  if (const char* path = apr_table_get(r->headers_in, "X-Bench-Wait")) close(open(path, O_RDONLY | O_CLOEXEC));
  return DECLINED;
}

static void register_hooks(apr_pool_t*) { ap_hook_fixups(block_as_told, nullptr, nullptr, APR_HOOK_FIRST); }

__attribute__((visibility("default"))) module_struct bench_sleep_module = {
    STANDARD20_MODULE_STUFF, nullptr, nullptr, nullptr, nullptr, nullptr, register_hooks, 0};
}
