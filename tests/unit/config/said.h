// Shorthand for the tests of this room: a directive line in, its problem or nothing out.
#pragma once

#include <algorithm>
#include <memory>
#include <regex>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include "config/statements.h"

namespace cxxproxy::config {

// What httpd gives the module while it reads a configuration, without httpd.
class TestSurroundings final : public Surroundings {
 public:
  class Regex final : public Pattern {
   public:
    explicit Regex(const std::string& text) : regex_(text) {}
    bool match(std::string_view subject, Groups& groups) const noexcept override {
      std::match_results<std::string_view::const_iterator> found;
      if (!std::regex_search(subject.begin(), subject.end(), found, regex_)) return false;
      groups = {};
      for (std::size_t i = 0; i < std::min(groups.size(), found.size()); ++i) {
        if (!found[i].matched) continue;
        const auto begin = static_cast<std::size_t>(found[i].first - subject.begin());
        groups[i] = {begin, begin + static_cast<std::size_t>(found[i].length()), true};
      }
      return true;
    }

   private:
    std::regex regex_;
  };

  base::Result<std::shared_ptr<const Pattern>, std::string> compile(std::string_view text) const override {
    try {
      return std::shared_ptr<const Pattern>(std::make_shared<Regex>(std::string(text)));
    } catch (const std::regex_error&) {
      return std::string("not a regular expression");
    }
  }
  std::string runtime_path(std::string_view path) const override { return "/run/" + std::string(path); }
};
inline const TestSurroundings kSurroundings{};

class Said {
 public:
  explicit Said(const std::string& line, unsigned number = 1) : line_(line) {
    std::istringstream in(line);
    in >> directive_;
    for (std::string word; in >> word;) storage_.push_back(word);
    words_.assign(storage_.begin(), storage_.end());
    statement_ = {directive_, {"test.conf", number}, &kSurroundings};
  }
  Said(const Said&) = delete;
  Said& operator=(const Said&) = delete;

  const Statement& statement() const { return statement_; }
  Words words() const { return words_; }

 private:
  std::string line_;
  std::string directive_;
  std::vector<std::string> storage_;
  std::vector<std::string_view> words_;
  Statement statement_;
};

// Reads one line in server scope or inside <Proxy section>; "" when all is well.
inline std::string say(VhostConfig& server, const std::string& line, std::string_view section = {}, unsigned number = 1) {
  const Said said(line, number);
  const std::string_view name = said.statement().directive;
  Problem wrong = "no such directive in the tests";
  if (name == "ProxyPass") wrong = say_proxy_pass(server, said.statement(), RuleKind::Prefix, said.words());
  if (name == "ProxyPassMatch") wrong = say_proxy_pass(server, said.statement(), RuleKind::Expression, said.words());
  if (name == "BalancerMember") wrong = say_member(server, said.statement(), section, said.words());
  if (name == "ProxySet") wrong = say_set(server, said.statement(), section, said.words());
  if (name == "<Proxy>") wrong = say_section(server, said.statement(), said.words());
  if (name == "ProxyTimeout") wrong = say_timeout(server.proxy_timeout, said.statement(), said.words().front());
  if (name == "ProxyBadHeader") wrong = say_bad_header(server.bad_header, said.statement(), said.words().front());
  if (name == "ProxyStatus") wrong = say_show_status(server.show_status, said.statement(), said.words().front());
  return wrong.value_or("");
}

}  // namespace cxxproxy::config
