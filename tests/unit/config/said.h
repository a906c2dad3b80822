// Shorthand for the tests of this room: a directive line in, its problem or nothing out.
#pragma once

#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include "config/statements.h"

namespace cxxproxy::config {

class Said {
 public:
  explicit Said(const std::string& line, unsigned number = 1) : line_(line) {
    std::istringstream in(line);
    in >> directive_;
    for (std::string word; in >> word;) storage_.push_back(word);
    words_.assign(storage_.begin(), storage_.end());
    statement_ = {directive_, {"test.conf", number}};
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
  if (name == "ProxyPass") wrong = say_proxy_pass(server, said.statement(), said.words());
  if (name == "BalancerMember") wrong = say_member(server, said.statement(), section, said.words());
  if (name == "ProxySet") wrong = say_set(server, said.statement(), section, said.words());
  if (name == "<Proxy>") wrong = say_section(server, said.statement(), said.words());
  if (name == "ProxyTimeout") wrong = say_timeout(server.proxy_timeout, said.statement(), said.words().front());
  if (name == "ProxyBadHeader") wrong = say_bad_header(server.bad_header, said.statement(), said.words().front());
  if (name == "ProxyStatus") wrong = say_show_status(server.show_status, said.statement(), said.words().front());
  return wrong.value_or("");
}

}  // namespace cxxproxy::config
