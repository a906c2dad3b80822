"""What the client, the log and the next request see when a backend fails; each in every phase."""
import threading
import time

import pytest

from support import settings
from support.backend import closed_port
from support.client import Client, Closed, fetch, request
from support.httpd import PROXY_TROUBLE
from support.wire import answer, chunked

HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n"


@pytest.fixture
def broken(make):
    """broken(script): a server in front of a backend that runs `script` on its first connection
    and answers well on all others."""
    def well(connection):
        while True:
            connection.read_request()
            connection.send(answer(b"well"))

    def build(script, parameters="", always=False, conf="", **options):
        backend = make.backend(script if always else [script, well])
        server = make.httpd("{P}ProxyPass / {b}/ " + parameters + "\n" + conf,
                            b=backend.url, **options)
        server.allow_log()
        server.backend = backend
        return server
    return build


def say(data, end="close"):
    def script(connection):
        connection.read_request()
        connection.send(data)
        if end == "reset":
            connection.reset()
        elif end == "wait":
            connection.wait_close()
    return script


# --- before the answer: an error page --------------------------------------------------------------

GARBAGE = {
    "no http": b"this is not HTTP at all\r\n\r\n",
    "ssh": b"SSH-2.0-OpenSSH_9.2\r\n",
    "binary": bytes(range(256)) * 4,
    "old version": b"HTTP/0.9 200 OK\r\n\r\n",
    "bad version": b"HTTP/x.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    "bad status": b"HTTP/1.1 2xx OK\r\nContent-Length: 0\r\n\r\n",
    "short status": b"HTTP/1.1 20 OK\r\nContent-Length: 0\r\n\r\n",
    "no colon": b"HTTP/1.1 200 OK\r\nthis line has none\r\nContent-Length: 0\r\n\r\n",
}


@pytest.mark.parametrize("data", GARBAGE.values(), ids=GARBAGE.keys())
def test_garbage_is_502(broken, data):
    server = broken(say(data), always=True)
    if not settings.OWN:
        response = fetch(server.port)  # mod_proxy takes a body without a head as HTTP/0.9
        assert response.status == 502 or response.status == 200
        return
    assert fetch(server.port).status == 502


STRICT = {
    "two lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nabc",
    "list of lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 2, 3\r\n\r\nabc",
    "negative length": b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
    "signed length": b"HTTP/1.1 200 OK\r\nContent-Length: +3\r\n\r\nabc",
    "hex length": b"HTTP/1.1 200 OK\r\nContent-Length: 0x3\r\n\r\nabc",
    "huge length": b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\nabc",
    "unknown coding": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nabc",
    "chunked twice": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
    "nul in value": b"HTTP/1.1 200 OK\r\nX-A: b\0c\r\nContent-Length: 0\r\n\r\n",
    "bare cr": b"HTTP/1.1 200 OK\r\nX-A: b\rc\r\nContent-Length: 0\r\n\r\n",
    "empty name": b"HTTP/1.1 200 OK\r\n: b\r\nContent-Length: 0\r\n\r\n",
    "unasked 101": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n",
    "long field": b"HTTP/1.1 200 OK\r\nX-A: " + b"b" * 300_000 + b"\r\nContent-Length: 0\r\n\r\n",
    "many fields": b"HTTP/1.1 200 OK\r\n" + b"X-A: b\r\n" * 20_000 + b"Content-Length: 0\r\n\r\n",
    "endless head": b"HTTP/1.1 200 OK\r\n" + b"X-A: bbbbbbbbbbbbbbbb\r\n" * 60_000,
}


@pytest.mark.own
@pytest.mark.parametrize("data", STRICT.values(), ids=STRICT.keys())
def test_ambiguous_answers_are_502_and_end_the_connection(broken, data):
    server = broken(say(data, "wait"))
    assert fetch(server.port).status == 502
    assert fetch(server.port).body == b"well"
    assert len(server.backend.connections) == 2
    assert len(server.backend.connections[0].requests) == 1


TOLERABLE = {
    "equal lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc",
    "length and chunked": b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n"
                          b"3\r\nabc\r\n0\r\n\r\n",
    "space before colon": b"HTTP/1.1 200 OK\r\nX-A : b\r\nContent-Length : 3\r\n\r\nabc",
    "folded field": b"HTTP/1.1 200 OK\r\nX-A: b\r\n c\r\nContent-Length: 3\r\n\r\nabc",
    "bare line ends": b"HTTP/1.1 200 OK\nContent-Length: 3\n\nabc",
}


@pytest.mark.own
@pytest.mark.parametrize("data", TOLERABLE.values(), ids=TOLERABLE.keys())
def test_odd_answers_are_502_or_repaired(broken, data):
    """RFC 9112 lets a proxy repair these (5.1, 5.2, 6.3, 2.2); what may not happen is that the
    oddity goes on to the client, or that two framings leave a connection in the pool."""
    server = broken(say(data, "wait"))
    response = fetch(server.port)
    assert b"X-A :" not in response.raw_head and b"\r\n " not in response.raw_head
    if response.status != 502:
        assert (response.status, response.body, response.truncated) == (200, b"abc", False)
        assert len(response.fields.all("Content-Length")) + len(
            response.fields.all("Transfer-Encoding")) == 1
    if data in (TOLERABLE["length and chunked"],) or response.status == 502:
        assert fetch(server.port).body == b"well"
        assert len(server.backend.connections) == 2


HALVES = {
    "nothing": (b"", "close"), "nothing, reset": (b"", "reset"),
    "half a status line": (b"HTTP/1.1 2", "close"), "half a head": (b"HTTP/1.1 200 OK\r\nX-A", "close"),
    "head without end": (b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n", "close"),
    "head without end, reset": (b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n", "reset"),
    "only an interim": (b"HTTP/1.1 103 Early Hints\r\n\r\n", "close"),
}


@pytest.mark.own
@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("data, end", HALVES.values(), ids=HALVES.keys())
def test_no_whole_head_is_502_and_a_post_is_sent_once(broken, data, end, method):
    """mod_proxy takes some of these heads for complete."""
    server = broken(say(data, end), always=True)
    body = b"once" if method == "POST" else None
    assert fetch(server.port, method=method, body=body).status == 502
    assert len(server.backend.requests) <= (1 if method == "POST" else 2)


@pytest.mark.parametrize("data, end", [HALVES["nothing"], HALVES["half a status line"]])
def test_closed_before_the_head_is_502(broken, data, end):
    assert fetch(broken(say(data, end), always=True).port, method="POST", body=b"x").status == 502


def test_refused_is_503(make):
    server = make.httpd("{P}ProxyPass / {b}/\n", b=f"http://127.0.0.1:{closed_port()}")
    server.allow_log()
    response = fetch(server.port)
    assert response.status == 503
    assert response.fields.get("Content-Type", "").startswith("text/html")


@pytest.mark.own
def test_unknown_host_is_502(make):
    """mod_proxy: 500."""
    server = make.httpd("{P}ProxyPass / http://no-such-host.invalid/\n")
    server.allow_log(PROXY_TROUBLE + r"|no-such-host")
    assert fetch(server.port).status == 502


@pytest.mark.own
def test_accept_and_close_tries_another_member_for_get(make):
    """mod_proxy answers 502 to every second GET for ever."""
    closing = make.backend(lambda c: c.read_request())
    alive = make.echo("a")
    server = make.httpd(f"""
<{{P}}Proxy balancer://pool>
    {{P}}BalancerMember {closing.url}
    {{P}}BalancerMember {alive.url}
</{{P}}Proxy>
{{P}}ProxyPass / balancer://pool/
""")
    server.allow_log()
    assert [fetch(server.port).status for _ in range(10)] == [200] * 10
    posts = [fetch(server.port, f"/{i}", "POST", body=b"x").status for i in range(10)]
    assert set(posts) <= {200, 502}
    targets = [r.target for r in closing.requests + alive.requests if r.method == "POST"]
    assert sorted(targets) == sorted(f"/{i}" for i in range(10))


# --- inside the answer: the cut must show -----------------------------------------------------------

CUTS = {
    "length": HEAD + b"half",
    "chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n64\r\nhalf",
    "between chunks": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
    "before the trailers end": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n0\r\n",
}


@pytest.mark.parametrize("end", ["close", "reset"])
@pytest.mark.parametrize("data", CUTS.values(), ids=CUTS.keys())
def test_a_cut_answer_looks_cut(broken, data, end):
    """Length or chunks towards the client: never a complete-looking shorter body."""
    server = broken(say(data, end))
    with Client(server.port) as client:
        client.send(request())
        try:
            response = client.read()
            if response.status != 502:  # nothing of the answer had gone out yet
                assert response.truncated and client.at_end()
        except Closed:
            assert end == "reset"  # it may overtake the head
    assert fetch(server.port).body == b"well"


BAD_CHUNKS = [b"xyz\r\nabc\r\n0\r\n\r\n", b"3\r\nabcX\r\n0\r\n\r\n", b"-3\r\nabc\r\n0\r\n\r\n",
              b"3\nabc\r\n0\r\n\r\n", b"fffffffffffffffff\r\nabc", b"3 3\r\nabc\r\n0\r\n\r\n", b"\r\n0\r\n\r\n"]


@pytest.mark.own
@pytest.mark.parametrize("coded", BAD_CHUNKS)
def test_bad_chunks_look_cut(broken, coded):
    good = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n"
    server = broken(say(good + coded, "wait"))
    with Client(server.port) as client:
        client.send(request())
        response = client.read()
        if response.status != 502:  # nothing of the answer had gone out yet
            assert response.truncated and client.at_end()
    assert fetch(server.port).body == b"well"
    assert len(server.backend.connections) == 2


def test_an_http_1_0_client_sees_the_cut_by_length(broken):
    server = broken(say(HEAD + b"half"))
    with Client(server.port) as client:
        client.send(b"GET / HTTP/1.0\r\n\r\n")
        response = client.read()
        assert response.truncated or "Content-Length" not in response.fields


# --- time -------------------------------------------------------------------------------------------

def stall(*before):
    def script(connection):
        connection.read_request()
        for data in before:
            connection.send(data)
        connection.wait_close()
    return script


@pytest.mark.own
def test_no_head_in_time_is_504(broken):
    """mod_proxy: 502."""
    server = broken(stall(), "timeout=1")
    begin = time.monotonic()
    assert fetch(server.port).status == 504
    assert 0.8 < time.monotonic() - begin < 4
    assert fetch(server.port).body == b"well"
    assert len(server.backend.connections) == 2


@pytest.mark.own
def test_half_a_head_in_time_is_504(broken):
    server = broken(stall(b"HTTP/1.1 200 OK\r\nX-"), "timeout=1")
    assert fetch(server.port).status == 504


def test_a_stalled_body_looks_cut(broken):
    server = broken(stall(HEAD + b"half"), "timeout=1")
    with Client(server.port) as client:
        response = client.ask()
        assert response.truncated and response.body == b"half"
        assert client.at_end()
    assert fetch(server.port).body == b"well"


@pytest.mark.own
def test_proxy_timeout_counts_where_no_parameter_does(broken):
    server = broken(stall(), conf="{P}ProxyTimeout 1\n")
    begin = time.monotonic()
    assert fetch(server.port).status == 504
    assert time.monotonic() - begin < 4


def test_the_timeout_is_for_silence_not_for_the_whole(broken):
    """Two seconds of dribble with a timeout of one second."""
    pause = threading.Event()

    def script(connection):
        connection.read_request()
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n")
        for _ in range(5):
            pause.wait(0.4)
            connection.send(b"x")
    response = fetch(broken(script, "timeout=1").port)
    assert (response.body, response.truncated) == (b"xxxxx", False)


@pytest.mark.own
def test_a_timeout_does_not_send_a_request_twice(broken):
    server = broken(stall(), "timeout=1", always=True)
    assert fetch(server.port, "/p", "POST", body=b"x").status == 504
    assert len(server.backend.requests) == 1


@pytest.mark.own
def test_a_client_that_goes_away_ends_the_backend_work(broken):
    """Also while nothing of the answer has come."""
    gone = threading.Event()

    def script(connection):
        connection.read_request()
        connection.wait_close()
        gone.set()
    server = broken(script, "timeout=60")
    client = Client(server.port)
    client.send(request())
    server.backend.wait_requests(1)
    client.reset()
    assert gone.wait(settings.PATIENCE), "the backend connection stays open"


# --- the log ----------------------------------------------------------------------------------------

LOGGED = {
    "refused": (None, r"CXP0102: .*http://127\.0\.0\.1:\d+/?: .*connection refused.*503"),
    "closed": (say(b""), r"CXP0107: .*http://127\.0\.0\.1:\d+/?: .*without an answer.*502"),
    "half a head": (say(b"HTTP/1.1 200 OK\r\nX-A"), r"CXP0110: .*http://127\.0\.0\.1:\d+/?: .*502"),
    "garbage": (say(b"rubbish\r\n\r\n"), r"CXP0111: .*http://127\.0\.0\.1:\d+/?: .*502"),
    "half a body": (say(HEAD + b"half"), r"CXP0119: .*http://127\.0\.0\.1:\d+/?: .*ended early"),
    "timeout": (stall(), r"CXP0109: .*http://127\.0\.0\.1:\d+/?: .*504"),
    "framing": (say(STRICT["two lengths"]), r"CXP0116: .*http://127\.0\.0\.1:\d+/?: .*502"),
}


@pytest.mark.own
@pytest.mark.parametrize("script, line", LOGGED.values(), ids=LOGGED.keys())
def test_the_log_names_tag_member_reason_and_answer(make, script, line):
    backend = make.backend(script) if script else None
    url = backend.url if backend else f"http://127.0.0.1:{closed_port()}"
    server = make.httpd("{P}ProxyPass / {b}/ timeout=1\n", b=url)
    server.allow_log()
    fetch(server.port, method="POST", body=b"x")
    server.expect_log(r"\[cxxproxy:(warn|error)\].*" + line)


@pytest.mark.own
def test_the_log_names_the_balancer(make):
    server = make.httpd(f"""
<{{P}}Proxy balancer://pool>
    {{P}}BalancerMember http://127.0.0.1:{closed_port()}
</{{P}}Proxy>
{{P}}ProxyPass / balancer://pool/
""")
    server.allow_log()
    assert fetch(server.port).status == 503
    server.expect_log(r"CXP0102: balancer://pool http://127\.0\.0\.1:\d+")


@pytest.mark.own
def test_backend_bytes_in_the_log_are_escaped(broken):
    """A backend cannot forge a line of the error log."""
    server = broken(say(b"HTTP/1.1 200 OK\r\nbad\x1b[31m %s%n name\r\n\r\n"), always=True)
    assert fetch(server.port).status == 502
    assert "\x1b" not in server.error_log()


# --- what a failure leaves behind -------------------------------------------------------------------

def test_the_client_connection_survives_an_error_page(broken):
    """502 and 503 are ordinary answers: the next request on the connection works."""
    server = broken(say(b"HTTP/1.1 2"))
    with Client(server.port) as client:
        first = client.ask("POST", "/", body=b"x")
        if first.fields.get("Connection", "").lower() != "close":
            assert client.ask().body == b"well"


def test_a_body_behind_an_error_page_is_no_request(make):
    """The unread body of a refused request must not be taken for the next request."""
    server = make.httpd("{P}ProxyPass / {b}/\n", b=f"http://127.0.0.1:{closed_port()}")
    server.allow_log()
    smuggled = b"GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n"
    with Client(server.port) as client:
        client.send(request("POST", "/", body=smuggled) + request("GET", "/second"))
        assert client.read().status == 503
        try:
            assert client.read().status == 503
            assert client.at_end()
        except Closed:
            pass
    assert "/smuggled" not in [line["path"] for line in server.access(1)]


@pytest.mark.slow
@pytest.mark.own
def test_nothing_leaks_over_many_failures(make):
    """600 failures of all kinds: descriptors are back where they were, and requests work."""
    kinds = [say(b""), say(b"", "reset"), say(b"HTTP/1.1 200"), say(HEAD + b"half"),
             say(STRICT["two lengths"]), say(chunked(b"x"))]

    def script(connection):
        asked = connection.read_request()
        if asked.target == "/well":
            connection.send(answer(b"well"))
            return
        number = int(asked.target[1:])
        _replay(kinds[number % len(kinds)], connection)
    backend = make.backend(script)
    server = make.httpd("{P}ProxyPass / {b}/\n", b=backend.url, threads=4)
    server.allow_log()
    fetch(server.port, "/well")

    def quiet():
        server.quiesce()
        return server.descriptors()
    start = quiet()
    for i in range(600):
        try:
            fetch(server.port, f"/{i}", "POST", body=b"x")
        except Closed:
            pass
    assert fetch(server.port, "/well").body == b"well"
    assert quiet() <= start + 6


def _replay(kind, connection):
    """Runs a script that reads its request itself on a connection whose request was read."""
    connection.read_request = lambda: None
    kind(connection)
