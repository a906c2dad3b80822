#include "http/request_head.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstddef>
#include <cstring>
#include <iterator>
#include <system_error>

#include "base/ascii.h"
#include "http/clean_text.h"
#include "http/field_name.h"
#include "http/hop_by_hop.h"
#include "http/target.h"

namespace cxxproxy::http {
namespace {

using base::iequals;
using base::ProxyErrc;

// The fields to which we have something to say, in the order of FieldName. One that grows has the client's elements
// first, the others stand only where the client sent none.
struct OwnField {
  std::string_view name;
  bool grows;
};
constexpr OwnField kOwnFields[] = {
    {"Via", true},
    {"X-Forwarded-For", true},
    {"X-Forwarded-Host", true},
    {"X-Forwarded-Server", true},
    {"X-Forwarded-Proto", false},
    {"X-Forwarded-Port", false},
    {"Forwarded", true},
};
constexpr std::size_t kOwnFieldCount = std::size(kOwnFields);

constexpr std::size_t own_index(FieldName name) noexcept {
  return static_cast<std::size_t>(name) - static_cast<std::size_t>(FieldName::Via);  // not below kOwnFieldCount: not one of them
}
static_assert(own_index(FieldName::Forwarded) == kOwnFieldCount - 1);
constexpr bool tells_who_asked(FieldName name) noexcept { return name >= FieldName::ForwardedFor && name <= FieldName::Forwarded; }

constexpr auto kHostCharacters = base::letters_digits_and("-._~%!$&'()*+;=");
bool is_host_character(char c) noexcept { return kHostCharacters[static_cast<unsigned char>(c)]; }

// uri-host [":" port]; an address in brackets is not looked at further than its characters.
bool is_host_value(std::string_view host) noexcept {
  const bool bracketed = host.starts_with('[');
  std::size_t i = bracketed ? 1 : 0;
  while (i < host.size() && (is_host_character(host[i]) || (bracketed && host[i] == ':'))) ++i;
  if (bracketed && (i == host.size() || host[i++] != ']')) return false;
  if (i == host.size()) return true;
  return host[i] == ':' && std::ranges::all_of(host.substr(i + 1), base::is_digit);
}

// A string that grows at its end. append() looks at the whole string anew for each piece, and a head has many.
class Text {
 public:
  Text(std::string& out, std::size_t likely_size) : out_(out) {
    out_.resize(likely_size);
    at_ = out_.data();
    end_ = at_ + out_.size();
  }

  void put(std::string_view piece) {
    if (piece.size() > room()) grow(piece.size());
    at_ = copy(at_, piece);
  }

  void put_field(std::string_view name, std::string_view value) {
    const std::size_t size = name.size() + value.size() + 4;
    if (size > room()) grow(size);
    char* const colon = copy(at_, name);
    colon[0] = ':';
    colon[1] = ' ';
    char* const line_end = copy(colon + 2, value);
    line_end[0] = '\r';
    line_end[1] = '\n';
    at_ = line_end + 2;
  }

  void end() { out_.resize(out_.size() - room()); }

 private:
  std::size_t room() const noexcept { return static_cast<std::size_t>(end_ - at_); }

  static char* copy(char* at, std::string_view piece) noexcept {
    std::memcpy(at, piece.data(), piece.size());
    return at + piece.size();
  }

  void grow(std::size_t more) {
    const std::size_t used = out_.size() - room();
    out_.resize(2 * out_.size() + more);
    at_ = out_.data() + used;
    end_ = out_.data() + out_.size();
  }

  std::string& out_;
  char* at_;
  char* end_;
};

class Writer {
 public:
  Writer(const RequestHead& head, Text& text) noexcept
      : head_(head),
        text_(text),
        connection_(head.fields),
        expects_(head.expect_continue && !head.http10 && head.framing.kind != RequestBody::None),
        own_{head.via,
             own(kForwardedFor, head.forwarded.client_ip),
             own(kForwardedHost, head.forwarded.client_host),
             own(kForwardedServer, head.forwarded.server_name),
             own(kForwardedProto, head.forwarded.proto),
             own(kForwardedPort, head.forwarded.port),
             own(kForwardedElement, head.forwarded.element)} {}

  Problem write() {
    Problem problem = check();
    if (problem) return problem;
    text_.put(head_.method);
    text_.put(" ");
    text_.put(head_.target);
    text_.put(head_.http10 ? " HTTP/1.0\r\n" : " HTTP/1.1\r\n");
    text_.put_field("Host", head_.host);
    for (const FieldView& field : head_.fields) {
      problem = copy(field);
      if (problem) return problem;
    }
    put_missing(0);
    if (expects_ && !expect_written_) text_.put_field("Expect", "100-Continue");
    for (std::size_t i = 1; i < kOwnFieldCount; ++i) put_missing(i);
    put_framing();
    put_connection();
    text_.put("\r\n");
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
    if (!is_clean_text(head_.upgrade) || !is_clean_text(head_.via)) return bad_field("Upgrade or Via holds a control character");
    for (const std::string_view text : own_) {
      if (!text.empty() && !is_clean_text(text)) return bad_field("an X-Forwarded value holds a control character");
    }
    return {};
  }

  Problem copy(const FieldView& field) {
    const FieldName name = field_name(field.name);
    if (name == FieldName::Other && !base::is_token(field.name)) return bad_field("a field name is not a token");
    if (!is_clean_text(field.value)) return bad_field("a field value holds a control character");
    if (name == FieldName::Host || name == FieldName::ContentLength || connection_.drops(name, field.name)) return {};
    if (name == FieldName::Expect) {
      // The client's own words, where the expectation goes on to the backend at all.
      if (!expects_ || expect_written_ || !list_has(field.value, "100-continue")) return {};
      expect_written_ = true;
    }
    if (name == FieldName::Via && head_.drop_via) return {};
    if (tells_who_asked(name) && !head_.forwarded.trust_client) return {};
    if (const std::size_t i = own_index(name); i < kOwnFieldCount && !own_[i].empty()) {
      if (kOwnFields[i].grows) {
        put_grown(i, field.name);
        return {};
      }
      written_[i] = true;
    }
    text_.put_field(field.name, field.value);
    return {};
  }

  void put_missing(std::size_t i) {
    if (!own_[i].empty() && !written_[i]) text_.put_field(kOwnFields[i].name, own_[i]);
  }

  // In the place of the client's first field of this name, with its spelling.
  void put_grown(std::size_t i, std::string_view spelling) {
    if (written_[i]) return;
    written_[i] = true;
    text_.put(spelling);
    text_.put(": ");
    for (const FieldView& field : head_.fields) {
      if (!iequals(field.name, kOwnFields[i].name) || field.value.empty()) continue;
      text_.put(field.value);
      text_.put(", ");
    }
    text_.put(own_[i]);
    text_.put("\r\n");
  }

  void put_framing() {
    if (head_.framing.kind == RequestBody::Chunked) text_.put_field("Transfer-Encoding", "chunked");
    if (head_.framing.kind != RequestBody::Length) return;
    std::array<char, 24> digits{};
    const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), head_.framing.length).ptr;
    text_.put_field("Content-Length", {digits.data(), static_cast<std::size_t>(end - digits.data())});
  }

  void put_connection() {
    if (!head_.upgrade.empty()) {
      text_.put_field("Connection", "Upgrade");
      text_.put_field("Upgrade", head_.upgrade);
    } else if (!head_.http10) {  // HTTP/1.0 closes by itself
      text_.put_field("Connection", head_.keep_alive ? "Keep-Alive" : "close");
    }
  }

  const RequestHead& head_;
  Text& text_;
  HopByHop connection_;
  const bool expects_;  // the backend is asked for a 100
  bool expect_written_ = false;
  const std::array<std::string_view, kOwnFieldCount> own_;  // empty: the client's fields are copied as they are
  std::array<bool, kOwnFieldCount> written_{};
};

// About what it takes, so that the text is not moved while it grows.
std::size_t likely_size(const RequestHead& head) noexcept {
  constexpr std::size_t kOwnFieldsSize = 256;
  std::size_t size = kOwnFieldsSize + head.method.size() + head.target.size() + 2 * head.host.size();
  for (const FieldView& field : head.fields) size += field.name.size() + field.value.size() + 4;
  return size;
}

}  // namespace

Problem write_request_head(const RequestHead& head, std::string& out) {
  out.clear();
  Text text(out, likely_size(head));
  const Problem problem = Writer(head, text).write();
  if (problem) {
    out.clear();
  } else {
    text.end();
  }
  return problem;
}

}  // namespace cxxproxy::http
