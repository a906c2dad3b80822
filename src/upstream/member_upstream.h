// All that a child process keeps for one member: its configuration, addresses and connections.
//
// SHAPES  Made in child_init from the resolved configuration, used by all threads, lives until the
//         child ends. The spec lives as long as the configuration pool, which outlives the child.
#pragma once

#include <algorithm>
#include <atomic>

#include "config/spec.h"
#include "upstream/address_book.h"
#include "upstream/connection_pool.h"
#include "upstream/inline_waits.h"

namespace cxxproxy::upstream {

struct MemberUpstream {
  MemberUpstream(const config::MemberSpec& member, Resolver& resolver, std::size_t max_idle = SIZE_MAX)
      : spec(member),
        addresses(member.url.socket.empty() ? member.url.host : member.url.socket, member.url.port, member.address_ttl, resolver),
        pool(limits_of(member, max_idle)) {}

  // As httpd's resource lists do it: what is above smax and has no ttl is closed at once.
  static PoolLimits limits_of(const config::MemberSpec& member, std::size_t max_idle) noexcept {
    PoolLimits limits{.max = member.max, .reuse = member.reuse, .max_idle = max_idle, .ttl = member.ttl, .keep_idle = member.min_idle};
    if (member.soft_max) {
      limits.keep_idle = std::max(limits.keep_idle, *member.soft_max);
      if (!limits.ttl) limits.ttl = base::Duration::zero();
    }
    return limits;
  }

  const config::MemberSpec& spec;
  AddressBook addresses;
  ConnectionPool pool;
  InlineWaits inline_waits;
  std::atomic<bool> answers_are_large{false};  // the last one filled the usual first read: a guess by all threads
};

}  // namespace cxxproxy::upstream
