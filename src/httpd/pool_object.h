// C++ objects that an APR pool owns.
//
// WHAT    own_in_pool() hands an object to a pool, which destroys it when it is cleared.
// SHAPES  The object itself is on the heap; it must not keep memory of a shorter-lived pool.
#pragma once

#include <memory>

#include "httpd/httpd_api.h"

namespace cxxproxy::httpd {

template <class T>
T* own_in_pool(apr_pool_t* pool, std::unique_ptr<T> object) {
  T* raw = object.release();
  apr_pool_cleanup_register(
      pool, raw,
      [](void* held) noexcept -> apr_status_t {
        delete static_cast<T*>(held);
        return APR_SUCCESS;
      },
      apr_pool_cleanup_null);
  return raw;
}

}  // namespace cxxproxy::httpd
