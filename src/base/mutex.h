// A mutex that clang's thread-safety analysis understands (-Wthread-safety).
//
// WHAT    std::mutex is not annotated in libstdc++, so GUARDED_BY could not be checked with it.
#pragma once

#include <mutex>

#if defined(__clang__)
#define CXXPROXY_TSA(x) __attribute__((x))
#else
#define CXXPROXY_TSA(x)
#endif
#define CXXPROXY_CAPABILITY(name) CXXPROXY_TSA(capability(name))
#define CXXPROXY_GUARDED_BY(m) CXXPROXY_TSA(guarded_by(m))
#define CXXPROXY_REQUIRES(m) CXXPROXY_TSA(requires_capability(m))
#define CXXPROXY_ACQUIRE(...) CXXPROXY_TSA(acquire_capability(__VA_ARGS__))
#define CXXPROXY_RELEASE(...) CXXPROXY_TSA(release_capability(__VA_ARGS__))
#define CXXPROXY_SCOPED CXXPROXY_TSA(scoped_lockable)

namespace cxxproxy::base {

class CXXPROXY_CAPABILITY("mutex") Mutex {
 public:
  void lock() CXXPROXY_ACQUIRE() { inner_.lock(); }
  void unlock() CXXPROXY_RELEASE() { inner_.unlock(); }

 private:
  std::mutex inner_;
};

class CXXPROXY_SCOPED MutexLock {
 public:
  explicit MutexLock(Mutex& mutex) CXXPROXY_ACQUIRE(mutex) : mutex_(mutex) { mutex_.lock(); }
  ~MutexLock() CXXPROXY_RELEASE() { mutex_.unlock(); }
  MutexLock(const MutexLock&) = delete;
  MutexLock& operator=(const MutexLock&) = delete;

 private:
  Mutex& mutex_;
};

}  // namespace cxxproxy::base
