// The fields of a backend's answer as httpd's response tables need them.
//
// WHAT    answer_fields() copies the end-to-end fields in their order, with URLs and cookies mapped to this server
//         (ProxyPassReverse and its like) and old date formats rewritten.
//         What the engine decided about the body's length is what counts: one length, or none.
// SHAPES  All memory is the request's. As mod_proxy does it: Set-Cookie fields come last, behind those that other
//         modules put into `earlier`, the table that this one replaces; nothing else of that one stays.
// SOURCE  config/answer_rules.h decides; httpd's ap_construct_url names this server; RFC 9110 5.6.7 (dates), 7.6.1.
#pragma once

#include <cstdint>
#include <optional>

#include "http/response_head_parser.h"
#include "httpd/httpd_api.h"

namespace cxxproxy::httpd {

struct AnswerWishes {
  const apr_table_t* earlier = nullptr;
  const char* via = nullptr;  // this proxy's element, null: none is added
  // What the client is told, in the place of the backend's Content-Length fields; unset: nothing.
  std::optional<std::uint64_t> length{};
};

struct AnswerFields {
  apr_table_t* table;
  const char* type;  // of the first Content-Type, or null
};

AnswerFields answer_fields(request_rec* r, const http::ResponseHead& head, const AnswerWishes& wishes);

}  // namespace cxxproxy::httpd
