"""Bodies pass as they come and are never held whole."""
import hashlib
import threading

import pytest

from support import settings
from support.client import Client, fetch, request
from support.waiting import until
from support.wire import answer

GIB = 1 << 30
GROWTH = (96 if settings.ASAN else 32) << 20


@pytest.fixture
def both(make):
    def build(script, conf="{P}ProxyPass / {b}/\n", **options):
        backend = make.backend(script)
        return make.httpd(conf, b=backend.url, threads=4, **options), backend
    return build


class PeakMemory:
    """The largest resident size of a server's children while a block runs."""

    def __init__(self, server):
        self._server, self._over = server, threading.Event()
        self.start = self.peak = server.resident()

    def __enter__(self):
        def watch():
            while not self._over.wait(0.05):
                self.peak = max(self.peak, self._server.resident())
        self._thread = threading.Thread(target=watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._over.set()
        self._thread.join()

    @property
    def growth(self):
        return self.peak - self.start


@pytest.mark.slow
@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_a_gibibyte_down_in_constant_memory(both, framing):
    block = bytes(range(256)) * 1024  # 256 KiB
    count = GIB // len(block)

    def script(connection):
        connection.read_request()
        if framing == "length":
            connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % GIB)
            for _ in range(count):
                connection.send(block)
        else:
            connection.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            coded = b"%x\r\n%s\r\n" % (len(block), block)
            for _ in range(count):
                connection.send(coded)
            connection.send(b"0\r\n\r\n")
    server, _ = both(script)
    fetch(server.port, "/warm-up", "HEAD")
    with PeakMemory(server) as memory, Client(server.port) as client:
        client.reader.keep = False
        client.send(request())
        head = client.read_head()
        length = sum(len(piece) for piece in client.body_pieces(head))
    assert length == GIB
    assert memory.growth < GROWTH, f"grew by {memory.growth >> 20} MiB"


@pytest.mark.slow
@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_a_gibibyte_up_in_constant_memory(both, framing):
    block = bytes(range(256)) * 1024
    seen = {}

    def script(connection):
        asked = connection.read_head()
        connection.reader.keep = False
        seen["body"] = connection.read_body(asked, keep=False)
        connection.send(answer(b"got it"))
    server, _ = both(script, "LimitRequestBody 0\n{P}ProxyPass / {b}/\n")
    with Client(server.port) as client:
        client.ask("POST", "/warm-up", body=b"x")
    with PeakMemory(server) as memory, Client(server.port) as client:
        if framing == "length":
            client.send(request("POST", "/", [("Content-Length", str(GIB))]))
            coded, end = block, b""
        else:
            client.send(request("POST", "/", [("Transfer-Encoding", "chunked")]))
            coded, end = b"%x\r\n%s\r\n" % (len(block), block), b"0\r\n\r\n"
        for _ in range(GIB // len(block)):
            client.send(coded)
        response = client.send(end).read()
    assert response.body == b"got it"
    expected = hashlib.sha256()
    for _ in range(GIB // len(block)):
        expected.update(block)
    assert (seen["body"].length, seen["body"].sha256) == (GIB, expected.hexdigest())
    assert memory.growth < GROWTH, f"grew by {memory.growth >> 20} MiB"


def test_a_client_that_reads_slowly_holds_no_memory(both):
    """The backend is told to wait instead of the proxy storing what the client does not take."""
    sent = []

    def script(connection):
        connection.read_request()
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % GIB)
        try:
            while True:
                connection.send(b"x" * 65536)
                sent.append(65536)
        finally:
            sent.append(0)
    server, _ = both(script)
    server.allow_log()
    start = server.resident()
    with Client(server.port, receive_buffer=65536) as client:
        client.send(request())
        client.read_head()
        total = [-1]

        def standstill():
            before, total[0] = total[0], len(sent)
            return before == total[0]
        until(lambda: sent and _holds(standstill), "the backend is stopped by back pressure")
        assert server.resident() - start < GROWTH
        assert sum(sent) < 64 << 20
        client.reset()


def _holds(condition):
    """True when `condition` holds in each of 20 looks, 10 ms apart."""
    pause = threading.Event()
    for _ in range(20):
        if not condition():
            return False
        pause.wait(0.01)
    return True


@pytest.mark.parametrize("framing", ["length", "chunked", "close"])
def test_the_first_byte_arrives_before_the_last_is_sent(both, framing):
    release = threading.Event()

    def script(connection):
        connection.read_request()
        first, last = {
            "length": (b"Content-Length: 10\r\n\r\nfirst", b"-last"),
            "chunked": (b"Transfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n", b"5\r\n-last\r\n0\r\n\r\n"),
            "close": (b"\r\nfirst", b"-last")}[framing]
        connection.send(b"HTTP/1.1 200 OK\r\n" + first)
        connection.wait(release)
        connection.send(last)
    server, _ = both(script)
    with Client(server.port) as client:
        head = client.send(request()).read_head()
        pieces = client.body_pieces(head)
        got = b""
        while len(got) < 5:
            got += next(pieces)
        assert got == b"first"
        release.set()
        assert got + b"".join(pieces) == b"first-last"


def test_the_head_arrives_before_the_body_begins(both):
    release = threading.Event()

    def script(connection):
        connection.read_request()
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n")
        connection.wait(release)
        connection.send(b"body")
    server, _ = both(script)
    with Client(server.port) as client:
        head = client.send(request()).read_head()
        assert head.status == 200
        release.set()
        assert b"".join(client.body_pieces(head)) == b"body"


@pytest.mark.parametrize("modules, extra", [((), ""), (("deflate", "filter"), "DeflateBufferSize 1\n")])
def test_server_sent_events_come_one_by_one(both, modules, extra):
    """Each event is read by the client before the backend may send the next."""
    step = threading.Semaphore(0)
    events = [b"data: %d\n\n" % i for i in range(20)]

    def script(connection):
        connection.read_request()
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
                        b"Cache-Control: no-cache\r\n\r\n")
        for event in events:
            assert step.acquire(timeout=settings.PATIENCE)
            connection.send(event)
    server, _ = both(script, extra + "{P}ProxyPass / {b}/\n", modules=modules)
    with Client(server.port) as client:
        head = client.send(request(fields=[("Accept", "text/event-stream")])).read_head()
        assert head.fields.get("Content-Type") == "text/event-stream"
        pieces = client.body_pieces(head)
        for event in events:
            step.release()
            got = b""
            while len(got) < len(event):
                got += next(pieces)
            assert got == event
        assert list(pieces) == []


def test_the_upload_passes_while_it_comes(both):
    """The backend sees the first part of a long body before the client has sent the rest."""
    seen = threading.Event()

    def script(connection):
        asked = connection.read_head()
        pieces = connection.reader.pieces(int(asked.fields.get("Content-Length")))
        got = 0
        for piece in pieces:
            got += len(piece)
            if got >= 100_000:
                seen.set()
        connection.send(answer(b"%d" % got))
    server, _ = both(script)
    with Client(server.port) as client:
        client.send(request("POST", "/", [("Content-Length", "200000")]) + b"x" * 150_000)
        assert seen.wait(settings.PATIENCE)
        assert client.send(b"x" * 50_000).read().body == b"200000"


def test_full_duplex_answer_streams_while_the_request_streams(both):
    """Early bytes of the answer do not wait for the end of the request (own and mod_proxy: the
    answer may come after the upload, it must come whole)."""
    def script(connection):
        asked = connection.read_head()
        connection.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n")
        body = connection.read_body(asked)
        connection.send(b"%x\r\n%s\r\n0\r\n\r\n" % (len(b"%d" % body.length), b"%d" % body.length))
    server, _ = both(script)
    with Client(server.port) as client:
        client.send(request("POST", "/", [("Content-Length", "100000")]) + b"x" * 100_000)
        response = client.read()
    assert (response.body, response.truncated) == (b"first100000", False)
