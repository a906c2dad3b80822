// URLs and request targets: canonical forms are stable, encoded paths are safe and decode to what
// went in, and no path can move into the authority.
// Input: one byte of options, then the text.
#include <string>

#include "base/ascii.h"
#include "fuzz_input.h"
#include "http/target.h"
#include "http/url.h"

namespace {

using namespace cxxproxy;
using fuzz::require;

std::string decode(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '%') {
      require(i + 2 < text.size());
      out += static_cast<char>(base::hex_value(text[i + 1]) * 16 + base::hex_value(text[i + 2]));
      i += 2;
    } else {
      out += text[i];
    }
  }
  return out;
}

void check_path(std::string_view path) {
  std::string encoded;
  http::append_canonical_path(encoded, path, http::EncodedSlashes::Encode);
  require(decode(encoded) == path);
  require(http::is_safe_target("/" + encoded));
  require(http::is_canonical_path(path) == (encoded == path));
  require(encoded.find_first_of("?#") == std::string::npos);

  std::string kept;
  http::append_canonical_path(kept, path, http::EncodedSlashes::Keep);
  require(http::is_safe_target("/" + kept));
  require(kept.size() <= encoded.size());

  // The URL that is built from a configured authority and this path keeps that authority.
  const auto url = http::parse_url("http://backend:8080/" + encoded);
  require(static_cast<bool>(url));
  require(url->host == "backend" && url->port == 8080 && url->path == "/" + encoded);
}

void check_url(std::string_view text) {
  const auto url = http::parse_url(text);
  if (!url) {
    require(!url.error().text.empty());
    require(base::is_field_value(url.error().text));
    return;
  }
  require(url->port != 0 && !url->host.empty());
  require(url->path.empty() || url->path.front() == '/');
  for (const char c : url->text()) require(!base::is_control(c) && c != ' ' && c != '#');
  require(url->host.find_first_of("@/?%[]") == std::string::npos);
  require(url->ipv6 == (url->host.find(':') != std::string::npos));
  const auto again = http::parse_url(url->text());
  require(static_cast<bool>(again));
  require(again->text() == url->text() && again->authority() == url->authority());
}

void check_origin(std::string_view text) {
  const std::size_t end = http::origin_end(text);
  require(end <= text.size() && (end == text.size() || std::string_view("/?#").find(text[end]) != std::string_view::npos));
  const auto origin = http::parse_origin(text);
  if (!origin) return;
  require(origin->rest.empty() || std::string_view("/?#").find(origin->rest.front()) != std::string_view::npos);
  require(text.substr(end) == origin->rest);
  require(origin->url.path.empty());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::Input input(data, size);
  const unsigned options = input.byte();
  std::string text(input.rest());
  if ((options & 1u) != 0) text.insert(0, (options & 2u) != 0 ? "http://" : "https://[");
  check_path(text);
  check_url(text);
  check_origin(text);
  if (http::is_safe_target(text)) {
    for (const char c : text) require(!base::is_control(c) && c != ' ' && c != '#');
  }
  return 0;
}
