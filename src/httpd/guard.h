// The single exception barrier between C++ and httpd.
//
// WHAT    Every function that httpd may call is noexcept and its body is one guard() call. What the
//         callable throws is logged and the fallback is returned; the fallback fails closed (500 for
//         a request hook: a decline would hand a proxied path to the file system).
// SHAPES  `subject` tells the log which callback failed. Out of memory ends the process, as httpd
//         itself does.
#pragma once

#include <cstdlib>
#include <exception>
#include <new>
#include <utility>

#include "httpd/httpd_api.h"

namespace cxxproxy::httpd {

void log_escaped_exception(const char* subject, const char* what) noexcept;

template <class T, class F>
T guard(const char* subject, T fallback, F&& body) noexcept {
  try {
    return std::forward<F>(body)();
  } catch (const std::bad_alloc&) {
    std::abort();
  } catch (const std::exception& failure) {
    log_escaped_exception(subject, failure.what());
  } catch (...) {
    log_escaped_exception(subject, "unknown exception");
  }
  return fallback;
}

}  // namespace cxxproxy::httpd
