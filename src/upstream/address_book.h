// The addresses of one backend host, looked up again when they are old.
//
// WHAT    Gives the address list of a host; asks the resolver at first use and when the list is
//         older than the time to live. One thread refreshes while the others keep the old list, and
//         the old list stays when the name no longer resolves (serve stale, as ATS HostDB does).
// SHAPES  Thread-safe. The list is shared and immutable.
// ERRORS  Empty pointer only when the name has never resolved.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/mutex.h"
#include "upstream/byte_stream.h"

namespace cxxproxy::upstream {

class AddressBook {
 public:
  using List = std::shared_ptr<const std::vector<Address>>;  // owners: the book and each attempt that walks it

  // Without a time to live the first answer is kept.
  AddressBook(std::string host, std::uint16_t port, std::optional<base::Duration> ttl, Resolver& resolver);

  // `error` receives the resolver's sentence when there is no list at all.
  List addresses(base::Instant now, std::string& error);

 private:
  const std::string host_;
  const std::uint16_t port_;
  const std::optional<base::Duration> ttl_;
  Resolver& resolver_;
  base::Mutex mutex_;
  List list_ CXXPROXY_GUARDED_BY(mutex_);
  base::Instant fresh_until_ CXXPROXY_GUARDED_BY(mutex_){};
  bool refreshing_ CXXPROXY_GUARDED_BY(mutex_) = false;
};

}  // namespace cxxproxy::upstream
