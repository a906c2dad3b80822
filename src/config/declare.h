// The steps that several directives share: reading names and URLs, finding or making an object,
// applying key=value words.
//
// ERRORS  Texts for configtest that start with the directive as typed; see config/statements.h.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"
#include "config/parameter_rows.h"
#include "config/statements.h"
#include "config/vhost_config.h"

namespace cxxproxy::config {

struct BalancerName {
  std::string name;  // lower case
  std::string path;  // "" or starts with '/'
};

// The text with three dots for what may be a user and a password, so that no log gets them.
std::string without_userinfo(std::string_view text);

// "Directive: text: why", without a password in the text.
std::string problem(const Statement& said, std::string_view text, std::string_view why);
std::string url_problem(const Statement& said, std::string_view url, const http::UrlError& error);

// Why no request can go to this URL, which a directive of another module names: its kind is not supported yet.
Problem why_not_served(const Statement& said, std::string_view url);

base::Result<BalancerName, std::string> parse_balancer_url(const Statement& said, std::string_view url);
base::Result<http::Url, std::string> parse_member_url(const Statement& said, std::string_view url);

DeclaredBalancer& declare_balancer(Declarations& lists, const Statement& said, const std::string& lower_case_name);
DeclaredMember& declare_plain(Declarations& lists, const Statement& said, const http::Url& url);
// The backend of a rule whose URL requests fill; the URL as written is its name.
DeclaredMember& declare_template(Declarations& lists, const Statement& said, DeclaredMember member);
DeclaredMember& declare_member(DeclaredBalancer& balancer, const Statement& said, const http::Url& url);

// Words of `place` go to `into`; words about the rule, if there is one, to `rule`.
Problem apply_parameters(const Statement& said, ParameterSet& into, Place place, Words words, ParameterSet* rule = nullptr);

}  // namespace cxxproxy::config
