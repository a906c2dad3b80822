#include "httpd/pool_text.h"

#include <algorithm>
#include <charconv>

#include "httpd/httpd_api.h"

namespace cxxproxy::httpd {

char* joined_in(apr_pool_t* pool, std::initializer_list<std::string_view> pieces) {
  std::size_t size = 1;
  for (const std::string_view piece : pieces) size += piece.size();
  auto* const text = static_cast<char*>(apr_palloc(pool, size));
  char* at = text;
  for (const std::string_view piece : pieces) at = std::copy(piece.begin(), piece.end(), at);
  *at = '\0';
  return text;
}

char* digits_in(apr_pool_t* pool, std::uint64_t number) {
  constexpr std::size_t kMost = 21;
  auto* const text = static_cast<char*>(apr_palloc(pool, kMost));
  *std::to_chars(text, text + kMost - 1, number).ptr = '\0';
  return text;
}

}  // namespace cxxproxy::httpd
