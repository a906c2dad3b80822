#include "config/value_parsers.h"

#include <catch2/catch.hpp>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "config/spec.h"

using namespace cxxproxy::config;

TEST_CASE("flags are On or Off in any case, nothing else") {
  CHECK(parse_flag("On") == true);
  CHECK(parse_flag("oFF") == false);
  for (const char* text : {"", "1", "0", "yes", "true", "onn", " on", "on "}) CHECK_FALSE(parse_flag(text).has_value());
}

TEST_CASE("whole numbers") {
  CHECK(parse_integer("0") == 0);
  CHECK(parse_integer("007") == 7);
  CHECK(parse_integer("9223372036854775807") == std::numeric_limits<std::int64_t>::max());
  for (const char* text : {"", "-1", "+1", "1.0", "0x10", "1 ", "9223372036854775808", "99999999999999999999999"}) {
    CHECK_FALSE(parse_integer(text).has_value());
  }
}

TEST_CASE("durations: plain numbers are seconds, units ms s min h in any case") {
  const std::vector<std::pair<const char*, std::int64_t>> good = {
      {"0", 0},           {"5", 5'000'000},      {"5s", 5'000'000},          {"250ms", 250'000}, {"2min", 120'000'000},
      {"1h", 3'600'000'000}, {"1MIN", 60'000'000}, {"1Ms", 1'000}, {"9223372036854", 9'223'372'036'854'000'000}};
  for (const auto& [text, value] : good) CHECK(parse_duration(text) == value);
  for (const char* text : {"", "s", "ms", "-1", "5d", "5 s", "1.5s", "5sec", "5m", "9223372036855", "99999999999999999999", "1h1min"}) {
    INFO(text);
    CHECK_FALSE(parse_duration(text).has_value());
  }
}

TEST_CASE("load factors have at most two decimals") {
  CHECK(parse_load_factor("1") == 100);
  CHECK(parse_load_factor("1.5") == 150);
  CHECK(parse_load_factor("1.05") == 105);
  CHECK(parse_load_factor("100.00") == 10'000);
  CHECK(parse_load_factor("0.01") == 1);
  for (const char* text : {"", ".", "1.", ".5", "1.234", "1,5", "-1", "1.x", "1.-5", "99999999999999999999"}) {
    INFO(text);
    CHECK_FALSE(parse_load_factor(text).has_value());
  }
}

TEST_CASE("every status letter sets and clears its own flag") {
  const std::vector<std::pair<char, StatusFlag>> letters = {
      {'D', StatusFlag::Disabled},   {'S', StatusFlag::Stopped}, {'I', StatusFlag::IgnoreErrors}, {'R', StatusFlag::HotSpare},
      {'H', StatusFlag::HotStandby}, {'E', StatusFlag::InError}, {'N', StatusFlag::Drain},        {'C', StatusFlag::CheckFailed}};
  constexpr std::uint32_t kAll = 0xff;
  for (const auto& [letter, flag] : letters) {
    INFO(letter);
    CHECK(apply_status(0, *parse_status(std::string(1, letter))) == bit(flag));
    CHECK(apply_status(0, *parse_status(std::string("+") + letter)) == bit(flag));
    CHECK(apply_status(kAll, *parse_status(std::string("-") + letter)) == (kAll & ~bit(flag)));
  }
}

TEST_CASE("a sign holds for all letters behind it, the last word about a letter counts") {
  CHECK(apply_status(0, *parse_status("+DH-S")) == (bit(StatusFlag::Disabled) | bit(StatusFlag::HotStandby)));
  CHECK(apply_status(bit(StatusFlag::IgnoreErrors), *parse_status("-iD")) == 0);
  CHECK(apply_status(0, *parse_status("+D-D")) == 0);
  CHECK(apply_status(0, *parse_status("-D+D")) == bit(StatusFlag::Disabled));
  for (const char* text : {"", "+", "-", "D+", "X", "+DX", "D S", "1"}) CHECK_FALSE(parse_status(text).has_value());
}

TEST_CASE("combining two statuses is applying one after the other") {
  const std::vector<std::string> texts = {"D", "-D", "+DS", "-DS", "+I-D", "-I+D", "+S"};
  for (const auto& first : texts) {
    for (const auto& second : texts) {
      for (const std::uint32_t start : {0U, 0xffU, bit(StatusFlag::Disabled)}) {
        const auto one = *parse_status(first);
        const auto two = *parse_status(second);
        CHECK(apply_status(start, combine_status(one, two)) == apply_status(apply_status(start, one), two));
      }
    }
  }
}
