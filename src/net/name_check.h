// Which of these host names does the resolver know? Asked by configtest, within a bounded time.
//
// WHAT    A child process asks the system's resolver for all names at once and is ended when the time
//         is over: a resolver that does not answer can neither hold up configtest nor leave a thread in it.
// SHAPES  One answer for each name, in order. Called while the process has one thread (configtest).
// ERRORS  What goes wrong here (no process, no pipe) is Answer::Unknown for all names.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/clock.h"

namespace cxxproxy::net {

enum class NameAnswer : std::uint8_t {
  Known,
  NoSuchName,  // the resolver says so
  NoAnswer,    // it could not say
  Unknown,     // the time was over before it said anything
};

// For tests; the system's getaddrinfo() otherwise. Runs in the child process.
using NameLookup = std::function<NameAnswer(const std::string&)>;
NameAnswer ask_system(const std::string& host);

std::vector<NameAnswer> check_names(const std::vector<std::string>& hosts, base::Duration longest, const NameLookup& lookup = ask_system);

}  // namespace cxxproxy::net
