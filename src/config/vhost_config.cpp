#include "config/vhost_config.h"

#include "config/resolved_vhost.h"

namespace cxxproxy::config {

VhostConfig::VhostConfig() = default;
VhostConfig::~VhostConfig() = default;

DeclaredBalancer* Declarations::find_balancer(const std::string& lower_case_name) const noexcept {
  const auto found = balancer_index.find(lower_case_name);
  return found != balancer_index.end() ? found->second : nullptr;
}

DeclaredMember* Declarations::find_plain(const std::string& member_key) const noexcept {
  const auto found = plain_index.find(member_key);
  return found != plain_index.end() ? found->second : nullptr;
}

std::vector<const Declarations*> VhostConfig::layers() const {
  std::vector<const Declarations*> all = inherited;
  all.push_back(&own_lists());
  return all;
}

std::unique_ptr<VhostConfig> merge(const VhostConfig& parent, const VhostConfig& child) {
  auto result = std::make_unique<VhostConfig>();
  result->proxy_timeout = merged(parent.proxy_timeout, child.proxy_timeout);
  result->bad_header = merged(parent.bad_header, child.bad_header);
  result->show_status = merged(parent.show_status, child.show_status);
  result->via = merged(parent.via, child.via);
  result->io_buffer_size = merged(parent.io_buffer_size, child.io_buffer_size);
  result->receive_buffer_size = merged(parent.receive_buffer_size, child.receive_buffer_size);
  result->source_address = merged(parent.source_address, child.source_address);
  result->max_forwards = merged(parent.max_forwards, child.max_forwards);
  result->balancer_inherit = merged(parent.balancer_inherit, child.balancer_inherit);
  result->persist = merged(parent.persist, child.persist);
  result->rule_inherit = merged(parent.rule_inherit, child.rule_inherit);
  result->park_after = merged(parent.park_after, child.park_after);
  result->park_max = merged(parent.park_max, child.park_max);
  result->keep_alive_guard = merged(parent.keep_alive_guard, child.keep_alive_guard);
  result->reactor = merged(parent.reactor, child.reactor);
  result->keep_alive_stay = merged(parent.keep_alive_stay, child.keep_alive_stay);
  result->tunnel_drain = merged(parent.tunnel_drain, child.tunnel_drain);
  result->inherited = parent.layers();
  result->merged_own = &child.own_lists();
  return result;
}

std::string member_key(const http::Url& url) {
  std::string key = url.name();
  if (url.path.empty()) key += '/';
  return key;
}

std::string member_key(const DeclaredMember& member) {
  return member.template_url.empty() ? member_key(member.url) : member.template_url;
}

}  // namespace cxxproxy::config
