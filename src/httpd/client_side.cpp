#include "httpd/client_side.h"

#include <algorithm>
#include <cstdlib>

#include "base/ascii.h"
#include "exchange/exchange.h"
#include "http/forwarded.h"
#include "http/framing.h"
#include "http/hop_by_hop.h"
#include "http/method.h"
#include "http/request_head.h"
#include "httpd/child_state.h"
#include "httpd/client_session.h"
#include "httpd/exchange_log.h"
#include "httpd/pool_text.h"
#include "httpd/request_key.h"
#include "httpd/seat.h"
#include "httpd/via.h"
#include "httpd/httpd_api.h"

namespace cxxproxy::httpd {

using base::ProxyErrc;
using exchange::BodyKind;
using exchange::BodyPart;

namespace {

std::string_view view(const char* text) noexcept { return text != nullptr ? std::string_view(text) : std::string_view{}; }

// A line of a log has an end.
constexpr unsigned kMostAttemptsTold = 16;

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

http::Fields client_fields(request_rec* r) {
  const apr_array_header_t* table = apr_table_elts(r->headers_in);
  const auto* entries = reinterpret_cast<const apr_table_entry_t*>(table->elts);
  const auto most = static_cast<std::size_t>(table->nelts);
  auto* const fields = static_cast<http::FieldView*>(apr_palloc(r->pool, most * sizeof(http::FieldView)));
  std::size_t count = 0;
  for (std::size_t i = 0; i < most; ++i) {
    if (entries[i].key == nullptr) continue;
    const http::FieldView field{entries[i].key, view(entries[i].val)};
    if (r->main == nullptr || !is_condition(field.name)) new (fields + count++) http::FieldView(field);
  }
  return {fields, count};
}

// One after the other uses the connection's. A document that is included while another one is answered has its own.
apr_bucket_brigade* take_brigade(const request_rec* r) {
  conn_rec* const c = r->connection;
  Seat* const seat = c->master == nullptr ? seat_of(c) : nullptr;
  if (seat != nullptr && seat->brigade != nullptr) return std::exchange(seat->brigade, nullptr);
  const bool is_for_all = seat != nullptr && r->main == nullptr;
  return apr_brigade_create(is_for_all ? c->pool : r->pool, c->bucket_alloc);
}

void give_brigade_back(const request_rec* r, apr_bucket_brigade* brigade) {
  apr_brigade_cleanup(brigade);
  if (brigade->p == r->connection->pool) seat_of(r->connection)->brigade = brigade;
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
      answer_(take_brigade(r)) {
  fields_ = client_fields(r);
  facts_.upgrade = offered_upgrade();
  read_facts();
  read_switches();
}

ClientSide::~ClientSide() {
  std::free(lent_);
  give_brigade_back(r_, answer_);
  if (request_body_ != nullptr) apr_brigade_destroy(request_body_);
  if (push_ != nullptr) apr_brigade_destroy(push_);
}

void ClientSide::read_facts() {
  facts_.head_request = r_->header_only != 0;
  facts_.safe = http::is_safe_method(view(r_->method));
  facts_.idempotent = facts_.safe || http::is_idempotent_method(view(r_->method));
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
  } else if (r_->connection->master != nullptr && facts_.upgrade.empty()) {  // what follows an extended CONNECT is no body
    facts_.body = BodyKind::Chunked;
    facts_.declared = false;
  }
  // Without content there is nothing to wait for, and the core would close the connection (RFC 9110 10.1.1).
  const bool empty = facts_.body == BodyKind::Length && facts_.length == 0;
  if (facts_.body == BodyKind::None || empty) r_->expecting_100 = 0;
  facts_.expects_continue = r_->expecting_100 != 0 && settings_.continue_from_backend;
}

bool ClientSide::has_much_content() const noexcept {
  return facts_.body == BodyKind::Chunked || (facts_.body == BodyKind::Length && facts_.length > exchange::kPrefetch);
}

// What the client would like to switch to; nothing from HTTP/1.0 and from documents that are included.
std::string_view ClientSide::offered_upgrade() const {
  if (r_->proto_num < HTTP_VERSION(1, 1) || r_->main != nullptr || r_->prev != nullptr) return {};
  const http::FieldView* const upgrade = http::find_field(fields_, "Upgrade");
  if (upgrade == nullptr || http::count_fields(fields_, "Upgrade") != 1 || !http::HopByHop(fields_).names_upgrade()) return {};
  return upgrade->value;
}

namespace {

// Most requests have none of them.
bool has_switches(const apr_table_t* environment) noexcept {
  const apr_array_header_t* const table = apr_table_elts(environment);
  const auto* const entries = reinterpret_cast<const apr_table_entry_t*>(table->elts);
  return std::any_of(entries, entries + table->nelts, [](const apr_table_entry_t& entry) {
    return entry.key != nullptr && (ap_cstr_casecmpn(entry.key, "proxy-", 6) == 0 || ap_cstr_casecmpn(entry.key, "force-proxy-", 12) == 0);
  });
}

}  // namespace

void ClientSide::read_switches() {
  facts_.bad_header = bad_header_rule(settings_.bad_header);
  if (!has_switches(r_->subprocess_env)) return;
  const auto has = [this](const char* name) { return apr_table_get(r_->subprocess_env, name) != nullptr; };
  facts_.keep_alive = !has("proxy-nokeepalive");
  facts_.fresh_connection = has("proxy-initial-not-pooled") && r_->connection->keepalives == 0;
  facts_.http10 = has("force-proxy-request-1.0");
  if (facts_.http10) facts_.expects_continue = false;
  const char* interim = apr_table_get(r_->subprocess_env, "proxy-interim-response");
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
  if (errand_.target.balancer != nullptr) {
    request.target = joined_in(r_->pool, {member.url.path, errand_.path});
  } else {
    request.target = errand_.host_path;
  }
  const char* client_host = apr_table_get(r_->headers_in, "Host");
  request.host = member.authority;
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
    problem_ = body_failure(status).error;
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

// ---------------------------------------------------------------- facts for logs and other modules

void ClientSide::member_chosen(const config::MemberSpec& member, std::size_t) {
  member_ = &member;
  // What nobody declared ends with the exchange, before the request is logged.
  member_name_ = errand_.target ? url_of(member) : apr_pstrdup(r_->pool, url_of(member));
  apr_table_setn(r_->subprocess_env, "CXXPROXY_MEMBER", member_name_);
  if (errand_.target.balancer == nullptr) return;
  tell_chosen(r_, *errand_.target.balancer, member, session_.value_or(balancer::Session{}));
}

void ClientSide::balancer_recovered() { log_recovered(r_, *errand_.target.balancer, *member_); }

void ClientSide::report(const exchange::AttemptReport& attempt) {
  log_attempt(r_, errand_.target.balancer, attempt);
  timed_out_ = timed_out_ || attempt.error.code == ProxyErrc::HeadTimeout;
  if (attempt.member == nullptr || failures_told_ > kMostAttemptsTold) return;
  if (!failed_attempts_.empty()) failed_attempts_ += ", ";
  if (failures_told_++ == kMostAttemptsTold) {
    failed_attempts_ += "...";
    return;
  }
  failed_attempts_.append(url_of(*attempt.member)).append(1, ' ').append(base::info(attempt.error.code).word);
}

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
  const config::BalancerSpec& balancer = *errand_.target.balancer;
  if (!session_) session_ = session_of(r_, balancer, child_state()->session_tokens(balancer), errand_.path);
  hint.route = session_->index;
  return hint;
}

void ClientSide::panic() noexcept { log_panic(r_, *errand_.target.balancer); }

void ClientSide::panic_is_over() noexcept { log_panic_is_over(r_, *errand_.target.balancer); }

void ClientSide::all_failed() noexcept { log_all_failed(r_, *errand_.target.balancer); }

}  // namespace cxxproxy::httpd
