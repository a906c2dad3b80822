// The client side of an exchange over httpd's request_rec: Downstream for the engine.
//
// WHAT    Gives the engine the request's facts, head and body, and turns the answer into httpd's
//         response: status and fields into the request_rec, the body as brigades through
//         r->output_filters. Requests come through r->input_filters, so every filter has its say.
// SHAPES  Lives on the handler's stack for one request; one thread at a time. Body memory: at most one
//         lent buffer (128 KiB) besides what httpd's filters hold (FlushMaxThreshold for a slow client).
// ERRORS  filter_status() is what the handler must answer when an input filter ended the request.
// SOURCE  RFC 9110 7.6, 10.1.1, 15.2; RFC 9112 6.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "balancer/session.h"
#include "exchange/downstream.h"
#include "http/field.h"
#include "http/request_head.h"
#include "httpd/body_spool.h"
#include "httpd/config_hooks.h"
#include "httpd/httpd_api.h"

namespace cxxproxy::httpd {

// What the request asks for, prepared by the fixups hook.
struct Errand {
  config::Target target;       // configured balancer or member; empty for an undeclared backend
  std::string_view path;       // behind balancer://name: appended to the path of the member's URL
  std::string_view host_path;  // behind scheme://authority of a single backend: its whole target
};

class ClientSide final : public exchange::Downstream, private balancer::PickObserver {
 public:
  ClientSide(request_rec* r, const Errand& errand, const RequestSettings& settings);
  ~ClientSide() override;
  ClientSide(const ClientSide&) = delete;
  ClientSide& operator=(const ClientSide&) = delete;

  // Nothing to say against the request's framing, or the failure to answer with.
  base::ProxyErrc problem() const noexcept { return problem_; }
  // Reads the body to its end where a switch asks for its length. False: answer filter_status().
  bool prepare_body();
  // More than the prefetch, as far as is known.
  bool has_much_content() const noexcept;
  bool needs_spool() const noexcept { return needs_spool_; }

  int filter_status() const noexcept { return filter_status_; }
  // The attempts that failed, "http://a:1 connect-refused, http://b:2 head-timeout".
  const std::string& failed_attempts() const noexcept { return failed_attempts_; }
  bool timed_out() const noexcept { return timed_out_; }
  // Of the last attempt, in the request's pool or of the configuration; null if there was none.
  const char* member_name() const noexcept { return member_name_; }
  std::string_view tunnel_end() const noexcept { return tunnel_end_; }
  // The status of a backend's answer in whose place httpd is to answer (ProxyErrorOverride), or 0.
  int replaced_status() const noexcept { return replaced_status_; }
  // The driver can wait for the client: pass() then never blocks for long.
  void never_block(bool on) noexcept { never_block_ = on; }
  bool may_poll_client() const noexcept { return r_->connection->master == nullptr; }

  const exchange::RequestFacts& facts() const override { return facts_; }
  base::ProxyErrc write_request_head(const config::MemberSpec& member, const exchange::HeadPlan& plan, std::string& head) override;
  exchange::BodyPart read_body(std::size_t at_most) override;
  bool send_interim(const http::ResponseHead& head) override;
  void send_head(const exchange::AnswerHead& answer) override;
  bool replaces_answer() const override { return replaced_status_ != 0; }
  bool has_room(std::size_t bytes) override;
  std::span<char> lend_buffer(std::size_t want) override;
  void send_lent(std::size_t offset, std::size_t size) override;
  void send_borrowed(std::string_view bytes) override;
  bool pass(bool flush) override;
  bool finish() override;
  bool drained() override;
  void about_to_wait() override;
  void cut() override;
  bool start_tunnel(const http::ResponseHead& head) override;
  exchange::BodyPart read_tunnel(std::size_t at_most) override;
  bool end_sending() override;
  void tunnel_ended(const exchange::TunnelReport& tunnel) override;
  balancer::PickObserver* pick_observer() override { return this; }
  void member_chosen(const config::MemberSpec& member, std::size_t index) override;
  void balancer_recovered() override;
  void report(const exchange::AttemptReport& attempt) override;
  void member_rests(const config::MemberSpec& member, int status, const balancer::Consequence& consequence) override;
  balancer::PickHint pick_hint() override;

 private:
  void rest_is_over(std::size_t index) noexcept override;
  void all_failed() noexcept override;
  void panic() noexcept override;
  void panic_is_over() noexcept override;

  void read_facts();
  http::ForwardedFacts who_asked(const char* client_host, std::string& port, std::string& element) const;
  void replace_answer();
  void send_continue();
  void read_switches();
  std::string_view offered_upgrade() const;
  exchange::BodyPart body_failure(apr_status_t status);
  void clear_request_body();
  apr_status_t take_parts(exchange::BodyPart& part);
  bool pass_brigade();
  bool body_ends_by_close() const;
  const char* take_answer_head(const exchange::AnswerHead& answer);
  bool client_is_writable() const;
  void push(bool flush);

  request_rec* const r_;
  const Errand& errand_;
  // As they were found: an attempt that died behind its head may have set others.
  const apr_table_t* const fields_before_;
  const char* const type_before_;
  const RequestSettings& settings_;
  const char* const via_;  // our element of Via, or null
  exchange::RequestFacts facts_{};
  base::ProxyErrc problem_ = base::ProxyErrc::None;
  int filter_status_ = 0;
  int replaced_status_ = 0;
  std::string failed_attempts_;
  unsigned failures_told_ = 0;
  bool timed_out_ = false;        // an attempt had no head in time
  bool tunnel_ = false;
  std::string_view tunnel_end_{};  // the word for it
  // What httpd answers already, where this request is the page for it (ErrorDocument).
  const int original_status_;
  const char* const original_status_line_;
  const config::MemberSpec* member_ = nullptr;
  const char* member_name_ = nullptr;
  std::optional<balancer::Session> session_;  // looked for at the first pick

  http::Fields fields_{};  // of the client, read once
  apr_bucket_brigade* request_body_ = nullptr;
  std::vector<upstream::ConstBuffer> parts_;
  bool body_ended_ = false;
  bool streams_ = false;  // the answer has no length and nothing of it was passed yet
  bool needs_spool_ = false;
  std::optional<BodySpool> spool_;

  apr_bucket_brigade* answer_;
  char* lent_ = nullptr;
  std::size_t lent_size_ = 0;
  apr_bucket_brigade* push_ = nullptr;
  bool never_block_ = false;
  std::size_t passed_ = 0;   // since the client had taken everything
  bool flush_owed_ = false;  // the exchange asked for a flush that would have blocked
};

// Does the client speak TLS?
inline bool is_tls(request_rec* r) { return std::string_view(ap_http_scheme(r)) == "https"; }

}  // namespace cxxproxy::httpd
