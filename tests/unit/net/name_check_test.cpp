#include "net/name_check.h"

#include <unistd.h>

#include <catch2/catch.hpp>
#include <string>
#include <vector>

using namespace cxxproxy;
using namespace cxxproxy::net;

namespace {

NameAnswer by_first_letter(const std::string& host) {
  switch (host.front()) {
    case 'k':
      return NameAnswer::Known;
    case 'n':
      return NameAnswer::NoSuchName;
    case 's':
      return NameAnswer::NoAnswer;
    default:
      ::pause();  // a resolver that never answers
      return NameAnswer::Known;
  }
}

}  // namespace

TEST_CASE("each name gets its answer, in order") {
  std::vector<std::string> hosts;
  std::vector<NameAnswer> expected;
  for (int i = 0; i < 300; ++i) {
    hosts.push_back(std::string(1, "kns"[i % 3]) + std::to_string(i));
    expected.push_back(i % 3 == 0 ? NameAnswer::Known : i % 3 == 1 ? NameAnswer::NoSuchName : NameAnswer::NoAnswer);
  }
  CHECK(check_names(hosts, std::chrono::seconds(60), by_first_letter) == expected);
  CHECK(check_names({}, std::chrono::seconds(60), by_first_letter).empty());
}

TEST_CASE("a resolver that does not answer holds nobody up, and what was answered counts") {
  const auto begin = std::chrono::steady_clock::now();
  const auto answers = check_names({"known", "hangs", "no"}, std::chrono::milliseconds(300), by_first_letter);
  CHECK(answers == std::vector{NameAnswer::Known, NameAnswer::Unknown, NameAnswer::NoSuchName});
  CHECK(std::chrono::steady_clock::now() - begin < std::chrono::seconds(30));
}

TEST_CASE("a name that cannot be one is not known") {
  // No resolver is asked for a label of more than 63 characters.
  CHECK(ask_system(std::string(64, 'a') + ".test") == NameAnswer::NoSuchName);
  CHECK(ask_system("127.0.0.1") == NameAnswer::Known);
}
