"""Raw requests through the proxy, and a backend that takes nothing but well-formed HTTP/1.1.

A `Case` is bytes for one client connection, the answers it must get, and every byte that must arrive
at the backend. `Desk.run` sends it, asks for a marker on a connection of its own, and compares.
"""
import re
from dataclasses import dataclass, field

import pytest

from . import settings
from .backend import RawBackend
from .client import Client
from .waiting import until
from .wire import Closed, Truncated

HOST = b"Host: proxy.test"
SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: proxy.test\r\n\r\n"

TOKEN = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
REQUEST_LINE = re.compile(rb"(" + TOKEN + rb") (/[\x21\x22\x24-\x7e\x80-\xff]*|\*) HTTP/1\.[01]")
FIELD_LINE = re.compile(rb"(" + TOKEN + rb"): ([\t\x20-\x7e\x80-\xff]*)")
CHUNK_LINE = re.compile(rb"[0-9A-Fa-f]{1,8}")
# What describes one connection never travels further (RFC 9110 7.6.1).
ENDS_AT_PROXY = (b"keep-alive", b"te", b"trailer", b"upgrade", b"http2-settings", b"proxy-connection",
                 b"proxy-authorization", b"proxy-authenticate")


@dataclass
class Seen:
    """A request as it arrived: every byte of its head, and its body without framing."""
    head: bytes
    body: bytes = b""
    complete: bool = False
    framing: str = "none"

    @property
    def line(self):
        return self.head.split(b"\r\n", 1)[0]


def fields_of(head):
    """[(lower case name, value)]; AssertionError where a byte of the head is not well-formed."""
    lines = head.split(b"\r\n")
    assert lines[-2:] == [b"", b""], f"no end: {head!r}"
    assert REQUEST_LINE.fullmatch(lines[0]), f"request line {lines[0]!r}"
    found = []
    for line in lines[1:-2]:
        matched = FIELD_LINE.fullmatch(line)
        assert matched, f"field line {line!r}"
        found.append((matched[1].lower(), matched[2]))
    return found


def framing_of(head, hosts):
    """("none"|"length"|"chunked", length) of a head that is checked as strictly as RFC 9112 allows."""
    fields = fields_of(head)

    def values(name):
        return [value for known, value in fields if known == name]
    assert len(values(b"host")) == 1 and values(b"host")[0] in hosts, f"Host of {head!r}"
    for name in ENDS_AT_PROXY:
        assert not values(name), f"{name!r} in {head!r}"
    connection = values(b"connection")
    assert len(connection) <= 1 and [v.lower() for v in connection] in ([], [b"close"], [b"keep-alive"]), head
    lengths, codings = values(b"content-length"), values(b"transfer-encoding")
    assert len(lengths) + len(codings) <= 1, f"more than one framing: {head!r}"
    if codings:
        assert codings == [b"chunked"], head
        return "chunked", 0
    if lengths:
        assert re.fullmatch(rb"0|[1-9][0-9]{0,17}", lengths[0]), head
        return "length", int(lengths[0])
    assert values(b"expect") == [], f"an expectation without a body: {head!r}"
    return "none", 0


class StrictBackend(RawBackend):
    """Records requests as `Seen`; whatever is not well-formed becomes a complaint of the test.

    `says(target, script)`: script(connection, seen) is called with the body unread and returns
    True to go on with the connection.
    """

    def __init__(self, name="strict"):
        self.seen, self._scripts_by_target = [], {}
        super().__init__(self._serve, name=name)
        self.host = b"127.0.0.1:%d" % self.port
        self.hosts = {self.host}  # that requests may name

    def says(self, target, script):
        self._scripts_by_target[target] = script

    def read_body(self, connection, seen):
        reader, (seen.framing, length) = connection.reader, framing_of(seen.head, self.hosts)
        if seen.framing == "length":
            for piece in reader.pieces(length):
                seen.body += piece
        while seen.framing == "chunked":
            line = reader.until(b"\r\n")[:-2]
            assert CHUNK_LINE.fullmatch(line), f"chunk line {line!r}"
            if int(line, 16) == 0:
                assert reader.until(b"\r\n") == b"\r\n", "a trailer of the client"
                break
            for piece in reader.pieces(int(line, 16)):
                seen.body += piece
            assert reader.exactly(2) == b"\r\n"
        seen.complete = True

    def _serve(self, connection):
        while True:
            seen = Seen(connection.reader.until(b"\r\n\r\n"))
            with self.lock:
                self.seen.append(seen)
            framing_of(seen.head, self.hosts)
            script = self._scripts_by_target.get(seen.line.split(b" ")[1].split(b"?")[0])
            if script is not None:
                if not script(connection, seen):
                    return
                continue
            if b"\r\nexpect:" in seen.head.lower():
                connection.send(b"HTTP/1.1 100 Continue\r\n\r\n")
            self.read_body(connection, seen)
            connection.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n"
                            % len(seen.line))
            if not seen.line.startswith(b"HEAD "):
                connection.send(seen.line)
            if b"\r\nconnection: close\r\n" in seen.head.lower() or seen.line.endswith(b"/1.0"):
                return


@dataclass
class Sent:
    """What must arrive: the request line, the fields of the client that stay, the body."""
    line: bytes
    fields: tuple = ()
    body: bytes = b""  # None: whatever came of it
    framing: str = ""  # "" : none without a body, length with one
    host: bytes = b"proxy.test"  # of the client, in X-Forwarded-Host; None: it sent none
    complete: bool = True

    def head(self, backend):
        framing = self.framing or ("length" if self.body else "none")
        lines = [self.line, b"Host: " + backend, *self.fields, b"X-Forwarded-For: 127.0.0.1"]
        lines += [b"X-Forwarded-Host: " + self.host] if self.host is not None else []
        lines += [b"X-Forwarded-Server: proxy.test", b"X-Forwarded-Proto: http"]
        lines += {"none": [], "length": [b"Content-Length: %d" % len(self.body)],
                  "chunked": [b"Transfer-Encoding: chunked"]}[framing]
        return b"\r\n".join(lines + [b"Connection: Keep-Alive", b"", b""])


@dataclass
class Case:
    name: str
    raw: bytes
    statuses: tuple  # of the final answers, in order; a tuple inside: one of these
    arrives: list = field(default_factory=list)  # of Sent
    closes: bool = False  # the client connection is closed after the last answer
    half_close: bool = False  # the client ends its side behind `raw`
    log: str = ""  # lines of level warn or worse that may come
    own: bool = False  # mod_proxy does it differently
    any_head: bool = False  # compare the request line and body only
    unsafe: bool = False  # on the port with HttpProtocolOptions Unsafe


def comparable(head):
    """The head as it is compared; mod_proxy adds less and may leave Connection out."""
    if settings.OWN:
        return head
    return b"\r\n".join(line for line in head.split(b"\r\n")
                        if not line.startswith((b"X-Forwarded-Proto:", b"Connection:")))


def read_answers(client, limit, method="GET"):
    """(final answers, True when the server closed) of a connection; reads `limit` answers at most."""
    answers = []
    while len(answers) < limit:
        try:
            answers.append(client.read(method))
        except (Closed, ConnectionResetError, BrokenPipeError):
            return answers, True
        except Truncated as error:
            raise AssertionError(f"half an answer after {answers}: {error}") from None
    return answers, False


class Desk:
    """A server in front of a StrictBackend, and the way a case is run."""

    def __init__(self, server, backend, forbidden=None):
        self.server, self.backend, self.forbidden = server, backend, forbidden
        self._marks = 0

    def new(self):
        """Requests since the last call, without markers."""
        with self.backend.lock:
            seen = [s for s in self.backend.seen if not s.line.startswith(b"GET /marker/")]
            self.backend.seen.clear()
        return seen

    def mark(self, port=None):
        """One request on a connection of its own: the server is unharmed and the backend is in step."""
        self._marks += 1
        with Client(port or self.server.port) as client:
            answer = client.ask("GET", f"/marker/{self._marks}", [("Connection", "close")])
            assert answer.body == b"GET /marker/%d HTTP/1.1" % self._marks, answer
            assert client.at_end()

    def run(self, case):
        port = self.server.ports[1] if case.unsafe else self.server.port
        self.server.allow_log(case.log or "^$")
        if not settings.OWN:
            self.server.allow_log()
        self.new()
        method = case.raw.split(b" ")[0].decode("latin-1")
        with Client(port) as client:
            try:
                client.send(case.raw)
                if case.half_close:
                    client.half_close()
            except OSError:
                pass
            answers, closed = read_answers(client, len(case.statuses), method)
            heads = [a.raw_head for a in answers]
            assert len(answers) == len(case.statuses), heads
            for answer, status in zip(answers, case.statuses):
                assert answer.status in (status if isinstance(status, tuple) else (status,)), heads
            if case.closes:
                assert closed or client.at_end(), f"not closed, or more came: {client.reader.buffer!r}"
            elif not case.half_close:
                after = client.ask("GET", "/next")
                assert after.body == b"GET /next HTTP/1.1", after
        self.mark(port)
        arrived = []

        def all_there():  # a request that was cut has a connection and a thread of its own, which may be behind
            arrived.extend(s for s in self.new() if s.line != b"GET /next HTTP/1.1")
            return len(arrived) >= len(case.arrives)
        until(all_there, f"{len(case.arrives)} requests at the backend")
        assert [s.line for s in arrived] == [sent.line for sent in case.arrives]
        for seen, sent in zip(arrived, case.arrives):
            if not case.any_head:
                got, wanted = comparable(seen.head), comparable(sent.head(self.backend.host))
                assert got == wanted, f"\n{got!r}\n{wanted!r}"
            assert seen.complete == sent.complete, seen
            assert sent.body is None or seen.body == sent.body, (seen, sent)
        if self.forbidden is not None:
            assert self.forbidden.connections == [], "a backend was reached that no request may reach"


def head(line, *fields, host=HOST):
    return b"\r\n".join([line] + ([host] if host else []) + list(fields) + [b"", b""])


def refused(name, raw, status=400, **options):
    """Answered with `status` and closed; neither it nor what follows arrives."""
    return Case(name, raw + SMUGGLED, (status,), closes=True, **options)


def declined(name, raw, status, **options):
    """Answered with `status`; the connection stays and is in step."""
    return Case(name, raw, (status,), **options)


def cases(*groups):
    flat = [case for group in groups for case in group]
    names = [case.name for case in flat]
    assert len(set(names)) == len(names), {name for name in names if names.count(name) > 1}
    return pytest.mark.parametrize("case", [
        pytest.param(case, id=case.name, marks=[pytest.mark.own] if case.own else [])
        for case in flat])
