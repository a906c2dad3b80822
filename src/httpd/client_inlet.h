// What a client has sent and httpd has not read yet, where our event loop reads its socket.
//
// WHAT    An input filter. The loop reads what has come, without waiting, and asks whether a request can be read whole; httpd
//         then reads it from here like from the network. For a plain connection it sits right above the core and reads the
//         socket itself. With TLS there are two: that one, and one above mod_ssl's filter, which reads through both.
//         On the loop it answers a read that may not wait without asking the system, because whatever has come is here
//         already; that is httpd's look for a pipelined request. On a worker it passes everything on once it is empty, but
//         reads the content of a large request from a plain connection in pieces of up to kLargestRead, where the core takes 8,000 bytes.
// SHAPES  One for each connection that was ever the loop's, in the connection's pool; added at its first adoption.
//         Holds no memory while it is empty, kMostHeld bytes at most otherwise.
// ERRORS  ended() tells that the client has closed, or that its connection failed; the reader of the filter
//         is told by httpd's own filters below.
#pragma once

#include <string>

#include "http/request_scan.h"
#include "httpd/httpd_api.h"

namespace cxxproxy::httpd {

class ClientInlet {
 public:
  static constexpr std::size_t kMostHeld = 64 * 1024;
  static constexpr std::size_t kLargestRead = 256 * 1024;

  // Within a request, or between two. Null when the connection's filters are not as we know them.
  static ClientInlet* make(conn_rec* c, request_rec* r);

  // Takes what has come. Afterwards nothing is left in the socket, or may_have_more() says so.
  void fill();
  bool may_have_more() const noexcept { return more_; }
  // The client sends no more.
  bool ended() const noexcept { return ended_; }
  void more_has_come() noexcept { more_ = true; }
  // No event will tell of it again.
  void end_has_come() noexcept {
    end_has_come_ = true;
    if (below_ != nullptr) below_->end_has_come();
  }
  // Takes what httpd has read from the socket and nobody has used. False: the client has closed.
  bool drain_core();

  bool empty() const noexcept { return begin_ == held_.size(); }
  // Nor is there anything that is still encrypted.
  bool holds_nothing() const noexcept { return empty() && (below_ == nullptr || below_->empty()); }
  http::ScannedRequest scan() const noexcept { return http::scan_request(std::string_view(held_).substr(begin_)); }

  // While the connection is the loop's.
  void on_loop(bool on) noexcept {
    on_loop_ = on;
    if (below_ != nullptr) below_->on_loop(on);
  }

  apr_status_t read(ap_filter_t* self, apr_bucket_brigade* out, ap_input_mode_t mode, apr_read_type_e block, apr_off_t most);

 private:
  ClientInlet(conn_rec* c, core_net_rec* net) noexcept : connection_(c), net_(net) {}
  static ClientInlet* add(ap_filter_rec_t* filter, conn_rec* c, request_rec* r);

  apr_status_t read_large(apr_bucket_brigade* out, std::size_t most);
  void fill_plain();
  void fill_decrypted();
  void take_from_core();
  bool read_through();
  void forget_used();
  void give(apr_bucket_brigade* out, std::size_t size, bool take);
  void give_line(apr_bucket_brigade* out);
  void skip_line_ends() noexcept;

  conn_rec* const connection_;
  core_net_rec* const net_;
  ap_filter_t* self_ = nullptr;
  apr_bucket_brigade* brigade_ = nullptr;
  std::string held_;
  std::size_t begin_ = 0;
  ClientInlet* below_ = nullptr;  // with TLS: the other one
  bool above_mod_ssl_ = false;
  bool fell_short_ = false;       // since the last fill somebody wanted more than was there
  bool more_ = false;
  bool ended_ = false;
  bool end_has_come_ = false;
  bool on_loop_ = false;
};

// This request has content that is worth larger reads.
void read_in_large_pieces(request_rec* r);

void register_client_inlet();

}  // namespace cxxproxy::httpd
