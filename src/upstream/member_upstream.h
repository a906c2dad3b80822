// All that a child process keeps for one member: its configuration, addresses and connections.
//
// SHAPES  Made in child_init from the resolved configuration, used by all threads, lives until the
//         child ends. The spec lives as long as the configuration pool, which outlives the child.
#pragma once

#include "config/spec.h"
#include "upstream/address_book.h"
#include "upstream/connection_pool.h"
#include "upstream/inline_waits.h"

namespace cxxproxy::upstream {

struct MemberUpstream {
  MemberUpstream(const config::MemberSpec& member, Resolver& resolver, std::size_t max_idle = SIZE_MAX)
      : spec(member),
        addresses(member.url.socket.empty() ? member.url.host : member.url.socket, member.url.port, member.address_ttl, resolver),
        pool(PoolLimits{member.max, member.reuse, max_idle, member.ttl}) {}

  const config::MemberSpec& spec;
  AddressBook addresses;
  ConnectionPool pool;
  InlineWaits inline_waits;
};

}  // namespace cxxproxy::upstream
