"""Virtual hosts as application manuals have them, through stock mod_proxy and through this module.

The same bytes go to both servers; what leaves for the backends and what comes to the client is compared as
bytes. What may differ is in INTENDED, with the row of docs/differences.md that says so.
"""
import re
import tempfile
from pathlib import Path

import pytest

from support import settings
from support.client import Client, request
from support.differential import differences, normal
from support.httpd import MOD_PROXY, load_line
from support.real_vhosts import MODULES, Backends, vhosts
from support.wire import Closed, Truncated

STOCK = (*MOD_PROXY, "proxy_wstunnel", "lbmethod_bybusyness", "lbmethod_bytraffic")
PROTO = re.compile(rb"X-Forwarded-Proto: https?\r\n")
TAILS = ("", "/", "/a/b.html?x=1&y=%20+", "/a%2Fb/c%20d", "/x;v=1/%C3%A9?", "//d/./e/../f")
FIELDS = (("Authorization", "Basic dXNlcjpzZWNyZXQ="), ("Cookie", "a=b"), ("X-Forwarded-For", "192.0.2.7"), ("Accept", "*/*"))
OWN_FILE = re.compile(rb"(?:Last-Modified|ETag): [^\r]*\r\n")  # of the page in each server's own folder
SWITCH = (("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Sec-WebSocket-Version", "13"))


# A field of answers that differs, and the row of docs/differences.md about it.
INTENDED = {"rails_puma": ("Location", "`ProxyPassReverse` to a `unix:` URL")}
DIFFERENCES = (settings.REPOSITORY / "docs" / "differences.md").read_text()


def asks(path):
    """(name, method, target, fields, body) of the requests for one path of the configuration."""
    stem = path.rstrip("/")
    for tail in TAILS:
        target = (stem + tail) or "/"
        yield f"GET {target}", "GET", target, FIELDS, None
    yield f"HEAD {path}", "HEAD", path, FIELDS, None
    yield f"POST {path}", "POST", stem + "/form", FIELDS, b"a=b&c=d"
    yield f"upgrade {path}", "GET", stem + "/ws?transport=websocket", FIELDS + SWITCH, None


def play(server, vhost, name, ask):
    _, method, target, fields, body = ask
    with Client(server.tls_port if vhost.tls else server.port, server_name=name if vhost.tls else None) as client:
        client.send(request(method, target, fields, body, host=name))
        try:
            answer = client.read_head()
            if answer.status == 101:
                client.send(b"hello")
                return answer.raw_head, client.reader.to_end()
            return answer.raw_head, b"".join(client.body_pieces(answer, method))
        except (Closed, Truncated) as trouble:
            return repr(trouble).encode(), b""


def observe(server, backends, vhost, name, ask):
    backends.seen.clear()
    client = play(server, vhost, name, ask)
    return normal({"backend": [list(one) for one in backends.seen], "client": [OWN_FILE.sub(b"", part) for part in client]}, server)


def is_switched(seen):
    return seen["client"][0].startswith(b"HTTP/1.1 101")


def without_own_field(own, stock):
    """X-Forwarded-Proto is ours; the comparison is about all else."""
    for ours, theirs in zip(own["backend"], stock["backend"]):
        if not PROTO.search(theirs[1]):
            ours[1] = PROTO.sub(b"", ours[1])


@pytest.fixture
def folder():
    """For unix sockets that httpd's children may reach."""
    with tempfile.TemporaryDirectory(prefix="cxxproxy-it-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.mark.own
@pytest.mark.parametrize("vhost", vhosts(), ids=lambda vhost: vhost.path.stem)
def test_an_application_gets_the_same(make, folder, vhost):
    backends = Backends(make, folder)
    conf = vhost.at(backends)
    options = dict(family="std", modules=MODULES, tls=vhost.tls)
    own = make.httpd(conf, compat=True, **options)
    stock = make.httpd(conf, proxy=[load_line(module) for module in STOCK], **options)
    for server in (own, stock):
        server.allow_log()
        server.allow_log(r" AH\d{5}: ")  # folders of the application that are not here, its certificate
    found, reached = [], 0
    for name in vhost.names:
        for ask in (one for path in vhost.paths for one in asks(path)):
            ours, theirs = (observe(server, backends, vhost, name, ask) for server in (own, stock))
            if is_switched(ours) and not is_switched(theirs):
                continue  # WebSocket without upgrade= or mod_rewrite: on by default here
            without_own_field(ours, theirs)
            reached += len(theirs["backend"])
            found += [f"{name} {ask[0]}: {line}" for line in differences(ours, theirs)]
    assert reached > 0
    if vhost.path.stem in INTENDED:
        field, row = INTENDED[vhost.path.stem]
        assert f"| {row}" in DIFFERENCES
        assert found, "no longer different"
        found = [line for line in found if len({re.sub(field + r": [^ ]*?\\r", "", seen) for seen in re.findall(r"(?:mod_proxy|ours) +(.*)", line)}) != 1]
    assert not found, "\n".join(found[:12])
