// The load and the backend of the benchmark; tests/bench/README.md.
#include "backend.h"
#include "client.h"
#include "common.h"
#include "options.h"

int main(int count, char** words) {
  const bench::Options options = bench::parse_options(count, words);
  bench::raise_descriptor_limit();
  return options.backend ? bench::run_backend(options.ports) : bench::run_client(options);
}
