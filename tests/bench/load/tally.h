// WHAT    What the clients saw: answers, errors by kind, latencies; printed as JSON.
// SHAPES  Histograms in nanoseconds, printed in microseconds.
// ERRORS  None.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "histogram.h"

namespace bench {

struct Tally {
  std::uint64_t sent = 0, answered = 0, bytes = 0;
  std::uint64_t unanswered = 0, wrong_status = 0, cut = 0, wrong_bytes = 0, refused = 0, lost_idle = 0;
  std::string first_error;
  Histogram latencies, delays, echoes;  // of answers, of events on their way, of echoes in tunnels
  std::map<int, std::uint64_t> statuses;

  void error(std::uint64_t& kind, const std::string& what) {
    ++kind;
    if (first_error.empty()) first_error = what;
  }
  void print(double seconds) const;
};

}  // namespace bench
