// Which virtual host the requests of a kept connection are for, found once.
//
// WHAT    httpd compares the Host of each request with the names of the virtual hosts on the connection's address, one after another,
//         which with a thousand of them costs as much as all the rest of a small request. A connection whose Host is, byte for byte, that of
//         its request before would come to the same one: it is read as if there were no names, and given that virtual host
//         where httpd would have done so.
// SHAPES  In an Adoption; for requests that the event loop has seen whole. begins() and ends() stand around a request, is_read() is
//         called when httpd has read its head, before any other module sees it.
// ERRORS  Without a plain Host, and where StrictHostCheck is on, httpd searches as always. is_read() is false where httpd has read
//         another host than was seen.
// SOURCE  RFC 9112 3.2, 3.3; docs/decisions/0020-known-host.md
#pragma once

#include <string>
#include <string_view>

#include "httpd/httpd_api.h"

namespace cxxproxy::httpd {

class KnownHost {
 public:
  // `host` as http::ScannedRequest has it.
  void begins(conn_rec& c, std::string_view host);
  bool is_read(request_rec& r);
  void ends(conn_rec& c) noexcept;

 private:
  std::string host_;
  std::string name_;              // what httpd makes of host_
  server_rec* server_ = nullptr;  // of host_; null: not known
  bool learns_ = false;
  void* names_ = nullptr;  // the connection's, while it has none
};

}  // namespace cxxproxy::httpd
