#include "httpd/facts_readers.h"

#include <algorithm>
#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "base/ascii.h"
#include "httpd/httpd_api.h"

namespace cxxproxy::httpd {
namespace {

bool g_read = true;

// Those read only what their directives name, or nothing that is ours.
constexpr std::array<std::string_view, 7> kKnown = {"core.c",           "http_core.c",   "mod_log_config.c",  "mod_log_debug.c",
                                                    "mod_log_forensic.c", "mod_logio.c", "mod_cxxproxy.cpp"};
constexpr std::array<std::string_view, 3> kNames = {"CXXPROXY_", "proxy-source-port", "proxy_timedout"};

bool others_have_hooks() noexcept {
  const apr_array_header_t* const hooks = ap_hook_get_log_transaction();
  if (hooks == nullptr) return false;
  for (int i = 0; i < hooks->nelts; ++i) {
    const char* const name = APR_ARRAY_IDX(hooks, i, ap_LINK_log_transaction_t).szName;
    if (name == nullptr || std::ranges::find(kKnown, std::string_view(name)) == kKnown.end()) return true;
  }
  return false;
}

// The formats of mods-available/cxxproxy.conf are in most configurations, used or not.
class Readers {
 public:
  explicit Readers(apr_pool_t* pool) noexcept : pool_(pool) {}

  void look_for_formats(const ap_directive_t* node) {
    for (; node != nullptr; node = node->next) {
      if (const char* const nickname = nickname_in(*node); *nickname != '\0' && names_facts(*node)) nicknames_.emplace_back(nickname);
      look_for_formats(node->first_child);
    }
  }
  bool are_in(const ap_directive_t* node) const {
    for (; node != nullptr; node = node->next) {
      if (reads(*node) || are_in(node->first_child)) return true;
    }
    return false;
  }

 private:
  static bool names_facts(const ap_directive_t& node) noexcept {
    const std::string_view text(node.args != nullptr ? node.args : "");
    return std::ranges::any_of(kNames, [text](std::string_view name) { return text.find(name) != std::string_view::npos; });
  }

  // Of a format that is only defined; else empty.
  const char* nickname_in(const ap_directive_t& node) const {
    const char* text = node.args;
    if (text == nullptr || !base::iequals(node.directive, "LogFormat")) return "";
    (void)ap_getword_conf(pool_, &text);
    return ap_getword_conf(pool_, &text);
  }
  bool names_format(const ap_directive_t& node) const {
    const char* text = node.args;
    while (text != nullptr && *text != '\0' && !nicknames_.empty()) {
      if (std::ranges::find(nicknames_, std::string_view(ap_getword_conf(pool_, &text))) != nicknames_.end()) return true;
    }
    return false;
  }
  bool reads(const ap_directive_t& node) const {
    if (base::iequals(node.directive, "Use")) return true;  // what a macro is made of at last is not told
    return *nickname_in(node) == '\0' && (names_facts(node) || names_format(node));
  }

  apr_pool_t* const pool_;
  std::vector<std::string> nicknames_;
};

}  // namespace

void look_for_facts_readers(apr_pool_t* ptemp) {
  Readers readers(ptemp);
  readers.look_for_formats(ap_conftree);
  g_read = others_have_hooks() || readers.are_in(ap_conftree);
}

bool facts_have_readers() noexcept { return g_read; }

}  // namespace cxxproxy::httpd
