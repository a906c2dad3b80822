#include "config/location_config.h"

namespace cxxproxy::config {

LocationConfig merge(const LocationConfig& outer, const LocationConfig& inner, AnswerChain& joined) noexcept {
  LocationConfig result;
  result.preserve_host = merged(outer.preserve_host, inner.preserve_host);
  result.add_headers = merged(outer.add_headers, inner.add_headers);
  result.continue_from_backend = merged(outer.continue_from_backend, inner.continue_from_backend);
  result.proxy_timeout = merged(outer.proxy_timeout, inner.proxy_timeout);
  result.interpolate = merged(outer.interpolate, inner.interpolate);
  result.park = merged(outer.park, inner.park);
  result.tunnel_timeout = merged(outer.tunnel_timeout, inner.tunnel_timeout);
  result.route = inner.route != nullptr ? inner.route : outer.route;
  result.fields = merged(outer.fields, inner.fields);
  const AnswerChain* const before = outer.answers == nullptr || outer.answers->says_nothing() ? nullptr : outer.answers;
  const AnswerChain* const after = inner.answers == nullptr || inner.answers->says_nothing() ? nullptr : inner.answers;
  if (before == nullptr || after == nullptr) {
    result.answers = after != nullptr ? after : before;
  } else {
    joined = {before, nullptr, after};
    result.answers = &joined;
  }
  return result;
}

}  // namespace cxxproxy::config
