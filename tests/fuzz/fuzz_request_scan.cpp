// Whether a request can be read whole, against a second, plainer reading; and what must hold however the bytes come: an event
// loop that begins a request too early waits for its client with everybody else behind it.
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "fuzz_input.h"
#include "http/framing.h"
#include "http/request_scan.h"

namespace {

using namespace cxxproxy;
using fuzz::require;
using http::RequestScan;

std::string lower_and_bare(std::string text) {
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.pop_back();
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.erase(0, 1);
  for (char& c : text) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return text;
}

struct Reading {
  std::vector<std::string> lines;  // of the head, the request line first; without their ends
  bool complete = false;
  std::size_t head_size = 0;  // with its empty line, and those before it
};

// One character after the other.
Reading read(std::string_view bytes) {
  Reading reading;
  std::string line;
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    if (bytes[i] != '\n') {
      line += bytes[i];
      continue;
    }
    if (!line.empty() && line.back() == '\r') line.pop_back();
    if (!line.empty()) {
      reading.lines.push_back(line);
    } else if (!reading.lines.empty()) {
      reading.complete = true;
      reading.head_size = i + 1;
      return reading;
    }
    line.clear();
  }
  return reading;
}

RequestScan judge(const Reading& reading, std::size_t size) {
  std::optional<std::uint64_t> length;
  for (std::size_t i = 1; i < reading.lines.size(); ++i) {
    const std::string& line = reading.lines[i];
    const auto colon = line.find(':');
    if (colon == std::string::npos || line[0] == ' ' || line[0] == '\t') return RequestScan::Other;
    const std::string name = lower_and_bare(line.substr(0, colon));
    if (name == "transfer-encoding" || name == "expect" || name == "upgrade") return RequestScan::Other;
    if (name != "content-length") continue;
    const auto number = http::parse_length(lower_and_bare(line.substr(colon + 1)));
    if (!number || length) return RequestScan::Other;
    length = *number;
  }
  if (!reading.complete) return RequestScan::Partial;
  return size - reading.head_size >= length.value_or(0) ? RequestScan::Whole : RequestScan::Other;
}

// The value of the only Host field of a request whose target begins with one slash.
std::string plain_host(const Reading& reading) {
  const std::string& request_line = reading.lines.front();
  const auto blank = request_line.find(' ');
  if (blank == std::string::npos || request_line.substr(blank + 1, 1) != "/" || request_line.substr(blank + 2, 1) == "/") return "";
  const auto version = request_line.find(' ', blank + 1);
  if (version == std::string::npos || request_line.substr(version + 1, 5) != "HTTP/") return "";
  std::vector<std::string> hosts;
  for (std::size_t i = 1; i < reading.lines.size(); ++i) {
    const std::string line = reading.lines[i];
    const auto colon = line.find(':');
    if (lower_and_bare(line.substr(0, colon)) == "host") hosts.push_back(lower_and_bare(line.substr(colon + 1)));
  }
  return hosts.size() == 1 ? hosts.front() : "";
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  bool whole = false;
  // Every prefix, as when the bytes come one by one; long inputs only as a whole.
  for (std::size_t part = size < 512 ? 0 : size; part <= size; ++part) {
    const auto [scan, host] = http::scan_request(bytes.substr(0, part));
    const Reading reading = read(bytes.substr(0, part));
    require(scan == judge(reading, part));
    require(lower_and_bare(std::string(host)) == (scan == RequestScan::Whole ? plain_host(reading) : ""));
    require(!whole || scan == RequestScan::Whole);  // more bytes take nothing away
    whole = scan == RequestScan::Whole;
  }
  return 0;
}
