// Response heads: however the bytes are cut, the result is the same, and what is Done is clean.
// Input: one byte of options, one byte that cuts, then the answer's bytes.
#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include "base/ascii.h"
#include "fuzz_input.h"
#include "http/framing.h"
#include "http/hop_by_hop.h"
#include "http/response_head_parser.h"

namespace {

using namespace cxxproxy;
using fuzz::require;

struct Run {
  std::string buffer;
  http::ResponseHeadParser parser;
  http::Progress progress = http::Progress::NeedMore;

  Run(http::HeadLimits limits, http::BadHeaderRule rule) : parser(limits, rule) {}

  void feed(std::string_view bytes) {
    std::string moved = buffer + std::string(bytes);
    buffer.assign(buffer.size(), '\xee');
    buffer.swap(moved);
    progress = parser.parse(buffer);
  }
};

void require_same(const Run& a, const Run& b) {
  require(a.progress == b.progress);
  require(a.parser.problem().code == b.parser.problem().code);
  require(a.parser.problem().detail == b.parser.problem().detail);
  if (a.progress != http::Progress::Done) return;
  const auto& x = a.parser.head();
  const auto& y = b.parser.head();
  require(a.parser.head_size() == b.parser.head_size());
  require(x.status == y.status && x.minor_version == y.minor_version && x.reason == y.reason);
  require(x.fields.size() == y.fields.size());
  for (std::size_t i = 0; i < x.fields.size(); ++i) {
    require(x.fields[i].name == y.fields[i].name && x.fields[i].value == y.fields[i].value);
  }
}

void require_clean(const Run& run, http::HeadLimits limits) {
  const auto& head = run.parser.head();
  require(head.status >= 100 && head.status <= 999);
  require(base::is_field_value(head.reason));
  require(head.fields.size() <= limits.fields);
  require(run.parser.head_size() <= limits.head && run.parser.head_size() <= run.buffer.size());
  const char* begin = run.buffer.data();
  const char* end = begin + run.parser.head_size();
  for (const auto& field : head.fields) {
    require(base::is_token(field.name) && base::is_field_value(field.value));
    require(base::trim(field.value) == field.value);
    require(field.name.data() >= begin && field.value.data() + field.value.size() <= end);
    require(field.name.size() + field.value.size() <= limits.field);
  }
}

struct PlainField {
  std::string name, value;
  bool kept;
};

// The fields once more, read line by line from the bytes as they came.
std::vector<PlainField> read_plainly(std::string_view head) {
  std::vector<PlainField> fields;
  head.remove_prefix(head.find('\n') + 1);
  while (!head.empty()) {
    const std::size_t end = head.find('\n');
    std::string_view line = head.substr(0, end);
    head.remove_prefix(end + 1);
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (line.empty()) break;
    const bool folded = !fields.empty() && (line.front() == ' ' || line.front() == '\t');
    if (folded) {
      const std::string text(base::trim(line));
      std::string& value = fields.back().value;
      value += (value.empty() || text.empty() ? "" : " ") + text;
      continue;
    }
    const std::size_t colon = std::min(line.find(':'), line.size());
    std::string name(line.substr(0, colon));
    while (name.ends_with(' ') || name.ends_with('\t')) name.pop_back();
    const bool kept = base::is_token(name) && colon < line.size();
    fields.push_back({name, kept ? std::string(base::trim(line.substr(colon + 1))) : "", kept});
  }
  std::erase_if(fields, [](const PlainField& field) { return !field.kept; });
  return fields;
}

void require_as_sent(const Run& run, std::string_view bytes) {
  const auto& head = run.parser.head();
  const std::vector<PlainField> plain = read_plainly(bytes.substr(0, run.parser.head_size()));
  require(plain.size() == head.fields.size());
  for (std::size_t i = 0; i < plain.size(); ++i) {
    require(plain[i].name == head.fields[i].name && plain[i].value == head.fields[i].value);
  }
}

// Decisions on top of any clean head must not trip over it.
void use(const http::ResponseHead& head) {
  for (const bool head_request : {false, true}) {
    const auto framing = http::response_framing(head, head_request);
    if (!framing) continue;
    require(framing->length <= 0x7fffffffffffffffu);
    require(framing->kind != http::BodyKind::UntilClose || !framing->persistent);
    require(!head_request || framing->kind == http::BodyKind::None);
  }
  const http::HopByHop connection(head.fields);
  for (const auto& field : head.fields) {
    require(!base::iequals(field.name, "Transfer-Encoding") || connection.drops(field.name));
    require(!base::iequals(field.name, "Content-Length") || !connection.drops(field.name));
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  fuzz::Input input(data, size);
  const unsigned options = input.byte();
  const unsigned cut = input.byte();
  const std::string_view bytes = input.rest();
  http::HeadLimits limits;
  if ((options & 4u) != 0) limits = {.field = 24 + (options >> 4), .head = 64 + (options >> 4), .fields = 3};
  const auto rule = static_cast<http::BadHeaderRule>((options & 3u) % 3u);

  Run whole(limits, rule);
  whole.feed(bytes);
  Run halves(limits, rule);
  const std::size_t split = bytes.size() * cut / 256;
  halves.feed(bytes.substr(0, split));
  if (halves.progress == http::Progress::NeedMore) {
    halves.feed(bytes.substr(split));
  } else if (halves.progress == http::Progress::Done) {
    require(whole.progress == http::Progress::Done && whole.parser.head_size() == halves.parser.head_size());
  }
  require_same(whole, halves);
  if (bytes.size() <= 512) {
    Run each(limits, rule);
    for (std::size_t i = 0; i < bytes.size() && each.progress == http::Progress::NeedMore; ++i)
      each.feed(bytes.substr(i, 1));
    if (!bytes.empty()) require_same(whole, each);
  }
  if (whole.progress == http::Progress::Done) {
    require_clean(whole, limits);
    require_as_sent(whole, bytes);
    use(whole.parser.head());
  } else if (whole.progress == http::Progress::NeedMore) {
    require(bytes.size() <= limits.head);
  }
  return 0;
}
