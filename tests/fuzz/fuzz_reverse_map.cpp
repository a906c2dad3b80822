// ProxyPassReverse: a mapped value starts with the rule's public path, comes from the rule's own
// origin, and holds nothing that the backend did not send.
// Input: one byte of options, then pieces that end with 0xff: Location, and real URLs and public paths in turn.
#include <string>
#include <vector>

#include "base/ascii.h"
#include "fuzz_input.h"
#include "http/reverse_map.h"

namespace {

using namespace cxxproxy;
using fuzz::require;

void check_mapped(std::string_view location, const http::ReverseRule& rule, const std::string& mapped,
                  http::Boundary boundary) {
  require(mapped.starts_with(rule.public_path));
  std::string_view rest = std::string_view(mapped).substr(rule.public_path.size());
  // The slash between public path and rest may be ours, once.
  if (boundary == http::Boundary::Segment && !location.ends_with(rest)) {
    require(rest.starts_with('/'));
    rest.remove_prefix(1);
  }
  require(location.ends_with(rest));
  if (rule.real.scheme.empty()) {
    require(location.starts_with('/') ? !location.starts_with("//") : static_cast<bool>(http::parse_origin(location)));
    return;
  }
  std::string absolute(location);
  if (location.starts_with("//")) {
    require(boundary == http::Boundary::Segment);
    absolute.insert(0, rule.real.scheme + ':');
  }
  const auto origin = http::parse_origin(absolute);
  require(static_cast<bool>(origin));
  require(origin->url.authority() == rule.real.authority() && origin->url.scheme == rule.real.scheme);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::Input input(data, size);
  const auto boundary = (input.byte() & 1u) != 0 ? http::Boundary::Text : http::Boundary::Segment;
  const std::string_view location = input.piece();
  const http::Place place = http::url_in_refresh(location);
  require(place.begin <= location.size() && place.size <= location.size() - place.begin);
  std::vector<http::ReverseRule> rules;
  while (!input.empty() && rules.size() < 8) {
    const std::string_view real = input.piece();
    const auto rule = http::make_reverse_rule(real, input.piece());
    if (rule) rules.push_back(*rule);
  }
  const auto mapped = http::map_back(location, rules, boundary);
  // The same answer as from the rules one by one: the first that maps.
  for (const auto& rule : rules) {
    const auto alone = http::map_back(location, {&rule, 1}, boundary);
    if (!alone) continue;
    require(mapped == alone);
    check_mapped(location, rule, *alone, boundary);
    return 0;
  }
  require(!mapped);
  return 0;
}
