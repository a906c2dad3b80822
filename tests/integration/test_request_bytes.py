"""Requests byte for byte, first half: request lines, targets, fields. What leaves for the backend is
one well-formed request, or nothing.

Each case is one client connection. A refused request has a second one behind it (`/smuggled`), which
must never arrive; an accepted one is followed by a request on the same connection, so the end of
its body was found. What httpd's core refuses is here as well: a later httpd must go on refusing it.
"""
import pytest

from support.strict import HOST, SMUGGLED, Case, Desk, Sent, StrictBackend, cases, declined, head, refused


@pytest.fixture(scope="module")
def desk(house):
    backend = house.adopt(StrictBackend())
    forbidden = house.adopt(StrictBackend("forbidden"))
    server = house.httpd("{P}ProxyPass / {b}/\n", b=backend.url)
    return Desk(server, backend, forbidden)


def good(name, line, *fields, sees=None, kept=None, **options):
    """Passes; `sees`: request line at the backend, `kept`: fields that arrive (all, unless given),
    `tells`: X-Forwarded-Host if not the Host of the client."""
    sent = Sent(sees or line, tuple(fields if kept is None else kept))
    options = dict(options)
    host, status = options.pop("host", HOST), options.pop("status", 200)
    if host != HOST:
        sent.host = host[5:].strip() if host else None
    sent.host = options.pop("tells", sent.host)
    return Case(name, head(line, *fields, host=host), (status,), [sent], **options)


# --- the request line ------------------------------------------------------------------------------

LINES = [
    good("plain", b"GET /a HTTP/1.1"),
    good("http/1.2 is a later 1.1", b"GET /a HTTP/1.2", sees=b"GET /a HTTP/1.1"),
    good("http/1.9", b"GET /a HTTP/1.9", sees=b"GET /a HTTP/1.1"),
    good("lower case method", b"get /a HTTP/1.1"),
    good("unknown method", b"BREW /a HTTP/1.1"),
    good("token method", b"M-!#$%&'*+.^_`|~1 /a HTTP/1.1"),
    good("method of 60 letters", b"M" * 60 + b" /a HTTP/1.1"),
    good("PRI with a path", b"PRI /a HTTP/1.1"),
    refused("two spaces before the target", head(b"GET  /a HTTP/1.1")),
    refused("two spaces before the version", head(b"GET /a  HTTP/1.1")),
    refused("space in front", head(b" GET /a HTTP/1.1")),
    refused("space behind", head(b"GET /a HTTP/1.1 ")),
    refused("tab before the target", head(b"GET\t/a HTTP/1.1")),
    refused("tab before the version", head(b"GET /a\tHTTP/1.1")),
    refused("vertical tab", head(b"GET /a\x0bHTTP/1.1")),
    refused("form feed", head(b"GET\x0c/a HTTP/1.1")),
    refused("no spaces", head(b"GET/aHTTP/1.1")),
    refused("no target", head(b"GET HTTP/1.1")),
    refused("no version name", head(b"GET /a 1.1")),
    refused("empty target", head(b"GET  HTTP/1.1")),
    refused("a space in the target", head(b"GET /a b HTTP/1.1")),
    refused("a second version", head(b"GET /a HTTP/1.1 HTTP/1.1")),
    refused("bare CR in the line", head(b"GET /a\rX: y HTTP/1.1")),
    refused("bare CR behind", head(b"GET /a HTTP/1.1\r")),
    refused("bare LF ends the line", b"GET /a HTTP/1.1\nHost: proxy.test\r\n\r\n"),
    refused("bare LF everywhere", b"GET /a HTTP/1.1\nHost: proxy.test\n\n"),
    refused("bare LF in the target", head(b"GET /a\nX: y HTTP/1.1")),
    refused("NUL in the target", head(b"GET /a\0b HTTP/1.1")),
    refused("NUL in the method", head(b"G\0ET /a HTTP/1.1")),
    refused("CTL in the target", head(b"GET /a\x01 HTTP/1.1")),
    refused("DEL in the target", head(b"GET /a\x7f HTTP/1.1")),
    refused("high byte in the method", head(b"G\xc9T /a HTTP/1.1")),
    refused("colon in the method", head(b"GET: /a HTTP/1.1")),
    refused("slash in the method", head(b"GET/ /a HTTP/1.1")),
    refused("lower case version", head(b"GET /a http/1.1")),
    refused("version without dot", head(b"GET /a HTTP/11")),
    refused("version with two digits", head(b"GET /a HTTP/1.10")),
    refused("version with letters", head(b"GET /a HTTP/1.x")),
    good("HTTP/2.0 in an HTTP/1 line", b"GET /a HTTP/2.0", sees=b"GET /a HTTP/1.1"),
    good("HTTP/3.0", b"GET /a HTTP/3.0", sees=b"GET /a HTTP/1.1"),
    refused("HTTP/0.9 by name", head(b"GET /a HTTP/0.9")),
    refused("line of 9000 bytes", head(b"GET /" + b"a" * 9000 + b" HTTP/1.1"), 414),
    refused("h2 preface", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    refused("tls hello", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"a" * 40 + b"\r\n\r\n"),
    Case("empty line in front", b"\r\n" + head(b"GET /a HTTP/1.1"), (200,), [Sent(b"GET /a HTTP/1.1")]),
    refused("many empty lines in front", b"\r\n" * 200 + head(b"GET /a HTTP/1.1")),
]

# --- targets ---------------------------------------------------------------------------------------


def passes(name, target, sees=None, **options):
    """A target that is mapped, and how it is written to the backend."""
    return good(name, b"GET " + target + b" HTTP/1.1", sees=b"GET " + (sees or target) + b" HTTP/1.1", **options)


def stopped(name, target, status=400, **options):
    return refused(name, head(b"GET " + target + b" HTTP/1.1"), status, **options)


def kept_back(name, target, status, **options):
    """Refused, but nothing is unclear about the message: the connection goes on."""
    return declined(name, head(b"GET " + target + b" HTTP/1.1"), status, **options)


TARGETS = [
    passes("query", b"/a?b=c&d=%2F%0d%0a"),
    passes("query with everything", b"/a?!$'()*+,-./:;=?@[]_`{|}~\\^<>\""),
    passes("query of high bytes", b"/a?\xc3\xa4\xff"),
    passes("empty query", b"/a?"),
    passes("two question marks", b"/a??b"),
    passes("encoded question mark", b"/a%3Fb?c", b"/a%3Fb?c"),
    passes("encoded number sign", b"/a%23b"),
    passes("encoded space", b"/a%20b"),
    passes("encoded line end", b"/a%0d%0aX:%20y", b"/a%0D%0AX:%20y"),
    passes("encoded LF", b"/a%0ab", b"/a%0Ab"),
    passes("encoded tab and DEL", b"/a%09%7f", b"/a%09%7F"),
    passes("encoded percent", b"/a%2541"),
    passes("double encoded dots", b"/a/%252e%252e/b"),
    passes("encoded letters", b"/%61%62", b"/ab"),
    passes("encoded high bytes", b"/%c3%a4%ff", b"/%C3%A4%FF"),
    passes("raw high bytes", b"/\xc3\xa4\xff", b"/%C3%A4%FF"),
    passes("overlong slash", b"/..%c0%af..%c0%af", b"/..%C0%AF..%C0%AF"),
    passes("overlong NUL", b"/a%c0%80", b"/a%C0%80"),
    passes("backslash inside", b"/a\\b", b"/a%5Cb"),
    passes("backslash dots", b"/..\\..\\b", b"/..%5C..%5Cb"),
    passes("encoded backslash", b"/a%5cb", b"/a%5Cb"),
    passes("semicolon", b"/a;b=c/d;e"),
    passes("dots behind a semicolon", b"/a/..;/b"),
    passes("sub-delimiters", b"/~$-_.+!*'(),;:@&="),
    passes("quotes and brackets", b"/\"<>[]^`{|}", b"/%22%3C%3E%5B%5D%5E%60%7B%7C%7D"),
    passes("at sign", b"/@host/"),
    passes("port behind the slash", b"/:80/"),
    passes("scheme behind the slash", b"/http://other.test/a", b"/http:/other.test/a"),
    passes("two slashes", b"//other.test/a", b"/other.test/a"),
    passes("many slashes", b"////a///b", b"/a/b"),
    passes("dot segment", b"/./a/./b", b"/a/b"),
    passes("dot dot inside", b"/a/../b", b"/b"),
    passes("encoded dot dot inside", b"/a/%2e%2e/b", b"/b"),
    passes("half encoded dot dot", b"/a/.%2e/b", b"/b"),
    passes("three dots", b"/.../a"),
    passes("long path", b"/" + b"a" * 8000),
    stopped("dot dot at the root", b"/..", log="AH10244"),
    stopped("dot dot above the root", b"/../../etc/passwd", log="AH10244"),
    stopped("encoded dot dot above the root", b"/%2e%2e/%2e%2e/etc/passwd", log="AH10244"),
    stopped("dot dot above the root later", b"/a/../../b", log="AH10244"),
    stopped("fragment", b"/a#b"),
    stopped("number sign in the query", b"/a?b#c"),
    stopped("only a fragment", b"#a"),
    stopped("at sign first", b"@127.0.0.1:9/"),
    stopped("port first", b":80/a"),
    stopped("no slash", b"a/b"),
    passes("question mark first", b"?a=b", b"/?a=b"),
    stopped("backslash first", b"\\a"),
    stopped("dot first", b"../a"),
    stopped("percent first", b"%2fa"),
    stopped("userinfo", b"user:secret@127.0.0.1/"),
    kept_back("NUL encoded", b"/a%00b", 404),
    stopped("broken escape", b"/a%zz", log="AH10244"),
    stopped("escape cut off", b"/a%2", log="AH10244"),
    stopped("percent alone", b"/a%", log="AH10244"),
    kept_back("encoded slash", b"/a%2fb", 404),
    kept_back("encoded slash with dots", b"/..%2f..%2fetc", 404),
    stopped("star with GET", b"*"),
    declined("star with OPTIONS", head(b"OPTIONS * HTTP/1.1"), 200),
    passes("absolute form, own host", b"http://proxy.test/a", b"/a"),
    passes("absolute form without path", b"http://proxy.test", b"/"),
    passes("absolute form with query only", b"http://proxy.test?a=b", b"/?a=b"),
    passes("absolute form, upper case scheme", b"HTTP://proxy.test/a", b"/a"),
    passes("absolute form, https", b"https://proxy.test/a", b"/a"),
    passes("absolute form, other host", b"http://127.0.0.1:9/a", b"/a", tells=b"127.0.0.1:9"),
    stopped("absolute form, userinfo", b"http://user:secret@proxy.test/a"),
    stopped("absolute form, fragment", b"http://proxy.test/a#b"),
    stopped("absolute form, host only at", b"http://@/a"),
    passes("absolute form, no host", b"http:///a", b"/a", tells=None, own=True),
    passes("absolute form, bad port", b"http://proxy.test:99999/a", b"/a", tells=b"proxy.test:99999"),
    stopped("absolute form, port is a word", b"http://proxy.test:x/a"),
    stopped("scheme without slashes", b"http:a"),
    stopped("unix socket", b"unix:/tmp/s|http://127.0.0.1/"),
    stopped("proxy prefix", b"proxy:http://127.0.0.1:9/"),
    stopped("authority form with GET", b"127.0.0.1:9"),
    declined("CONNECT", head(b"CONNECT 127.0.0.1:9 HTTP/1.1"), 405, own=True),
    refused("CONNECT with a path", head(b"CONNECT /a HTTP/1.1"), 400),
]


# --- fields ----------------------------------------------------------------------------------------

def with_field(name, *fields, kept=None, **options):
    return good(name, b"GET /f HTTP/1.1", *fields, kept=kept, **options)


def bad_field(name, *fields, status=400, **options):
    return refused(name, head(b"GET /f HTTP/1.1", *fields), status, **options)


def bad_host(name, *hosts, **options):
    return refused(name, b"\r\n".join([b"GET /h HTTP/1.1", *hosts, b"", b""]), **options)


FIELDS = [
    with_field("no space behind the colon", b"X-A:b", kept=[b"X-A: b"]),
    with_field("spaces around the value", b"X-A: \t b \t ", kept=[b"X-A: b"]),
    with_field("empty value", b"X-A:", kept=[b"X-A: "]),
    with_field("tab inside", b"X-A: a\tb"),
    with_field("high bytes", b"X-A: \xc3\xa4\xff\x80"),
    with_field("value of colons", b"X-A: :b::"),
    with_field("odd token as name", b"!#$%&'*+-.^_`|~09: x"),
    with_field("names with underscore", b"X_Forwarded_For: 6.6.6.6", b"Content_Length: 99"),
    with_field("field of 8190 bytes", b"X-A: " + b"b" * 8185),
    bad_field("field of 8193 bytes", b"X-A: " + b"b" * 8188),
    bad_field("field of 20000 bytes", b"X-A: " + b"b" * 20000),
    with_field("100 fields", *[b"X-%d: y" % i for i in range(99)]),
    bad_field("101 fields", *[b"X-%d: y" % i for i in range(100)]),
    bad_field("empty name", b": a"),
    bad_field("space before the colon", b"X-A : b"),
    bad_field("tab before the colon", b"X-A\t: b"),
    bad_field("space in the name", b"X A: b"),
    bad_field("no colon", b"X-A"),
    bad_field("no colon, later field", b"X-A", b"X-B: c"),
    bad_field("NUL in the name", b"X\0A: b"),
    bad_field("CTL in the name", b"X\x01A: b"),
    bad_field("high byte in the name", b"X\xc4A: b"),
    bad_field("parenthesis in the name", b"X(A): b"),
    bad_field("slash in the name", b"X/A: b"),
    bad_field("quote in the name", b"\"X\": b"),
    bad_field("at sign in the name", b"X@A: b"),
    bad_field("brackets in the name", b"X[]: b"),
    bad_field("NUL in the value", b"X-A: b\0c"),
    bad_field("CTL in the value", b"X-A: b\x01c"),
    bad_field("DEL in the value", b"X-A: b\x7fc"),
    bad_field("escape in the value", b"X-A: \x1b[31m"),
    bad_field("bare CR in the value", b"X-A: b\rX-B: c"),
    bad_field("bare CR behind a value", b"X-A: b\r"),
    bad_field("bare CR in front", b"\rX-A: b"),
    bad_field("bare LF between fields", b"X-A: b\nX-B: c"),
    bad_field("bare LF before Transfer-Encoding", b"X-A: b\nTransfer-Encoding: chunked"),
    bad_field("LF CR", b"X-A: b\n\rX-B: c"),
    with_field("obs-fold with a space", b"X-A: b\r\n c", kept=[b"X-A: b c"]),
    with_field("obs-fold with a tab", b"X-A: b\r\n\tc", kept=[b"X-A: b c"]),
    with_field("obs-fold twice", b"X-A: b\r\n  c\r\n d", kept=[b"X-A: b c d"]),
    bad_field("obs-fold of the first field", b" X-A: b"),
    refused("obs-fold behind the request line", b"GET /f HTTP/1.1\r\n Host: proxy.test\r\n\r\n"),
    refused("line of spaces as the end", b"GET /f HTTP/1.1\r\nHost: proxy.test\r\n \r\n\r\n", 400),
    refused("head without end", b"GET /f HTTP/1.1\r\nHost: proxy.test\r\nX-A: b", half_close=True),
    # Host
    bad_host("no Host"),
    bad_host("two equal Hosts", HOST, HOST),
    bad_host("two Hosts", HOST, b"Host: other.test"),
    bad_host("Host folded", b"Host: proxy.test\r\n other.test"),
    bad_host("Host with a path", b"Host: proxy.test/a"),
    bad_host("Host with userinfo", b"Host: user@proxy.test"),
    bad_host("Host with a space", b"Host: proxy test"),
    bad_host("Host with a comma", b"Host: proxy.test, other.test"),
    bad_host("Host as a URL", b"Host: http://proxy.test"),
    bad_host("Host with a query", b"Host: proxy.test?a"),
    bad_host("Host with a fragment", b"Host: proxy.test#a"),
    bad_host("Host with a backslash", b"Host: proxy.test\\a"),
    bad_host("Host with a percent", b"Host: proxy%2etest"),
    bad_host("Host with quotes", b"Host: \"proxy.test\""),
    bad_host("Host with a high byte", b"Host: pr\xf6xy.test"),
    bad_host("Host with a word as port", b"Host: proxy.test:http"),
    bad_host("Host with a negative port", b"Host: proxy.test:-80"),
    bad_host("Host with a large port", b"Host: proxy.test:65536"),
    bad_host("Host with two ports", b"Host: proxy.test:80:80"),
    bad_host("Host open bracket", b"Host: [::1"),
    bad_host("Host double dot", b"Host: proxy..test"),
    bad_host("Host NUL", b"Host: proxy.test\0.evil"),
    bad_host("Host empty", b"Host:"),
    good("Host with a port", b"GET /h HTTP/1.1", host=b"Host: proxy.test:8080"),
    good("Host of another name", b"GET /h HTTP/1.1", host=b"Host: other.test"),
    good("Host in upper case", b"GET /h HTTP/1.1", host=b"HOST: PROXY.test"),
    good("Host with a dot behind", b"GET /h HTTP/1.1", host=b"Host: proxy.test."),
    good("Host IPv6", b"GET /h HTTP/1.1", host=b"Host: [::1]:80"),
    # what passes as it is
    with_field("Via and Forwarded", b"Via: 1.0 a, 1.1 b (c)", b"Forwarded: for=\"[::1]\";proto=https"),
    # httpd's own filter (MaxRanges) may cut an answer that came in one piece; the backend is asked all the same
    with_field("Range", b"Range: bytes=0-0,2-3", status=(200, 206)),
    with_field("many ranges", b"Range: bytes=" + b",".join(b"%d-" % i for i in range(1300)), status=(200, 206)),
    with_field("odd Range", b"Range: bytes=-", b"If-Range: \"x\""),
    with_field("conditions", b"If-Match: *", b"If-None-Match: \"a\", W/\"b\"",
               b"If-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT", b"If-Unmodified-Since: never"),
    with_field("Proxy of httpoxy", b"Proxy: http://127.0.0.1:9/"),
    with_field("cookies", b"Cookie: =; ;a;=b; c=\"d;e\"", b"Cookie: f=g", kept=[b"Cookie: =; ;a;=b; c=\"d;e\", f=g"]),
    with_field("Authorization", b"Authorization: Basic eDp5"),
    with_field("Accept-Encoding", b"Accept-Encoding: gzip;q=0, *;q=x"),
    with_field("names of later filters", b"Content-Type: proxy:http://127.0.0.1:9/", b"Content-Encoding: gzip"),
    with_field("Date and Server of a client", b"Date: x", b"Server: y"),
    with_field("X-Forwarded fields of the client", b"X-Forwarded-Proto: https", b"X-Forwarded-Port: 1"),
]
for field_case in FIELDS:
    if field_case.name == "X-Forwarded fields of the client":
        field_case.any_head = True


# --- fields that end here ----------------------------------------------------------------------------

def ends(name, *fields, kept=(), **options):
    return with_field(name, b"X-Stays: 1", *fields, kept=[b"X-Stays: 1", *kept], **options)


HOPS = [
    ends("Keep-Alive", b"Keep-Alive: timeout=5"),
    ends("TE", b"TE: trailers, deflate;q=0.5"),
    ends("Trailer", b"Trailer: X-T, Content-Length"),
    ends("Upgrade h2c", b"Upgrade: h2c", b"HTTP2-Settings: AAMAAABkAAQAAP__", b"Connection: Upgrade, HTTP2-Settings"),
    # websocket is asked of the backend: test_tunnel.py
    ends("Upgrade TLS", b"Upgrade: TLS/1.0", b"Connection: Upgrade"),
    ends("Upgrade odd", b"Upgrade: ,,a/1 b", b"Connection: upgrade"),
    ends("Upgrade without Connection", b"Upgrade: h2c"),
    ends("HTTP2-Settings alone", b"HTTP2-Settings: AAMAAABkAAQAAP__", own=True),
    ends("Proxy-Connection", b"Proxy-Connection: keep-alive"),
    ends("Proxy-Authorization", b"Proxy-Authorization: Basic eDp5", own=True),
    ends("Proxy-Authenticate", b"Proxy-Authenticate: Basic", own=True),
    ends("Connection names X-Forwarded-For", b"Connection: X-Forwarded-For"),
    ends("Connection names all X-Forwarded", b"Connection: x-forwarded-for, X-Forwarded-Host,X-Forwarded-Server, X-Forwarded-Proto"),
    ends("Connection removes the client's X-Forwarded-For", b"X-Forwarded-For: 6.6.6.6", b"Connection: X-Forwarded-For", own=True),
    ends("Connection names Host", b"Connection: Host"),
    ends("Connection names Transfer-Encoding", b"Connection: Transfer-Encoding"),
    ends("Connection names Cookie", b"Cookie: a=b", b"Connection: cookie"),
    ends("Connection names Authorization", b"Authorization: Basic eDp5", b"Connection: keep-alive, Authorization"),
    ends("Connection names Via", b"Via: 1.1 x", b"Connection: Via"),
    ends("Connection names itself", b"Connection: Connection"),
    ends("Connection empty", b"Connection:"),
    ends("Connection of commas", b"Connection: ,,, ,"),
    ends("Connection of odd tokens", b"Connection: \"X-Quoted\", a b, =;/@, \xff", b"X-A: 1", kept=[b"X-A: 1"]),
    ends("Connection with many tokens", b"Connection: " + b",".join(b"a%d" % i for i in range(1500)) + b",X-Last", b"X-Last: 1"),
    ends("Connection twice", b"Connection: X-A", b"X-A: 1", b"X-B: 2", b"Connection: X-B"),
    ends("Connection with tabs", b"Connection: \tX-A\t,\tX-B", b"X-A: 1", b"X-B: 2"),
    # httpd's core takes a token in parentheses for a close
    Case("Connection in parentheses", head(b"GET /f HTTP/1.1", b"Connection: (c)"), (200,), [Sent(b"GET /f HTTP/1.1")], closes=True),
    ends("Connection keep-alive", b"Connection: keep-alive"),
    Case("Connection close", head(b"GET /f HTTP/1.1", b"Connection: close"), (200,), [Sent(b"GET /f HTTP/1.1")], closes=True),
    Case("Connection close among others", head(b"GET /f HTTP/1.1", b"Connection: X-A, Close", b"X-A: 1") + SMUGGLED,
         (200,), [Sent(b"GET /f HTTP/1.1")], closes=True),
    good("Max-Forwards is counted down", b"OPTIONS /f HTTP/1.1", b"Max-Forwards: 5", kept=[b"Max-Forwards: 4"]),
    good("Max-Forwards of a GET", b"GET /f HTTP/1.1", b"Max-Forwards: 10", kept=[b"Max-Forwards: 9"]),
    good("Max-Forwards one", b"OPTIONS /f HTTP/1.1", b"Max-Forwards: 1", kept=[b"Max-Forwards: 0"]),
    declined("Max-Forwards zero, OPTIONS", head(b"OPTIONS /f HTTP/1.1", b"Max-Forwards: 0"), 200),
    declined("Max-Forwards zero, TRACE", head(b"TRACE /f HTTP/1.1", b"Max-Forwards: 0"), 200),
    good("TRACE passes", b"TRACE /f HTTP/1.1"),
]
for odd, value in {"negative": b"-1", "plus": b"+1", "empty": b"", "word": b"x", "list": b"1, 2", "hex": b"0x1", "fraction": b"1.0",
                   "huge": b"9" * 40, "space inside": b"1 1"}.items():
    HOPS.append(refused(f"Max-Forwards {odd}", head(b"OPTIONS /f HTTP/1.1", b"Max-Forwards: " + value),
                        own=odd in ("plus", "empty")))


@cases(LINES, TARGETS, FIELDS, HOPS)
def test_request(desk, case):
    desk.run(case)
