#include "httpd/kept_state.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <memory>

#include "httpd/guard.h"
#include "httpd/pool_object.h"
#include "httpd/shared_state.h"
#include "net/state_file.h"
#include "httpd/httpd_api.h"

namespace cxxproxy::httpd {
namespace {

constexpr const char* kFileName = "cxxproxy-state";

struct Ending {
  server_rec* server;
  std::string path;
  std::uint64_t generation;
  pid_t parent;  // children inherit the pools, and with them the cleanups
  bool written;
};

void write_state(Ending& ending) noexcept {
  if (ending.written || ::getpid() != ending.parent) return;
  ending.written = true;
  (void)guard("state file", 0, [&] {
    const auto segment = shared_segment();
    if (!segment) return 0;
    const std::string bytes = net::encode_state(balancer::remember(segment->slots(), ending.generation), net::this_moment());
    if (const int why = net::write_state_file(ending.path, bytes); why != 0) {
      ap_log_error(APLOG_MARK, APLOG_ERR, APR_FROM_OS_ERROR(why), ending.server, "CXP0015: cannot write the state file %s", ending.path.c_str());
    }
    return 0;
  });
}

apr_status_t server_ends(void* held) noexcept {
  write_state(*static_cast<Ending*>(held));
  return APR_SUCCESS;
}

apr_status_t configuration_ends(void* held) noexcept {
  auto& ending = *static_cast<Ending*>(held);
  if (ending.written) return APR_SUCCESS;  // the server ends, and its process pool with it
  apr_pool_cleanup_kill(ending.server->process->pool, held, server_ends);
  write_state(ending);
  return APR_SUCCESS;
}

std::string path_of_file(apr_pool_t* pool) {
  const char* const path = ap_runtime_dir_relative(pool, kFileName);
  return path != nullptr ? path : "";
}

}  // namespace

bool persists(const config::ResolvedConfig& config) noexcept {
  return std::any_of(config.members.begin(), config.members.end(), [](const config::MemberSpec* member) { return member->persist; });
}

void recall_state(server_rec* main_server, const config::ResolvedConfig& config, balancer::Slots& slots, balancer::SlotPlaces& places) {
  const std::string path = path_of_file(main_server->process->pconf);
  const auto refuse = [&](apr_status_t status, const char* why) {
    ap_log_error(APLOG_MARK, APLOG_WARNING, status, main_server, "CXP0014: the state file %s is ignored: %s", path.c_str(), why);
  };
  const auto bytes = net::read_state_file(path);
  if (!bytes) {
    if (bytes.error() != ENOENT) refuse(APR_FROM_OS_ERROR(bytes.error()), "it cannot be read");
    return;
  }
  const auto known = net::decode_state(*bytes, net::this_moment());
  if (!known) return refuse(APR_SUCCESS, known.error().c_str());
  balancer::recall(*known, slots, config, places, false);
}

void keep_state_at_end(apr_pool_t* pconf, server_rec* main_server, std::uint64_t generation) {
  auto* const ending = own_in_pool(
      pconf, std::make_unique<Ending>(Ending{main_server, path_of_file(pconf), generation, ::getpid(), false}));
  // Before the pool goes, and after its owner was registered: cleanups run backwards.
  apr_pool_cleanup_register(pconf, ending, configuration_ends, apr_pool_cleanup_null);
  apr_pool_pre_cleanup_register(main_server->process->pool, ending, server_ends);
}

}  // namespace cxxproxy::httpd
