// C++ objects that an APR pool owns.
//
// WHAT    own_in_pool() hands an object to a pool, which destroys it when it is cleared; make_in_pool() makes one in the
//         memory of the pool, for what each request has.
// SHAPES  With own_in_pool() the object itself is on the heap. It must not keep memory of a shorter-lived pool.
#pragma once

#include <memory>
#include <new>
#include <utility>

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

template <class T, class... Arguments>
T* make_in_pool(apr_pool_t* pool, Arguments&&... arguments) {
  static_assert(alignof(T) <= 8, "what apr_palloc() gives begins at a multiple of 8");
  T* const object = new (apr_palloc(pool, sizeof(T))) T(std::forward<Arguments>(arguments)...);
  apr_pool_cleanup_register(
      pool, object,
      [](void* held) noexcept -> apr_status_t {
        static_cast<T*>(held)->~T();
        return APR_SUCCESS;
      },
      apr_pool_cleanup_null);
  return object;
}

}  // namespace cxxproxy::httpd
