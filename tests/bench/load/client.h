// WHAT    The clients of the benchmark: one thread, one epoll set, any number of connections; every answer is checked.
// SHAPES  Prints one JSON object when it is done; Hold and Tunnel print another one first, when all connections are up.
//         A latency runs from the sending of a request (of a new connection: from connecting) to the last byte of the answer.
// ERRORS  An answer with another status, length or bytes than expected, or none, is counted by kind; the connection is opened anew.
#pragma once

#include "options.h"

namespace bench {

int run_client(const Options& options);

}  // namespace bench
