#include "tally.h"

#include <cstdio>

namespace bench {

namespace {

void print_histogram(const char* name, const Histogram& histogram) {
  const auto us = [&](double part) { return static_cast<double>(histogram.percentile(part)) / 1000.0; };
  std::printf("\"%s\": {\"count\": %llu, \"mean\": %.1f, \"p50\": %.1f, \"p90\": %.1f, \"p99\": %.1f, \"p999\": %.1f, \"max\": %.1f}, ", name,
              static_cast<unsigned long long>(histogram.count()), histogram.mean() / 1000.0, us(0.5), us(0.9), us(0.99), us(0.999),
              static_cast<double>(histogram.most()) / 1000.0);
}

void print_count(const char* name, std::uint64_t value, const char* end = ", ") {
  std::printf("\"%s\": %llu%s", name, static_cast<unsigned long long>(value), end);
}

}  // namespace

void Tally::print(double seconds) const {
  std::printf("{\"seconds\": %.6f, ", seconds);
  print_count("sent", sent);
  print_count("answered", answered);
  print_count("bytes", bytes);
  std::printf("\"errors\": {");
  print_count("unanswered", unanswered);
  print_count("wrong_status", wrong_status);
  print_count("cut", cut);
  print_count("wrong_bytes", wrong_bytes);
  print_count("refused", refused);
  print_count("lost_idle", lost_idle, "}, ");
  print_histogram("latency_us", latencies);
  print_histogram("event_delay_us", delays);
  print_histogram("echo_us", echoes);
  std::printf("\"statuses\": {");
  const char* comma = "";
  for (const auto& [status, number] : statuses) {
    std::printf("%s\"%d\": %llu", comma, status, static_cast<unsigned long long>(number));
    comma = ", ";
  }
  std::printf("}, \"first_error\": \"%s\"}\n", first_error.c_str());
}

}  // namespace bench
