"""Server-sent events reach the client one by one, through every front and filter; bulk bodies are not chopped.

Nothing here measures time: the backend may send an event only after the client has read the one before.
"""
import os
import select
import ssl
import subprocess
import threading
import zlib

import pytest

from support import settings
from support.client import Client, request
from support.tls import tls_host

CONF = """
Protocols h2 h2c http/1.1
DeflateCompressionLevel 1
<VirtualHost *:{port}>
    AddOutputFilterByType DEFLATE text/event-stream text/plain
    {P}ProxyPass / {b}/
</VirtualHost>
""" + tls_host("AddOutputFilterByType DEFLATE text/event-stream text/plain", "{P}ProxyPass / {b}/")
EVENTS = [b"id: %d\ndata: %s\n\n" % (i, b"x" * size) for i, size in enumerate([1, 2, 300, 5, 9000, 1, 40_000, 3])]
FIELDS = {"length": b"Content-Length: %d\r\n", "chunked": b"Transfer-Encoding: chunked\r\n", "close": b""}
BULK = 10 << 20


def head(content_type, framing, length):
    field = FIELDS[framing] % length if framing == "length" else FIELDS[framing]
    return b"HTTP/1.1 200 OK\r\nContent-Type: %s\r\n%s\r\n" % (content_type.encode(), field)


def framed(framing, data):
    """A piece of a body; the empty piece ends it."""
    return b"%x\r\n%s\r\n" % (len(data), data) if framing == "chunked" else data


class Source:
    def __init__(self, house):
        self.go = threading.Semaphore(0)
        self.backend = house.backend(self._serve)
        self.server = house.httpd(CONF, b=self.backend.url, tls=True, modules=("http2", "deflate", "filter"))

    def _serve(self, connection):
        while True:
            kind, framing, size = connection.read_request().target.split("/")[1:4]
            if kind == "events":
                self._events(connection, framing)
            elif kind == "cut":
                connection.send(head("text/plain", "chunked", 0) + framed("chunked", b"abc"))
                assert self.go.acquire(timeout=settings.PATIENCE)
                return
            else:
                self._bulk(connection, framing, int(size))
            if framing == "close":
                return

    def _events(self, connection, framing):
        connection.send(head("text/event-stream", framing, sum(map(len, EVENTS))))
        for event in EVENTS:
            assert self.go.acquire(timeout=settings.PATIENCE)
            connection.send(framed(framing, event))
        connection.send(framed(framing, b""))

    @staticmethod
    def _bulk(connection, framing, size):
        connection.send(head("text/plain", framing, BULK))
        # In large writes whatever the size of the pieces: a backend that is slow between two small writes, as on a
        # busy machine, asks for a flush after each.
        block = framed(framing, b"0123456789abcdef" * (size // 16)) * ((1 << 16) // size)
        for _ in range(BULK >> 16):
            connection.send(block)
        connection.send(framed(framing, b""))


@pytest.fixture(scope="module")
def source(house):
    return Source(house)


class OverHttp1:
    def __init__(self, source, path, fields, tls):
        server = source.server
        self._client = Client(server.tls_port, server_name="proxy.test") if tls else Client(server.port)
        answer_head = self._client.send(request(target=path, fields=fields)).read_head()
        assert answer_head.status == 200
        self.coding = answer_head.fields.get("Content-Encoding")
        self._pieces = self._client.body_pieces(answer_head)

    def read(self):
        return next(self._pieces, b"")

    def close(self):
        self._client.close()


class OverHttp2:
    """curl; what it has written is what the stream has delivered."""

    def __init__(self, source, path, fields, tls):
        url = f"https://127.0.0.1:{source.server.tls_port}" if tls else f"http://127.0.0.1:{source.server.port}"
        command = ["curl", "-sSkN", "--http2" if tls else "--http2-prior-knowledge", url + path]
        for name, value in fields:
            command += ["-H", f"{name}: {value}"]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE)
        self.coding = dict(fields).get("Accept-Encoding")

    def read(self):
        out = self._process.stdout.fileno()
        assert select.select([out], [], [], settings.PATIENCE)[0], "nothing came"
        return os.read(out, 65536)

    def close(self):
        self._process.stdout.close()
        self._process.wait(settings.PATIENCE)


@pytest.mark.parametrize("framing", FIELDS)
@pytest.mark.parametrize("coding", ["plain", "gzip"])
@pytest.mark.parametrize("tls", [False, True], ids=["clear", "tls"])
@pytest.mark.parametrize("front", [OverHttp1, OverHttp2], ids=["http1", "http2"])
def test_each_event_arrives_before_the_next_may_leave(source, front, tls, coding, framing):
    fields = [("Accept", "text/event-stream")] + ([("Accept-Encoding", "gzip")] if coding == "gzip" else [])
    reader = front(source, f"/events/{framing}/0", fields, tls)
    try:
        assert reader.coding == (coding if coding == "gzip" else None)
        unpack = zlib.decompressobj(31).decompress if coding == "gzip" else bytes
        for event in EVENTS:
            source.go.release()
            got = b""
            while len(got) < len(event):
                piece = reader.read()
                assert piece, "the stream ended early"
                got += unpack(piece)
            assert got == event
        rest = b""
        while piece := reader.read():
            rest += unpack(piece)
        assert rest == b""
    finally:
        reader.close()


def chunk_sizes(client):
    """The sizes of the chunks that the client is sent."""
    while size := int(client.reader.until(b"\r\n").split(b";")[0], 16):
        for _ in client.reader.pieces(size):
            pass
        client.reader.exactly(2)
        yield size
    client.reader.exactly(2)


@pytest.mark.own
@pytest.mark.parametrize("size", [1 << 10, 1 << 16])
@pytest.mark.parametrize("framing", ["chunked", "close"])
def test_a_bulk_body_is_not_chopped(source, framing, size):
    """10 MiB that come as fast as they can: what waits is sent together, not piece by piece (mod_proxy: some
    1300 chunks whatever the backend does; here 160 to 250)."""
    with Client(source.server.port) as client:
        client.reader.keep = False
        answer_head = client.send(request(target=f"/bulk/{framing}/{size}")).read_head()
        assert answer_head.fields.get("Transfer-Encoding") == "chunked"
        sizes = list(chunk_sizes(client))
    assert sum(sizes) == BULK
    assert len(sizes) < BULK // 4096


@pytest.mark.own
@pytest.mark.parametrize("tls", [False, True], ids=["clear", "tls"])
def test_an_http_1_0_client_cannot_take_a_cut_for_the_end(source, tls):
    """It has neither a length nor chunks: a reset, and no close_notify (mod_proxy: an orderly end)."""
    server = source.server
    server.allow_log()
    with Client(server.tls_port, server_name="proxy.test") if tls else Client(server.port) as client:
        response = client.send(b"GET /cut/close/0 HTTP/1.0\r\nHost: proxy.test\r\n\r\n").read_head()
        pieces = client.body_pieces(response)
        got = b""
        while len(got) < 3:
            got += next(pieces)
        source.go.release()
        assert got == b"abc"
        if tls:  # Python takes an end without close_notify for an orderly one unless told otherwise
            client.sock.suppress_ragged_eofs = False
        with pytest.raises((ConnectionResetError, ssl.SSLEOFError)):
            next(pieces)
