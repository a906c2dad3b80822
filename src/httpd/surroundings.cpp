#include "httpd/surroundings.h"

#include "base/ascii.h"
#include "httpd/httpd_api.h"

namespace cxxproxy::httpd {
namespace {

class HttpdPattern final : public config::Pattern {
 public:
  ~HttpdPattern() override {
    if (compiled_) ap_regfree(&regex_);
  }

  int compile(const std::string& expression) noexcept {
    const int status = ap_regcomp(&regex_, expression.c_str(), AP_REG_DOLLAR_ENDONLY);
    compiled_ = status == 0;
    return status;
  }

  std::string error_text(int status) const {
    char text[256] = "";
    ap_regerror(status, &regex_, text, sizeof text);
    return std::string(base::trim(text));
  }

  bool match(std::string_view subject, config::Groups& groups) const noexcept override {
    ap_regmatch_t found[config::kGroups];
    if (ap_regexec_len(&regex_, subject.data(), subject.size(), config::kGroups, found, 0) != 0) return false;
    for (std::size_t i = 0; i < config::kGroups; ++i) {
      groups[i].took_part = found[i].rm_so >= 0 && found[i].rm_eo >= found[i].rm_so;
      if (groups[i].took_part) groups[i] = {static_cast<std::size_t>(found[i].rm_so), static_cast<std::size_t>(found[i].rm_eo), true};
    }
    return true;
  }

 private:
  ap_regex_t regex_{};
  bool compiled_ = false;
};

}  // namespace

base::Result<std::shared_ptr<const config::Pattern>, std::string> HttpdSurroundings::compile(std::string_view expression) const {
  auto pattern = std::make_shared<HttpdPattern>();
  if (const int status = pattern->compile(std::string(expression)); status != 0) {
    const std::string why = pattern->error_text(status);
    return "not a regular expression" + (why.empty() ? std::string() : " (" + why + ")");
  }
  return std::shared_ptr<const config::Pattern>(std::move(pattern));
}

std::string HttpdSurroundings::runtime_path(std::string_view path) const {
  const char* resolved = ap_runtime_dir_relative(pool_, apr_pstrmemdup(pool_, path.data(), path.size()));
  return resolved != nullptr ? resolved : std::string(path);
}

}  // namespace cxxproxy::httpd
