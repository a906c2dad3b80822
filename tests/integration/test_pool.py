"""Kept connections: when they are used again, when never, and what happens when one has gone stale."""
import threading

import pytest

from support import settings
from support.client import Client, fetch, request
from support.waiting import until
from support.wire import answer, chunked


@pytest.fixture
def server_for(make):
    def build(script, parameters="", extra="", **options):
        backend = make.backend(script)
        server = make.httpd(extra + "{P}ProxyPass / {b}/ " + parameters + "\n",
                            b=backend.url, **dict({"threads": 8}, **options))
        return server, backend
    return build


def keeps(connection):
    """A backend that answers until the proxy goes away."""
    while True:
        connection.read_request()
        connection.send(answer(b"kept"))


def test_one_connection_serves_request_after_request(server_for):
    server, backend = server_for(keeps)
    for _ in range(10):
        assert fetch(server.port).body == b"kept"
    assert (len(backend.connections), len(backend.requests)) == (1, 10)


def test_connections_are_shared_between_clients(server_for):
    server, backend = server_for(keeps)
    clients = [Client(server.port) for _ in range(3)]
    for _ in range(4):
        for client in clients:
            assert client.ask().body == b"kept"
    for client in clients:
        client.close()
    assert len(backend.connections) == 1


@pytest.mark.parametrize("framing", ["chunked", "HEAD", "204", "304"])
def test_reuse_after_every_framing_that_ends_by_itself(server_for, framing):
    def script(connection):
        while True:
            connection.read_request()
            connection.send({
                "chunked": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked(b"x"),
                "HEAD": b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n",
                "204": b"HTTP/1.1 204 No Content\r\n\r\n",
                "304": b"HTTP/1.1 304 Not Modified\r\n\r\n"}[framing])
    server, backend = server_for(script)
    for _ in range(4):
        fetch(server.port, method="HEAD" if framing == "HEAD" else "GET")
    assert len(backend.connections) == 1


def test_reuse_after_an_upload(server_for):
    server, backend = server_for(keeps)
    for size in (0, 10, 100_000):
        assert fetch(server.port, method="POST", body=b"x" * size).body == b"kept"
    assert len(backend.connections) == 1


@pytest.mark.parametrize("end", ["Connection: close", "connection: Close", "Connection: foo, close"])
def test_no_reuse_after_close(server_for, end):
    """The backend says close but leaves its end open: the proxy must close, and not use it again."""
    def script(connection):
        connection.read_request()
        connection.send(f"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n{end}\r\n\r\nok".encode())
        connection.wait_close()
        connection.sock.close()
        connection.over = True
    server, backend = server_for(script)
    for _ in range(3):
        assert fetch(server.port).body == b"ok"
    assert len(backend.connections) == 3
    assert all(len(c.requests) == 1 for c in backend.connections)
    until(lambda: backend.open_connections == 0, "the proxy closes its connections")


def test_no_reuse_of_http_1_0(server_for):
    def script(connection):
        connection.read_request()
        connection.send(b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok")
        connection.wait_close()
    server, backend = server_for(script)
    for _ in range(3):
        assert fetch(server.port).body == b"ok"
    assert all(len(c.requests) == 1 for c in backend.connections)


@pytest.mark.parametrize("parameters", ["disablereuse=on", "disablereuse=On retry=0", "enablereuse=off"])
def test_no_reuse_when_switched_off(server_for, parameters):
    server, backend = server_for(keeps, parameters)
    for _ in range(3):
        assert fetch(server.port).body == b"kept"
    assert len(backend.connections) == 3
    until(lambda: backend.open_connections == 0, "the proxy closes its connections")


def test_close_is_announced_to_the_backend_when_reuse_is_off(server_for):
    server, backend = server_for(keeps, "disablereuse=on")
    fetch(server.port)
    assert backend.requests[0].fields.get("Connection", "").lower() == "close"


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "OPTIONS"])
def test_a_connection_that_the_backend_closed_meanwhile_is_not_noticed(server_for, method):
    """Closed long ago: every method works on a fresh connection, since nothing was sent."""
    def script(connection):
        connection.read_request()
        connection.send(answer(b"" if method == "HEAD" else b"once"))
    server, backend = server_for(script)
    for count in range(1, 4):
        assert fetch(server.port, method=method).status == 200
        until(lambda n=count: sum(c.over for c in backend.connections) == n, "the backend closed")
    assert len(backend.requests) == 3


@pytest.mark.own
@pytest.mark.parametrize("reset", [False, True], ids=["FIN", "RST"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_stale_connection_found_by_sending_is_replayed(server_for, method, reset):
    """The backend closes when the second request has reached it: mod_proxy answers 502 each time."""
    def script(connection):
        connection.read_request()
        connection.send(answer(b"" if method == "HEAD" else b"ok"))
        connection.read_head()
        if reset:
            connection.reset()
    server, backend = server_for(script)
    server.allow_log()
    assert [fetch(server.port, method=method).status for _ in range(10)] == [200] * 10
    assert len(backend.connections) <= 10


@pytest.mark.own
def test_a_post_that_reached_a_stale_connection_is_not_sent_twice(server_for):
    def script(connection):
        connection.read_request()
        connection.send(answer(b"ok"))
        connection.read_request()
    server, backend = server_for(script)
    server.allow_log()
    statuses = [fetch(server.port, f"/{i}", "POST", body=b"%d" % i).status for i in range(10)]
    assert set(statuses) <= {200, 502} and statuses[0] == 200
    targets = [asked.target for asked in backend.requests]
    assert len(targets) == len(set(targets)), "a POST was sent twice"


@pytest.mark.own
def test_a_replay_happens_once(server_for):
    """A backend that closes on every request: the client gets 502, not an endless loop."""
    closing = threading.Event()

    def script(connection):
        while True:
            connection.read_request()
            if closing.is_set():
                return
            connection.send(answer(b"ok"))
    server, backend = server_for(script)
    server.allow_log()
    assert fetch(server.port).status == 200
    closing.set()
    before = len(backend.requests)
    assert fetch(server.port).status == 502
    assert len(backend.requests) - before <= 2


def test_extra_bytes_behind_the_body_never_reach_the_next_client(server_for):
    """Response queue poisoning: the second answer was not asked for."""
    def script(connection):
        count = 0
        while True:
            asked = connection.read_request()
            count += 1
            # In one piece: bytes that come after the next request was sent would be its answer.
            connection.send(answer(b"for " + asked.target.encode()) + (answer(b"POISON") if count == 1 else b""))
    server, _ = server_for(script)
    server.allow_log()
    for i in range(6):
        response = fetch(server.port, f"/{i}")
        assert response.status in (200, 502) and b"POISON" not in response.body
        if response.status == 200:
            assert response.body == b"for /%d" % i


@pytest.mark.own
@pytest.mark.parametrize("tail", [answer(b"POISON"), b"x", b"\r\n"], ids=["answer", "byte", "line"])
def test_a_connection_with_extra_bytes_is_dropped(server_for, tail):
    """Also when the extra bytes come late, while the connection rests in the pool."""
    late, sent = threading.Event(), threading.Event()

    def script(connection):
        asked = connection.read_request()
        connection.send(answer(b"for " + asked.target.encode()))
        if connection.number == 0:
            connection.wait(late)
            connection.send(tail)
            sent.set()
            connection.wait_close()
            return
        keeps(connection)
    server, backend = server_for(script)
    server.allow_log()
    assert fetch(server.port, "/first").body == b"for /first"
    late.set()
    assert sent.wait(settings.PATIENCE)
    first = backend.connections[0]
    assert fetch(server.port, "/second").status == 200
    assert len(backend.connections) == 2
    assert b"/second" not in first.received or first.over


def test_a_cut_answer_does_not_return_its_connection(server_for):
    def script(connection):
        connection.read_request()
        if connection.number == 0:
            connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
            return
        keeps_answering(connection)

    def keeps_answering(connection):
        connection.send(answer(b"whole"))
        keeps(connection)
    server, backend = server_for(script)
    server.allow_log()
    assert fetch(server.port).truncated
    assert fetch(server.port).body == b"whole"
    assert len(backend.connections) == 2


def test_a_client_that_goes_away_does_not_poison_the_pool(server_for):
    """The rest of an answer nobody reads must not be the beginning of the next one."""
    go = threading.Event()

    def script(connection):
        while True:
            if connection.read_request().target == "/gone":
                connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 20000000\r\n\r\n" + b"x" * 100_000)
                connection.wait(go)
                connection.send(b"y" * 19_900_000)
            else:
                connection.send(answer(b"fine"))
    server, _ = server_for(script)
    server.allow_log()
    client = Client(server.port)
    client.send(request(target="/gone"))
    client.read_head()
    client.reset()
    go.set()
    for _ in range(8):
        assert fetch(server.port, "/next").body == b"fine"


def test_max_limits_the_connections_of_a_process(server_for):
    """Ten clients at once, two connections: the others wait and are all served."""
    inside, most, lock = [0], [0], threading.Lock()
    gate = threading.Event()

    def script(connection):
        while True:
            connection.read_request()
            with lock:
                inside[0] += 1
                most[0] = max(most[0], inside[0])
            gate.wait(0.05)
            with lock:
                inside[0] -= 1
            connection.send(answer(b"ok"))
    server, backend = server_for(script, "max=2", threads=16)
    statuses = []
    threads = [threading.Thread(target=lambda: statuses.append(fetch(server.port).status))
               for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(settings.PATIENCE)
    assert statuses == [200] * 10
    assert most[0] <= 2
    assert max_open(backend) <= 2


def max_open(backend):
    return sum(not c.over for c in backend.connections)


@pytest.mark.own
def test_ttl_is_the_idle_lifetime(server_for):
    """mod_proxy needs smax besides; here ttl alone is enough."""
    server, backend = server_for(keeps, "ttl=1")
    fetch(server.port)
    first = backend.connections[0]
    idle_since = threading.Event()
    until(lambda: idle_since.wait(1.3) or True, "the connection is older than its ttl")
    assert fetch(server.port).body == b"kept"
    assert len(backend.connections) == 2
    until(lambda: first.over, "the old connection is closed")


def test_no_connection_before_the_first_request(server_for):
    server, backend = server_for(keeps)
    assert fetch(server.port).status == 200
    assert len(backend.connections) == 1


def test_members_with_one_address_and_two_paths(make):
    """Two rules for one backend do not mix their answers up."""
    backend = make.echo("a")
    server = make.httpd("{P}ProxyPass /one {b}/1\n{P}ProxyPass /two {b}/2\n",
                        b=backend.url)
    for _ in range(3):
        assert fetch(server.port, "/one").json()["target"] == "/1"
        assert fetch(server.port, "/two").json()["target"] == "/2"
