#include "config/field_settings.h"

#include <algorithm>

namespace cxxproxy::config {

bool ForwardedTrust::trusts(const base::IpAddress& peer) const noexcept {
  switch (kind) {
    case Kind::Everybody: return true;
    case Kind::Nobody: return false;
    case Kind::Listed: break;
  }
  return std::any_of(ranges.begin(), ranges.end(), [&](const base::IpRange& range) { return range.contains(peer); });
}

FieldSettings merged(const FieldSettings& outer, const FieldSettings& inner) noexcept {
  FieldSettings result;
  result.reverse_mode = merged(outer.reverse_mode, inner.reverse_mode);
  result.forwarded_fields = merged(outer.forwarded_fields, inner.forwarded_fields);
  result.forwarded_trust = merged(outer.forwarded_trust, inner.forwarded_trust);
  result.error_override = merged(outer.error_override, inner.error_override);
  result.error_codes = outer.error_codes;
  result.error_codes.add(inner.error_codes);
  return result;
}

}  // namespace cxxproxy::config
