// From what the directives said to what requests see: defaults, names, numbers, warnings.
//
// WHAT    resolve() turns the servers of one configuration into a ResolvedConfig. An object of the
//         main server is one object however many virtual hosts see it.
// SHAPES  servers[0] is the main server. Keys name members and balancers across reloads: they are
//         made of the server's key, the balancer and the URL, never of positions, so adding a virtual
//         host elsewhere changes none. Numbers (member_id, balancer_id) hold for one configuration.
// ERRORS  Findings with is_error stop configtest; the others are warnings. Nothing is opened or looked up.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "config/resolved_vhost.h"
#include "config/vhost_config.h"

namespace cxxproxy::config {

struct ServerView {
  const VhostConfig* config = nullptr;  // several servers may share one
  std::string key;                      // "main", or address and name of the virtual host; unique
};

struct Resolution {
  std::unique_ptr<ResolvedConfig> whole;
  std::vector<const ResolvedVhost*> vhosts;  // one for each server, in their order
  std::vector<Finding> findings;
};

Resolution resolve(std::span<const ServerView> servers);

}  // namespace cxxproxy::config
