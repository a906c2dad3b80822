#include "net/name_check.h"

#include <netdb.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <thread>

namespace cxxproxy::net {
namespace {

constexpr std::size_t kLookupsAtOnce = 32;

// One answer as it goes through the pipe: small enough to be written whole.
struct Message {
  std::uint32_t index;
  NameAnswer answer;
};

void ask_all(const std::vector<std::string>& hosts, const NameLookup& lookup, int out) {
  std::atomic<std::size_t> next{0};
  const auto work = [&] {
    for (std::size_t i = next++; i < hosts.size(); i = next++) {
      const Message message{static_cast<std::uint32_t>(i), lookup(hosts[i])};
      if (::write(out, &message, sizeof message) != static_cast<ssize_t>(sizeof message)) return;
    }
  };
  std::vector<std::thread> threads;
  const std::size_t count = std::min(kLookupsAtOnce, hosts.size());
  try {
    for (std::size_t i = 1; i < count; ++i) threads.emplace_back(work);
  } catch (const std::exception&) {
    // Fewer threads do it too.
  }
  work();
  for (std::thread& thread : threads) thread.join();
}

void read_answers(int in, std::vector<NameAnswer>& answers, base::Duration longest) {
  const auto end = std::chrono::steady_clock::now() + longest;
  Message message{};
  for (;;) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(end - std::chrono::steady_clock::now()).count();
    if (left <= 0) return;
    pollfd wanted{in, POLLIN, 0};
    const int ready = ::poll(&wanted, 1, static_cast<int>(left));
    if (ready < 0 && errno == EINTR) continue;
    if (ready <= 0) return;
    const ssize_t size = ::read(in, &message, sizeof message);
    if (size != static_cast<ssize_t>(sizeof message)) return;
    if (message.index < answers.size()) answers[message.index] = message.answer;
  }
}

}  // namespace

NameAnswer ask_system(const std::string& host) {
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  const int status = ::getaddrinfo(host.c_str(), nullptr, &hints, &found);
  if (found != nullptr) ::freeaddrinfo(found);
  if (status == 0) return NameAnswer::Known;
  const bool definite = status == EAI_NONAME || status == EAI_FAIL
#ifdef EAI_NODATA
                        || status == EAI_NODATA
#endif
      ;
  return definite ? NameAnswer::NoSuchName : NameAnswer::NoAnswer;
}

std::vector<NameAnswer> check_names(const std::vector<std::string>& hosts, base::Duration longest, const NameLookup& lookup) {
  std::vector<NameAnswer> answers(hosts.size(), NameAnswer::Unknown);
  int ends[2];
  if (hosts.empty() || ::pipe(ends) != 0) return answers;
  const pid_t child = ::fork();
  if (child < 0) {
    ::close(ends[0]);
    ::close(ends[1]);
    return answers;
  }
  if (child == 0) {
    ::close(ends[0]);
    ask_all(hosts, lookup, ends[1]);
    ::_exit(0);
  }
  ::close(ends[1]);
  read_answers(ends[0], answers, longest);
  ::close(ends[0]);
  ::kill(child, SIGKILL);
  while (::waitpid(child, nullptr, 0) < 0 && errno == EINTR) {
  }
  return answers;
}

}  // namespace cxxproxy::net
