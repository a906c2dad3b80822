// A thread of the module beside those of the MPM.
//
// ERRORS  False: the system has no thread to give.
#pragma once

#include <pthread.h>
#include <signal.h>

#include <system_error>
#include <thread>
#include <utility>

namespace cxxproxy::net {

template <class Work>
bool start_quiet_thread(std::thread& thread, Work work) {
  // The server's signals are its own threads' business.
  sigset_t all;
  sigset_t before;
  ::sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &before);
  bool started = true;
  try {
    thread = std::thread(std::move(work));
  } catch (const std::system_error&) {
    started = false;
  }
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  return started;
}

}  // namespace cxxproxy::net
