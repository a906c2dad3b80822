// The half of the client side that answers: status and fields into the request_rec, the body through its filters.
#include <linux/sock_diag.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <charconv>
#include <cstdlib>

#include "exchange/exchange.h"
#include "http/field.h"
#include "httpd/answer_fields.h"
#include "httpd/child_state.h"
#include "httpd/client_session.h"
#include "httpd/client_side.h"
#include "httpd/client_socket.h"
#include "httpd/pool_text.h"
#include "httpd/httpd_api.h"

namespace cxxproxy::httpd {

namespace {

// The close that follows sends a reset (and no close_notify with TLS) instead of an orderly end.
void reset_client(conn_rec* connection) {
  if (const int descriptor = client_descriptor(*connection); descriptor >= 0) {
    const linger at_once{1, 0};
    (void)::setsockopt(descriptor, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
  }
  connection->aborted = 1;
}

void take_status(request_rec* r, const http::ResponseHead& head) {
  r->status = head.status;
  char number[] = "    ";
  (void)std::to_chars(number, number + 3, head.status);  // it has three digits
  const std::string_view start(number);
  const std::string_view usual(ap_get_status_line(head.status));
  const bool is_usual = usual.starts_with(start) && usual.substr(start.size()) == head.reason;
  r->status_line = is_usual ? usual.data() : joined_in(r->pool, {start, head.reason});
}

}  // namespace

const char* ClientSide::take_answer_head(const exchange::AnswerHead& answer) {
  take_status(r_, answer.head);
  const AnswerFields fields = answer_fields(r_, answer.head, {.earlier = fields_before_, .via = via_, .length = answer.length});
  r_->headers_out = fields.table;
  if (const config::BalancerSpec* const balancer = errand_.target.balancer; balancer != nullptr) {
    set_session_cookie(r_, *balancer, child_state()->session_tokens(*balancer), *member_, session_.value_or(balancer::Session{}));
  }
  return fields.type;
}

bool ClientSide::send_interim(const http::ResponseHead& head) {
  apr_table_t* const fields = r_->headers_out;
  const int status = r_->status;
  const char* const status_line = r_->status_line;
  r_->headers_out = answer_fields(r_, head, {.via = via_}).table;  // RFC 9110 8.6: a 1xx has no length
  take_status(r_, head);
  ap_send_interim_response(r_, 1);
  r_->headers_out = fields;
  r_->status = status;
  r_->status_line = status_line;
  return !r_->connection->aborted;
}

namespace {

int add_to(void* table, const char* name, const char* value) {
  apr_table_addn(static_cast<apr_table_t*>(table), name, value);
  return 1;
}

}  // namespace

// As mod_proxy leaves it to httpd: the fields of the answer in headers_out, which an own page does not use, and what
// asks for a password in err_headers_out, which it does.
void ClientSide::replace_answer() {
  replaced_status_ = r_->status;
  if (r_->status == HTTP_UNAUTHORIZED) {
    apr_table_unset(r_->err_headers_out, "WWW-Authenticate");
    apr_table_do(add_to, r_->err_headers_out, r_->headers_out, "WWW-Authenticate", nullptr);
  }
  apr_table_setn(r_->notes, "proxy-error-override", "1");
  // HTTP_OK lets httpd look for the ErrorDocument. Where this request is one, the status of the first error tells
  // it that its own page must do: the document would be asked for again and again otherwise.
  r_->status = settings_.fields->overrides(original_status_) ? original_status_ : HTTP_OK;
}

void ClientSide::send_head(const exchange::AnswerHead& answer) {
  const char* const type = take_answer_head(answer);
  r_->content_type = type_before_;
  if (type != nullptr) ap_set_content_type(r_, type);
  if (!answer.request_taken) r_->connection->keepalive = AP_CONN_CLOSE;
  if (settings_.fields->overrides(r_->status)) {
    replace_answer();
    return;
  }
  // The page for an error comes from a backend as well, and went well: the error is still what the client is told.
  if (settings_.fields->overrides(original_status_) && !r_->header_only && r_->status != HTTP_NO_CONTENT && r_->status != HTTP_NOT_MODIFIED) {
    r_->status = original_status_;
    r_->status_line = original_status_line_;
  }
  streams_ = answer.body_follows && !answer.length;
  if (r_->header_only && r_->proto_num >= HTTP_VERSION(1, 1) && http::fields_list(answer.head.fields, "Transfer-Encoding", "chunked")) {
    apr_table_setn(r_->headers_out, "Transfer-Encoding", "chunked");  // what a GET would have got
  }
}

// The core's output filter waits for the client when it has this much that the socket does not take; below it a write never blocks.
constexpr std::size_t kBelowFlushThreshold = 56 * 1024;
// What it keeps of so little is not worth a look at the client before more is read.
constexpr std::size_t kLittle = 4 * 1024;

namespace {

// The core would write so much at once. The kernel counts more than the bytes themselves.
bool client_has_room(const conn_rec& c, std::size_t bytes) {
  if (!writes_at_once(c)) return false;
  std::uint32_t memory[SK_MEMINFO_VARS] = {};
  socklen_t size = sizeof memory;
  if (::getsockopt(client_descriptor(c), SOL_SOCKET, SO_MEMINFO, memory, &size) != 0) return false;
  return memory[SK_MEMINFO_SNDBUF] >= memory[SK_MEMINFO_WMEM_QUEUED] + 2 * bytes;
}

}  // namespace

bool ClientSide::has_room(std::size_t bytes) { return !never_block_ || client_has_room(*r_->connection, bytes); }

std::span<char> ClientSide::lend_buffer(std::size_t want) {
  if (!never_block_) want = std::min(want, exchange::kBodyBuffer);
  else if (want > kBelowFlushThreshold && !client_has_room(*r_->connection, want)) want = kBelowFlushThreshold;
  if (lent_ != nullptr && (lent_size_ < want || lent_size_ / 4 > want)) {
    std::free(lent_);
    lent_ = nullptr;
  }
  if (lent_ == nullptr) {
    lent_ = static_cast<char*>(std::malloc(want));
    if (lent_ == nullptr) std::abort();  // as httpd does when memory is gone
    lent_size_ = want;
  }
  return {lent_, want};
}

void ClientSide::send_lent(std::size_t offset, std::size_t size) {
  passed_ += size;
  // A short piece of a large buffer is copied, so that a slow client does not hold the whole buffer.
  if (size < lent_size_ / 4) {
    APR_BRIGADE_INSERT_TAIL(answer_, apr_bucket_heap_create(lent_ + offset, size, nullptr, r_->connection->bucket_alloc));
    return;
  }
  apr_bucket* bucket = apr_bucket_heap_create(lent_, lent_size_, std::free, r_->connection->bucket_alloc);
  bucket->start = static_cast<apr_off_t>(offset);
  bucket->length = size;
  lent_ = nullptr;
  APR_BRIGADE_INSERT_TAIL(answer_, bucket);
}

void ClientSide::send_borrowed(std::string_view bytes) {
  passed_ += bytes.size();
  APR_BRIGADE_INSERT_TAIL(answer_, apr_bucket_transient_create(bytes.data(), bytes.size(), r_->connection->bucket_alloc));
}

bool ClientSide::pass_brigade() {
  const bool was_aborted = r_->connection->aborted != 0;
  const bool is_end = !APR_BRIGADE_EMPTY(answer_) && APR_BUCKET_IS_EOS(APR_BRIGADE_LAST(answer_));
  const apr_status_t status = ap_pass_brigade(r_->output_filters, answer_);
  apr_brigade_cleanup(answer_);
  // mod_http2 marks a stream's connection as aborted once it has sent the end, which may be before we are back here.
  if (is_end && r_->connection->master != nullptr && !was_aborted) return status == APR_SUCCESS;
  return status == APR_SUCCESS && !r_->connection->aborted;
}

bool ClientSide::client_is_writable() const {
  pollfd client{client_descriptor(*r_->connection), POLLOUT, 0};
  return client.fd < 0 || ::poll(&client, 1, 0) != 0;
}

// What the client has not taken stays in the core's output filter. An empty brigade asks it to try again,
// which does not wait; the few bytes that it still keeps from a client that would take them, because they
// are not worth a write of their own, are flushed.
bool ClientSide::drained() {
  conn_rec* const c = r_->connection;
  if (!never_block_ || (!c->data_in_output_filters && !flush_owed_)) {
    passed_ = 0;
    return true;
  }
  if (!flush_owed_ && passed_ <= kLittle) return true;
  if (!client_is_writable()) return false;
  if (passed_ > kLittle) {
    push(false);
    if (!c->data_in_output_filters && !flush_owed_) {
      passed_ = 0;
      return true;
    }
    if (!client_is_writable()) return false;
  }
  push(true);
  flush_owed_ = false;
  passed_ = 0;
  return !c->data_in_output_filters || c->aborted;
}

// From the first filter when there may be something in the request's filters, else from the connection's.
void ClientSide::push(bool flush) {
  conn_rec* const c = r_->connection;
  if (push_ == nullptr) push_ = apr_brigade_create(r_->pool, c->bucket_alloc);
  if (flush) APR_BRIGADE_INSERT_TAIL(push_, apr_bucket_flush_create(c->bucket_alloc));
  (void)ap_pass_brigade(flush ? r_->output_filters : c->output_filters, push_);
  apr_brigade_cleanup(push_);
}

void ClientSide::about_to_wait() {
  std::free(lent_);
  lent_ = nullptr;
  if (tunnel_) clear_request_body();  // the engine has taken or copied it, and it holds a whole buffer of the core's filter
}

bool ClientSide::pass(bool flush) {
  // A flush waits for the client to take everything: first offer it without one.
  flush_owed_ = flush_owed_ || (flush && never_block_);
  if (flush && !never_block_) APR_BRIGADE_INSERT_TAIL(answer_, apr_bucket_flush_create(r_->connection->bucket_alloc));
  if (!APR_BRIGADE_EMPTY(answer_)) {
    streams_ = false;
    if (!pass_brigade()) return false;
  }
  if (flush && never_block_) (void)drained();
  return !r_->connection->aborted;
}

bool ClientSide::finish() {
  // An answer without a length stays one, as with mod_proxy: httpd would count a body that comes with its
  // end in one piece, and what a client gets would depend on how the backend's bytes happened to arrive.
  if (streams_ && !APR_BRIGADE_EMPTY(answer_) && !pass(false)) return false;
  APR_BRIGADE_INSERT_TAIL(answer_, apr_bucket_eos_create(r_->connection->bucket_alloc));
  return pass_brigade();
}

void ClientSide::cut() {
  // The error bucket keeps httpd from writing a last chunk or keeping the connection, and makes
  // mod_http2 reset the stream; no_cache keeps half an answer out of mod_cache.
  r_->no_cache = 1;
  if (r_->main != nullptr) r_->main->no_cache = 1;
  r_->connection->keepalive = AP_CONN_CLOSE;
  apr_bucket_alloc_t* const allocator = r_->connection->bucket_alloc;
  const bool ends_by_close = body_ends_by_close();
  if (ends_by_close) APR_BRIGADE_INSERT_TAIL(answer_, apr_bucket_flush_create(allocator));
  APR_BRIGADE_INSERT_TAIL(answer_, ap_bucket_error_create(HTTP_BAD_GATEWAY, nullptr, r_->pool, allocator));
  APR_BRIGADE_INSERT_TAIL(answer_, apr_bucket_eos_create(allocator));
  (void)pass_brigade();
  if (ends_by_close) reset_client(r_->connection);
}

// The client has neither a length nor chunks: an orderly close would look like the end of the body.
bool ClientSide::body_ends_by_close() const {
  return r_->connection->master == nullptr && r_->chunked == 0 && r_->header_only == 0 &&
         apr_table_get(r_->headers_out, "Content-Length") == nullptr;
}

}  // namespace cxxproxy::httpd
