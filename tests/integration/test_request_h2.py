"""HTTP/2 in front: no field of an h2 request can change the line or the head that leaves (request
splitting, CVE-2021-33193), and the length that a body has is the length that is announced.

mod_http2 and its library refuse most of this (stream reset or 400); another version may refuse less, so
what counts is what the backend gets: one strict request, or nothing.
"""
import pytest

from support import settings
from support.h2 import H2
from support.strict import Desk, StrictBackend


@pytest.fixture(scope="module")
def desk(house):
    backend = house.adopt(StrictBackend())
    server = house.httpd("Protocols h2c http/1.1\nH2Direct On\n{P}ProxyPass / {b}/\n", b=backend.url,
                         modules=("http2",))
    return Desk(server, backend)


def fields(method=b"GET", path=b"/a", authority=b"proxy.test", scheme=b"http", more=()):
    return [(b":method", method), (b":scheme", scheme), (b":authority", authority), (b":path", path), *more]


def more(name, value):
    return fields(more=[(name, value)])


def upload(*given, body=b"hello"):
    return fields(b"POST", more=given), body


SPLIT = b"x\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n"
PASSES = {
    "plain": (fields(), b"GET /a HTTP/1.1", b""),
    "body": (*upload(), b"POST /a HTTP/1.1"),
    "body with its length": (*upload((b"content-length", b"5")), b"POST /a HTTP/1.1"),
    "expectation": (*upload((b"expect", b"100-continue")), b"POST /a HTTP/1.1"),
    "encoded line end": (fields(path=b"/a%0d%0ab"), b"GET /a%0D%0Ab HTTP/1.1", b""),
    "raw bytes": (fields(path=b"/\xff"), b"GET /%FF HTTP/1.1", b""),
    "te trailers": (more(b"te", b"trailers"), b"GET /a HTTP/1.1", b""),
    "unknown method": (fields(b"BREW"), b"BREW /a HTTP/1.1", b""),
}
if settings.OWN:  # mod_proxy lets these through
    PASSES["HTTP2-Settings"] = (more(b"http2-settings", b"AAMAAABkAAQAAP__"), b"GET /a HTTP/1.1", b"")
    PASSES["Proxy-Authorization"] = (more(b"proxy-authorization", b"Basic eDp5"), b"GET /a HTTP/1.1", b"")
REFUSED = {
    **{f"value {v!r}": more(b"x-a", v) for v in (
        b"a\r\nX-B: c", b"a\nX-B: c", b"a\rX-B: c", b"a\0b", b"a\x01b", SPLIT)},
    **{f"name {n!r}": more(n, b"x") for n in (
        b"x-a: b\r\nx", b"x\r\n", b"x\n", b"x a", b"X-A", b"", b"x:a", b"x\0", b"x\xe4")},
    **{f"connection field {n!r}": more(n, b"x") for n in (
        b"connection", b"keep-alive", b"proxy-connection", b"upgrade", b"te", b"transfer-encoding")},
    **{f"path {p!r}": fields(path=p) for p in (
        b"/a b", b"/a HTTP/1.1\r\nX: y", b"/a\r\nX: y", b"/a\nb", b"/a\tb", b"/a\0b", b"/a\x01", b"/a\x7f", b"/a#b", b"/a?b c",
        b"/a?b\r\nX: y", b"a", b"", b"@x/", b"http://127.0.0.1:9/", b"/..", b"/%2e%2e/")},
    **{f"method {m!r}": fields(m) for m in (
        b"GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\nGET", b"GET\r\n", b"G ET", b"GET\t", b"G\0T", b"", b"CONNECT")},
    **{f"authority {a!r}": fields(authority=a) for a in (
        b"a b", b"proxy.test\r\nX: y", b"u@proxy.test", b"a/b", b"a\0b", b"a,b")},
    **{f"scheme {s!r}": fields(scheme=s) for s in (b"http\r\nX: y", b"x y", b"")},
    "unknown expectation": more(b"expect", b"miracle"),
    "unknown pseudo field": [(b":x", b"y")] + fields(),
    "path twice": fields() + [(b":path", b"/smuggled")],
}
LENGTHS = {
    "too long": upload((b"content-length", b"50")),
    "too short": upload((b"content-length", b"2")),
    "odd": upload((b"content-length", b"+5")),
    "twice": upload((b"content-length", b"5"), (b"content-length", b"6")),
    "chunked": upload((b"transfer-encoding", b"chunked"), body=b"0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n"),
}


def answer_of(desk, asked, body=None):
    desk.new()
    desk.server.allow_log(r"\[http2:|AH10244")
    if not settings.OWN:
        desk.server.allow_log()
    with H2(desk.server.port) as client:
        status = client.ask(asked, body)
    desk.mark()
    return status, desk.new()


@pytest.mark.parametrize("asked, body, line", [(a, b, c) if len(c) else (a, None, b) for a, b, c in PASSES.values()],
                         ids=PASSES.keys())
def test_one_request_leaves(desk, asked, body, line):
    status, arrived = answer_of(desk, asked, body)
    assert status == 200
    assert [(s.line, s.body, s.complete) for s in arrived] == [(line, body or b"", True)]


@pytest.mark.parametrize("asked", REFUSED.values(), ids=REFUSED.keys())
def test_no_request_leaves(desk, asked):
    status, arrived = answer_of(desk, asked)
    assert status in ("reset", "closed") or status >= 400
    assert arrived == []


@pytest.mark.parametrize("asked, body", LENGTHS.values(), ids=LENGTHS.keys())
def test_a_wrong_length_never_completes_a_request(desk, asked, body):
    status, arrived = answer_of(desk, asked, body)
    assert status in ("reset", "closed") or status >= 400
    assert not any(s.complete for s in arrived)
