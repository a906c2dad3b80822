#include "options.h"

#include <charconv>
#include <cstdlib>
#include <string_view>

#include "common.h"

namespace bench {

namespace {

constexpr const char* kUsage =
    "bench_load backend PORT...\n"
    "       bench_load load|burst|hold|tunnel PORT [--connections N] [--seconds S | --requests N] [--grace S]\n"
    "         [--path P] [--host H] [--field 'Name: value']... [--post BYTES] [--status N] [--length N] [--events N]\n"
    "         [--pace BYTES] [--fresh] [--tls]";

[[noreturn]] void usage(const std::string& word) { fail("bad argument '" + word + "'; usage: " + kUsage); }

template <typename Number>
Number number(const std::string& text) {
  Number value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) usage(text);
  return value;
}

Mode mode_of(const std::string& word) {
  if (word == "load") return Mode::Load;
  if (word == "burst") return Mode::Burst;
  if (word == "hold") return Mode::Hold;
  if (word == "tunnel") return Mode::Tunnel;
  usage(word);
}

void take(Options& options, const std::string& name, const std::string& value) {
  if (name == "--connections") options.connections = number<std::size_t>(value);
  else if (name == "--seconds") options.seconds = number<double>(value);
  else if (name == "--requests") options.requests = number<std::uint64_t>(value);
  else if (name == "--grace") options.grace = number<double>(value);
  else if (name == "--path") options.path = value;
  else if (name == "--host") options.host = value;
  else if (name == "--field") options.fields.push_back(value);
  else if (name == "--post") options.post = number<std::uint64_t>(value);
  else if (name == "--status") options.status = number<int>(value);
  else if (name == "--length") options.length = number<std::int64_t>(value);
  else if (name == "--events") options.events = number<std::uint64_t>(value);
  else if (name == "--pace") options.pace = number<std::uint64_t>(value);
  else usage(name);
}

}  // namespace

Options parse_options(int count, char** words) {
  const std::vector<std::string> all(words + 1, words + count);
  if (all.size() < 2) usage("");
  Options options;
  options.backend = all[0] == "backend";
  if (!options.backend) options.mode = mode_of(all[0]);
  for (std::size_t i = 1; i < all.size(); ++i) {
    if (i == 1 || options.backend) options.ports.push_back(number<std::uint16_t>(all[i]));
    else if (all[i] == "--fresh") options.fresh = true;
    else if (all[i] == "--tls") options.tls = true;
    else if (i + 1 == all.size()) usage(all[i]);
    else take(options, all[i], all[i + 1]), ++i;
  }
  return options;
}

}  // namespace bench
