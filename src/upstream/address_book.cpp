#include "upstream/address_book.h"

#include <utility>

namespace cxxproxy::upstream {

namespace {
// A name that failed is not asked again for each request: the resolver may take seconds to say no.
constexpr base::Duration kRetryAfterFailure = std::chrono::seconds(2);
}  // namespace

AddressBook::AddressBook(std::string host, std::uint16_t port, std::optional<base::Duration> ttl, Resolver& resolver)
    : host_(std::move(host)), port_(port), ttl_(ttl), resolver_(resolver) {}

AddressBook::List AddressBook::addresses(base::Instant now, std::string& error) {
  {
    base::MutexLock lock(mutex_);
    if (list_ && (now < fresh_until_ || refreshing_)) return list_;
    refreshing_ = true;
  }
  auto answer = resolver_.resolve(host_, port_);  // outside the lock: may take seconds
  base::MutexLock lock(mutex_);
  refreshing_ = false;
  if (answer) {
    list_ = std::make_shared<const std::vector<Address>>(std::move(answer.value()));
    fresh_until_ = ttl_ ? now + *ttl_ : base::Instant::max();
  } else {
    error = answer.error();
    if (list_) fresh_until_ = now + kRetryAfterFailure;
  }
  return list_;
}

}  // namespace cxxproxy::upstream
