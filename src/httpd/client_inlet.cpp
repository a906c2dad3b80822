#include "httpd/client_inlet.h"

#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <memory>
#include <string_view>

#include "httpd/client_socket.h"
#include "httpd/guard.h"
#include "httpd/pool_object.h"
#include "httpd/seat.h"
#include "net/loop_threads.h"
#include "httpd/httpd_api.h"

namespace cxxproxy::httpd {
namespace {

constexpr std::size_t kOneRead = 16 * 1024;
constexpr std::size_t kWorthLargeReads = 8 * 1024;
constexpr std::size_t kKeptCapacity = 4 * 1024;
// mod_ssl's, as the server knows it, and what it decrypts at once; a record may be longer.
constexpr std::string_view kSslFilter = "ssl/tls filter";
constexpr std::size_t kSslBuffer = AP_IOBUFSIZE;

ap_filter_rec_t* g_plain = nullptr;
ap_filter_rec_t* g_tls = nullptr;

apr_status_t read_filter(ap_filter_t* filter, apr_bucket_brigade* out, ap_input_mode_t mode, apr_read_type_e block, apr_off_t most) noexcept {
  return guard("input filter", static_cast<apr_status_t>(APR_EGENERAL), [&] {
    return static_cast<ClientInlet*>(filter->ctx)->read(filter, out, mode, block, most);
  });
}

}  // namespace

ClientInlet* ClientInlet::add(ap_filter_rec_t* filter, conn_rec* c, request_rec* r) {
  core_net_rec* const net = core_net(c);
  if (net == nullptr) return nullptr;
  auto* const inlet = own_in_pool(c->pool, std::unique_ptr<ClientInlet>(new ClientInlet(c, net)));
  inlet->brigade_ = apr_brigade_create(c->pool, c->bucket_alloc);
  inlet->self_ = ap_add_input_filter_handle(filter, inlet, r, c);
  return inlet->self_ != nullptr && inlet->self_->next != nullptr ? inlet : nullptr;
}

ClientInlet* ClientInlet::make(conn_rec* c, request_rec* r) {
  ClientInlet* const plain = add(g_plain, c, r);
  if (plain == nullptr || ap_ssl_conn_is_ssl(c) == 0) return plain;
  ClientInlet* const inlet = add(g_tls, c, r);
  if (inlet == nullptr) return nullptr;
  inlet->below_ = plain;
  inlet->above_mod_ssl_ = std::string_view(inlet->self_->next->frec->name) == kSslFilter;
  return inlet;
}

void ClientInlet::fill() {
  more_ = false;
  forget_used();
  if (below_ != nullptr) {
    fill_decrypted();
  } else {
    fill_plain();
  }
  // mod_ssl's filter tells a reader that cannot wait of no end without a close_notify: there is nothing, it says.
  const bool no_more_comes = end_has_come_ || (below_ != nullptr && below_->ended_);
  if (no_more_comes && !more_) ended_ = true;
}

// No memory for what was read.
void ClientInlet::forget_used() {
  if (!empty()) return;
  held_.clear();
  begin_ = 0;
  if (held_.capacity() > kKeptCapacity) held_.shrink_to_fit();
}

void ClientInlet::fill_plain() {
  take_from_core();
  const int descriptor = client_descriptor(*connection_);
  char bytes[kOneRead];
  while (held_.size() - begin_ < kMostHeld) {
    const ssize_t got = ::recv(descriptor, bytes, sizeof bytes, MSG_DONTWAIT);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) {
      if (got == 0 || (errno != EAGAIN && errno != EWOULDBLOCK)) ended_ = true;
      return;
    }
    held_.append(bytes, static_cast<std::size_t>(got));
    // Less than asked for: what comes from now on makes an event of its own.
    // The end may have come together with the last bytes, in an event that has been.
    if (static_cast<std::size_t>(got) < sizeof bytes && !end_has_come_) return;
  }
  more_ = true;
}

// What has come is read below first, so that mod_ssl's reads cost no system call.
void ClientInlet::fill_decrypted() {
  below_->fell_short_ = false;
  below_->fill();
  bool goes_on = true;
  while (goes_on && held_.size() - begin_ < kMostHeld) {
    const std::size_t before = held_.size();
    goes_on = read_through();
    // OpenSSL takes the length of a record and then the record. Where it had both and nothing is left, another read is in vain.
    const bool whole = above_mod_ssl_ && held_.size() - before < kSslBuffer;
    if (whole && below_->empty() && !below_->fell_short_) goes_on = false;
  }
  more_ = goes_on || below_->may_have_more();
  below_->forget_used();
}

// False: there is nothing more at the moment.
bool ClientInlet::read_through() {
  const apr_status_t status = ap_get_brigade(self_->next, brigade_, AP_MODE_READBYTES, APR_NONBLOCK_READ, kOneRead);
  if (APR_STATUS_IS_EAGAIN(status) || (status == APR_SUCCESS && APR_BRIGADE_EMPTY(brigade_))) return false;
  apr_size_t size = kOneRead;
  char bytes[kOneRead];
  const bool good = status == APR_SUCCESS && apr_brigade_flatten(brigade_, bytes, &size) == APR_SUCCESS && size > 0;
  if (good) held_.append(bytes, size);
  else ended_ = true;
  apr_brigade_cleanup(brigade_);
  return good;
}

bool ClientInlet::drain_core() {
  if (below_ != nullptr || kept_by_core(*net_) > 0) {
    while (held_.size() - begin_ < kMostHeld && read_through()) {
    }
  }
  return !ended_ && kept_by_core(*net_) == 0;
}

// There may be some when somebody has waited for the client on the loop.
void ClientInlet::take_from_core() {
  while (kept_by_core(*net_) > 0 && read_through()) {
  }
}

apr_status_t ClientInlet::read_large(apr_bucket_brigade* out, std::size_t most) {
  const std::size_t size = std::min(most, kLargestRead);
  auto* const bytes = static_cast<char*>(std::malloc(size));
  if (bytes == nullptr) return APR_ENOMEM;
  ssize_t got = 0;
  do {
    got = ::recv(client_descriptor(*connection_), bytes, size, MSG_DONTWAIT);
  } while (got < 0 && errno == EINTR);
  if (got <= 0) {
    const apr_status_t status = got == 0 ? APR_EOF : APR_FROM_OS_ERROR(errno);
    std::free(bytes);
    return status;
  }
  // Little in a large piece of memory is copied.
  const auto length = static_cast<std::size_t>(got);
  const bool copies = length < size / 4;
  APR_BRIGADE_INSERT_TAIL(out, apr_bucket_heap_create(bytes, length, copies ? nullptr : std::free, connection_->bucket_alloc));
  if (copies) std::free(bytes);
  return APR_SUCCESS;
}

// Heap buckets: a reader may keep them.
void ClientInlet::give(apr_bucket_brigade* out, std::size_t size, bool take) {
  APR_BRIGADE_INSERT_TAIL(out, apr_bucket_heap_create(held_.data() + begin_, size, nullptr, connection_->bucket_alloc));
  if (take) begin_ += size;
}

// Who reads lines copies a whole one at once; what is no whole line may be kept until the rest of it comes.
void ClientInlet::give_line(apr_bucket_brigade* out) {
  const std::size_t end = held_.find('\n', begin_);
  const std::size_t size = end == std::string::npos ? held_.size() - begin_ : end + 1 - begin_;
  if (end == std::string::npos || size > HUGE_STRING_LEN) return give(out, std::min<std::size_t>(size, HUGE_STRING_LEN), true);
  APR_BRIGADE_INSERT_TAIL(out, apr_bucket_transient_create(held_.data() + begin_, size, connection_->bucket_alloc));
  begin_ += size;
}

void ClientInlet::skip_line_ends() noexcept {
  while (!empty() && (held_[begin_] == '\r' || held_[begin_] == '\n')) ++begin_;
}

apr_status_t ClientInlet::read(ap_filter_t* self, apr_bucket_brigade* out, ap_input_mode_t mode, apr_read_type_e block, apr_off_t most) {
  if (mode == AP_MODE_INIT) return ap_get_brigade(self->next, out, mode, block, most);
  if (mode == AP_MODE_EATCRLF) skip_line_ends();
  if (empty()) {
    fell_short_ = true;
    if (on_loop_ && block == APR_NONBLOCK_READ && !ended_ && kept_by_core(*net_) == 0) return APR_EAGAIN;
    if (on_loop_ && block == APR_BLOCK_READ) net::LoopThreads::let_others_go_on();
    if (mode == AP_MODE_READBYTES && below_ == nullptr && most >= static_cast<apr_off_t>(kWorthLargeReads)) {
      if (const apr_off_t kept = kept_by_core(*net_); kept > 0) return ap_get_brigade(self->next, out, mode, block, std::min(most, kept));
      const apr_status_t status = read_large(out, static_cast<std::size_t>(most));
      if (!APR_STATUS_IS_EAGAIN(status) || block == APR_NONBLOCK_READ) return status;
    }
    return ap_get_brigade(self->next, out, mode, block, most);
  }
  const std::size_t held = held_.size() - begin_;
  if (static_cast<apr_off_t>(held) < most) fell_short_ = true;
  switch (mode) {
    case AP_MODE_EATCRLF: return APR_SUCCESS;
    case AP_MODE_GETLINE: give_line(out); return APR_SUCCESS;
    case AP_MODE_READBYTES:
    case AP_MODE_SPECULATIVE:
      give(out, std::min(held, static_cast<std::size_t>(std::max<apr_off_t>(most, 0))), mode == AP_MODE_READBYTES);
      return APR_SUCCESS;
    default:  // AP_MODE_EXHAUSTIVE
      give(out, held, true);
      return APR_SUCCESS;
  }
}

void read_in_large_pieces(request_rec* r) {
  Seat* const seat = r->connection->master == nullptr ? seat_of(r->connection) : nullptr;
  if (seat != nullptr && seat->inlet == nullptr) seat->inlet = ClientInlet::make(r->connection, r);
}

void register_client_inlet() {
  // Right above the core, below everything that looks at the network's bytes.
  g_plain = ap_register_input_filter("CXXPROXY_INLET", read_filter, nullptr, static_cast<ap_filter_type>(AP_FTYPE_NETWORK - 1));
  g_tls = ap_register_input_filter("CXXPROXY_INLET_TLS", read_filter, nullptr, AP_FTYPE_CONNECTION);
}

}  // namespace cxxproxy::httpd
