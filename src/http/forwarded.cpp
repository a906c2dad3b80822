#include "http/forwarded.h"

#include "base/ascii.h"
#include "http/clean_text.h"

namespace cxxproxy::http {
namespace {

void append_value(std::string& out, std::string_view value) {
  if (base::is_token(value)) {
    out.append(value);
    return;
  }
  out += '"';
  for (const char c : value) {
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  out += '"';
}

}  // namespace

void append_forwarded(std::string& out, const ForwardedElement& element) {
  bool first = true;
  const auto parameter = [&](std::string_view name, std::string_view value, bool bracketed) {
    if (value.empty() || !is_clean_text(value)) return;
    if (!first) out += ';';
    first = false;
    out.append(name).append(1, '=');
    if (bracketed) {
      out.append("\"[").append(value).append("]\"");
    } else {
      append_value(out, value);
    }
  };
  parameter("for", element.client_ip, element.client_ip.find(':') != std::string_view::npos);
  parameter("host", element.host, false);
  parameter("proto", element.proto, false);
}

}  // namespace cxxproxy::http
