"""One row for each way in which a backend can fail. Each is asked alone and in a balancer with a second
good member, by GET and by POST, and says five things: what the client gets, whether the member
rests, the one log line, what becomes of the backend's connection, and that the next request is well."""
import fcntl
import re
import struct
import termios
import threading
from dataclasses import dataclass, field

import pytest

from support import settings
from support.backend import closed_port
from support.blackhole import Blackhole
from support.client import Client, Closed, fetch, request
from support.h2 import END_HEADERS, END_STREAM, HEADERS, PREFACE, RST_STREAM, SETTINGS, frame, literal
from support.httpd import PROXY_TROUBLE
from support.tls import tls_host
from support.waiting import until
from support.wire import answer

pytestmark = pytest.mark.own  # mod_proxy's answers: docs/differences.md

HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
LARGE = b"x" * 16_000_000  # more than the sockets in between take
CUT = "cut"


@dataclass
class Row:
    name: str
    says: object            # bytes that the backend answers with, or a function(row, connection, request)
    tag: str
    phase: str
    client: object          # the status, or CUT
    moves: tuple = ()       # methods that go to the next member of a balancer
    rests: bool = False
    end: str = "close"      # what follows the bytes: close, reset, stall
    parameters: str = ""
    address: object = None  # instead of a backend
    methods: tuple = ("GET", "POST")
    body: bytes = b"once"
    released: threading.Event = field(default_factory=threading.Event)
    backend: object = None

    def fail(self, connection, asked):
        if callable(self.says):
            self.says(self, connection, asked)
            return
        connection.read_body(asked)
        if self.says:
            connection.send(self.says)
        if self.client == CUT and self.end != "stall":
            connection.wait(self.released)  # a reset would overtake the head
        if self.end == "reset":
            connection.reset()
        elif self.end == "stall":
            connection.wait_close()


def takes_nothing(row, connection, _):
    connection.wait(row.released)
    connection.wait_close()


def resets_the_upload(_row, connection, _):
    connection.reset()


BOTH = ("GET", "POST")
QUICK = "timeout=250ms"

ROWS = [
    Row("resolve", None, "0101", "resolve", 502, BOTH, True, address="http://no-such-host.invalid"),
    Row("refused", None, "0102", "connect", 503, BOTH, True, address=lambda: f"http://127.0.0.1:{closed_port()}"),
    Row("connect-timeout", None, "0103", "connect", 504, BOTH, True, parameters="connectiontimeout=250ms",
        address="blackhole"),
    Row("upload-reset", resets_the_upload, "010[578]", "(send|head)", 502, (), True, methods=("POST", "PUT"), body=LARGE),
    Row("send-timeout", takes_nothing, "0106", "send", 504, parameters=QUICK, methods=("POST",), body=LARGE),
    Row("closed", b"", "0107", "head", 502, ("GET",), True),
    Row("reset", b"", "0108", "head", 502, ("GET",), True, "reset"),
    Row("head-timeout", b"", "0109", "head", 504, ("GET",), end="stall", parameters=QUICK),
    Row("half-a-head-timeout", b"HTTP/1.1 200 OK\r\nX-", "0109", "head", 504, end="stall", parameters=QUICK),
    Row("half-a-head", b"HTTP/1.1 200 OK\r\nX-", "0110", "head", 502),
    Row("no-http", b"SSH-2.0-OpenSSH_9.2\r\n", "0111", "head", 502, end="stall"),
    Row("bad-field", b"HTTP/1.1 200 OK\r\nX Y: z\r\n\r\n", "0112", "head", 502, end="stall"),
    Row("two-lengths", b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nab", "0116", "head", 502, end="stall"),
    Row("many-interims", b"HTTP/1.1 102 Processing\r\n\r\n" * 11, "0117", "head", 502, end="stall"),
    Row("switch", b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n", "0118", "head", 502, end="stall"),
    Row("head-alone", HEAD, "0119", "body", 502, ("GET",)),
    Row("half-a-body", HEAD + b"half", "0119", "body", CUT),
    Row("half-a-chunk", CHUNKED + b"64\r\nhalf", "0119", "body", CUT),
    Row("body-reset", HEAD + b"half", "0120", "body", CUT, end="reset"),
    Row("body-timeout", HEAD + b"half", "0121", "body", CUT, end="stall", parameters=QUICK),
    Row("bad-chunk", lambda row, c, asked: (c.read_body(asked), c.send(CHUNKED + b"4\r\nhalf\r\n"), c.wait(row.released),
                                            c.send(b"no size\r\n"), c.wait_close()), "0122", "body", CUT),
    Row("total-connect", None, "0133", "connect", 504, parameters="totaltimeout=250ms", address="blackhole"),
    Row("total-send", takes_nothing, "0133", "send", 504, parameters="totaltimeout=250ms", methods=("POST",), body=LARGE),
    Row("total-head", b"", "0133", "head", 504, end="stall", parameters="totaltimeout=250ms"),
    Row("total-body", HEAD + b"half", "0133", "body", CUT, end="stall", parameters="totaltimeout=400ms"),
]


def script_of(row):
    def script(connection):
        while True:
            asked = connection.read_head()
            if "X-Fail" in asked.fields:
                row.fail(connection, asked)
                return
            connection.read_body(asked)
            connection.send(answer(b"bad is well"))
    return script


@pytest.fixture(scope="module")
def world(house):
    """One server for the table; every case has its own members, so that no case sees another's state."""
    hole = Blackhole()
    good = house.backend(keeps)
    lines = ["{P}ProxyPass /good/ {good}/"]
    for row in ROWS:
        if row.address is None:
            row.backend = house.backend(script_of(row))
        url = row.backend.url if row.backend else hole.url if row.address == "blackhole" else row.address
        url = url() if callable(url) else url
        for method in row.methods:
            case = f"{row.name}-{method.lower()}"
            lines.append(f"""
{{P}}ProxyPass /lone-{case}/ {url}/lone-{case}/ {row.parameters}
<{{P}}Proxy balancer://{case}>
    {{P}}BalancerMember {url} {row.parameters} retry=100
    {{P}}BalancerMember {{good}}
</{{P}}Proxy>
{{P}}ProxyPass /in-{case}/ balancer://{case}/
""")
    lines.append("{P}ProxyStatus On\n<Location /status>\nSetHandler server-status\nRequire all granted\n</Location>\n")
    server = house.httpd("\n".join(lines), good=good.url, modules=("status",), threads=8)
    server.good = good
    yield server
    hole.close()


def keeps(connection):
    while True:
        connection.read_request()
        connection.send(answer(b"good"))


def ask(client, row, method, path):
    """(status or CUT, body). A large body is sent beside: the answer may come before its end."""
    body = row.body if method in ("POST", "PUT") else None
    bytes_ = request(method, path, [("X-Fail", "1")], body)

    def send():
        try:
            client.send(bytes_)
        except OSError:
            pass
    sender = threading.Thread(target=send, daemon=True)
    sender.start()
    response = client.read_head()
    while response.status < 200:
        response = client.read_head()
    row.released.set()
    pieces, cut = [], False
    try:
        pieces.extend(client.body_pieces(response, method))
    except Exception as error:  # Truncated, or a reset
        assert type(error).__name__ in ("Truncated", "ConnectionResetError"), error
        cut = True
    return (CUT if cut else response.status), b"".join(pieces), response


def lines_since(server, mark):
    return [line for line in server.error_log()[mark:].splitlines() if re.search(r"CXP01\d\d", line)]


def member_status(server, balancer):
    text = fetch(server.port, "/status?auto").text
    number = re.search(rf"ProxyBalancer\[(\d+)\]Name: balancer://{re.escape(balancer)}\n", text)[1]
    return re.search(rf"ProxyBalancer\[{number}\]Worker\[0\]Status: (.*)", text)[1]


def told(server, mark, row, subject, attempt, outcome):
    """Exactly one line, with tag, member, reason, attempt, phase and outcome."""
    lines = until(lambda: lines_since(server, mark), f"a log line about {subject}")
    assert len(lines) == 1, lines
    expected = rf"CXP{row.tag}: {subject}: [^()]+ \({attempt}, phase {row.phase}\), {outcome}( |$|, referer)"
    assert re.search(expected, lines[0]), (expected, lines[0])


def connection_of(row, target):
    """The backend's connection that the failing request came over."""
    if row.backend is None:
        return None
    found = [c for c in row.backend.connections if any(r.target.startswith(target) and "X-Fail" in r.fields for r in c.requests)]
    assert len(found) == 1, f"{target} came over {len(found)} connections"
    return found[0]


CASES = [(row, method) for row in ROWS for method in row.methods]
IDS = [f"{row.name}-{method}" for row, method in CASES]


@pytest.mark.parametrize("row, method", CASES, ids=IDS)
def test_a_lone_backend(world, row, method):
    world.allow_log(PROXY_TROUBLE + "|no-such-host")
    row.released.clear()
    path = f"/lone-{row.name}-{method.lower()}/"
    mark = len(world.error_log())
    with Client(world.port) as client:
        got, body, response = ask(client, row, method, path)
        assert got == row.client
        outcome = "cut the answer to the client" if got == CUT else f"answered {row.client}"
        told(world, mark, row, r"http://\S+", "attempt 1", outcome)
        if got == CUT:
            assert b"half".startswith(body) and client.at_end()
        elif response.fields.get("Connection", "").lower() != "close":
            assert client.ask("GET", "/good/").body == b"good"  # the client's connection is as good as before
    connection = connection_of(row, path)
    if connection is not None:
        until(lambda: connection.over, "the connection is closed")
        assert fetch(world.port, path).body == b"bad is well"
        assert len(connection.requests) == 1  # and it was not used again
    assert fetch(world.port, "/good/").body == b"good"


@pytest.mark.parametrize("row, method", CASES, ids=IDS)
def test_in_a_balancer(world, row, method):
    world.allow_log(PROXY_TROUBLE + "|no-such-host")
    row.released.clear()
    case = f"{row.name}-{method.lower()}"
    path = f"/in-{case}/{case}"
    mark, asked_before = len(world.error_log()), len(world.good.requests)
    moves = method in row.moves
    with Client(world.port) as client:
        got, body, _ = ask(client, row, method, path)
    assert (got, body) == (200, b"good") if moves else got == row.client
    outcome = ("trying the next member" if moves else
               "cut the answer to the client" if row.client == CUT else f"answered {row.client}")
    if row.rests:
        outcome += "; the member rests for 100 s"
    told(world, mark, row, rf"balancer://{case} http://\S+", "attempt 1 of 2", outcome)
    assert len(world.good.requests) - asked_before == (1 if moves else 0)
    assert ("Err" in member_status(world, case)) == row.rests
    connection = connection_of(row, f"/{case}")
    if connection is not None:
        until(lambda: connection.over, "the connection is closed")
        expected = {b"good"} if row.rests else {b"good", b"bad is well"}
        assert {fetch(world.port, path).body for _ in range(4)} == expected
        assert len(connection.requests) == 1
    else:
        assert fetch(world.port, f"/in-{case}/next").status in (200, row.client)


# --- a member that accepts and closes ---------------------------------------------------------------

@pytest.fixture(scope="module")
def closing(house):
    """Balancers with one member that accepts, reads and closes, and one or two good ones. It never rests, so
    that every round meets it."""
    bad = house.backend(lambda c: c.read_request())
    good = [house.backend(keeps_without_body) for _ in range(2)]
    conf = ""
    for count in (2, 3):
        conf += f"<{{P}}Proxy balancer://of{count}>\n{{P}}BalancerMember {bad.url} retry=0\n"
        conf += "".join(f"{{P}}BalancerMember {b.url}\n" for b in good[:count - 1])
        conf += f"</{{P}}Proxy>\n{{P}}ProxyPass /of{count}/ balancer://of{count}/\n"
    server = house.httpd(conf, threads=8)
    server.bad, server.good = bad, good
    return server


def keeps_without_body(connection):
    while True:
        asked = connection.read_request()
        body = asked.body.data
        connection.send(answer(b"" if asked.method == "HEAD" else body or b"none"))


@pytest.mark.parametrize("count", [2, 3])
@pytest.mark.parametrize("method, size", [("GET", 0), ("HEAD", 0), ("DELETE", 0), ("DELETE", 100), ("PUT", 100), ("PUT", 30_000),
                                          ("PUT", 60_000), ("OPTIONS", 0)])
def test_a_member_that_accepts_and_closes_is_invisible(closing, count, method, size):
    closing.allow_log()
    before = len(closing.bad.requests)
    body = b"%c" % (65 + count) * size if size else None
    with Client(closing.port) as client:
        for _ in range(2 * count):
            client.send(request(method, f"/of{count}/x", [], body))
            response = client.read(method)
            assert response.status == 200 and response.body in (body or b"none", b"")
    assert len(closing.bad.requests) - before >= 2


@pytest.mark.parametrize("framing", ["length", "chunked"])
@pytest.mark.parametrize("size, status", [(65_536, 200), (65_537, 502)])
def test_a_body_is_sent_again_up_to_replaybody(closing, framing, size, status):
    closing.allow_log()
    seen_status = []
    with Client(closing.port) as client:
        for _ in range(4):
            head = f"PUT /of2/x HTTP/1.1\r\nHost: x\r\n{'Content-Length: %d' % size if framing == 'length' else 'Transfer-Encoding: chunked'}\r\n\r\n"
            coded = b"y" * size if framing == "length" else b"%x\r\n%s\r\n0\r\n\r\n" % (size, b"y" * size)
            client.send(head.encode() + coded)
            response = client.read()
            seen_status.append(response.status)
            if response.fields.get("Connection", "").lower() == "close":
                client.close()
                client.__init__(closing.port)
    assert set(seen_status) == {200, status}


@pytest.mark.parametrize("count", [2, 3])
def test_a_post_reaches_one_member_only(closing, count):
    closing.allow_log()
    before = [len(b.requests) for b in [closing.bad, *closing.good]]
    statuses = [fetch(closing.port, f"/of{count}/post", "POST", body=b"once").status for _ in range(2 * count)]
    after = [len(b.requests) for b in [closing.bad, *closing.good]]
    assert sum(after) - sum(before) == 2 * count and statuses.count(502) == 2


# --- what is not the backend's doing ---------------------------------------------------------------

@pytest.fixture(scope="module")
def calm(house):
    """A backend in the hands of the test, over plain and TLS ports."""
    held, nibble = threading.Event(), threading.Event()

    def script(connection):
        while True:
            asked = connection.read_head()
            if asked.target.endswith("/takes-nothing"):
                connection.wait(nibble)
                connection.reader.exactly(2_000_000)
                connection.wait(held)
                connection.wait_close()
                return
            if asked.target.endswith("/stall"):
                connection.wait_close()
                return
            if asked.target.endswith("/half"):
                connection.send(HEAD + b"half")
                connection.wait_close()
                return
            if asked.target.endswith("/slow-upload"):
                connection.reader.keep = False
                for _ in range(32):  # longer than the grace, while the proxy still holds a part of the body
                    threading.Event().wait(0.03)
                    connection.reader.exactly(len(LARGE) // 64)
                connection.reader.exactly(len(LARGE) // 2)
                connection.send(answer(b"all of it"))
                continue
            if asked.target.endswith("/dribble"):
                connection.send(CHUNKED)
                while not held.wait(0.1):
                    connection.send(b"1\r\nx\r\n")
                connection.send(b"0\r\n\r\n")
                continue
            connection.read_body(asked, keep=False)
            if asked.target.endswith("/hold"):
                connection.wait(held)
            connection.send(answer(b"%d" % asked.body.length))

    backend, other = house.backend(script), house.backend(keeps)
    server = house.httpd("""
{P}ProxyPass /b/ {b}/b/
{P}ProxyPass /upload/ {b}/upload/ timeout=250ms
{P}ProxyPass /total/ {b}/total/ totaltimeout=250ms
{P}ProxyPass /full/ {b}/full/ max=1 timeout=250ms
{P}ProxyPass /waits/ {b}/waits/ max=1
<{P}Proxy balancer://full>
    {P}BalancerMember {b} max=1 timeout=250ms
    {P}BalancerMember {other}
</{P}Proxy>
{P}ProxyPass /in/ balancer://full/
{P}ProxyStatus On
<Location /status>
    SetHandler server-status
    Require all granted
</Location>
""" + tls_host("{P}ProxyPass /b/ {b}/b/"), b=backend.url, other=other.url, tls=True, modules=("status",), threads=16)
    server.backend, server.other, server.held, server.nibble = backend, other, held, nibble
    return server


def seen(server, target):
    """Waits for a request and returns its connection."""
    return until(lambda: next((c for c in server.backend.connections for r in c.requests if r.target == target), None),
                 f"{target} at the backend")


def gone_line(server, mark, phase):
    lines = until(lambda: lines_since(server, mark), "a line about the client")
    assert len(lines) == 1 and re.search(rf"\[cxxproxy:info\].* CXP0123: .*\(attempt 1(, reused connection)?, phase {phase}\), gave up", lines[0]), lines


LEAVE = {"reset": Client.reset, "close": Client.close}


@pytest.mark.parametrize("leave", LEAVE.values(), ids=LEAVE.keys())
@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
def test_a_client_that_goes_before_the_head(calm, leave, tls):
    mark, target = len(calm.error_log()), f"/b/{leave.__name__}{tls}/stall"
    client = Client(calm.tls_port if tls else calm.port, server_name="proxy.test" if tls else None)
    client.send(request(target=target))
    connection = seen(calm, target)
    leave(client)
    until(lambda: connection.over, "the backend's work ends", timeout=5)
    gone_line(calm, mark, "head")
    assert fetch(calm.port, "/b/next").body == b"0"


@pytest.mark.parametrize("leave", LEAVE.values(), ids=LEAVE.keys())
def test_a_client_that_goes_with_more_requests_in_its_pipe(calm, leave):
    """Bytes that nobody reads yet do not hide the end behind them."""
    mark, target = len(calm.error_log()), f"/b/pipe{leave.__name__}/stall"
    client = Client(calm.port)
    client.send(request(target=target) + request(target="/b/second"))
    connection = seen(calm, target)
    leave(client)
    until(lambda: connection.over, "the backend's work ends", timeout=5)
    gone_line(calm, mark, "head")


@pytest.mark.parametrize("leave", LEAVE.values(), ids=LEAVE.keys())
def test_a_client_that_goes_in_its_upload(calm, leave):
    """Also while the backend takes nothing, so that nobody reads from the client. (What TCP does not
    tell, the end behind bytes that do not fit into the buffers in between, only `timeout` ends.)"""
    mark, target = len(calm.error_log()), f"/b/{leave.__name__}/takes-nothing"
    client = Client(calm.port)
    calm.held.clear()
    calm.nibble.clear()
    client.sock.setblocking(False)
    client.sock.send(request("POST", target, body=LARGE)[:100_000])
    connection = seen(calm, target)
    until(lambda: stuck(client), "the upload is stuck")
    leave(client)
    calm.nibble.set()  # makes room for the end of the client's stream, not for all of the body
    lines = until(lambda: lines_since(calm, mark), "the end is noticed")  # as the end, or as a body without it
    assert len(lines) == 1 and re.search(r"CXP012[34]: .*phase send", lines[0]), lines
    calm.held.set()
    until(lambda: connection.over, "the backend's work ends")
    assert fetch(calm.port, "/b/next").body == b"0"


def stuck(client, pause=threading.Event()):
    """What the client has sent is not taken any more: 16 KB stay in its own queue."""
    waiting = bytearray(4)
    for _ in range(15):
        fcntl.ioctl(client.sock, termios.TIOCOUTQ, waiting)
        if int.from_bytes(waiting, "little") == 0:
            client.sock.send(b"x" * 16_000)
            return False
        pause.wait(0.02)
    return True


@pytest.mark.parametrize("missing", [False, True], ids=["silence", "end"])
def test_an_upload_that_stops(calm, missing):
    """The client stalls: 408. It ends its stream early: gone or 400, and the backend sees no whole body."""
    mark, target = len(calm.error_log()), f"/upload/{missing}/x"
    with Client(calm.port) as client:
        client.send(f"POST {target} HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n".encode() + b"x" * 50_000)
        connection = seen(calm, target)
        if missing:
            client.half_close()
        try:
            assert client.read().status == (400 if missing else 408)
        except Closed:
            assert missing
    until(lambda: connection.over, "the backend's connection is closed")
    assert len(lines_since(calm, mark)) == 1
    assert fetch(calm.port, "/upload/next").body == b"0"


def test_a_client_that_half_closes_a_long_upload_is_served(calm):
    """The end of its stream comes long before the backend has taken the body."""
    with Client(calm.port) as client:
        sender = threading.Thread(target=lambda: (client.send(request("POST", "/b/slow-upload", body=LARGE)), client.half_close()))
        sender.start()
        assert client.read().body == b"all of it"
        sender.join(settings.PATIENCE)


@pytest.mark.parametrize("leave", ["stream", "connection"])
def test_an_http2_stream_that_is_given_up(make, leave):
    """Reset by its client, or its connection closed: the backend's work ends, although there is no socket
    of the stream's own to look at."""
    def script(connection):
        connection.read_request()
        connection.wait_close()
    backend = make.backend(script)
    server = make.httpd("Protocols h2c http/1.1\nH2Direct On\n{P}ProxyPass / {b}/\n", b=backend.url, modules=("http2",))
    block = b"".join(literal(n, v) for n, v in [(b":method", b"GET"), (b":scheme", b"http"), (b":authority", b"x"), (b":path", b"/")])
    with Client(server.port) as client:
        client.send(PREFACE + frame(SETTINGS, 0, 0) + frame(HEADERS, END_STREAM | END_HEADERS, 1, block))
        backend.wait_requests(1)
        if leave == "stream":
            client.send(frame(RST_STREAM, 0, 1, struct.pack(">I", 8)))
        else:
            client.reset()
        until(lambda: backend.connections[0].over, "the backend's work ends", timeout=8)
    server.expect_log(r"CXP0123: .*phase head\), gave up")


def test_a_client_that_goes_in_the_download(calm):
    mark, target = len(calm.error_log()), "/b/download/half"
    client = Client(calm.port)
    client.send(request(target=target))
    client.read_head()
    connection = seen(calm, target)
    client.reset()
    until(lambda: connection.over, "the backend's work ends", timeout=5)
    gone_line(calm, mark, "body")


def test_a_client_that_goes_while_it_waits_for_a_connection(calm):
    calm.held.clear()
    first, second = Client(calm.port), Client(calm.port)
    first.send(request(target="/waits/hold"))
    connection = seen(calm, "/waits/hold")
    mark = len(calm.error_log())
    second.send(request(target="/waits/second"))
    second.reset()
    gone_line(calm, mark, "connect")
    calm.held.set()
    assert first.read().body == b"0"
    first.close()
    assert fetch(calm.port, "/waits/next").body == b"0"
    assert [r.target for r in connection.requests] == ["/waits/hold", "/waits/next"]  # the connection is kept


def test_all_connections_in_use(calm):
    """Alone: 503 when the wait is over. In a balancer: another member, without a word; nobody rests."""
    calm.allow_log()
    for path, status in (("/full", 503), ("/in", 200)):
        calm.held.clear()
        target = "/full/dribble" if path == "/full" else "/dribble"
        with Client(calm.port) as first:
            first.send(request(target=f"{path}/dribble"))
            connection = seen(calm, target)
            mark = len(calm.error_log())
            # In a balancer the second turn is the other member's.
            posts = [fetch(calm.port, f"{path}/second", "POST", body=b"x").status for _ in range(1 if path == "/full" else 2)]
            assert posts == [status] * len(posts)
            lines = lines_since(calm, mark)
            if path == "/full":
                assert len(lines) == 1 and re.search(r"CXP0132: .* in use for 250 ms \(attempt 1, phase connect\), answered 503", lines[0]), lines
            else:
                assert lines == []
            calm.held.set()
            assert not first.read().truncated
        assert not connection.over
    assert "Err" not in member_status(calm, "full")


def test_the_total_timeout_counts_for_a_slow_client_too(calm):
    calm.allow_log()
    mark = len(calm.error_log())
    with Client(calm.port) as client:
        client.send(b"POST /total/x HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nhalf")
        assert client.read().status == 504
    lines = lines_since(calm, mark)
    assert len(lines) == 1 and re.search(r"CXP0133: .* of 250 ms \(attempt 1, phase send\), answered 504", lines[0]), lines


# --- memory ------------------------------------------------------------------------------------------

CLIENTS = 20
BOUND = 256 * 1024  # docs/ARCHITECTURE.md, "Memory of one request"


@pytest.mark.slow
@pytest.mark.plain
def test_slow_readers_cost_little_memory(make):
    """Twenty clients that read nothing of 50 MB each: the server waits, and so does the backend."""
    piece = b"z" * 1_000_000

    def script(connection):
        if connection.read_request().target == "/small":
            connection.send(answer(b"small"))
            return
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 50000000\r\n\r\n")
        for _ in range(50):
            connection.send(piece)
            connection.sent = getattr(connection, "sent", 0) + len(piece)
    backend = make.backend(script)
    server = make.httpd("{P}ProxyPass / {b}/\n", b=backend.url, processes=1, threads=CLIENTS + 4)
    server.allow_log()
    together = [threading.Thread(target=fetch, args=(server.port, "/small")) for _ in range(CLIENTS)]
    for thread in together:
        thread.start()
    for thread in together:
        thread.join(settings.PATIENCE)
    before = server.resident()
    clients = [Client(server.port, receive_buffer=4096).send(request()) for _ in range(CLIENTS)]
    backend.wait_requests(2 * CLIENTS)
    last = [None]

    def at_rest():
        now = sum(getattr(c, "sent", 0) for c in backend.connections), server.resident()
        last[0], same = now, last[0] == now
        threading.Event().wait(0.3)
        return same
    until(at_rest, "nothing moves any more")
    assert all(getattr(c, "sent", 0) < 50_000_000 for c in backend.connections)
    assert server.resident() - before < CLIENTS * BOUND
    for client in clients:
        client.reset()
    assert fetch(server.port, "/small").body == b"small"
