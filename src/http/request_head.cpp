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

enum class Role : std::uint8_t { EndToEnd, Dropped, ForwardedFor, ForwardedHost, ForwardedServer, ForwardedProto, Via };

Role role_of(std::string_view name) noexcept {
  switch (name.size()) {
    case 3: return iequals(name, "Via") ? Role::Via : Role::EndToEnd;
    case 4: return iequals(name, "Host") ? Role::Dropped : Role::EndToEnd;
    case 6: return iequals(name, "Expect") ? Role::Dropped : Role::EndToEnd;
    case 14: return iequals(name, "Content-Length") ? Role::Dropped : Role::EndToEnd;
    case 15: return iequals(name, "X-Forwarded-For") ? Role::ForwardedFor : Role::EndToEnd;
    case 16: return iequals(name, "X-Forwarded-Host") ? Role::ForwardedHost : Role::EndToEnd;
    case 17: return iequals(name, "X-Forwarded-Proto") ? Role::ForwardedProto : Role::EndToEnd;
    case 18: return iequals(name, "X-Forwarded-Server") ? Role::ForwardedServer : Role::EndToEnd;
    default: return Role::EndToEnd;
  }
}

// A field whose value grows at each hop: the client's elements first, then ours.
struct MergedField {
  Role role;
  std::string_view name;
  std::string_view own;  // empty: the client's fields are copied as they are
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
        merged_{{{Role::ForwardedFor, "X-Forwarded-For", own(head.forwarded.client_ip)},
                 {Role::ForwardedHost, "X-Forwarded-Host", own(head.forwarded.client_host)},
                 {Role::ForwardedServer, "X-Forwarded-Server", own(head.forwarded.server_name)},
                 {Role::Via, "Via", head.via}}} {}

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
    if (head_.expect_continue && !head_.http10 && head_.framing.kind != RequestBody::None)
      put("Expect", "100-continue");
    for (MergedField& merged : merged_) {
      if (!merged.own.empty() && !merged.written) put(merged.name, merged.own);
    }
    if (!own(head_.forwarded.proto).empty() && !has_proto_) put("X-Forwarded-Proto", head_.forwarded.proto);
    put_framing();
    put_connection();
    out_.append("\r\n");
    return {};
  }

 private:
  std::string_view own(std::string_view value) const noexcept {
    return head_.forwarded.add ? value : std::string_view{};
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
    if (bad(head_.forwarded.client_ip) || bad(head_.forwarded.client_host) || bad(head_.forwarded.server_name) ||
        bad(head_.forwarded.proto)) {
      return bad_field("an X-Forwarded value holds a control character");
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
    if (role == Role::ForwardedProto) has_proto_ = true;
    if (role != Role::EndToEnd) {
      for (MergedField& merged : merged_) {
        if (merged.role != role || merged.own.empty()) continue;
        put_merged(merged, field.name);
        return {};
      }
    }
    put(field.name, field.value);
    return {};
  }

  // In the place of the client's first field of this name, with its spelling.
  void put_merged(MergedField& merged, std::string_view spelling) {
    if (merged.written) return;
    merged.written = true;
    out_.append(spelling).append(": ");
    for (const FieldView& field : head_.fields) {
      if (!iequals(field.name, merged.name) || field.value.empty()) continue;
      out_.append(field.value).append(", ");
    }
    out_.append(merged.own).append("\r\n");
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
      put("Upgrade", head_.upgrade);
      put("Connection", "Upgrade");
    } else {
      put("Connection", head_.keep_alive ? "Keep-Alive" : "close");
    }
  }

  const RequestHead& head_;
  std::string& out_;
  HopByHop connection_;
  std::array<MergedField, 4> merged_;
  bool has_proto_ = false;
};

}  // namespace

Problem write_request_head(const RequestHead& head, std::string& out) {
  out.clear();
  const Problem problem = Writer(head, out).write();
  if (problem) out.clear();
  return problem;
}

}  // namespace cxxproxy::http
