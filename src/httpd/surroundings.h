// What reading a configuration needs from httpd: regular expressions and the folder of sockets.
//
// WHAT    Implements config::Surroundings with ap_regcomp and ap_runtime_dir_relative.
// SHAPES  A compiled expression is freed with its last owner, at the latest with the configuration; any
//         thread may match. '$' is always the real end of the subject, whatever RegexDefaultOptions says.
#pragma once

#include "config/pattern.h"
#include "httpd/httpd_api.h"

namespace cxxproxy::httpd {

class HttpdSurroundings final : public config::Surroundings {
 public:
  explicit HttpdSurroundings(apr_pool_t* pool) noexcept : pool_(pool) {}

  base::Result<std::shared_ptr<const config::Pattern>, std::string> compile(std::string_view expression) const override;
  std::string runtime_path(std::string_view path) const override;

 private:
  apr_pool_t* pool_;
};

}  // namespace cxxproxy::httpd
