"""Requests byte for byte, second half: where a body ends, Expect, pipelines, cut uploads.

As in test_request_bytes.py. Framing cases run a second time with `HttpProtocolOptions Unsafe`: the
core then lets more in, and what leaves for the backend must be as strict as before.
"""
from dataclasses import replace

import pytest

from support.strict import SMUGGLED, Case, Desk, Sent, StrictBackend, cases, head, refused

CONF = """
SetEnvIf Request_URI ^/sendcl proxy-sendcl
SetEnvIf Request_URI ^/old force-proxy-request-1.0
<Location /off>
    {P}Proxy100Continue Off
</Location>
{P}ProxyPass / {b}/
<VirtualHost *:{port1}>
    ServerName proxy.test
    HttpProtocolOptions Unsafe
    {P}ProxyPass / {b}/
</VirtualHost>
<VirtualHost *:{port1}>
    ServerName keep.test
    {P}ProxyPreserveHost On
    {P}ProxyPass / {b}/
</VirtualHost>
"""
POST = b"POST /f HTTP/1.1"
CHUNKED = b"Transfer-Encoding: chunked"
HELLO = b"5\r\nhello\r\n0\r\n\r\n"
SMUGGLED_SEEN = Sent(b"GET /smuggled HTTP/1.1")


@pytest.fixture(scope="module")
def desk(house):
    backend = house.adopt(StrictBackend())
    backend.hosts.add(b"keep.test")
    return Desk(house.httpd(CONF, b=backend.url, ports=2), backend)


def with_length(name, *fields, body=b"hello", **options):
    """A body by Content-Length that is understood; the next request follows in the same packet."""
    return Case(name, head(POST, *fields) + body + SMUGGLED, (200, 200), [Sent(POST, body=body), SMUGGLED_SEEN], **options)


def with_chunks(name, coded, body=b"hello", fields=(CHUNKED,), **options):
    sent = Sent(POST, body=body, framing="length")
    return Case(name, head(POST, *fields) + coded + SMUGGLED, (200, 200), [sent, SMUGGLED_SEEN], **options)


def bad_length(name, *fields, **options):
    return refused(name, head(POST, *fields) + b"hello", **options)


def bad_coding(name, *fields, **options):
    return refused(name, head(POST, *fields) + HELLO, **options)


def bad_chunks(name, coded, status=400, **options):
    return refused(name, head(POST, CHUNKED) + coded, status, **options)


def chunk(size):
    return b"%x\r\n%s\r\n" % (size, b"x" * size)


# --- Content-Length ----------------------------------------------------------------------------------

LENGTHS = [
    with_length("length", b"Content-Length: 5"),
    with_length("length zero", b"Content-Length: 0", body=b""),
    with_length("length with leading zeros", b"Content-Length: 0005"),
    with_length("length between spaces", b"Content-Length: \t 5 \t"),
    with_length("length without space", b"Content-Length:5"),
    with_length("length in another case", b"CONTENT-length: 5"),
    with_length("a body that looks like a request", b"Content-Length: %d" % len(SMUGGLED), body=SMUGGLED),
    with_length("a body of line ends", b"Content-Length: 8", body=b"\r\n\r\n\n\n\r\r"),
    with_length("a body that looks like chunks", b"Content-Length: %d" % len(HELLO), body=HELLO),
    bad_length("two equal lengths", b"Content-Length: 5", b"Content-Length: 5"),
    bad_length("two different lengths", b"Content-Length: 5", b"Content-Length: 6"),
    bad_length("two lengths, one odd", b"Content-Length: 5", b"content-length: x"),
    bad_length("list of equal lengths", b"Content-Length: 5, 5"),
    bad_length("list of different lengths", b"Content-Length: 5,6"),
    bad_length("length with a comma", b"Content-Length: 5,"),
    bad_length("length plus", b"Content-Length: +5"),
    bad_length("length minus", b"Content-Length: -1"),
    bad_length("length minus zero", b"Content-Length: -0"),
    bad_length("length hex", b"Content-Length: 0x5"),
    bad_length("length empty", b"Content-Length:"),
    bad_length("length of spaces", b"Content-Length:   "),
    bad_length("length of a word", b"Content-Length: five"),
    bad_length("length with a letter", b"Content-Length: 5a"),
    bad_length("length fraction", b"Content-Length: 5.0"),
    bad_length("length exponent", b"Content-Length: 5e0"),
    bad_length("length quoted", b"Content-Length: \"5\""),
    bad_length("length semicolon", b"Content-Length: 5;"),
    bad_length("length of two numbers", b"Content-Length: 5 5"),
    bad_length("length 2^63", b"Content-Length: 9223372036854775808"),
    bad_length("length 2^64 plus 5", b"Content-Length: 18446744073709551621"),
    bad_length("length of 40 digits", b"Content-Length: " + b"9" * 40),
    bad_length("length folded", b"Content-Length:\r\n 5\r\n 5"),
    bad_length("length with a vertical tab", b"Content-Length: \x0b5"),
    bad_length("length with NUL", b"Content-Length: 5\x00"),
    bad_length("length with a bare CR", b"Content-Length: 5\r"),
    bad_length("length with a high byte", b"Content-Length: \xb5"),
    bad_length("space before the colon of length", b"Content-Length : 5"),
    bad_length("tab before the colon of length", b"Content-Length\t: 5"),
    Case("underscore is another field", head(POST, b"Content_Length: 5") + SMUGGLED, (200, 200),
         [Sent(POST, (b"Content_Length: 5",)), SMUGGLED_SEEN]),
    Case("GET with a body", head(b"GET /f HTTP/1.1", b"Content-Length: 5") + b"hello" + SMUGGLED, (200, 200),
         [Sent(b"GET /f HTTP/1.1", body=b"hello"), SMUGGLED_SEEN]),
    Case("HEAD with a body", head(b"HEAD /f HTTP/1.1", b"Content-Length: 5") + b"hello", (200,),
         [Sent(b"HEAD /f HTTP/1.1", body=b"hello")]),
    Case("DELETE without a body", head(b"DELETE /f HTTP/1.1") + SMUGGLED, (200, 200),
         [Sent(b"DELETE /f HTTP/1.1"), SMUGGLED_SEEN]),
    Case("POST without a body", head(POST) + SMUGGLED, (200, 200), [Sent(POST), SMUGGLED_SEEN]),
]
for length_case in LENGTHS:  # "Content-Length: 0" stays
    if length_case.name == "length zero":
        length_case.arrives[0].framing = "length"

# --- Transfer-Encoding -------------------------------------------------------------------------------

# own: codings that end in `chunked` are 500 with mod_proxy
CODINGS = [
    with_chunks("chunked", HELLO),
    with_chunks("chunked in upper case", HELLO, fields=(b"TRANSFER-ENCODING: CHUNKED",)),
    with_chunks("chunked with more space", HELLO, fields=(b"Transfer-Encoding: \t chunked \t",)),
    with_chunks("chunked folded", HELLO, fields=(b"Transfer-Encoding:\r\n chunked",)),
    with_chunks("chunked is empty", b"0\r\n\r\n", b""),
    Case("GET chunked", head(b"GET /f HTTP/1.1", CHUNKED) + HELLO + SMUGGLED, (200, 200),
         [Sent(b"GET /f HTTP/1.1", body=b"hello"), SMUGGLED_SEEN]),
    # Transfer-Encoding wins, and the connection ends: what follows cannot be trusted (RFC 9112 6.3)
    Case("length and chunked", head(POST, b"Content-Length: 5", CHUNKED) + HELLO + SMUGGLED, (200,),
         [Sent(POST, body=b"hello")], closes=True),
    Case("chunked and length", head(POST, CHUNKED, b"Content-Length: 3") + HELLO + SMUGGLED, (200,),
         [Sent(POST, body=b"hello")], closes=True),
    Case("chunked of HTTP/1.0", head(b"POST /f HTTP/1.0", CHUNKED) + HELLO + SMUGGLED, (200,),
         [Sent(POST, body=b"hello")], closes=True),
    Case("chunked of HTTP/1.0 with keep-alive", head(b"POST /f HTTP/1.0", b"Connection: keep-alive", CHUNKED) + HELLO + SMUGGLED,
         (200,), [Sent(POST, body=b"hello")], closes=True, own=True),
    bad_coding("bad length and chunked", b"Content-Length: x", CHUNKED),
    bad_coding("two lengths and chunked", b"Content-Length: 5", b"Content-Length: 6", CHUNKED),
    bad_coding("identity", b"Transfer-Encoding: identity"),
    bad_coding("gzip", b"Transfer-Encoding: gzip"),
    bad_coding("gzip and a length", b"Transfer-Encoding: gzip", b"Content-Length: 5"),
    bad_coding("chunked twice in a list", b"Transfer-Encoding: chunked, chunked", own=True),
    bad_coding("chunked twice", CHUNKED, CHUNKED, own=True),
    bad_coding("gzip, chunked", b"Transfer-Encoding: gzip, chunked", own=True),
    bad_coding("chunked, gzip", b"Transfer-Encoding: chunked, gzip"),
    bad_coding("identity, chunked", b"Transfer-Encoding: identity, chunked", own=True),
    bad_coding("chunked, identity", b"Transfer-Encoding: chunked, identity"),
    bad_coding("identity then chunked", b"Transfer-Encoding: identity", CHUNKED, own=True),
    bad_coding("chunked then identity", CHUNKED, b"Transfer-Encoding: identity"),
    bad_coding("xchunked", b"Transfer-Encoding: xchunked"),
    bad_coding("chunkedx", b"Transfer-Encoding: chunkedx"),
    bad_coding("chunk", b"Transfer-Encoding: chunk"),
    bad_coding("chunked with a parameter", b"Transfer-Encoding: chunked;q=1"),
    bad_coding("chunked with a semicolon", b"Transfer-Encoding: chunked;"),
    bad_coding("chunked quoted", b"Transfer-Encoding: \"chunked\""),
    bad_coding("comma, chunked", b"Transfer-Encoding: ,chunked", own=True),
    bad_coding("chunked, comma", b"Transfer-Encoding: chunked,"),
    bad_coding("coding empty", b"Transfer-Encoding:"),
    bad_coding("coding with a vertical tab", b"Transfer-Encoding: \x0bchunked"),
    bad_coding("coding with NUL", b"Transfer-Encoding: chunked\x00"),
    bad_coding("coding with a bare CR", b"Transfer-Encoding: chun\rked"),
    bad_coding("coding with a high byte", b"Transfer-Encoding: chun\xebed"),
    bad_coding("space before the colon of coding", b"Transfer-Encoding : chunked"),
    bad_coding("coding split over lines", b"Transfer-Encoding: chu\r\n nked"),
]

# --- chunks --------------------------------------------------------------------------------------------

CHUNKS = [
    with_chunks("two chunks", b"2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n"),
    with_chunks("upper case hex", b"A\r\nhellohello\r\n0\r\n\r\n", b"hellohello"),
    with_chunks("lower case hex", b"a\r\nhellohello\r\n0\r\n\r\n", b"hellohello"),
    with_chunks("leading zeros", b"0005\r\nhello\r\n0000\r\n\r\n"),
    with_chunks("many leading zeros", b"0" * 30 + b"5\r\nhello\r\n0\r\n\r\n"),
    with_chunks("space behind the size", b"5 \r\nhello\r\n0\r\n\r\n"),
    with_chunks("extension", b"5;a=b\r\nhello\r\n0;c\r\n\r\n"),
    with_chunks("extension quoted", b"5;a=\"b;c\"\r\nhello\r\n0\r\n\r\n"),
    with_chunks("extension behind a space", b"5 ;a=b\r\nhello\r\n0\r\n\r\n"),
    with_chunks("trailers end here", b"5\r\nhello\r\n0\r\nX-T: 1\r\nCookie: a\r\n\r\n"),
    with_chunks("trailers with evil names", b"5\r\nhello\r\n0\r\nContent-Length: 3\r\nTransfer-Encoding: x\r\nHost: evil\r\n"
                b"X-Forwarded-For: 6.6.6.6\r\nConnection: X-A\r\n\r\n"),
    with_chunks("chunks of a request", b"%x\r\n%s\r\n0\r\n\r\n" % (len(SMUGGLED), SMUGGLED), SMUGGLED),
    bad_chunks("size 0x", b"0x5\r\nhello\r\n0\r\n\r\n"),
    bad_chunks("size plus", b"+5\r\nhello\r\n0\r\n\r\n"),
    bad_chunks("size minus", b"-5\r\nhello\r\n0\r\n\r\n"),
    bad_chunks("size empty", b"\r\nhello\r\n0\r\n\r\n"),
    bad_chunks("size of a letter", b"g\r\nhello\r\n0\r\n\r\n"),
    bad_chunks("size with an underscore", b"0_5\r\nhello\r\n0\r\n\r\n"),
    bad_chunks("size with a comma", b"5,5\r\nhello\r\n0\r\n\r\n"),
    bad_chunks("size with a dot", b"5.0\r\nhello\r\n0\r\n\r\n"),
    bad_chunks("size behind a space", b" 5\r\nhello\r\n0\r\n\r\n"),
    bad_chunks("size with a vertical tab", b"5\x0b\r\nhello\r\n0\r\n\r\n"),
    bad_chunks("size with NUL", b"5\x00\r\nhello\r\n0\r\n\r\n"),
    bad_chunks("size of 17 digits", b"10000000000000005\r\nhello\r\n0\r\n\r\n", 413),
    bad_chunks("size 2^63", b"8000000000000000\r\nhello\r\n0\r\n\r\n", 413),
    bad_chunks("size 2^64-1", b"ffffffffffffffff\r\nhello\r\n0\r\n\r\n", 413),
    bad_chunks("size of 100 digits", b"f" * 100 + b"\r\nhello\r\n0\r\n\r\n", 413),
    bad_chunks("bare CR behind the size", b"5\rhello\r\n0\r\n\r\n"),
    bad_chunks("extension with CR LF in quotes", b"5;a=\"b\r\nc\"\r\nhello\r\n0\r\n\r\n"),
    bad_chunks("extension with a bare CR", b"5;a\rb\r\nhello\r\n0\r\n\r\n"),
    bad_chunks("extension with NUL", b"5;a\x00b\r\nhello\r\n0\r\n\r\n"),
    bad_chunks("extension of 9000 bytes", b"5;" + b"a" * 9000 + b"\r\nhello\r\n0\r\n\r\n", 413),
    bad_chunks("extension of 100000 bytes", b"5;" + b"a" * 100000 + b"\r\nhello\r\n0\r\n\r\n", 413),
    bad_chunks("data too long", b"5\r\nhelloXX0\r\n\r\n"),
    bad_chunks("data too short", b"5\r\nhel\r\n0\r\n\r\n"),
    bad_chunks("no line end behind data", b"5\r\nhello0\r\n\r\n"),
    bad_chunks("bare CR behind data", b"5\r\nhello\r0\r\n\r\n"),
    bad_chunks("empty line between chunks", b"5\r\nhello\r\n\r\n0\r\n\r\n"),
    bad_chunks("empty line before data", b"5\r\n\r\nhello\r\n0\r\n\r\n"),
    bad_chunks("trailer without a colon", b"5\r\nhello\r\n0\r\nbad trailer\r\n\r\n"),
    bad_chunks("trailer with NUL", b"5\r\nhello\r\n0\r\nX: a\x00b\r\n\r\n"),
    bad_chunks("trailer without a name", b"5\r\nhello\r\n0\r\n : x\r\n\r\n"),
    bad_chunks("trailer of 9000 bytes", b"5\r\nhello\r\n0\r\nX: " + b"a" * 9000 + b"\r\n\r\n"),
    bad_chunks("trailers of 101 fields", b"5\r\nhello\r\n0\r\n" + b"".join(b"X-%d: a\r\n" % i for i in range(101)) + b"\r\n"),
]
# With Unsafe a bare LF ends a line as CR LF does; the message is the same one afterwards.
BARE_LF = {
    "bare LF behind the size": b"5\nhello\r\n0\r\n\r\n",
    "bare LF behind an extension": b"5;a\nhello\r\n0\r\n\r\n",
    "bare LF behind data": b"5\r\nhello\n0\r\n\r\n",
    "bare LF behind the last size": b"5\r\nhello\r\n0\n\r\n",
    "bare LF as the end": b"5\r\nhello\r\n0\r\n\n",
    "bare LF behind a trailer": b"5\r\nhello\r\n0\r\nX: a\nY: b\r\n\r\n",
}
BARE = [bad_chunks(name, coded) for name, coded in BARE_LF.items()]
UNSAFE_BARE = [with_chunks(name + " (unsafe)", coded, unsafe=True) for name, coded in BARE_LF.items()]


def unsafe(group):
    return [replace(case, name=case.name + " (unsafe)", unsafe=True) for case in group]


# --- what Unsafe lets in besides -------------------------------------------------------------------------

def loose(name, raw, *fields, line=b"GET /a HTTP/1.1", **options):
    return Case(name, raw, (200,), [Sent(line, fields)], unsafe=True, **options)


def strict_still(name, raw, **options):
    return refused(name, raw, unsafe=True, **options)


def kept_host(name, host, sees=None, **options):
    """A request for the vhost that preserves Host, which says something else in its Host field."""
    raw = b"GET http://keep.test/h HTTP/1.1\r\nHost: " + host + b"\r\n\r\n"
    if sees is None:
        return refused("kept Host " + name, raw, unsafe=True, **options)
    return Case("kept Host " + name, raw, (200,), [Sent(b"GET /h HTTP/1.1")], unsafe=True, any_head=True, **options)


LOOSE = [
    loose("spaces in the line", head(b"GET  /a   HTTP/1.1")),
    loose("lower case version", head(b"GET /a http/1.1")),
    loose("a fragment is cut off", head(b"GET /a#b HTTP/1.1")),
    loose("bare LF everywhere", b"GET /a HTTP/1.1\nHost: proxy.test\nX-A: b\n\n", b"X-A: b"),
    strict_still("tab in the line", head(b"GET\t/a\tHTTP/1.1")),
    strict_still("a space in the target", head(b"GET /a b HTTP/1.1")),
    strict_still("a bare CR in the target", head(b"GET /a\rb HTTP/1.1")),
    strict_still("CTL in the target", head(b"GET /a\x01b HTTP/1.1")),
    strict_still("CTL in the query", head(b"GET /a?b\x01 HTTP/1.1")),
    strict_still("CTL in the method", head(b"G\x01T /a HTTP/1.1")),
    strict_still("parenthesis in the method", head(b"G(T /a HTTP/1.1"), own=True),
    strict_still("high byte in the method", head(b"G\xe4T /a HTTP/1.1"), own=True),
    strict_still("not a path", head(b"GET a HTTP/1.1")),
    strict_still("at sign first", head(b"GET @127.0.0.1:9/ HTTP/1.1")),
    strict_still("name with CTL", head(b"GET /a HTTP/1.1", b"X\x01: a"), own=True),
    strict_still("name with a parenthesis", head(b"GET /a HTTP/1.1", b"X(: a"), own=True),
    strict_still("name with a high byte", head(b"GET /a HTTP/1.1", b"X\xe4: a"), own=True),
    strict_still("name without a name", head(b"GET /a HTTP/1.1", b": a")),
    strict_still("space before the colon", head(b"GET /a HTTP/1.1", b"X : a")),
    strict_still("value with CTL", head(b"GET /a HTTP/1.1", b"X: a\x01b"), own=True),
    strict_still("value with DEL", head(b"GET /a HTTP/1.1", b"X: a\x7fb"), own=True),
    strict_still("value with a bare CR", head(b"GET /a HTTP/1.1", b"X: a\rb")),
    strict_still("value with NUL", head(b"GET /a HTTP/1.1", b"X: a\0b")),
    kept_host("empty", b"", b"keep.test", own=True),
] + [kept_host(repr(bad), bad, own=True) for bad in (
    b"a b", b"a\tb", b"a/b", b"u@a", b"a,b", b"a\x01b", b"a\xffb", b"a\"b", b"a<b", b"a\\b", b"a#b", b"a?b",
    b"[::1", b"::1", b"a:b", b"a:1:2", b"[a b]", b"[::1]x")]


# --- Expect ----------------------------------------------------------------------------------------------

def expecting(name, value, path=b"/f", arrives=True, body=b"hello", **options):
    line = b"POST " + path + b" HTTP/1.1"
    raw = head(line, b"Expect: " + value, b"Content-Length: %d" % len(body)) + body
    if not arrives:
        return refused(f"expect {name}", raw, 417, **options)
    fields = (b"Expect: 100-continue",) if arrives == "with Expect" else ()
    return Case(f"expect {name}", raw + SMUGGLED, (200, 200), [Sent(line, fields, body, "length"), SMUGGLED_SEEN], **options)


EXPECT = [case for path, mode, passed in ((b"/f", "On", "with Expect"), (b"/off", "Off", True)) for case in (
    expecting(f"100-continue, mode {mode}", b"100-continue", path, passed),
    expecting(f"100-Continue, mode {mode}", b"100-Continue", path, passed, any_head=True),
    expecting(f"nothing, mode {mode}", b"", path, any_head=True),
    expecting(f"100-continue without content, mode {mode}", b"100-continue", path, body=b"", any_head=True, own=mode == "Off"),
    expecting(f"a miracle, mode {mode}", b"miracle", path, False),
    expecting(f"a list, mode {mode}", b"100-continue, miracle", path, False),
    expecting(f"twice, mode {mode}", b"100-continue, 100-continue", path, False),
    expecting(f"quoted, mode {mode}", b"\"100-continue\"", path, False),
    expecting(f"with a parameter, mode {mode}", b"100-continue;q=1", path, False),
    expecting(f"100, mode {mode}", b"100", path, False),
)] + [
    # mod_proxy hands the expectation on although no content comes
    Case("expect with GET", head(b"GET /f HTTP/1.1", b"Expect: 100-continue"), (200,), [Sent(b"GET /f HTTP/1.1")], own=True),
    Case("expect chunked", head(POST, b"Expect: 100-continue", CHUNKED) + HELLO + SMUGGLED, (200, 200),
         [Sent(POST, body=b"hello"), SMUGGLED_SEEN], any_head=True),
    Case("expect of HTTP/1.0", head(b"POST /f HTTP/1.0", b"Expect: 100-continue", b"Content-Length: 5") + b"hello", (200,),
         [Sent(POST, body=b"hello")], closes=True, any_head=True),
]

# --- uploads that do not come to their end -----------------------------------------------------------------

CUT = {"in the size": b"5", "behind the size": b"5\r\n", "in the data": b"5\r\nhel", "behind the data": b"5\r\nhello",
       "in the line end": b"5\r\nhello\r", "before the last size": b"", "in the last size": b"0", "behind the last size": b"0\r\n",
       "in a trailer": b"0\r\nX: y", "behind a trailer": b"0\r\nX: y\r\n"}
BROKEN = {"bad size": b"zz\r\nhello\r\n0\r\n\r\n", "bad trailer": b"0\r\nbad\r\n\r\n"}


def uploads():
    """Nothing arrives while the body is short enough to be read first, or must be counted; later a
    request without its end, on a connection that is closed."""
    for path, version in ((b"/f", b"1.1"), (b"/sendcl", b"1.1"), (b"/old", b"1.0")):
        for size in (100, 20_000, 200_000):
            line, seen = b"POST " + path + b" HTTP/1.1", b"POST " + path + b" HTTP/" + version
            begun = [Sent(seen, body=None, complete=False)] if size > 16384 and path == b"/f" else []
            for name, tail in {**CUT, **BROKEN}.items():
                raw = head(line, CHUNKED) + chunk(size) + tail + (SMUGGLED if name in BROKEN else b"")
                yield Case(f"upload to {path.decode()}, {name} after {size}", raw, (400,), begun, closes=True,
                           half_close=name in CUT, any_head=True)
        for size, sent in ((10, 0), (10, 9), (20_000, 16_000), (20_000, 17_000), (200_000, 199_999)):
            line, seen = b"POST " + path + b" HTTP/1.1", b"POST " + path + b" HTTP/" + version
            raw = head(line, b"Content-Length: %d" % size) + b"x" * sent
            begun = [Sent(seen, body=None, complete=False)] if sent > 16384 else []
            yield Case(f"upload to {path.decode()}, {sent} of {size}", raw, (400,), begun, closes=True, half_close=True,
                       any_head=True)


# --- pipelines -----------------------------------------------------------------------------------------------

def get(path):
    return head(b"GET " + path + b" HTTP/1.1")


def got(path):
    return Sent(b"GET " + path + b" HTTP/1.1")


PIPELINES = [
    Case("ten requests in one packet", b"".join(get(b"/%d" % i) for i in range(10)), (200,) * 10, [got(b"/%d" % i) for i in range(10)]),
    Case("GET and POST in turn", (get(b"/a") + head(POST, b"Content-Length: 3") + b"abc" + head(POST, CHUNKED) + HELLO) * 3,
         (200,) * 9, [got(b"/a"), Sent(POST, body=b"abc"), Sent(POST, body=b"hello")] * 3),
    Case("empty lines between requests", get(b"/a") + b"\r\n" + get(b"/b"), (200, 200), [got(b"/a"), got(b"/b")]),
    Case("a refused one in the middle", get(b"/a") + get(b"/b c") + get(b"/d"), (200, 400), [got(b"/a")], closes=True),
    Case("a bad field in the middle", get(b"/a") + head(b"GET /b HTTP/1.1", b"X : y") + get(b"/c"), (200, 400), [got(b"/a")], closes=True),
    Case("bad chunks in the middle", get(b"/a") + head(POST, CHUNKED) + b"zz\r\n" + get(b"/c"), (200, 400), [got(b"/a")], closes=True),
    Case("a bad length in the middle", get(b"/a") + head(POST, b"Content-Length: -1") + get(b"/c"), (200, 400), [got(b"/a")], closes=True),
    Case("a body longer than its length", get(b"/a") + head(POST, b"Content-Length: 2") + b"hello" + get(b"/c"), (200, 200, 200),
         [got(b"/a"), Sent(POST, body=b"he"), Sent(b"lloGET /c HTTP/1.1")]),
    Case("a body shorter than its length", get(b"/a") + head(POST, b"Content-Length: 20") + b"hello" + b"GET /c HTTP/1.1", (200, 200),
         [got(b"/a"), Sent(POST, body=b"helloGET /c HTTP/1.1")]),
    Case("close in the middle", get(b"/a") + head(b"GET /b HTTP/1.1", b"Connection: close") + get(b"/c"), (200, 200),
         [got(b"/a"), got(b"/b")], closes=True),
    Case("HTTP/1.0 in the middle", get(b"/a") + head(b"GET /b HTTP/1.0") + get(b"/c"), (200, 200), [got(b"/a"), got(b"/b")], closes=True),
    Case("HTTP/1.0 with keep-alive", head(b"GET /a HTTP/1.0", b"Connection: keep-alive") + get(b"/b"), (200, 200), [got(b"/a"), got(b"/b")]),
    Case("not ours in the middle", get(b"/a") + get(b"/a%2fb") + get(b"/c"), (200, 404, 200), [got(b"/a"), got(b"/c")]),
    Case("cut inside the second head", get(b"/a") + b"GET /b HTTP/1.1\r\nHost: pro", (200, 400), [got(b"/a")], closes=True, half_close=True),
]


@cases(LENGTHS, CODINGS, CHUNKS, BARE, unsafe(LENGTHS + CODINGS + CHUNKS), UNSAFE_BARE, LOOSE, EXPECT, uploads(), PIPELINES)
def test_request(desk, case):
    desk.run(case)
