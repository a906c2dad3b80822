"""Whatever a backend sends: one defined answer, one reason in the log, and nothing left for the next request.

The table is support/response_cases.py. After every case two ordinary requests must get their own answers, the
first over the same client connection where it stays open, so a backend connection that was kept with a byte
too many would show.
"""
import threading
from dataclasses import replace

import pytest

from support import settings
from support.client import Client, Closed, request
from support.response_cases import CASES, CHUNKED, OK, THREE, Case, bad, ok, spoilt
from support.waiting import until
from support.wire import answer

pytestmark = pytest.mark.own  # mod_proxy's readings are in docs/differences.md

RULES = ("IsError", "Ignore", "StartBody")


class Stage:
    """One httpd with a port for each ProxyBadHeader, and the backend that plays the cases."""

    def __init__(self, house):
        self.gate, self.late_sent = threading.Semaphore(0), threading.Event()
        self.served = {}
        self.backend = house.backend(self._serve)
        vhosts = "".join(f"""
<VirtualHost 127.0.0.1:{{port{i}}}>
    {{P}}ProxyBadHeader {rule}
    {{P}}ProxyPass /small {{b}}/small responsefieldsize=1024
    {{P}}ProxyPass / {{b}}/
</VirtualHost>
""" for i, rule in enumerate(RULES))
        self.server = house.httpd(vhosts, b=self.backend.url, ports=len(RULES), threads=4)

    def _serve(self, connection):
        while True:
            asked = connection.read_request()
            self.served[asked.target] = connection.number
            number = asked.target.split("/")[2]
            if number == "well":
                connection.send(answer(f"{asked.target} {connection.number}".encode()))
                continue
            if not self._play(connection, self.script if number == "script" else CASES[int(number)]):
                return

    def _play(self, connection, case):
        for i, piece in enumerate(case.pieces):
            if i:
                assert self.gate.acquire(timeout=settings.PATIENCE)
            for part in [bytes([b]) for b in piece] if case.dribble else [piece]:
                connection.send(part)
        if case.late:
            assert self.gate.acquire(timeout=settings.PATIENCE)
            connection.send(case.late)
            self.late_sent.set()
        return case.end == "keep"

    def port(self, rule):
        return self.server.ports[RULES.index(rule)]

    def canary(self, client, target):
        """An ordinary request; the number of the backend connection that served it."""
        response = client.ask(target=target)
        own, _, number = response.text.partition(" ")
        assert (response.status, own, response.truncated) == (200, target, False)
        return int(number)


@pytest.fixture(scope="module")
def stage(house):
    return Stage(house)


def ask(client, case, target):
    fields = "".join(f"{n}: {v}\r\n" for n, v in case.asks)
    client.send(f"{case.method} {target} HTTP/{case.version}\r\nHost: proxy.test\r\n{fields}\r\n".encode())


def read(stage, client, case):
    """The answer, or None when the connection ended before one came."""
    for _ in case.pieces[1:]:
        assert client.reader._more(), "nothing of a piece came"
        stage.gate.release()
    try:
        return client.read(case.method)
    except (Closed, ConnectionResetError):
        return None


def check_shape(response):
    """What holds for every answer to a client, whatever the backend said."""
    for head in response.interim + [response]:
        line = head.raw_head.decode("latin-1")
        assert not [c for c in line if (c < " " and c not in "\r\n\t") or c == "\x7f"], line
    fields = response.fields
    assert len(fields.all("Content-Length")) + len(fields.all("Transfer-Encoding")) <= 1
    assert all(len(fields.all(name)) <= 1 for name in ("Date", "Server", "Connection", "Content-Type"))
    assert fields.get("Transfer-Encoding", "chunked") == "chunked"
    assert fields.get("Connection", "close").lower() in ("close", "keep-alive")
    assert not response.content.trailers
    for interim in response.interim:
        assert not {"content-length", "transfer-encoding", "connection"} & {n.lower() for n in interim.fields.names()}


def check_answer(case, response):
    want = case.want
    if want.kind == "ok":
        assert (response.status, response.reason, response.truncated) == (want.status, want.reason, False)
        assert response.body == want.body
    elif response.status == 502 and want.kind != "cut":
        assert not response.truncated and response.body.startswith(b"<!DOCTYPE") or case.method == "HEAD"
        assert not {"x-a", "x-first", "set-cookie"} & {n.lower() for n in response.fields.names()}
        return
    else:
        assert want.kind != "bad", f"{response.status} instead of 502"
        assert (response.status, response.truncated) == (want.status, True)
        assert response.body.startswith(want.body)
    for name, values in want.fields.items():
        assert response.fields.all(name) == values, name
    assert [i.status for i in response.interim] == [status for status, _ in want.interim]
    for interim, (_, fields) in zip(response.interim, want.interim):
        for name, values in fields.items():
            assert interim.fields.all(name) == values, name


def check_log(stage, want):
    if want.kind == "ok":
        return
    end = {"bad": "answered 502", "cut": "cut the answer", "spoilt": "(answered 502|cut the answer)"}[want.kind]
    stage.server.expect_log(rf"\[cxxproxy:error\].* {want.tag}: http://127\.0\.0\.1:\d+\S*: .*{end}")


def check_fate(stage, reuse, used, next_used):
    """The backend connection went back to the pool, or was closed; never anything else."""
    connection = stage.backend.connections[used]
    if reuse:
        assert next_used == used and not connection.over
    else:
        assert next_used != used
        until(lambda: connection.over, "the backend connection is closed")


@pytest.mark.parametrize("number", range(len(CASES)), ids=[f"{c.name} [{c.rule}]" for c in CASES])
def test_an_answer_of_the_backend(stage, number):
    case = CASES[number]
    target = f"{case.place}/{number}"
    play(stage, case, target)


def play(stage, case, target):
    want = case.want
    port = stage.port(case.rule)
    with Client(port) as client:
        ask(client, case, target)
        response = read(stage, client, case)
        if response is None:
            assert want.kind in ("cut", "spoilt")  # a reset may overtake what was sent
        else:
            check_shape(response)
            check_answer(case, response)
        check_log(stage, want)
        if case.late:
            stage.gate.release()
            assert stage.late_sent.wait(settings.PATIENCE)
            stage.late_sent.clear()
        over = response is None or response.truncated or case.version == "1.0"
        if over:
            assert client.at_end()
        else:
            next_used = stage.canary(client, f"{case.place}/well{target}/first")
    with Client(port) as other:
        again = stage.canary(other, f"{case.place}/well{target}/second")
    check_fate(stage, want.reuse, stage.served[target], again if over else next_used)


# --- more than one answer can say ---------------------------------------------------------------------

def play_script(stage, name, pieces, want, **more):
    stage.script = Case(name, pieces, want, **more)
    play(stage, stage.script, f"/c/script/{name}")


@pytest.mark.parametrize("name, data, body", [
    ("length", OK + b"X-A: b\r\n" + THREE, b"abc"), ("bare", (OK + THREE).replace(b"\r\n", b"\n"), b"abc"),
    ("chunked", OK + CHUNKED + b"\r\n2\r\nab\r\n1;x\r\nc\r\n0\r\nX: y\r\n\r\n", b"abc"), ("close", OK + b"X-A: b\r\n\r\nabc", b"abc"),
    ("interim", b"HTTP/1.1 103 E\r\nLink: x\r\n\r\n" + OK + THREE, b"abc")], ids=["length", "bare", "chunked", "close", "interim"])
def test_the_end_comes_at_every_byte(stage, name, data, body):
    """502 while nothing of the answer went out, visibly cut afterwards, complete only when it is."""
    blank = b"\n\n" if name == "bare" else b"\r\n\r\n"
    start = data.index(blank) + len(blank) if name == "interim" else 0
    head = data.index(blank, start) + len(blank)
    for size in range(len(data)):
        interim = [(103, {})] if start and size >= start else []
        if size in (0, start):
            want = bad("CXP0107")
        elif size < head:
            want = bad("CXP0110")
        elif name == "close":
            want = ok(body[:size - head], reuse=False)
        else:
            want = spoilt("CXP0119")
        want.interim = interim
        play_script(stage, f"{name}-{size}", (data[:size],), want, end="close")


DRIBBLED = [n for n, c in enumerate(CASES) if len(c.pieces) == 1 and len(c.pieces[0]) <= 250 and not c.late and
            (c.want.reuse or c.want.kind == "bad")]


@pytest.mark.parametrize("number", DRIBBLED, ids=[f"{CASES[n].name} [{CASES[n].rule}]" for n in DRIBBLED])
def test_the_same_answer_byte_by_byte(stage, number):
    """How an answer is cut into packets changes nothing (but an error may come after the first byte of the body)."""
    case = CASES[number]
    want = replace(case.want, kind="spoilt") if case.want.tag == "CXP0122" else case.want
    stage.script = replace(case, want=want, dribble=True)
    play(stage, stage.script, f"{case.place}/script/{number}")
