#include "http/request_scan.h"

#include <algorithm>
#include <optional>

#include "base/ascii.h"
#include "http/framing.h"

namespace cxxproxy::http {
namespace {

// Takes a line with its end; without the end it answers. Nothing: the line has no end yet.
std::optional<std::string_view> take_line(std::string_view& bytes) noexcept {
  const std::size_t end = bytes.find('\n');
  if (end == std::string_view::npos) return std::nullopt;
  std::string_view line = bytes.substr(0, end);
  bytes.remove_prefix(end + 1);
  if (line.ends_with('\r')) line.remove_suffix(1);
  return line;
}

bool needs_dialogue(std::string_view name) noexcept {
  return base::iequals(name, "Transfer-Encoding") || base::iequals(name, "Expect") || base::iequals(name, "Upgrade");
}

// Its target is a path, and fields follow. Two slashes may be read as the beginning of a host.
bool is_origin_form(std::string_view request_line) noexcept {
  const std::size_t first = std::min(request_line.find(' '), request_line.size());
  const std::string_view target = request_line.substr(first);
  const std::size_t second = std::min(target.find(' ', 1), target.size());
  return target.starts_with(" /") && !target.starts_with(" //") && target.substr(second).starts_with(" HTTP/");
}

}  // namespace

ScannedRequest scan_request(std::string_view bytes) noexcept {
  while (bytes.starts_with('\n') || bytes.starts_with("\r\n")) (void)take_line(bytes);
  const auto request_line = take_line(bytes);
  if (!request_line) return {RequestScan::Partial};
  std::optional<std::uint64_t> length;
  std::string_view host;
  unsigned hosts = 0;
  for (;;) {
    const auto line = take_line(bytes);
    if (!line) return {RequestScan::Partial};
    if (line->empty()) break;
    const std::size_t colon = line->find(':');
    if (colon == std::string_view::npos || line->front() == ' ' || line->front() == '\t') return {RequestScan::Other};
    const std::string_view name = base::trim(line->substr(0, colon));
    if (needs_dialogue(name)) return {RequestScan::Other};
    if (base::iequals(name, "Host")) host = ++hosts == 1 ? base::trim(line->substr(colon + 1)) : std::string_view{};
    if (!base::iequals(name, "Content-Length")) continue;
    if (length) return {RequestScan::Other};
    length = parse_length(base::trim(line->substr(colon + 1)));
    if (!length) return {RequestScan::Other};
  }
  if (length.value_or(0) > bytes.size()) return {RequestScan::Other};
  return {RequestScan::Whole, is_origin_form(*request_line) ? host : std::string_view{}};
}

}  // namespace cxxproxy::http
