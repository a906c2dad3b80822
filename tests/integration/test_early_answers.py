"""Answers that come before the request is over, clients that wait for 100, and old HTTP on both sides."""
import pytest

from support import settings
from support.client import Client, fetch, request
from support.strict import SMUGGLED, StrictBackend, head, read_answers
from support.waiting import until
from support.wire import answer

MEBI = 1 << 20


@pytest.fixture(scope="module")
def backend(house):
    return house.adopt(StrictBackend())


@pytest.fixture(scope="module")
def server(house, backend):
    return house.httpd("<Location /off>\n    {P}Proxy100Continue Off\n</Location>\n{P}ProxyPass / {b}/\n", b=backend.url)


def refuse_early(backend, target, ending):
    """413 as soon as the head has come. `ending`: half (reads on), close (at once, so its own side may
    be reset), or keep (says nothing about the end, and reads on)."""
    def script(connection, _):
        fields = [] if ending == "keep" else [("Connection", "close")]
        connection.send(answer(b"too much", "413 Content Too Large", fields))
        if ending == "half":
            connection.half_close()
        if ending != "close":
            connection.wait_close()
        return False
    backend.says(target, script)


def upload(client, target, coding, fields=(), size=2 * MEBI):
    """Sends everything before it reads a byte, as simple clients do: a reset would destroy the answer."""
    piece = b"x" * 65536
    if coding == "length":
        client.send(head(b"POST " + target + b" HTTP/1.1", b"Content-Length: %d" % size, *fields))
    else:
        client.send(head(b"POST " + target + b" HTTP/1.1", b"Transfer-Encoding: chunked", *fields))
    for _ in range(size // len(piece)):
        client.send(piece if coding == "length" else b"10000\r\n" + piece + b"\r\n")
    if coding != "length":
        client.send(b"0\r\n\r\n")


# mod_proxy: 502 when the backend closes at once, and it waits for the whole body with `keep`
@pytest.mark.own
@pytest.mark.parametrize("ending", ["half", "close", "keep"])
@pytest.mark.parametrize("fields", [(), (b"Connection: close",)], ids=["keep-alive", "client closes"])
@pytest.mark.parametrize("coding", ["length", "chunked"])
def test_an_early_answer_survives_the_upload(server, backend, coding, fields, ending):
    target = f"/early/{ending}/{coding}/{len(fields)}".encode()
    refuse_early(backend, target, ending)
    server.allow_log()
    with Client(server.port) as client:
        upload(client, target, coding, fields, size=8 * MEBI)
        answers, closed = read_answers(client, 2)
    assert [(a.status, a.body) for a in answers] == [(413, b"too much")] and closed
    assert answers[0].fields.get("Connection") == "close"
    assert fetch(server.port, "/next").body == b"GET /next HTTP/1.1"


@pytest.mark.own
def test_a_body_after_an_early_answer_is_no_request(server, backend):
    """GET, a POST that is answered early, GET: the third is not served, nor is what the body looks like."""
    refuse_early(backend, b"/early/pipe", "half")
    backend.seen.clear()
    server.allow_log()
    body = SMUGGLED * 20_000
    with Client(server.port) as client:
        # the first 16 KiB of a body are read before the head leaves
        client.send(head(b"GET /a HTTP/1.1") + head(b"POST /early/pipe HTTP/1.1", b"Content-Length: %d" % len(body)) + body[:100_000])
        answers, closed = read_answers(client, 2)
        assert [a.status for a in answers] == [200, 413] and not closed
        client.send(body[100_000:len(body) // 2] + head(b"GET /c HTTP/1.1"))
        assert client.at_end()
    assert fetch(server.port, "/next").status == 200
    assert [s.line for s in backend.seen] == [b"GET /a HTTP/1.1", b"POST /early/pipe HTTP/1.1", b"GET /next HTTP/1.1"]


@pytest.mark.parametrize("coding", ["length", "chunked"])
def test_a_failure_while_uploading_is_answered(make, coding):
    """The backend goes away inside the upload: the client gets its 502, however much it still sends."""
    backend = make.backend(lambda c: (c.read_head(), c.reader.exactly(100_000), c.reset()))
    server = make.httpd("{P}ProxyPass / {b}/\n", b=backend.url)
    server.allow_log()
    with Client(server.port) as client:
        upload(client, b"/up", coding, size=4 * MEBI)
        answers, _ = read_answers(client, 1)
    assert [a.status for a in answers] == [502]


# --- Expect: a client that really waits ----------------------------------------------------------------------

def waiting_client(server, target, coding="length"):
    client = Client(server.port)
    fields = [("Expect", "100-continue"), ("Content-Length", "5") if coding == "length" else ("Transfer-Encoding", "chunked")]
    return client.send(request("POST", target, fields))


CODED = {"length": b"hello", "chunked": b"5\r\nhello\r\n0\r\n\r\n"}


@pytest.mark.parametrize("coding", CODED)
@pytest.mark.parametrize("path", ["/on", "/off"])
def test_the_body_is_sent_after_100(server, backend, path, coding):
    backend.seen.clear()
    with waiting_client(server, path, coding) as client:
        assert client.read_head().status == 100
        assert client.send(CODED[coding]).read().status == 200
        assert client.ask("GET", "/next").status == 200
    assert [(s.body, s.complete) for s in backend.seen] == [(b"hello", True), (b"", True)]
    assert (b"\r\nExpect: 100-continue\r\n" in backend.seen[0].head) == (path == "/on")


@pytest.mark.own  # mod_proxy: 500, or the client waits
@pytest.mark.parametrize("status", ["401 Unauthorized", "417 Expectation Failed", "200 OK"])
def test_a_final_answer_instead_of_100_ends_the_connection(server, backend, status):
    """The client has not sent its body and need not; where its next request begins would be a guess."""
    backend.says(b"/on/no", lambda c, s: c.send(answer(b"no", status)) or c.wait_close())
    backend.seen.clear()
    server.allow_log()
    with waiting_client(server, "/on/no") as client:
        answers, closed = read_answers(client, 2)
    assert [(a.status, a.body, len(a.interim)) for a in answers] == [(int(status[:3]), b"no", 0)] and closed
    assert [s.complete for s in backend.seen] == [False]


def test_a_refusal_with_proxy100continue_off_comes_after_the_body(server, backend):
    backend.says(b"/off/no", lambda c, s: backend.read_body(c, s) or c.send(answer(b"no", "401 Unauthorized")) or True)
    with waiting_client(server, "/off/no") as client:
        assert client.read_head().status == 100
        assert client.send(b"hello").read().status == 401
        assert client.ask("GET", "/next").status == 200


@pytest.mark.own
def test_a_backend_that_ignores_the_expectation_gets_the_body(server, backend):
    """mod_proxy: both wait until the timeout."""
    backend.says(b"/on/deaf", lambda c, s: backend.read_body(c, s) or c.send(answer(b"got it")) or True)
    with waiting_client(server, "/on/deaf") as client:
        assert client.read_head().status == 100
        assert client.send(b"hello").read().body == b"got it"


@pytest.mark.parametrize("path", ["/on", "/off"])
def test_a_client_that_leaves_instead_of_its_body_completes_nothing(server, backend, path):
    backend.seen.clear()
    server.allow_log()
    with waiting_client(server, path + "/leaves") as client:
        assert client.read_head().status == 100
    until(lambda: not any(not c.over and path.encode() in c.received for c in backend.connections) or not backend.seen,
          "the backend connection ends")
    assert not any(s.complete for s in backend.seen)


# --- HTTP/1.0 ------------------------------------------------------------------------------------------------

def test_http_1_0_clients(server, backend):
    for fields, stays in ((), False), ((b"Connection: keep-alive",), True), ((b"Connection: close",), False):
        for raw, body in ((head(b"GET /a HTTP/1.0", *fields), b"GET /a HTTP/1.1"),
                          (head(b"POST /a HTTP/1.0", *fields, b"Content-Length: 5") + b"hello", b"POST /a HTTP/1.1")):
            with Client(server.port) as client:
                got = client.send(raw).read()
                assert (got.status, got.body, "Transfer-Encoding" in got.fields) == (200, body, False)
                if stays:
                    assert client.ask("GET", "/next").status == 200
                else:
                    assert client.at_end()


OLD_BACKENDS = {
    "length": (b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello", False),
    "until close": (b"HTTP/1.0 200 OK\r\n\r\nhello", False),
    "keep-alive": (b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 5\r\n\r\nhello", True),
    "keep-alive without a length": (b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n\r\nhello", False),
}


@pytest.mark.parametrize("data, kept", OLD_BACKENDS.values(), ids=OLD_BACKENDS.keys())
def test_http_1_0_backends(make, data, kept):
    def script(connection):
        while True:
            connection.read_request()
            connection.send(data)
            if not kept:
                return
    backend = make.backend(script)
    server = make.httpd("{P}ProxyPass / {b}/\n", b=backend.url)
    with Client(server.port) as client:
        for _ in range(3):
            got = client.ask()
            assert (got.status, got.version, got.body, got.truncated) == (200, "HTTP/1.1", b"hello", False)
    assert len(backend.connections) == (1 if kept and settings.OWN else 3)


# --- no-proxy ------------------------------------------------------------------------------------------------

def test_no_proxy_serves_the_request_here(make, family):
    backend = make.echo()
    server = make.httpd("SetEnvIf Request_URI ^/index no-proxy\nSetEnv no-proxy-too-late 1\n{P}ProxyPass / {b}/\n", b=backend.url,
                        family=family)
    assert "page of the server itself" in fetch(server.port, "/index.html").text
    assert fetch(server.port, "/other").json()["target"] == "/other"
