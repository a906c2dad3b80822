// A module for benchmark and tests: a hook that blocks, as a hook that asks a slow directory server does. The field X-Bench-Sleep says for
// how many milliseconds; X-Bench-Wait names a FIFO, and the hook waits until somebody opens it for writing.
// With defines it does what other modules, or a bad moment, may do to a connection:
//   BENCH_ABORT   a connection has failed when a worker has it for the second time
//   BENCH_CLOSE   the MPM's socket is closed while the MPM puts the connection away, as at a stop
//   BENCH_LINGER  the MPM's thread needs 20 ms to put a connection away
//   BENCH_LOOKUP  a log hook looks for another document, and complains about a scoreboard handle that the core could not count with
#include <apr_time.h>
#include <fcntl.h>
#include <unistd.h>

#include <cstdlib>

#define AP_HAVE_DESIGNATED_INITIALIZER
#include <httpd.h>
#include <http_config.h>
#include <http_connection.h>
#include <http_core.h>
#include <http_log.h>
#include <http_protocol.h>
#include <http_request.h>
#include <mpm_common.h>
#include <scoreboard.h>

extern "C" {

APLOG_USE_MODULE(bench_sleep);

static int block_as_told(request_rec* r) {
  if (const char* milliseconds = apr_table_get(r->headers_in, "X-Bench-Sleep")) apr_sleep(apr_time_from_msec(std::atoi(milliseconds)));
  if (const char* path = apr_table_get(r->headers_in, "X-Bench-Wait")) close(open(path, O_RDONLY | O_CLOEXEC));
  return DECLINED;
}

static int abort_second_time(conn_rec* c) {
  if (apr_table_get(c->notes, "bench-turn") != nullptr) c->aborted = 1;
  apr_table_setn(c->notes, "bench-turn", "1");
  return DECLINED;
}

static int remember_socket(conn_rec* c, void* socket) {
  ap_set_module_config(c->conn_config, &bench_sleep_module, socket);
  return OK;
}

static void close_socket(conn_rec* c, request_rec*) {
  if (void* socket = ap_get_module_config(c->conn_config, &bench_sleep_module)) apr_socket_close(static_cast<apr_socket_t*>(socket));
}

static void linger(conn_rec*, request_rec*) { apr_sleep(apr_time_from_msec(20)); }

static int look_elsewhere(request_rec* r) {
  ap_destroy_sub_req(ap_sub_req_lookup_uri("/elsewhere", r, r->output_filters));
  auto* const handle = static_cast<ap_sb_handle_t*>(r->connection->sbh);
  if (handle != nullptr && ap_get_scoreboard_worker(handle) == nullptr) {
    ap_log_rerror(APLOG_MARK, APLOG_ERR, 0, r, "the core is about to count in a row that there is not");
  }
  return DECLINED;
}

static void register_hooks(apr_pool_t*) {
  ap_hook_fixups(block_as_told, nullptr, nullptr, APR_HOOK_FIRST);
  if (ap_exists_config_define("BENCH_ABORT")) ap_hook_process_connection(abort_second_time, nullptr, nullptr, APR_HOOK_REALLY_FIRST - 10);
  if (ap_exists_config_define("BENCH_CLOSE")) {
    ap_hook_pre_connection(remember_socket, nullptr, nullptr, APR_HOOK_MIDDLE);
    ap_hook_suspend_connection(close_socket, nullptr, nullptr, APR_HOOK_REALLY_LAST + 10);
  }
  if (ap_exists_config_define("BENCH_LINGER")) ap_hook_suspend_connection(linger, nullptr, nullptr, APR_HOOK_REALLY_LAST + 10);
  if (ap_exists_config_define("BENCH_LOOKUP")) ap_hook_log_transaction(look_elsewhere, nullptr, nullptr, APR_HOOK_MIDDLE);
}

__attribute__((visibility("default"))) module_struct bench_sleep_module = {
    STANDARD20_MODULE_STUFF, nullptr, nullptr, nullptr, nullptr, nullptr, register_hooks, 0};
}
