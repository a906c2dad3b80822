"""What leaves for the backend, and what the client gets, under every switch: compared with mod_proxy.

The same bytes go to both proxies in front of one backend. Only X-Forwarded-Proto may be more.
"""
import pytest

from support.client import Client
from support.httpd import MOD_PROXY, load_line
from support.strict import StrictBackend

SWITCHES = {
    "plain": "", "nokeepalive": "proxy-nokeepalive", "notpooled": "proxy-initial-not-pooled", "old": "force-proxy-request-1.0",
    "length": "proxy-sendcl", "chunked": "proxy-sendchunked", "chunks": "proxy-sendchunks", "length-chunked": "proxy-sendcl proxy-sendchunked",
    "old-chunked": "force-proxy-request-1.0 proxy-sendchunked", "old-nokeepalive": "force-proxy-request-1.0 proxy-nokeepalive",
    "suppress": "proxy-interim-response=Suppress", "rfc": "proxy-interim-response=RFC", "no": "no-proxy",
    "downgrade": "downgrade-1.0", "client-nokeepalive": "nokeepalive", "answer-old": "force-response-1.0"}
CONF = "".join(f"SetEnvIf Request_URI ^/{name}/ {value}\n" for name, value in SWITCHES.items() if value) + """
<Location /disabled>
    {P}ProxyPass {b}/disabled disablereuse=on
</Location>
<Location /off>
    {P}Proxy100Continue Off
</Location>
<Location /bare>
    {P}ProxyAddHeaders Off
</Location>
<Location /kept>
    {P}ProxyPreserveHost On
</Location>
{P}ProxyPass / {b}/
"""
PATHS = [*SWITCHES, "disabled", "off", "bare", "kept"]


def chunked(*sizes):
    return b"".join(b"%x\r\n%s\r\n" % (size, b"y" * size) for size in sizes) + b"0\r\n\r\n"


CHUNKED = b"Transfer-Encoding: chunked\r\n"
EXPECT = b"Expect: 100-continue\r\n"
REQUESTS = {
    "get": (b"GET", b"", b""), "head": (b"HEAD", b"", b""), "post": (b"POST", b"Content-Length: 5\r\n", b"hello"),
    "post empty": (b"POST", b"Content-Length: 0\r\n", b""), "post nothing": (b"POST", b"", b""), "delete": (b"DELETE", b"", b""),
    "post large": (b"POST", b"Content-Length: 100000\r\n", b"x" * 100_000), "get with a body": (b"GET", b"Content-Length: 5\r\n", b"hello"),
    "chunked": (b"POST", CHUNKED, chunked(2, 3)), "chunked empty": (b"POST", CHUNKED, chunked()),
    "chunked large": (b"POST", CHUNKED, chunked(50_000, 50_000)), "chunked 16303": (b"POST", CHUNKED, chunked(16303)),
    "chunked 16304": (b"POST", CHUNKED, chunked(16304)), "chunked 16384": (b"POST", CHUNKED, chunked(16384)),
    "close": (b"GET", b"Connection: close\r\n", b""), "expect": (b"POST", EXPECT + b"Content-Length: 5\r\n", b"hello"),
    "expect large": (b"POST", EXPECT + b"Content-Length: 100000\r\n", b"x" * 100_000),
    "fields": (b"PUT", b"Content-Length: 5\r\nContent-Encoding: x\r\nContent-MD5: a\r\nTE: trailers\r\nVia: 1.0 x\r\nX-Forwarded-For: 1.1.1.1\r\n"
               b"Connection: X-Gone\r\nX-Gone: 1\r\nCookie: a=b\r\nCookie: c=d\r\nMax-Forwards: 3\r\n", b"hello"),
}
OLD = {f"{name} of HTTP/1.0": REQUESTS[name] for name in ("get", "head", "post", "post large")}
OLD["keep-alive of HTTP/1.0"] = (b"GET", b"Connection: keep-alive\r\n", b"")
OLD["post keep-alive of HTTP/1.0"] = (b"POST", b"Connection: keep-alive\r\nContent-Length: 5\r\n", b"hello")


@pytest.fixture(scope="module")
def trio(house):
    backend = house.adopt(StrictBackend())
    backend.hosts.add(b"proxy.test")
    own = house.httpd(CONF, b=backend.url)
    reference = house.httpd(CONF, family="std", proxy=[load_line(m) for m in MOD_PROXY], b=backend.url)
    return own, reference, backend


def told(server, backend, path, what, version):
    """(what the client got, what arrived) of one request."""
    backend.seen.clear()
    method, fields, body = what
    with Client(server.port) as client:
        client.send(b"%s /%s/x HTTP/%s\r\nHost: proxy.test\r\n%s\r\n%s" % (method, path.encode(), version, fields, body))
        answer = client.read(method.decode())
    heads = [b"\r\n".join(line for line in s.head.split(b"\r\n") if not line.startswith(b"X-Forwarded-Proto:"))
             for s in backend.seen]
    return ((answer.status, answer.version, [i.status for i in answer.interim], [f for f in answer.fields if f[0] not in ("Date", "Allow")]),
            [(head, s.body, s.complete) for head, s in zip(heads, backend.seen)])


# With Suppress and Expect mod_proxy closes the client's connection although the content has come.
COMPARED = [(path, name) for name in [*REQUESTS, *OLD] for path in PATHS if not (path == "suppress" and name.startswith("expect"))]


@pytest.mark.own
@pytest.mark.parametrize("path, name", COMPARED)
def test_the_same_bytes_leave(trio, path, name):
    own, reference, backend = trio
    for server in (own, reference):
        server.allow_log()
    old = name in OLD
    seen = [told(server, backend, path, (OLD if old else REQUESTS)[name], b"1.0" if old else b"1.1") for server in (own, reference)]
    assert seen[0] == seen[1]
