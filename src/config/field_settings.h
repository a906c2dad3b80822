// What is added to requests and changed in answers: the single values of one per-directory scope.
//
// WHAT    ProxyPassReverseMode, ProxyForwardedFields, ProxyForwardedTrust and ProxyErrorOverride. Lists of rules are
//         in answer_rules.h.
// SHAPES  Trivially copyable; merged for each request, inner scope over outer. Codes of ProxyErrorOverride add up over
//         the scopes, as in mod_proxy, and On or Off is the innermost's.
// SOURCE  mod_proxy's manual; RFC 7239.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "base/ip_address.h"
#include "config/setting.h"
#include "http/request_head.h"
#include "http/reverse_map.h"

namespace cxxproxy::config {

// Whose X-Forwarded and Forwarded fields are believed.
struct ForwardedTrust {
  enum class Kind : std::uint8_t { Everybody, Nobody, Listed };
  Kind kind = Kind::Everybody;
  std::vector<base::IpRange> ranges;
  std::string text;  // as it was typed, for dumps

  // `peer` is who connected to httpd, whatever mod_remoteip made of it.
  bool trusts(const base::IpAddress& peer) const noexcept;
};

// Statuses from 400 to 599.
class ErrorCodes {
 public:
  static constexpr int kFirst = 400;
  static constexpr int kLast = 599;

  void add(int code) noexcept { word(code) |= bit(code); }
  bool has(int code) const noexcept { return code >= kFirst && code <= kLast && (words_[index(code)] & bit(code)) != 0; }
  bool empty() const noexcept { return words_ == decltype(words_){}; }
  void add(const ErrorCodes& other) noexcept {
    for (std::size_t i = 0; i < words_.size(); ++i) words_[i] |= other.words_[i];
  }

 private:
  static constexpr std::size_t index(int code) noexcept { return static_cast<std::size_t>(code - kFirst) / 64; }
  static constexpr std::uint64_t bit(int code) noexcept { return std::uint64_t{1} << (code - kFirst) % 64; }
  std::uint64_t& word(int code) noexcept { return words_[index(code)]; }

  std::array<std::uint64_t, 4> words_{};
};

struct FieldSettings {
  Setting<http::Boundary> reverse_mode;
  Setting<unsigned> forwarded_fields;            // bits of http::ForwardedField
  Setting<const ForwardedTrust*> forwarded_trust;  // owned by the server's Declarations
  Setting<bool> error_override;
  ErrorCodes error_codes;  // none: all of them

  // Is an answer with this status replaced by httpd's own?
  bool overrides(int status) const noexcept {
    if (!error_override.value_or(false) || status < ErrorCodes::kFirst || status > ErrorCodes::kLast) return false;
    return error_codes.empty() || error_codes.has(status);
  }
};

FieldSettings merged(const FieldSettings& outer, const FieldSettings& inner) noexcept;

}  // namespace cxxproxy::config
