// A request body read to its end before the exchange begins, because its length must be known.
//
// WHAT    For backends that need Content-Length although the client sent chunks (proxy-sendcl,
//         force-proxy-request-1.0). The first kInMemory bytes stay in memory, a longer body goes to a
//         temporary file that has no name any more.
// SHAPES  Blocks the worker while the client sends. One thread; lives with the request.
// ERRORS  fill() gives the status of the input filter or of the file that failed.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "exchange/downstream.h"
#include "httpd/httpd_api.h"

namespace cxxproxy::httpd {

class BodySpool {
 public:
  static constexpr std::size_t kInMemory = 64 * 1024;

  explicit BodySpool(request_rec* r) : r_(r) {}

  apr_status_t fill();
  std::uint64_t size() const noexcept { return size_; }
  exchange::BodyPart read(std::size_t at_most);

 private:
  apr_status_t take(const char* data, apr_size_t size);
  apr_status_t open_file();

  request_rec* const r_;
  std::string memory_;
  apr_file_t* file_ = nullptr;
  std::uint64_t size_ = 0;
  std::uint64_t given_ = 0;
  std::vector<char> buffer_;
  upstream::ConstBuffer part_{};
};

}  // namespace cxxproxy::httpd
