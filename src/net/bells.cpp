#include "net/bells.h"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <climits>
#include <utility>

#include "net/quiet_thread.h"

namespace cxxproxy::net {
namespace {

using Word = balancer::Limits::Word;

constexpr long kLongestSleep = 1;  // seconds
constexpr int kLooksAtEnd = 100;
constexpr long kLookApart = 1'000'000;  // nanoseconds

void futex_wait(Word& word, std::uint32_t seen) noexcept {
  const timespec limit{kLongestSleep, 0};
  (void)::syscall(SYS_futex, reinterpret_cast<std::uint32_t*>(&word), FUTEX_WAIT, seen, &limit, nullptr, 0);
}

void ring_word(Word& word) noexcept {
  word.fetch_add(1);
  (void)::syscall(SYS_futex, reinterpret_cast<std::uint32_t*>(&word), FUTEX_WAKE, INT_MAX, nullptr, nullptr, 0);
}

}  // namespace

bool Bells::start(std::function<void()> rung) {
  rung_ = std::move(rung);
  return start_quiet_thread(thread_, [this] { run(); });
}

void Bells::run() {
  Word& bell = limits_.bell(place_);
  std::uint32_t heard = bell.load();
  rung_();  // what rang before
  while (!stopping_.load()) {
    futex_wait(bell, heard);
    const std::uint32_t now = bell.load();
    if (std::exchange(heard, now) != now && !stopping_.load()) rung_();
  }
  ended_.store(true);
}

void Bells::stop() noexcept {
  if (!thread_.joinable()) return;
  stopping_.store(true);
  ring(place_);
  for (int looks = 0; looks < kLooksAtEnd && !ended_.load(); ++looks) {
    const timespec apart{0, kLookApart};
    (void)::nanosleep(&apart, nullptr);
  }
  if (ended_.load()) {
    thread_.join();
  } else {
    thread_.detach();
  }
}

void Bells::ring(std::uint32_t place) noexcept {
  if (place < limits_.places()) ring_word(limits_.bell(place));
}

void ring_all(const balancer::Limits& limits) noexcept {
  for (std::uint32_t place = 0; place < limits.places(); ++place) ring_word(limits.bell(place));
}

}  // namespace cxxproxy::net
