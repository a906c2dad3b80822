// Which fields end at this proxy.
//
// WHAT    Looks once at the Connection fields of a message and then says for each field whether it
//         is dropped. The fixed names are dropped whatever Connection says: Connection, Keep-Alive,
//         HTTP2-Settings, Proxy-Connection, Proxy-Authenticate, Proxy-Authentication-Info,
//         Proxy-Authorization, TE, Trailer, Transfer-Encoding, Upgrade. Whoever adds fields
//         of its own (X-Forwarded-For ...) adds them after this filter, so that no Connection token
//         can take them away.
// SHAPES  Keeps the span it was made from; no allocation. Connection can never remove what frames
//         or addresses the message: Host, Content-Length.
// SOURCE  RFC 9110 7.6.1, 11.7 (Proxy-Auth*; mod_proxy lets some of them through);
//         CVE-2022-31813, CVE-2014-0117.
#pragma once

#include <string_view>

#include "http/field.h"
#include "http/field_name.h"

namespace cxxproxy::http {

class HopByHop {
 public:
  explicit HopByHop(Fields fields) noexcept;

  bool drops(std::string_view name) const noexcept { return drops(field_name(name), name); }
  // For who knows already which one it is.
  bool drops(FieldName known, std::string_view name) const noexcept {
    return is_hop_by_hop(known) || (!naming_.empty() && names(known, name));
  }

  // What Connection said about the connection itself; both may be true, then close wins.
  bool says_close() const noexcept { return close_; }
  bool says_keep_alive() const noexcept { return keep_alive_; }
  bool names_upgrade() const noexcept { return upgrade_; }

 private:
  void take(std::string_view connection) noexcept;
  bool names(FieldName known, std::string_view name) const noexcept;

  Fields fields_;
  std::string_view naming_{};  // a Connection value that names fields of its own
  bool more_naming_ = false;   // and it is not the only one
  bool close_ = false;
  bool keep_alive_ = false;
  bool upgrade_ = false;
};

}  // namespace cxxproxy::http
