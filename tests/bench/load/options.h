// WHAT    The command line of bench_load.
// SHAPES  See `usage` in options.cpp.
// ERRORS  fail() with the usage.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace bench {

enum class Mode {
  Load,    // requests one after the other on each connection
  Burst,   // one request on each connection, all at once
  Hold,    // one request on each connection, which then stays idle until a line on stdin
  Tunnel,  // an upgrade on each connection and an echo; stays until a line on stdin; then another echo
};

struct Options {
  bool backend = false;
  std::vector<std::uint16_t> ports;
  Mode mode = Mode::Load;
  std::size_t connections = 1;
  double seconds = 1.0;
  std::uint64_t requests = 0;  // of a load, 0: as many as fit into `seconds`
  double grace = 10.0;         // seconds for the answers that are still due
  std::string path = "/bytes/100";
  std::string host = "proxy.test";
  std::vector<std::string> fields;
  std::uint64_t post = 0;
  int status = 200;
  std::int64_t length = -1;    // of the body, -1: any
  std::uint64_t events = 0;    // the body is a stream of this many events, each with the time of its sending
  std::uint64_t pace = 0;      // bytes a second that each client reads, 0: as fast as it can
  bool fresh = false;          // a new connection for each request
  bool tls = false;
};

Options parse_options(int count, char** words);

}  // namespace bench
