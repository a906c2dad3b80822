// WHAT    The backend of the benchmark: one thread, one epoll set, any number of ports.
// SHAPES  GET /bytes/N, /chunked/COUNT/SIZE, /headers/COUNT/N, /delay/MS/N, /hold (answered after /_release), /sse/COUNT/MS,
//         /tunnel (101, then an echo); a POST to any of them is answered when its body has come and was the pattern, else with 400.
//         /_stats tells as JSON what was served (and held) on each port, /_release answers those that are held, /_reset counts anew.
// ERRORS  A request that is none ends its connection.
#pragma once

#include <cstdint>
#include <vector>

namespace bench {

// Serves until the process is ended.
int run_backend(const std::vector<std::uint16_t>& ports);

}  // namespace bench
