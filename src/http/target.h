// The request target sent to a backend.
//
// WHAT    append_canonical_path() encodes a decoded path as mod_proxy does for reverse requests; it adds a path that
//         is_canonical_path() as it is. is_safe_target() is the last look before a target goes into a request line.
// SHAPES  Letters, digits, '/' and ~$-_.+!*'(),;:@&= stay, every other byte becomes %XX in upper
//         case; so '?', '#', '%', blanks and CTL of a decoded path cannot change its meaning.
// SOURCE  RFC 3986 2, 3.3; RFC 9112 3.2; CVE-2023-25690, CVE-2023-45539, CVE-2013-4547.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace cxxproxy::http {

// AllowEncodedSlashes NoDecode leaves %2F in the decoded path: Keep lets it pass as it is.
enum class EncodedSlashes : std::uint8_t { Encode, Keep };

// Has this decoded path nothing to be encoded?
bool is_canonical_path(std::string_view decoded_path) noexcept;

void append_canonical_path(std::string& out, std::string_view decoded_path, EncodedSlashes slashes);

// Starts with '/' (or is "*"), and holds no CTL, space, DEL or '#'. Bytes from 0x80 on pass: clients
// send them raw in queries, which are forwarded byte for byte.
bool is_safe_target(std::string_view target) noexcept;

}  // namespace cxxproxy::http
