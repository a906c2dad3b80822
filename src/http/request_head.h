// The head of the request that goes to a backend, written from parts.
//
// WHAT    write_request_head() rebuilds request line and fields; of the client's fields only the
//         end-to-end ones are copied, name and value checked. What describes the connection, the
//         framing, the host and the forwarding client always comes from the input struct.
// SHAPES  Order as mod_proxy sends it: Host, the client's fields with their case kept (its Expect too, where
//         the expectation is passed on), Via, Expect, X-Forwarded-*, Forwarded, Content-Length or
//         Transfer-Encoding, Connection. X-Forwarded-For, -Host, -Server, Forwarded and Via
//         are appended to what the client sent (", ") in the place of its field; X-Forwarded-Proto
//         and -Port are only added where none is: "RequestHeader set X-Forwarded-Proto https" behind
//         a TLS terminator must keep its word. Of a client that is not trusted none of these
//         fields but Via is copied, whether we add one or not.
//         `out` is cleared and keeps its capacity, so that a warm string is written without
//         allocation; on failure it is empty.
// ERRORS  BadTarget (target, host), BadRequestField (method, names, values) with a detail.
// SOURCE  RFC 9110 7.6; RFC 9112 3, 6; CVE-2021-33193, CVE-2022-31813, CVE-2023-25690.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "http/field.h"
#include "http/forwarded.h"
#include "http/problem.h"

namespace cxxproxy::http {

enum class RequestBody : std::uint8_t { None, Length, Chunked };

struct RequestFraming {
  RequestBody kind = RequestBody::None;
  std::uint64_t length = 0;
};

// What the X-Forwarded fields and Forwarded say; an empty text leaves its field as the client sent it.
struct ForwardedFacts {
  bool add = false;              // ProxyAddHeaders
  unsigned fields = kUsualForwarded;  // which of them, bits of ForwardedField
  std::string_view client_ip{};    // X-Forwarded-For
  std::string_view client_host{};  // X-Forwarded-Host: the client's Host field
  std::string_view server_name{};  // X-Forwarded-Server
  std::string_view proto{};        // X-Forwarded-Proto where there is none: http or https
  std::string_view port{};         // X-Forwarded-Port where there is none
  std::string_view element{};      // Forwarded: a whole element
  bool trust_client = true;
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
  bool drop_via = false;     // or not even that
  std::string_view upgrade;  // protocol to ask for (Upgrade and Connection: Upgrade), empty: none
};

Problem write_request_head(const RequestHead& head, std::string& out);

}  // namespace cxxproxy::http
