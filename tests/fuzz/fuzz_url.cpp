// Backend URLs: whatever part a request or an answer may have chosen, the authority that comes out is
// the one that stands in front, and writing a URL down and reading it again changes nothing.
//
// Input: one byte of options, an authority up to 0xff, then what follows it.
#include <string>

#include "base/ascii.h"
#include "fuzz_input.h"
#include "http/url.h"

namespace {

using namespace cxxproxy;
using fuzz::require;

void check_clean(const http::Url& url) {
  require(http::default_port_of(url.scheme) != 0);
  require(url.default_port == (url.port == http::default_port_of(url.scheme)));
  const std::string authority = url.authority();
  require(authority.find_first_of("/?#@\\ \t\r\n") == std::string::npos && !authority.empty());
  for (const char c : authority) require(!base::is_control(c) && static_cast<unsigned char>(c) < 0x80);
  require(url.text() == url.scheme + "://" + authority + url.path);
  for (const char c : url.host) require(base::to_lower(c) == c);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::Input input(data, size);
  static constexpr std::string_view kSchemes[] = {"http", "https", "ws", "wss", "HTTP", "fcgi", "unix", ""};
  const unsigned options = input.byte();
  const std::string scheme(kSchemes[options & 7u]);
  const std::string authority(input.piece());
  const std::string rest(input.rest());

  const auto front = http::parse_origin(scheme + "://" + authority);
  if (!front || !front->rest.empty()) return 0;
  check_clean(front->url);
  require(front->url.path.empty());

  // Nothing that begins with '/', '?' or '#' can move the authority.
  for (const char* const start : {"/", "?", "#"}) {
    const std::string text = scheme + "://" + authority + start + rest;
    const auto origin = http::parse_origin(text);
    require(static_cast<bool>(origin) && origin->rest == start + rest);
    require(origin->url.authority() == front->url.authority() && origin->url.scheme == front->url.scheme);
    const auto whole = http::parse_url(text);
    if (!whole) continue;
    check_clean(*whole);
    require(whole->authority() == front->url.authority() && whole->port == front->url.port && whole->ipv6 == front->url.ipv6);
    const auto again = http::parse_url(whole->text());
    require(static_cast<bool>(again) && again->text() == whole->text());
  }
  return 0;
}
