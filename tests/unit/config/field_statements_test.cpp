#include "config/field_statements.h"

#include <catch2/catch.hpp>
#include <string>

#include "config/resolve.h"
#include "said.h"

using namespace cxxproxy;
using namespace cxxproxy::config;

TEST_CASE("which forwarding fields are sent", "[field_statements]") {
  Setting<unsigned> fields;
  const auto say_line = [&](const std::string& line) {
    const Said said(line);
    return say_forwarded_fields(fields, said.statement(), said.words()).value_or("");
  };
  CHECK(say_line("ProxyForwardedFields for HOST Port") == "");
  CHECK(fields.value_or(0) == (http::kForwardedFor | http::kForwardedHost | http::kForwardedPort));
  CHECK(say_line("ProxyForwardedFields Forwarded Proto Server") == "");
  CHECK(fields.value_or(0) == (http::kForwardedElement | http::kForwardedProto | http::kForwardedServer));
  CHECK_THAT(say_line("ProxyForwardedFields"), Catch::Contains("needs at least one of For, Host"));
  CHECK_THAT(say_line("ProxyForwardedFields For By"), Catch::Contains("By: unknown word (For, Host"));
}

TEST_CASE("whose forwarding fields count", "[field_statements]") {
  Declarations lists;
  Setting<const ForwardedTrust*> trust;
  const auto say_line = [&](const std::string& line) {
    const Said said(line);
    return say_forwarded_trust(lists, trust, said.statement(), said.words()).value_or("");
  };
  const auto trusts = [&](const char* address) { return trust.value_or(nullptr)->trusts(*base::parse_ip_address(address)); };
  CHECK(say_line("ProxyForwardedTrust all") == "");
  CHECK(trusts("192.0.2.1"));
  CHECK(say_line("ProxyForwardedTrust None") == "");
  CHECK_FALSE(trusts("192.0.2.1"));
  CHECK(say_line("ProxyForwardedTrust 10.0.0.0/8 192.0.2.7 2001:db8::/32") == "");
  CHECK(trusts("10.1.2.3"));
  CHECK(trusts("::ffff:10.1.2.3"));
  CHECK(trusts("192.0.2.7"));
  CHECK(trusts("2001:db8::1"));
  CHECK_FALSE(trusts("192.0.2.8"));
  CHECK_FALSE(trusts("::1"));
  for (const char* wrong : {"", " All None", " None 10.0.0.0/8", " 10.0.0.1/8", " proxy.example.com", " 10.0.0.0/33"}) {
    CAPTURE(wrong);
    CHECK(say_line(std::string("ProxyForwardedTrust") + wrong) != "");
  }
  CHECK(lists.trusts.size() == 3);
}

TEST_CASE("Via and Max-Forwards", "[field_statements]") {
  const Said said("X");
  Setting<Via> via;
  CHECK(say_via(via, said.statement(), "full") == std::nullopt);
  CHECK(via.value_or(Via::Off) == Via::Full);
  CHECK(say_via(via, said.statement(), "Yes").value_or("") == "X: Yes: unknown word (Off, On, Full or Block)");
  Setting<std::int64_t> forwards;
  CHECK(say_max_forwards(forwards, said.statement(), "-1") == std::nullopt);
  CHECK(forwards.value_or(5) == -1);
  CHECK(say_max_forwards(forwards, said.statement(), "2147483647") == std::nullopt);
  for (const char* wrong : {"", "-2", "2147483648", "abc", "5x", "+5", " 5", "99999999999999999999"}) {
    CAPTURE(wrong);
    CHECK_THAT(say_max_forwards(forwards, said.statement(), wrong).value_or(""), Catch::Contains("not a number from -1 to 2147483647"));
  }
}

TEST_CASE("errors that are replaced: codes add up, the inner On or Off decides", "[field_statements]") {
  const auto fields_of = [](const std::string& line) {
    FieldSettings fields;
    const Said said(line);
    REQUIRE(say_error_override(fields, said.statement(), said.words()) == std::nullopt);
    return fields;
  };
  const FieldSettings nothing;
  const FieldSettings all = fields_of("ProxyErrorOverride On");
  const FieldSettings off = fields_of("ProxyErrorOverride off");
  const FieldSettings some = fields_of("ProxyErrorOverride on 404 500,503");
  CHECK_FALSE(nothing.overrides(404));
  for (const int status : {400, 401, 404, 499, 500, 599}) CHECK(all.overrides(status));
  for (const int status : {100, 200, 399, 600, 0, -1}) CHECK_FALSE(all.overrides(status));
  CHECK_FALSE(off.overrides(500));
  for (const int status : {404, 500, 503}) CHECK(some.overrides(status));
  for (const int status : {400, 403, 405, 501, 599}) CHECK_FALSE(some.overrides(status));
  CHECK(merged(some, nothing).overrides(404));
  CHECK_FALSE(merged(some, off).overrides(404));
  CHECK(merged(merged(some, off), all).overrides(404));
  CHECK_FALSE(merged(some, all).overrides(403));  // as in mod_proxy: the outer codes stay
  CHECK(merged(some, fields_of("ProxyErrorOverride On 403")).overrides(403));
  CHECK(merged(some, fields_of("ProxyErrorOverride On 403")).overrides(500));
  CHECK(merged(all, some).overrides(404));
  CHECK_FALSE(merged(all, some).overrides(403));

  FieldSettings fields;
  for (const char* wrong : {"", " 404", " Yes", " On 200", " On 600", " On 4o4", " Off 404", " On 404,abc", " On 404x", " On +404"}) {
    CAPTURE(wrong);
    FieldSettings fresh;
    const Said said(std::string("ProxyErrorOverride") + wrong);
    CHECK(say_error_override(fresh, said.statement(), said.words()).has_value());
  }
  // A line of its own adds codes to what was switched on.
  const Said on("ProxyErrorOverride On 404");
  const Said more("ProxyErrorOverride 410");
  CHECK(say_error_override(fields, on.statement(), on.words()) == std::nullopt);
  CHECK(say_error_override(fields, more.statement(), more.words()) == std::nullopt);
  CHECK(fields.overrides(410));
}

TEST_CASE("buffers and the own address", "[field_statements]") {
  const Said said("X");
  Setting<std::int64_t> size;
  for (const auto& [text, value] : {std::pair<const char*, std::int64_t>{"0", 0}, {"512", 512}, {"16777216", 16777216}}) {
    CHECK(say_buffer_size(size, said.statement(), ParameterId::IoBufferSize, text) == std::nullopt);
    CHECK(size.value_or(-1) == value);
  }
  for (const char* wrong : {"", "511", "1", "16777217", "-1", "8k"}) {
    CAPTURE(wrong);
    CHECK_THAT(say_buffer_size(size, said.statement(), ParameterId::ReceiveBufferSize, wrong).value_or(""), Catch::Contains("(0, or 512 to 16777216 bytes)"));
  }
  Setting<base::IpAddress> source;
  CHECK(say_source_address(source, said.statement(), "::1") == std::nullopt);
  CHECK(source.value->v6);
  for (const char* wrong : {"", "localhost", "127.0.0.1:80", "10.0.0.0/8"}) {
    CHECK_THAT(say_source_address(source, said.statement(), wrong).value_or(""), Catch::Contains("not an IP address"));
  }

  VhostConfig main;
  VhostConfig child;
  main.io_buffer_size.set(1024, {});
  main.receive_buffer_size.set(2048, {});
  main.source_address.set(*base::parse_ip_address("127.0.0.1"), {});
  child.io_buffer_size.set(0, {});
  REQUIRE(say(child, "ProxyPass / http://h/ iobuffersize=4096 receivebuffersize=600 flushpackets=Auto flushwait=5") == "");
  const auto merged_child = merge(main, child);
  const std::vector<ServerView> views = {{&main, "main"}, {merged_child.get(), "a"}};
  const Resolution resolution = resolve(views);
  CHECK(resolution.vhosts[0]->io_buffer_size == 1024);
  CHECK(resolution.vhosts[1]->io_buffer_size == 0);
  CHECK(resolution.vhosts[1]->receive_buffer_size == 2048);
  CHECK(resolution.vhosts[1]->source_address == base::parse_ip_address("127.0.0.1"));
  const MemberSpec& member = *resolution.whole->members.at(0);
  CHECK(member.io_buffer_size == 4096);
  CHECK(member.receive_buffer_size == 600);
  std::size_t idle = 0;
  for (const Finding& finding : resolution.findings) idle += finding.text.find("has no effect: ") != std::string::npos ? 1u : 0u;
  CHECK(idle == 2);
  CHECK_THAT(say(child, "ProxySet http://h/ flushpackets=sometimes"), Catch::Contains("unknown word (on, off or auto)"));
}

TEST_CASE("settings of a server are merged into its virtual hosts", "[field_statements]") {
  VhostConfig main;
  VhostConfig inherits;
  VhostConfig says;
  main.via.set(Via::Full, {});
  main.max_forwards.set(7, {});
  says.via.set(Via::Off, {});
  says.max_forwards.set(-1, {});
  const auto first = merge(main, inherits);
  const auto second = merge(main, says);
  const std::vector<ServerView> views = {{&main, "main"}, {first.get(), "a"}, {second.get(), "b"}};
  const Resolution resolution = resolve(views);
  CHECK(resolution.vhosts[1]->via == Via::Full);
  CHECK(resolution.vhosts[1]->max_forwards == 7);
  CHECK(resolution.vhosts[2]->via == Via::Off);
  CHECK(resolution.vhosts[2]->max_forwards == -1);
}
