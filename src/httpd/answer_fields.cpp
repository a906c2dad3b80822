#include "httpd/answer_fields.h"

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <apr_date.h>

#include "base/ascii.h"
#include "config/answer_rules.h"
#include "http/framing.h"
#include "http/hop_by_hop.h"
#include "http/reverse_map.h"
#include "httpd/config_hooks.h"
#include "httpd/pool_text.h"
#include "httpd/httpd_api.h"

namespace cxxproxy::httpd {
namespace {

using base::iequals;

enum class Role : std::uint8_t { Plain, Url, Refresh, Cookie, Date, Warning, Length, Type };

Role role_of(std::string_view name) noexcept {
  const auto is = [name](std::string_view known, Role role) { return iequals(name, known) ? role : Role::Plain; };
  switch (name.size()) {
    case 3: return is("URI", Role::Url);
    case 4: return is("Date", Role::Date);
    case 7: return iequals(name, "Refresh") ? Role::Refresh : iequals(name, "Warning") ? Role::Warning : is("Expires", Role::Date);
    case 8: return is("Location", Role::Url);
    case 10: return is("Set-Cookie", Role::Cookie);
    case 11: return is("Destination", Role::Url);
    case 12: return is("Content-Type", Role::Type);
    case 13: return is("Last-Modified", Role::Date);
    case 14: return is("Content-Length", Role::Length);
    case 16: return is("Content-Location", Role::Url);
    default: return Role::Plain;
  }
}

const char* copy(apr_pool_t* pool, std::string_view text) { return apr_pstrmemdup(pool, text.data(), text.size()); }

// "Sun, 06 Nov 1994 08:49:37 GMT": nothing to rewrite.
bool is_usual_date(std::string_view value) noexcept {
  return value.size() == 29 && value[3] == ',' && value[7] == ' ' && value[11] == ' ' && value[16] == ' ' && value.ends_with(" GMT");
}

// The two old formats become the usual one, what is no date stays.
const char* usual_date(apr_pool_t* pool, const char* value) {
  if (is_usual_date(value)) return value;
  const apr_time_t time = apr_date_parse_http(value);
  char* const usual = static_cast<char*>(apr_palloc(pool, APR_RFC822_DATE_LEN));
  return time != 0 && apr_rfc822_date(usual, time) == APR_SUCCESS ? usual : value;
}

class Writer {
 public:
  Writer(request_rec* r, const http::ResponseHead& head, std::optional<std::uint64_t> length)
      : r_(r), view_(answer_view(r)), head_(head), hop_by_hop_(head.fields), length_(length) {}

  AnswerFields write(const apr_table_t* earlier) {
    apr_table_t* const table = apr_table_make(r_->pool, static_cast<int>(head_.fields.size()) + 4);
    text_ = static_cast<char*>(apr_pmemdup(r_->pool, head_.text.data(), head_.text.size()));
    bool cookies = false;
    std::vector<std::pair<const char*, const char*>> warnings;
    for (const http::FieldView& field : head_.fields) {
      if (hop_by_hop_.drops(field.name)) continue;
      const Role role = role_of(field.name);
      if (role == Role::Cookie) {
        cookies = true;
        continue;
      }
      if (role == Role::Length && !length_) continue;
      const char* const name = c_str(field.name);
      const char* const value = role == Role::Length ? put_length(field.value) : mapped(role, c_str(field.value));
      if (role == Role::Type && type_ == nullptr) type_ = value;
      if (role == Role::Warning) {
        warnings.push_back({name, value});
      } else {
        apr_table_addn(table, name, value);
      }
    }
    if (earlier != nullptr && !apr_is_empty_table(earlier)) apr_table_do(add_to, table, earlier, "Set-Cookie", nullptr);
    if (cookies) add_cookies(table);
    for (const auto& [name, value] : warnings) apr_table_addn(table, name, value);  // behind the cookies, as mod_proxy does
    return {table, type_};
  }

 private:
  static int add_to(void* table, const char* name, const char* value) {
    apr_table_addn(static_cast<apr_table_t*>(table), name, value);
    return 1;
  }

  // A name or value in the copy of the whole head. Its end, which httpd's tables need, takes the place of the colon, the blank or
  // the line end behind it.
  const char* c_str(std::string_view part) const noexcept {
    char* const start = text_ + (part.data() - head_.text.data());
    start[part.size()] = '\0';
    return start;
  }

  // Once; it is what the backend said, but perhaps not how.
  const char* put_length(std::string_view digits) {
    const std::uint64_t length = *std::exchange(length_, std::nullopt);
    const bool as_it_is = http::parse_length(digits) == length && (digits.size() == 1 || digits.front() != '0');
    return as_it_is ? c_str(digits) : digits_in(r_->pool, length);
  }

  const char* mapped(Role role, const char* value) {
    if (role == Role::Date) return usual_date(r_->pool, value);
    if (view_.chain == nullptr) return value;
    if (role == Role::Url) return mapped_url(value);
    if (role == Role::Refresh && view_.boundary == http::Boundary::Segment) return mapped_refresh(value);
    return value;
  }

  const char* mapped_url(const char* url) {
    const auto path = config::map_back(view_, url);
    if (!path) return url;
    const char* const text = copy(r_->pool, *path);
    return ap_is_url(text) ? text : ap_construct_url(r_->pool, text, r_);
  }

  const char* mapped_refresh(const char* value) {
    const std::string_view text(value);
    const http::Place place = http::url_in_refresh(text);
    if (place.size == 0) return value;
    const char* const url = copy(r_->pool, text.substr(place.begin, place.size));
    const char* const mapped = mapped_url(url);
    if (mapped == url) return value;
    return apr_pstrcat(r_->pool, copy(r_->pool, text.substr(0, place.begin)), mapped, copy(r_->pool, text.substr(place.begin + place.size)), nullptr);
  }

  void add_cookies(apr_table_t* table) {
    for (const http::FieldView& field : head_.fields) {
      if (role_of(field.name) != Role::Cookie || hop_by_hop_.drops(field.name)) continue;
      const auto changed = config::map_cookie(view_, field.value);
      const char* const name = c_str(field.name);
      apr_table_addn(table, name, changed ? copy(r_->pool, *changed) : c_str(field.value));
    }
  }

  request_rec* const r_;
  const config::AnswerView view_;
  const http::ResponseHead& head_;
  const http::HopByHop hop_by_hop_;
  std::optional<std::uint64_t> length_;  // still to be written
  const char* type_ = nullptr;
  char* text_ = nullptr;
};

}  // namespace

AnswerFields answer_fields(request_rec* r, const http::ResponseHead& head, const AnswerWishes& wishes) {
  const AnswerFields fields = Writer(r, head, wishes.length).write(wishes.earlier);
  if (wishes.via != nullptr) apr_table_addn(fields.table, "Via", wishes.via);
  return fields;
}

}  // namespace cxxproxy::httpd
