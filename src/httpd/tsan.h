// What ThreadSanitizer cannot see by itself when this module runs in an httpd that is not instrumented.
//
// WHAT    The MPM lets one thread at a time have a connection, and gives the pool of one that has ended to the next. Some of these
//         hand-overs (a lingering close, a pool) go over lists of atomics that are compiled into httpd, so that they look like two
//         threads at once. HasConnection says that the turn of one thread comes after that of the last. Without -fsanitize=thread
//         there is nothing of it.
// SHAPES  Not for the threads of the event loop: that they and the MPM do not meet is ours to see to.
//         The allocator is what a pool has in common with the one that was there before.
#pragma once

#ifdef __SANITIZE_THREAD__
#include <sanitizer/tsan_interface.h>

#include "net/loop_threads.h"
#endif

#include "httpd/httpd_api.h"

namespace cxxproxy::httpd {

#ifdef __SANITIZE_THREAD__

// Around whatever the MPM calls with a connection.
class HasConnection {
 public:
  explicit HasConnection(const conn_rec* c) noexcept : allocator_(net::LoopThreads::is_one() ? nullptr : apr_pool_allocator_get(c->pool)) {
    if (allocator_ != nullptr) __tsan_acquire(allocator_);
  }
  ~HasConnection() {
    if (allocator_ != nullptr) __tsan_release(allocator_);
  }
  HasConnection(const HasConnection&) = delete;
  HasConnection& operator=(const HasConnection&) = delete;

 private:
  apr_allocator_t* const allocator_;
};

// What is registered first is cleaned up last.
inline conn_rec* connection_pool_begins(apr_pool_t* pool, server_rec*, apr_socket_t*, long, void*, apr_bucket_alloc_t*) noexcept {
  apr_allocator_t* const allocator = apr_pool_allocator_get(pool);
  __tsan_acquire(allocator);
  apr_pool_cleanup_register(
      pool, allocator,
      [](void* ends) noexcept -> apr_status_t {
        __tsan_release(ends);
        return APR_SUCCESS;
      },
      apr_pool_cleanup_null);
  return nullptr;
}

inline void register_tsan() { ap_hook_create_connection(connection_pool_begins, nullptr, nullptr, APR_HOOK_REALLY_FIRST); }

#else

struct HasConnection {
  explicit HasConnection(const conn_rec*) noexcept {}
};

inline void register_tsan() {}

#endif

}  // namespace cxxproxy::httpd
