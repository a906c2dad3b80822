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

#include <array>
#include <cstddef>
#include <string_view>

#include "http/field.h"

namespace cxxproxy::http {

// One of the fixed names above.
bool is_hop_by_hop_name(std::string_view name) noexcept;

class HopByHop {
 public:
  explicit HopByHop(Fields fields) noexcept;

  bool drops(std::string_view name) const noexcept;

  // What Connection said about the connection itself; both may be true, then close wins.
  bool says_close() const noexcept { return close_; }
  bool says_keep_alive() const noexcept { return keep_alive_; }
  bool names_upgrade() const noexcept { return upgrade_; }

 private:
  static constexpr std::size_t kInline = 8;

  void take(std::string_view connection) noexcept;

  Fields fields_;
  std::array<std::string_view, kInline> named_{};
  std::size_t named_count_ = 0;
  bool more_named_ = false;  // named_ was too short: the Connection fields are read again
  bool close_ = false;
  bool keep_alive_ = false;
  bool upgrade_ = false;
};

}  // namespace cxxproxy::http
