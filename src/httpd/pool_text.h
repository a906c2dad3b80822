// Text in an APR pool, with the NUL behind it that httpd's structures need.
//
// WHAT    joined_in() puts pieces together, digits_in() writes a number: what apr_pstrcat() and apr_psprintf() do, for
//         texts whose length is known and of which every request makes some.
// SHAPES  The text lives as long as the pool.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string_view>

#include "httpd/httpd_api.h"

namespace cxxproxy::httpd {

char* joined_in(apr_pool_t* pool, std::initializer_list<std::string_view> pieces);
char* digits_in(apr_pool_t* pool, std::uint64_t number);

}  // namespace cxxproxy::httpd
