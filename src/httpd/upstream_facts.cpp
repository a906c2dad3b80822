#include "httpd/upstream_facts.h"

#include <new>

#include "httpd/guard.h"
#include "httpd/pool_text.h"
#include "httpd/request_state.h"
#include "httpd/httpd_api.h"

namespace cxxproxy::httpd {
namespace {

// Both tables have the same names and values.
class Teller {
 public:
  explicit Teller(request_rec* r) noexcept : r_(r) {}

  void text(const char* name, const char* value) const noexcept {
    if (value == nullptr) return;
    // Not set but added: these names are nobody else's, and a look through the tables for each of them costs most of the hook.
    apr_table_addn(r_->notes, name, value);
    apr_table_addn(r_->subprocess_env, name, value);
  }
  // Each attempt has set it in the environment.
  void member(const char* name, const char* value) const noexcept {
    if (value == nullptr) {
      apr_table_unset(r_->subprocess_env, name);
      return;
    }
    apr_table_addn(r_->notes, name, value);
    apr_table_setn(r_->subprocess_env, name, value);
  }
  void number(const char* name, std::uint64_t value) const noexcept { text(name, digits_in(r_->pool, value)); }
  void time(const char* name, std::int64_t microseconds) const noexcept {
    if (microseconds >= 0) number(name, static_cast<std::uint64_t>(microseconds));
  }
  void note(const char* name, const char* value) const noexcept { apr_table_setn(r_->notes, name, value); }

 private:
  request_rec* const r_;
};

const UpstreamFacts* first_facts(const request_rec* r) noexcept {
  for (; r != nullptr; r = r->next) {
    if (const RequestState* state = find_request_state(r); state != nullptr && state->upstream != nullptr) return state->upstream;
  }
  return nullptr;
}

}  // namespace

UpstreamFacts& facts_of(request_rec* r) {
  RequestState& state = request_state(r);
  if (state.upstream == nullptr) state.upstream = new (apr_palloc(r->pool, sizeof(UpstreamFacts))) UpstreamFacts();
  return *state.upstream;
}

void tell_end(request_rec* r, base::ProxyErrc code) { facts_of(r).end = base::info(code).word.data(); }

int tell_upstream_facts(request_rec* r) noexcept {
  return guard("log_transaction", kDeclined, [&] {
    const UpstreamFacts* const facts = first_facts(r);
    if (facts == nullptr) return kDeclined;
    while (r->next != nullptr) r = r->next;
    const Teller teller(r);
    teller.text("CXXPROXY_END", facts->end);
    if (!facts->exchanged) return kDeclined;
    teller.member("CXXPROXY_MEMBER", facts->member);
    teller.text("CXXPROXY_ADDRESS", facts->address);
    teller.text("CXXPROXY_ATTEMPTS", facts->attempts);
    if (facts->address != nullptr) teller.text("CXXPROXY_REUSED", facts->reused ? "1" : "0");
    teller.time("CXXPROXY_CONNECT_TIME", facts->connect);
    teller.time("CXXPROXY_FIRST_BYTE_TIME", facts->first_byte);
    teller.time("CXXPROXY_TOTAL_TIME", facts->total);
    teller.number("CXXPROXY_BYTES_SENT", facts->bytes_up);
    teller.number("CXXPROXY_BYTES_RECEIVED", facts->bytes_down);
    if (facts->local_port != 0) teller.note("proxy-source-port", digits_in(r->pool, facts->local_port));
    if (facts->timed_out) teller.note("proxy_timedout", "1");
    return kDeclined;
  });
}

}  // namespace cxxproxy::httpd
