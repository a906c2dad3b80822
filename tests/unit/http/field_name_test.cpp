#include "http/field_name.h"

#include <set>
#include <string>

#include <catch2/catch.hpp>

#include "base/ascii.h"

using namespace cxxproxy::http;

namespace {

constexpr const char* kKnown[] = {"Connection", "HTTP2-Settings", "Keep-Alive", "Proxy-Authenticate", "Proxy-Authentication-Info",
                                  "Proxy-Authorization", "Proxy-Connection", "TE", "Trailer", "Transfer-Encoding", "Upgrade",
                                  "Via", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Server", "X-Forwarded-Proto",
                                  "X-Forwarded-Port", "Forwarded", "Content-Length", "Expect", "Host"};

}  // namespace

TEST_CASE("every known field has its own name, in any case, and a name like it is none", "[field_name]") {
  std::set<FieldName> names;
  for (const std::string text : kKnown) {
    CAPTURE(text);
    const FieldName name = field_name(text);
    CHECK(name != FieldName::Other);
    CHECK(names.insert(name).second);
    std::string folded = text;
    for (char& c : folded) c = cxxproxy::base::to_lower(c);
    CHECK(field_name(folded) == name);
    for (std::size_t place = 0; place < text.size(); ++place) {
      std::string changed = text;
      changed[place] = static_cast<char>(changed[place] ^ 0x40);
      CHECK(field_name(changed) == FieldName::Other);
      changed[place] = '\0';
      CHECK(field_name(changed) == FieldName::Other);
    }
    CHECK(field_name(text.substr(1)) == FieldName::Other);
    CHECK(field_name(text.substr(0, text.size() - 1)) == FieldName::Other);
    CHECK(field_name(text + "s") == FieldName::Other);
  }
  CHECK(names.size() == static_cast<std::size_t>(FieldName::Host));  // the last one: the list above leaves none out
  CHECK(field_name("") == FieldName::Other);
  CHECK(field_name(std::string(5000, 'x')) == FieldName::Other);
}
