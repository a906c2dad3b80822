// Directive lines as an administrator might type them: nothing may crash, what is accepted must be
// within the ranges that messages promise, and the rules' index must agree with the rules.
//
// Input: lines "Directive word word ..."; the last line is a request path.
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "config/field_statements.h"
#include "config/parameter_rows.h"
#include "config/resolve.h"
#include "config/statements.h"

namespace {

using namespace cxxproxy;
using namespace cxxproxy::config;

void require(bool holds) {
  if (!holds) __builtin_trap();
}

std::vector<std::string_view> split(std::string_view text, char at) {
  std::vector<std::string_view> parts;
  while (!text.empty()) {
    const auto end = text.find(at);
    if (end != 0) parts.push_back(text.substr(0, end));
    text = end == std::string_view::npos ? std::string_view{} : text.substr(end + 1);
  }
  return parts;
}

Problem say(VhostConfig& server, AnswerRules& answers, Words line) {
  const Statement said{line[0], {"fuzz.conf", 1}, nullptr};
  const Words words = line.subspan(1);
  switch (line[0][0]) {
    case 'B':
      return say_member(server, said, {}, words);
    case 'S':
      return say_set(server, said, {}, words);
    case '<':
      return say_section(server, said, words);
    case 'T':
      return words.empty() ? std::nullopt : say_timeout(server.proxy_timeout, said, words[0]);
    case 'H':
      return words.empty() ? std::nullopt : say_bad_header(server.bad_header, said, words[0]);
    case 'R':
      return words.size() < 2 ? std::nullopt : say_reverse(answers.reverse, said, words[0], words[1]);
    case 'C':
      return say_cookie_rule(answers.cookies, said, http::CookieAttribute::Path, words);
    case 'F':
      return say_cookie_flags(answers.flags, said, words);
    default:
      return say_proxy_pass(server, said, RuleKind::Prefix, words);
  }
}

void check_ranges(const ParameterSet& set) {
  for (const auto& row : parameter_rows()) {
    if (!row.is_supported() || row.min >= row.max) continue;
    const auto value = set.value(row.id);
    if (value && !(row.kind == ValueKind::BufferSize && *value == 0)) require(*value >= row.min && *value <= row.max);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto lines = split({reinterpret_cast<const char*>(data), size}, '\n');
  VhostConfig server;
  AnswerRules answers;
  for (const std::string_view line : lines) {
    const auto words = split(line, ' ');
    if (words.empty()) continue;
    const Problem wrong = say(server, answers, words);
    if (wrong) require(wrong->size() > words[0].size() && wrong->starts_with(words[0]));
  }
  for (const auto& member : server.own->plain) check_ranges(member->parameters);
  for (const auto& balancer : server.own->balancers) {
    for (const auto& member : balancer->members) check_ranges(member.parameters);
  }

  const std::vector<ServerView> views = {{&server, "main"}};
  const Resolution resolution = resolve(views);
  for (std::size_t i = 0; i < resolution.whole->members.size(); ++i) require(resolution.whole->members[i]->member_id == i);
  const ResolvedVhost& vhost = *resolution.vhosts[0];
  const std::string_view path = lines.empty() ? std::string_view{} : lines.back();
  const RouteMatch found = vhost.find_route(path);
  RouteMatch expected;
  for (const Route& rule : vhost.rules[0]->rules.rules()) {
    if (RouteMatch match = rule_matches(rule, path, nullptr)) {
      expected = std::move(match);
      break;
    }
  }
  require(found.route == expected.route && found.matched == expected.matched);
  const AnswerChain chain{nullptr, &answers, nullptr};
  const AnswerView view{&chain, vhost};
  (void)map_back(view, path);
  (void)map_cookie(view, path);
  return 0;
}
