#include "http/request_head.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstddef>
#include <system_error>

#include "base/ascii.h"
#include "http/clean_text.h"
#include "http/hop_by_hop.h"
#include "http/target.h"

namespace cxxproxy::http {
namespace {

using base::iequals;
using base::ProxyErrc;

enum class Role : std::uint8_t {
  EndToEnd,
  Dropped,
  Expect,
  Via,
  ForwardedFor,
  ForwardedHost,
  ForwardedServer,
  ForwardedProto,
  ForwardedPort,
  Forwarded,
};

Role role_of(std::string_view name) noexcept {
  const auto is = [name](std::string_view known, Role role) { return iequals(name, known) ? role : Role::EndToEnd; };
  switch (name.size()) {
    case 3: return is("Via", Role::Via);
    case 4: return is("Host", Role::Dropped);
    case 6: return is("Expect", Role::Expect);
    case 9: return is("Forwarded", Role::Forwarded);
    case 14: return is("Content-Length", Role::Dropped);
    case 15: return is("X-Forwarded-For", Role::ForwardedFor);
    case 16: return iequals(name, "X-Forwarded-Host") ? Role::ForwardedHost : is("X-Forwarded-Port", Role::ForwardedPort);
    case 17: return is("X-Forwarded-Proto", Role::ForwardedProto);
    case 18: return is("X-Forwarded-Server", Role::ForwardedServer);
    default: return Role::EndToEnd;
  }
}

bool tells_who_asked(Role role) noexcept { return role >= Role::ForwardedFor; }

// A field of ours. One that grows has the client's elements first, the others stand only where the
// client sent none.
struct OwnField {
  Role role;
  std::string_view name;
  std::string_view own;  // empty: the client's fields are copied as they are
  bool grows;
  bool written = false;
};

// uri-host [":" port]; an address in brackets is not looked at further than its characters.
bool is_host_value(std::string_view host) noexcept {
  const bool bracketed = host.starts_with('[');
  const std::size_t name_end = std::min(bracketed ? host.find(']') : host.find(':'), host.size());
  if (bracketed && name_end == host.size()) return false;
  for (const char c : host.substr(bracketed ? 1 : 0, bracketed ? name_end - 1 : name_end)) {
    if (base::is_alnum(c) || (bracketed && c == ':')) continue;
    if (std::string_view("-._~%!$&'()*+;=").find(c) == std::string_view::npos) return false;
  }
  const std::string_view port = host.substr(bracketed ? name_end + 1 : name_end);
  return port.empty() || (port.front() == ':' && std::ranges::all_of(port.substr(1), base::is_digit));
}

class Writer {
 public:
  Writer(const RequestHead& head, std::string& out) noexcept
      : head_(head),
        out_(out),
        connection_(head.fields),
        expects_(head.expect_continue && !head.http10 && head.framing.kind != RequestBody::None),
        via_{Role::Via, "Via", head.via, true},
        forwarded_{{{Role::ForwardedFor, "X-Forwarded-For", own(kForwardedFor, head.forwarded.client_ip), true},
                    {Role::ForwardedHost, "X-Forwarded-Host", own(kForwardedHost, head.forwarded.client_host), true},
                    {Role::ForwardedServer, "X-Forwarded-Server", own(kForwardedServer, head.forwarded.server_name), true},
                    {Role::ForwardedProto, "X-Forwarded-Proto", own(kForwardedProto, head.forwarded.proto), false},
                    {Role::ForwardedPort, "X-Forwarded-Port", own(kForwardedPort, head.forwarded.port), false},
                    {Role::Forwarded, "Forwarded", own(kForwardedElement, head.forwarded.element), true}}} {}

  Problem write() {
    Problem problem = check();
    if (problem) return problem;
    out_.append(head_.method)
        .append(1, ' ')
        .append(head_.target)
        .append(head_.http10 ? " HTTP/1.0\r\n" : " HTTP/1.1\r\n");
    put("Host", head_.host);
    for (const FieldView& field : head_.fields) {
      problem = copy(field);
      if (problem) return problem;
    }
    put_missing(via_);
    if (expects_ && !expect_written_) put("Expect", "100-Continue");
    for (const OwnField& field : forwarded_) put_missing(field);
    put_framing();
    put_connection();
    out_.append("\r\n");
    return {};
  }

 private:
  std::string_view own(ForwardedField field, std::string_view value) const noexcept {
    return head_.forwarded.add && (head_.forwarded.fields & field) != 0 ? value : std::string_view{};
  }

  static Problem bad_field(std::string_view detail) noexcept { return {ProxyErrc::BadRequestField, detail}; }

  Problem check() const noexcept {
    if (!base::is_token(head_.method)) return bad_field("the method is not a token");
    if (!is_safe_target(head_.target)) return {ProxyErrc::BadTarget, "the target holds a forbidden character"};
    if (head_.target == "*" && head_.method != "OPTIONS") return {ProxyErrc::BadTarget, "'*' without OPTIONS"};
    if (!is_host_value(head_.host)) return {ProxyErrc::BadTarget, "the host holds a forbidden character"};
    if (head_.http10 && head_.framing.kind == RequestBody::Chunked) {
      return {ProxyErrc::BadRequestFraming, "HTTP/1.0 has no chunked coding"};
    }
    const auto bad = [](std::string_view value) { return !is_clean_text(value); };
    if (bad(head_.upgrade) || bad(head_.via)) return bad_field("Upgrade or Via holds a control character");
    for (const OwnField& field : forwarded_) {
      if (bad(field.own)) return bad_field("an X-Forwarded value holds a control character");
    }
    return {};
  }

  void put(std::string_view name, std::string_view value) {
    out_.append(name).append(": ", 2).append(value).append("\r\n", 2);
  }

  Problem copy(const FieldView& field) {
    if (!base::is_token(field.name)) return bad_field("a field name is not a token");
    if (!is_clean_text(field.value)) return bad_field("a field value holds a control character");
    const Role role = role_of(field.name);
    if (role == Role::Dropped || connection_.drops(field.name)) return {};
    if (role == Role::Expect) {
      // The client's own words, where the expectation goes on to the backend at all.
      if (expects_ && !expect_written_ && list_has(field.value, "100-continue")) {
        expect_written_ = true;
        put(field.name, field.value);
      }
      return {};
    }
    if (role == Role::Via && head_.drop_via) return {};
    if (tells_who_asked(role) && !head_.forwarded.trust_client) return {};
    if (OwnField* const ours = own_field(role); ours != nullptr && !ours->own.empty()) {
      if (ours->grows) {
        put_grown(*ours, field.name);
        return {};
      }
      ours->written = true;
    }
    put(field.name, field.value);
    return {};
  }

  OwnField* own_field(Role role) noexcept {
    if (role == Role::Via) return &via_;
    for (OwnField& field : forwarded_) {
      if (field.role == role) return &field;
    }
    return nullptr;
  }

  void put_missing(const OwnField& field) {
    if (!field.own.empty() && !field.written) put(field.name, field.own);
  }

  // In the place of the client's first field of this name, with its spelling.
  void put_grown(OwnField& ours, std::string_view spelling) {
    if (ours.written) return;
    ours.written = true;
    out_.append(spelling).append(": ");
    for (const FieldView& field : head_.fields) {
      if (!iequals(field.name, ours.name) || field.value.empty()) continue;
      out_.append(field.value).append(", ");
    }
    out_.append(ours.own).append("\r\n");
  }

  void put_framing() {
    if (head_.framing.kind == RequestBody::Chunked) put("Transfer-Encoding", "chunked");
    if (head_.framing.kind != RequestBody::Length) return;
    std::array<char, 24> digits{};
    const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), head_.framing.length).ptr;
    put("Content-Length", {digits.data(), static_cast<std::size_t>(end - digits.data())});
  }

  void put_connection() {
    if (!head_.upgrade.empty()) {
      put("Connection", "Upgrade");
      put("Upgrade", head_.upgrade);
    } else if (!head_.http10) {  // HTTP/1.0 closes by itself
      put("Connection", head_.keep_alive ? "Keep-Alive" : "close");
    }
  }

  const RequestHead& head_;
  std::string& out_;
  HopByHop connection_;
  const bool expects_;  // the backend is asked for a 100
  bool expect_written_ = false;
  OwnField via_;
  std::array<OwnField, 6> forwarded_;
};

}  // namespace

namespace {

// About what it takes, so that the text is not moved while it grows.
std::size_t likely_size(const RequestHead& head) noexcept {
  constexpr std::size_t kOwnFields = 256;
  std::size_t size = kOwnFields + head.method.size() + head.target.size() + 2 * head.host.size();
  for (const FieldView& field : head.fields) size += field.name.size() + field.value.size() + 4;
  return size;
}

}  // namespace

Problem write_request_head(const RequestHead& head, std::string& out) {
  out.clear();
  out.reserve(likely_size(head));
  const Problem problem = Writer(head, out).write();
  if (problem) out.clear();
  return problem;
}

}  // namespace cxxproxy::http
