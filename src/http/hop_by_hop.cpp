#include "http/hop_by_hop.h"

#include "base/ascii.h"

namespace cxxproxy::http {
namespace {

using base::iequals;

// Names that Connection must not take away: without them the message means something else.
bool is_protected(std::string_view name) noexcept { return iequals(name, "Host") || iequals(name, "Content-Length"); }

}  // namespace

bool is_hop_by_hop_name(std::string_view name) noexcept {
  switch (name.size()) {
    case 2: return iequals(name, "TE");
    case 7: return iequals(name, "Trailer") || iequals(name, "Upgrade");
    case 10: return iequals(name, "Connection") || iequals(name, "Keep-Alive");
    case 14: return iequals(name, "HTTP2-Settings");
    case 16: return iequals(name, "Proxy-Connection");
    case 17: return iequals(name, "Transfer-Encoding");
    case 18: return iequals(name, "Proxy-Authenticate");
    case 19: return iequals(name, "Proxy-Authorization");
    case 25: return iequals(name, "Proxy-Authentication-Info");
    default: return false;
  }
}

HopByHop::HopByHop(Fields fields) noexcept : fields_(fields) {
  for (const FieldView& field : fields) {
    if (field.name.size() == 10 && iequals(field.name, "Connection")) take(field.value);
  }
}

void HopByHop::take(std::string_view connection) noexcept {
  TokenList tokens(connection);
  for (std::string_view token = tokens.next(); !token.empty(); token = tokens.next()) {
    if (iequals(token, "close")) {
      close_ = true;
    } else if (iequals(token, "keep-alive")) {
      keep_alive_ = true;
    } else if (iequals(token, "upgrade")) {
      upgrade_ = true;
    } else if (is_hop_by_hop_name(token) || is_protected(token)) {
      continue;
    } else if (named_count_ < kInline) {
      named_[named_count_++] = token;
    } else {
      more_named_ = true;
    }
  }
}

bool HopByHop::drops(std::string_view name) const noexcept {
  if (is_hop_by_hop_name(name)) return true;
  if (named_count_ == 0 || is_protected(name)) return false;
  // A field called "Close" is named by `Connection: close` as well; it says nothing, so it may go either way.
  for (std::size_t i = 0; i < named_count_; ++i) {
    if (iequals(named_[i], name)) return true;
  }
  return more_named_ && fields_list(fields_, "Connection", name);
}

}  // namespace cxxproxy::http
