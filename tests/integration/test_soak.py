"""Many requests of every kind, good and bad on both sides: afterwards everything is where it was.

`make check` runs a short version; `make soak` the long one (CXXPROXY_SOAK says how many requests).
"""
import os
import random
import re
import threading

import pytest

from support import settings
from support.client import Client, fetch, request
from support.waiting import until
from support.wire import Closed, Truncated, answer, chunked

pytestmark = [pytest.mark.own, pytest.mark.slow]

TOTAL = int(os.environ.get("CXXPROXY_SOAK", "3000" if settings.ASAN else "6000"))
WARM_UP = TOTAL if settings.VALGRIND else max(TOTAL // 5, 1200)
CLIENTS = 12
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
LENGTH = b"HTTP/1.1 200 OK\r\nContent-Length: 9000\r\n\r\n"

CONF = """
<Proxy balancer://soak>
    BalancerMember {one} timeout=1 retry=0
    BalancerMember {two} timeout=1 retry=0
</Proxy>
ProxyStatus On
ProxyPass /server-status !
<Location /server-status>
    SetHandler server-status
</Location>
ProxyPass / balancer://soak/
"""

# What the backend does with the connection after the request: bytes to send, and whether it goes on.
ANSWERS = {
    "good": (answer(b"g" * 5000), True),
    "empty": (answer(b"", "204 No Content", length=False), True),
    "chunks": (CHUNKED + chunked(b"c" * 3000, b"d" * 3000), True),
    "trailers": (CHUNKED + chunked(b"c" * 100, trailers=b"X-T: 1\r\n"), True),
    "hints": (b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" + answer(b"h"), True),
    "large": (answer(b"l" * 300_000), True),
    "until-close": (b"HTTP/1.1 200 OK\r\n\r\nuntil the end", False),
    "last": (answer(b"bye", fields=[("Connection", "close")]), False),
    "says-keep-and-closes": (answer(b"bye"), False),
    "cut": (LENGTH + b"half", False),
    "cut-chunk": (CHUNKED + b"ffff\r\nhalf", False),
    "bad-chunk": (CHUNKED + b"zz\r\nhalf", False),
    "garbage": (b"no HTTP at all\r\n\r\n", False),
    "bad-field": (b"HTTP/1.1 200 OK\r\nBad Field: x\r\n\r\n", False),
    "two-lengths": (b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd", True),
    "half-head": (b"HTTP/1.1 200 OK\r\nX-A", False),
    "nothing": (b"", False),
    "extra": (answer(b"x") + answer(b"POISON"), True),
}
# Kinds of clients; the last ones do not wait for their answer.
MANNERS = ("get", "get", "head", "post", "post-chunked", "upload", "half-close", "abort-waiting", "abort-uploading", "abort-reading")


def moody(connection):
    while True:
        asked = connection.read_head()
        kind = asked.target.rsplit("/", 1)[-1]
        if kind == "early":  # an answer to an upload of which nothing was read
            connection.send(answer(b"too large", "413 Content Too Large", [("Connection", "close")]))
            return
        if kind == "reset":
            connection.reset()
            return
        connection.read_body(asked, keep=False)
        if kind == "stall":
            connection.send(LENGTH[:20] if len(connection.requests) % 2 else LENGTH + b"half")
            connection.wait_close()
            return
        data, keep = ANSWERS[kind]
        head_only = asked.method == "HEAD"
        connection.send(data[:data.index(b"\r\n\r\n") + 4] if head_only and kind in ("good", "large", "last") else data)
        if not keep or head_only and kind not in ("good", "empty", "large"):
            return


def play(client, manner, target):
    """True when the connection can go on."""
    if manner == "head":
        return not closes(client.ask("HEAD", target, keep=False))
    if manner == "post":
        return not closes(client.ask("POST", target, body=b"p" * 2000, keep=False))
    if manner == "upload":
        return not closes(client.ask("POST", target, body=b"u" * 150_000, keep=False))
    if manner == "post-chunked":
        client.send(request("POST", target, [("Transfer-Encoding", "chunked")]) + chunked(b"q" * 1000, b"r" * 20_000))
        return not closes(client.read("POST", keep=False))
    if manner == "abort-waiting":
        client.send(request("GET", target)).reset()
        return False
    if manner == "abort-uploading":
        client.send(request("POST", target, [("Content-Length", "100000")]) + b"part").reset()
        return False
    if manner == "abort-reading":
        client.send(request("GET", target)).reader.until(b"\r\n")
        client.reset()
        return False
    client.send(request("GET", target))
    if manner == "half-close":
        client.half_close()
    return not closes(client.read(keep=False)) and manner != "half-close"


def closes(response):
    return response.truncated or response.fields.get("Connection", "").lower() == "close"


def storm(port, total, seed):
    """`total` requests from all clients; the exceptions nobody expects."""
    kinds = [*ANSWERS] * 8 + ["early"] * 8 + ["reset"] * 8 + ["stall"]
    surprises = []

    def work(number):
        chance = random.Random(seed * 1000 + number)
        client = None
        for _ in range(total // CLIENTS):
            try:
                client = client or Client(port)
                if not play(client, chance.choice(MANNERS), "/" + chance.choice(kinds)):
                    client.close()
                    client = None
            except (OSError, Closed, Truncated):
                client.close()
                client = None
            except Exception as error:  # pylint: disable=broad-except
                surprises.append(repr(error))
                client = None
        if client:
            client.close()

    threads = [threading.Thread(target=work, args=(n,), daemon=True) for n in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120 + total / 20)
        assert not thread.is_alive(), "a client hangs"
    return surprises


def counts(server):
    """{"Busy": [...], "ChildInUse": [...], "ChildIdle": [...]} over the members."""
    page = fetch(server.port, "/server-status?auto").text
    return {name: [int(n) for n in re.findall(rf"Worker\[\d\]{name}: (\d+)", page)] for name in ("Busy", "ChildInUse", "ChildIdle")}


def at_rest(server):
    now = counts(server)
    return now if now["Busy"] == [0, 0] and now["ChildInUse"] == [0, 0] else None


def test_mixed_requests_leave_everything_as_it_was(make):
    backends = [make.backend(moody, name=name) for name in ("one", "two")]
    server = make.httpd(CONF, family="std", one=backends[0].url, two=backends[1].url, modules=("status",), processes=1, threads=CLIENTS + 8)
    server.allow_log()

    def forget():
        for backend in backends:  # thousands of connections, each with all its bytes
            del backend.requests[:]
            backend.connections[:] = [c for c in backend.connections if not c.over]

    def measure():
        until(lambda: at_rest(server), f"no request is in flight: {counts(server)}", timeout=60)
        idle = counts(server)["ChildIdle"]
        return server.descriptors() - sum(idle), server.resident(), idle

    assert storm(server.port, WARM_UP, 1) == []
    before = measure()
    for part in range(5):
        assert storm(server.port, TOTAL // 5, 2 + part) == []
        forget()
    # Beyond kept connections, whose number is chance and bounded by the threads, nothing may be open.
    until(lambda: measure()[0] <= before[0] + 4, f"descriptors are as before: {before} {measure()}", timeout=20)
    after = measure()
    print(f"\n{TOTAL} requests: descriptors {before[0]} -> {after[0]}, resident {before[1] >> 10} -> {after[1] >> 10} KiB, "
          f"kept connections {before[2]} -> {after[2]}")
    assert all(idle <= CLIENTS + 8 for idle in after[2])
    assert len(server.children()) == 1
    if not settings.CHECKED:
        assert after[1] < before[1] + 6 * 1024 * 1024
