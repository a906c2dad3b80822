// The head of the request that goes to a backend, written from parts.
//
// WHAT    write_request_head() rebuilds request line and fields; of the client's fields only the
//         end-to-end ones are copied, name and value checked. What describes the connection, the
//         framing, the host and the forwarding client always comes from the input struct.
// SHAPES  Order as mod_proxy sends it: Host, the client's fields with their case kept, Expect,
//         X-Forwarded-*, Content-Length or Transfer-Encoding, Connection. X-Forwarded-For, -Host and
//         -Server are appended to what the client sent (", ") in the place of its field;
//         X-Forwarded-Proto is only added where none
//         is: "RequestHeader set X-Forwarded-Proto https" behind a TLS terminator must keep its word.
//         `out` is cleared and keeps its capacity, so that a warm string is written without
//         allocation; on failure it is empty.
// ERRORS  BadTarget (target, host), BadRequestField (method, names, values) with a detail.
// SOURCE  RFC 9110 7.6; RFC 9112 3, 6; CVE-2021-33193, CVE-2022-31813, CVE-2023-25690.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "http/field.h"
#include "http/problem.h"

namespace cxxproxy::http {

enum class RequestBody : std::uint8_t { None, Length, Chunked };

struct RequestFraming {
  RequestBody kind = RequestBody::None;
  std::uint64_t length = 0;
};

// What the X-Forwarded fields say; an empty text leaves its field as the client sent it.
struct ForwardedFacts {
  bool add = false;              // ProxyAddHeaders
  std::string_view client_ip;    // X-Forwarded-For
  std::string_view client_host;  // X-Forwarded-Host: the client's Host field
  std::string_view server_name;  // X-Forwarded-Server
  std::string_view proto;        // X-Forwarded-Proto where there is none: http or https
};

struct RequestHead {
  std::string_view method;
  std::string_view target;  // path and query as sent
  std::string_view host;    // value of the Host field
  Fields fields;            // as the client sent them
  RequestFraming framing;
  ForwardedFacts forwarded;
  bool http10 = false;  // speak HTTP/1.0; Chunked is then refused
  bool keep_alive = true;
  bool expect_continue = false;
  std::string_view via;      // a whole Via element to append to the client's, empty: Via is copied
  std::string_view upgrade;  // protocol to ask for (Upgrade and Connection: Upgrade), empty: none
};

Problem write_request_head(const RequestHead& head, std::string& out);

}  // namespace cxxproxy::http
