#include "http/hop_by_hop.h"

#include "base/ascii.h"

namespace cxxproxy::http {
namespace {

using base::iequals;

// Without these the message would mean something else.
bool is_protected(FieldName name) noexcept { return name == FieldName::Host || name == FieldName::ContentLength; }

}  // namespace

HopByHop::HopByHop(Fields fields) noexcept : fields_(fields) {
  for (const FieldView& field : fields) {
    if (field.name.size() == 10 && iequals(field.name, "Connection")) take(field.value);
  }
}

void HopByHop::take(std::string_view connection) noexcept {
  bool names_others = false;
  TokenList tokens(connection);
  for (std::string_view token = tokens.next(); !token.empty(); token = tokens.next()) {
    if (iequals(token, "close")) {
      close_ = true;
    } else if (iequals(token, "keep-alive")) {
      keep_alive_ = true;
    } else if (iequals(token, "upgrade")) {
      upgrade_ = true;
    } else if (const FieldName name = field_name(token); !is_hop_by_hop(name) && !is_protected(name)) {
      names_others = true;
    }
  }
  if (!names_others) return;
  more_naming_ = !naming_.empty();
  naming_ = connection;
}

bool HopByHop::names(FieldName known, std::string_view name) const noexcept {
  if (is_protected(known)) return false;
  // A field called "Close" is named by `Connection: close` as well; it says nothing, so it may go either way.
  return list_has(naming_, name) || (more_naming_ && fields_list(fields_, "Connection", name));
}

}  // namespace cxxproxy::http
