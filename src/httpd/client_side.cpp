#include "httpd/client_side.h"

#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "base/ascii.h"
#include "exchange/exchange.h"
#include "http/forwarded.h"
#include "http/framing.h"
#include "http/hop_by_hop.h"
#include "http/method.h"
#include "http/request_head.h"
#include "httpd/answer_fields.h"
#include "httpd/client_session.h"
#include "httpd/client_socket.h"
#include "httpd/exchange_log.h"
#include "httpd/request_key.h"
#include "httpd/via.h"
#include "httpd/httpd_api.h"

namespace cxxproxy::httpd {

using base::ProxyErrc;
using exchange::BodyKind;
using exchange::BodyPart;

namespace {

std::string_view view(const char* text) noexcept { return text != nullptr ? std::string_view(text) : std::string_view{}; }

// Conditions of the main request are not those of a document that is included into it.
bool is_condition(std::string_view name) noexcept {
  return base::iequals(name, "If-Match") || base::iequals(name, "If-None-Match") || base::iequals(name, "If-Modified-Since") ||
         base::iequals(name, "If-Unmodified-Since") || base::iequals(name, "If-Range");
}

http::BadHeaderRule bad_header_rule(config::BadHeader setting) noexcept {
  switch (setting) {
    case config::BadHeader::Skip: return http::BadHeaderRule::Skip;
    case config::BadHeader::StartBody: return http::BadHeaderRule::StartBody;
    case config::BadHeader::Refuse: break;
  }
  return http::BadHeaderRule::Refuse;
}

}  // namespace

ClientSide::ClientSide(request_rec* r, const Errand& errand, const RequestSettings& settings)
    : r_(r),
      errand_(errand),
      fields_before_(r->headers_out),
      type_before_(r->content_type),
      settings_(settings),
      via_(via_element(r, settings.via)),
      original_status_(r->status),
      original_status_line_(r->status_line),
      answer_(apr_brigade_create(r->pool, r->connection->bucket_alloc)) {
  const apr_array_header_t* table = apr_table_elts(r->headers_in);
  const auto* entries = reinterpret_cast<const apr_table_entry_t*>(table->elts);
  fields_.reserve(static_cast<std::size_t>(table->nelts));
  for (int i = 0; i < table->nelts; ++i) {
    if (entries[i].key == nullptr) continue;
    const http::FieldView field{entries[i].key, view(entries[i].val)};
    if (r->main == nullptr || !is_condition(field.name)) fields_.push_back(field);
  }
  read_facts();
  facts_.upgrade = offered_upgrade();
  read_switches();
}

ClientSide::~ClientSide() {
  std::free(lent_);
  apr_brigade_destroy(answer_);
  if (request_body_ != nullptr) apr_brigade_destroy(request_body_);
  if (push_ != nullptr) apr_brigade_destroy(push_);
}

void ClientSide::read_facts() {
  facts_.head_request = r_->header_only != 0;
  facts_.idempotent = http::is_idempotent_method(view(r_->method));
  facts_.safe = http::is_safe_method(view(r_->method));
  // The main request's body is not the included document's, nor is it an error document's.
  if (r_->main != nullptr || (r_->prev != nullptr && ap_is_HTTP_ERROR(r_->prev->status))) return;

  const char* coding = apr_table_get(r_->headers_in, "Transfer-Encoding");
  if (coding != nullptr) {
    if (!base::iequals(base::trim(coding), "chunked")) problem_ = ProxyErrc::BadRequestFraming;
    // HTTP/1.0 knows no codings: read as it is meant, but nothing behind it is trusted (RFC 9112 6.1).
    if (r_->proto_num < HTTP_VERSION(1, 1)) r_->connection->keepalive = AP_CONN_CLOSE;
    facts_.body = BodyKind::Chunked;
  } else if (const char* text = apr_table_get(r_->headers_in, "Content-Length"); text != nullptr) {
    const auto length = http::parse_length(text);
    if (!length) problem_ = ProxyErrc::BadRequestFraming;
    facts_.body = BodyKind::Length;
    facts_.length = length.value_or(0);
    facts_.length_is_exact = r_->input_filters == r_->proto_input_filters;
  } else if (r_->connection->master != nullptr) {
    facts_.body = BodyKind::Chunked;
    facts_.declared = false;
  }
  // Without content there is nothing to wait for, and the core would close the connection (RFC 9110 10.1.1).
  const bool empty = facts_.body == BodyKind::Length && facts_.length == 0;
  if (facts_.body == BodyKind::None || empty) r_->expecting_100 = 0;
  facts_.expects_continue = r_->expecting_100 != 0 && settings_.continue_from_backend;
}

// What the client would like to switch to; nothing from HTTP/1.0 and from documents that are included.
std::string_view ClientSide::offered_upgrade() const {
  if (r_->proto_num < HTTP_VERSION(1, 1) || r_->main != nullptr || r_->prev != nullptr) return {};
  const http::FieldView* const upgrade = http::find_field(fields_, "Upgrade");
  if (upgrade == nullptr || http::count_fields(fields_, "Upgrade") != 1 || !http::HopByHop(fields_).names_upgrade()) return {};
  return upgrade->value;
}

void ClientSide::read_switches() {
  const auto has = [this](const char* name) { return apr_table_get(r_->subprocess_env, name) != nullptr; };
  facts_.keep_alive = !has("proxy-nokeepalive");
  facts_.fresh_connection = has("proxy-initial-not-pooled") && r_->connection->keepalives == 0;
  facts_.http10 = has("force-proxy-request-1.0");
  if (facts_.http10) facts_.expects_continue = false;
  const char* interim = apr_table_get(r_->subprocess_env, "proxy-interim-response");
  facts_.bad_header = bad_header_rule(settings_.bad_header);
  facts_.suppress_interim = interim != nullptr && base::iequals(interim, "Suppress");
  const bool length_known = facts_.body == BodyKind::None || (facts_.body == BodyKind::Length && facts_.length_is_exact);
  // As with mod_proxy, proxy-sendchunked only takes proxy-sendcl back: a known length stays.
  const bool wants_length = has("proxy-sendcl") && !has("proxy-sendchunked") && !has("proxy-sendchunks");
  needs_spool_ = (facts_.http10 || wants_length) && !length_known;
}

// ---------------------------------------------------------------- request

ProxyErrc ClientSide::write_request_head(const config::MemberSpec& member, const exchange::HeadPlan& plan, std::string& head) {
  http::RequestHead request;
  request.method = view(r_->method);
  std::string target;
  if (errand_.target.balancer != nullptr) {
    target.reserve(member.url.path.size() + errand_.path.size());
    target.append(member.url.path).append(errand_.path);
    request.target = target;
  } else {
    request.target = errand_.host_path;
  }
  const char* client_host = apr_table_get(r_->headers_in, "Host");
  const std::string authority = settings_.preserve_host ? std::string() : member.url.authority();
  request.host = authority;
  if (settings_.preserve_host) request.host = view(client_host != nullptr && *client_host != '\0' ? client_host : r_->server->server_hostname);
  request.fields = fields_;
  if (plan.body == BodyKind::Length) request.framing = {http::RequestBody::Length, plan.length};
  if (plan.body == BodyKind::Chunked) request.framing = {http::RequestBody::Chunked, 0};
  std::string port;
  std::string element;
  request.forwarded = who_asked(client_host, port, element);
  request.via = view(via_);
  request.drop_via = settings_.via == config::Via::Block;
  request.keep_alive = plan.keep_alive;
  request.expect_continue = plan.expect_continue;
  request.http10 = plan.http10;
  request.upgrade = plan.upgrade;
  const http::Problem problem = http::write_request_head(request, head);
  if (problem) log_refused_request(r_, problem.detail);
  return problem.code;
}

// `port` and `element` hold the texts that are made here.
http::ForwardedFacts ClientSide::who_asked(const char* client_host, std::string& port, std::string& element) const {
  http::ForwardedFacts facts{.add = settings_.add_headers,
                             .fields = settings_.forwarded_fields,
                             .client_ip = view(r_->useragent_ip),
                             .client_host = view(client_host),
                             .server_name = view(r_->server->server_hostname),
                             .proto = view(ap_http_scheme(r_)),
                             .trust_client = settings_.trust_client};
  if ((facts.fields & http::kForwardedPort) != 0) {
    port = std::to_string(ap_get_server_port(r_));
    facts.port = port;
  }
  if ((facts.fields & http::kForwardedElement) != 0) {
    http::append_forwarded(element, {facts.client_ip, facts.client_host, facts.proto});
    facts.element = element;
  }
  return facts;
}

BodyPart ClientSide::read_body(std::size_t at_most) {
  if (spool_) return spool_->read(at_most);
  if (body_ended_) return {.kind = BodyPart::Kind::End, .last = true};
  clear_request_body();
  if (!facts_.expects_continue) send_continue();  // as the core does before the first read, whatever has come already
  // Only a connection of its own can be polled; an HTTP/2 stream has none, so it waits in here.
  const apr_read_type_e mode = may_poll_client() ? APR_NONBLOCK_READ : APR_BLOCK_READ;
  const apr_status_t status = ap_get_brigade(r_->input_filters, request_body_, AP_MODE_READBYTES, mode, static_cast<apr_off_t>(at_most));
  if (APR_STATUS_IS_EAGAIN(status)) {
    send_continue();
    return {.kind = BodyPart::Kind::WouldBlock};
  }
  if (status != APR_SUCCESS) return body_failure(status);

  BodyPart part;
  if (const apr_status_t taken = take_parts(part); taken != APR_SUCCESS) return body_failure(taken);
  body_ended_ = part.last;
  if (part.kind == BodyPart::Kind::Data) r_->expecting_100 = 0;  // a client that sends its content does not wait any more
  return part;
}

void ClientSide::clear_request_body() {
  if (request_body_ == nullptr) {
    request_body_ = apr_brigade_create(r_->pool, r_->connection->bucket_alloc);
  } else {
    apr_brigade_cleanup(request_body_);
  }
}

// What the filters gave, as views that last until the next read.
apr_status_t ClientSide::take_parts(BodyPart& part) {
  parts_.clear();
  part = {.kind = BodyPart::Kind::Data};
  for (apr_bucket* bucket = APR_BRIGADE_FIRST(request_body_); bucket != APR_BRIGADE_SENTINEL(request_body_); bucket = APR_BUCKET_NEXT(bucket)) {
    if (APR_BUCKET_IS_EOS(bucket)) {
      part.last = true;
      break;
    }
    if (AP_BUCKET_IS_ERROR(bucket)) return AP_FILTER_ERROR;
    if (APR_BUCKET_IS_METADATA(bucket)) continue;
    const char* data = nullptr;
    apr_size_t size = 0;
    const apr_status_t status = apr_bucket_read(bucket, &data, &size, APR_BLOCK_READ);
    if (status != APR_SUCCESS) return status;
    if (size == 0) continue;
    parts_.push_back({data, size});
    part.bytes += size;
  }
  if (part.bytes == 0 && !part.last) part.kind = BodyPart::Kind::WouldBlock;
  part.parts = parts_;
  return APR_SUCCESS;
}

// The core sends a 100 only before a read that blocks; ours do not.
void ClientSide::send_continue() {
  if (r_->expecting_100 == 0) return;
  const int status = r_->status;
  const char* const status_line = r_->status_line;
  r_->status = HTTP_CONTINUE;
  r_->status_line = nullptr;
  ap_send_interim_response(r_, 0);
  r_->status = status;
  r_->status_line = status_line;
}

bool ClientSide::prepare_body() {
  if (!needs_spool_) return true;
  spool_.emplace(r_);
  if (const apr_status_t status = spool_->fill(); status != APR_SUCCESS) {
    (void)body_failure(status);
    return false;
  }
  facts_.body = facts_.declared || spool_->size() > 0 ? BodyKind::Length : BodyKind::None;
  facts_.length = spool_->size();
  facts_.length_is_exact = true;
  facts_.expects_continue = false;
  return true;
}

BodyPart ClientSide::body_failure(apr_status_t status) {
  filter_status_ = ap_map_http_request_error(status, HTTP_BAD_REQUEST);
  BodyPart part{.kind = BodyPart::Kind::Failed, .error = ProxyErrc::ClientBodyIncomplete};
  if (filter_status_ == HTTP_REQUEST_ENTITY_TOO_LARGE) part.error = ProxyErrc::ClientBodyTooLarge;
  if (filter_status_ == HTTP_REQUEST_TIME_OUT) part.error = ProxyErrc::ClientBodyTimeout;
  if (r_->connection->aborted || APR_STATUS_IS_ECONNRESET(status) || APR_STATUS_IS_ECONNABORTED(status)) {
    part.error = ProxyErrc::ClientGone;
  }
  r_->connection->keepalive = AP_CONN_CLOSE;  // where the next request begins can no longer be told
  return part;
}

// ---------------------------------------------------------------- answer

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
  r->status_line = apr_psprintf(r->pool, "%d %.*s", head.status, static_cast<int>(head.reason.size()), head.reason.data());
}

// What the engine decided is what counts: one length in the place of the backend's, or none.
void set_length(request_rec* r, const exchange::AnswerHead& answer) {
  if (answer.length) {
    apr_table_setn(r->headers_out, "Content-Length", apr_psprintf(r->pool, "%" APR_UINT64_T_FMT, static_cast<apr_uint64_t>(*answer.length)));
  } else {
    apr_table_unset(r->headers_out, "Content-Length");
  }
}

}  // namespace

void ClientSide::take_answer_head(const http::ResponseHead& head) {
  take_status(r_, head);
  r_->headers_out = answer_fields(r_, head, fields_before_, via_);
}

bool ClientSide::send_interim(const http::ResponseHead& head) {
  apr_table_t* const fields = r_->headers_out;
  const int status = r_->status;
  const char* const status_line = r_->status_line;
  r_->headers_out = answer_fields(r_, head, nullptr, via_);
  apr_table_unset(r_->headers_out, "Content-Length");  // RFC 9110 8.6: never in a 1xx
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
  take_answer_head(answer.head);
  set_length(r_, answer);
  r_->content_type = type_before_;
  if (const char* type = apr_table_get(r_->headers_out, "Content-Type"); type != nullptr) {
    ap_set_content_type(r_, apr_pstrdup(r_->pool, type));
  }
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

// The core's output filter waits for the client once it holds this much; below it a write never blocks.
constexpr std::size_t kBelowFlushThreshold = 56 * 1024;

std::span<char> ClientSide::lend_buffer(std::size_t want) {
  if (never_block_) want = std::min(want, kBelowFlushThreshold);
  if (lent_ != nullptr && lent_size_ < want) {
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
  APR_BRIGADE_INSERT_TAIL(answer_, apr_bucket_transient_create(bytes.data(), bytes.size(), r_->connection->bucket_alloc));
}

bool ClientSide::pass_brigade() {
  const apr_status_t status = ap_pass_brigade(r_->output_filters, answer_);
  apr_brigade_cleanup(answer_);
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
  if (!never_block_ || (!c->data_in_output_filters && !flush_owed_)) return true;
  if (!client_is_writable()) return false;
  push(false);
  if (c->data_in_output_filters || flush_owed_) {
    if (!client_is_writable()) return false;
    push(true);
  }
  flush_owed_ = false;
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

// ---------------------------------------------------------------- facts for logs and other modules

void ClientSide::member_chosen(const config::MemberSpec& member, std::size_t) {
  member_ = &member;
  if (errand_.target.balancer == nullptr) return;
  tell_chosen(r_, *errand_.target.balancer, member, session_.value_or(balancer::Session{}));
}

void ClientSide::balancer_recovered() { log_recovered(r_, *errand_.target.balancer, *member_); }

void ClientSide::report(const exchange::AttemptReport& attempt) { log_attempt(r_, errand_.target.balancer, attempt); }

void ClientSide::rest_is_over(std::size_t index) noexcept {
  const auto& balancer = *errand_.target.balancer;
  log_member_change(r_, balancer, balancer.members[index], "its rest is over, it is offered again");
}

void ClientSide::member_rests(const config::MemberSpec& member, int status, const balancer::Consequence& consequence) {
  log_rest(r_, *errand_.target.balancer, member, status, consequence);
}

balancer::PickHint ClientSide::pick_hint() {
  balancer::PickHint hint;
  if (const auto key = request_key(r_, *errand_.target.balancer)) {
    hint.key = *key;
    hint.has_key = true;
  }
  if (!session_) session_ = session_of(r_, *errand_.target.balancer, errand_.path);
  hint.route = session_->index;
  return hint;
}

void ClientSide::panic() noexcept { log_panic(r_, *errand_.target.balancer); }

void ClientSide::all_failed() noexcept { log_all_failed(r_, *errand_.target.balancer); }

}  // namespace cxxproxy::httpd
