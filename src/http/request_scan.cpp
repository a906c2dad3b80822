#include "http/request_scan.h"

#include <algorithm>
#include <optional>

#include "base/ascii.h"
#include "http/field_name.h"
#include "http/framing.h"

namespace cxxproxy::http {
namespace {

// Its target is a path, and fields follow. Two slashes may be read as the beginning of a host.
bool is_origin_form(std::string_view request_line) noexcept {
  const std::size_t first = std::min(request_line.find(' '), request_line.size());
  const std::string_view target = request_line.substr(first);
  const std::size_t second = std::min(target.find(' ', 1), target.size());
  return target.starts_with(" /") && !target.starts_with(" //") && target.substr(second).starts_with(" HTTP/");
}

}  // namespace

ScannedRequest scan_request(std::string_view bytes) noexcept {
  std::string_view request_line;
  std::optional<std::uint64_t> length;
  std::string_view host;
  unsigned hosts = 0;
  for (;;) {
    const std::size_t end = bytes.find('\n');
    if (end == std::string_view::npos) return {RequestScan::Partial};
    std::string_view line = bytes.substr(0, end);
    bytes.remove_prefix(end + 1);
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (request_line.empty()) {
      request_line = line;
      continue;
    }
    if (line.empty()) break;
    const std::size_t colon = line.find(':');
    if (colon == std::string_view::npos || line.front() == ' ' || line.front() == '\t') return {RequestScan::Other};
    const std::string_view value = line.substr(colon + 1);
    switch (field_name(base::trim(line.substr(0, colon)))) {
      case FieldName::TransferEncoding:
      case FieldName::Expect:
      case FieldName::Upgrade: return {RequestScan::Other};
      case FieldName::Host: host = ++hosts == 1 ? base::trim(value) : std::string_view{}; break;
      case FieldName::ContentLength:
        if (length) return {RequestScan::Other};
        length = parse_length(base::trim(value));
        if (!length) return {RequestScan::Other};
        break;
      default: break;
    }
  }
  if (length.value_or(0) > bytes.size()) return {RequestScan::Other};
  return {RequestScan::Whole, is_origin_form(request_line) ? host : std::string_view{}};
}

}  // namespace cxxproxy::http
