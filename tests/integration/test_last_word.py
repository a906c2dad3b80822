"""A client that has said its last word is not waited for: its connection is closed at once, every other one lingeringly."""
import pytest

from support.client import Client, request
from support.loop import LOOP, ends_of
from support.tls import tls_host
from support.waiting import until
from support.wire import answer
from test_park import Held

pytestmark = pytest.mark.own  # mod_proxy leaves every end to the MPM

CLOSE = [("Connection", "close")]
OLD = b"GET /old HTTP/1.0\r\nHost: proxy.test\r\n\r\n"


def has_process(ends):
    """Does a process have the server's end of the connection?"""
    with open("/proc/net/tcp", encoding="ascii") as table:
        for line in table:
            parts = line.split()
            if parts[1:3] == ends:
                return parts[9] != "0"
    return False


def is_let_go(ends):
    until(lambda: not has_process(ends), "the server has let go of the connection")


def lingers(client):
    assert client.at_end()
    assert has_process(ends_of(client))


@pytest.fixture
def server(make):
    return make.httpd(LOOP + "{P}ProxyPass / {b}/\n", b=make.echo("b").url)


@pytest.mark.parametrize("message", [request(fields=CLOSE), request("HEAD", fields=CLOSE), request(fields=[("Connection", "x, Close")]), OLD,
                                     request(fields=[*CLOSE, ("Content-Length", "0")])], ids=["close", "head", "list", "1.0", "empty"])
@pytest.mark.parametrize("number", [1, 2, 3], ids=["first", "second", "third"])
def test_last_word(server, message, number):
    with Client(server.port) as client:
        for _ in range(number - 1):
            assert client.ask(target="/before").status == 200
        client.send(message)
        assert client.read("HEAD" if message.startswith(b"HEAD") else "GET").status == 200
        assert client.at_end()
        is_let_go(ends_of(client))
    assert server.access(number)[-1]["status"] == "200"


@pytest.mark.parametrize("message", [request("POST", body=b"x", fields=CLOSE), request("GET", body=b"x", fields=CLOSE), request(fields=CLOSE) + b"\r\n",
                                     request(fields=CLOSE) + request(target="/never"), OLD + b"x"], ids=["post", "content", "line", "request", "1.0"])
def test_not_the_last_word(server, message):
    with Client(server.port) as client:
        client.send(message)
        assert client.read().status == 200
        lingers(client)
        ends = ends_of(client)
        client.send(b"more")
        client.half_close()
        is_let_go(ends)
    assert len(server.access(1)) == 1


def test_the_server_wants_the_end(make):
    """A client that did not ask for it may have sent its next request already."""
    server = make.httpd("KeepAlive Off\n{P}ProxyPass / {b}/\n", b=make.echo("b").url)
    with Client(server.port) as client:
        assert client.ask().status == 200
        lingers(client)


def test_a_kept_1_0_connection(server):
    with Client(server.port) as client:
        for _ in range(2):
            client.send(OLD.replace(b"\r\n\r\n", b"\r\nConnection: keep-alive\r\n\r\n"))
            assert client.read().status == 200
        client.send(OLD)
        assert client.read().status == 200
        assert client.at_end()
        is_let_go(ends_of(client))


@pytest.mark.parametrize("size", [1, 100_000, 12_000_000])
def test_a_slow_reader_gets_everything(make, size):
    content = bytes(range(256)) * (size // 256 + 1)
    server = make.httpd(LOOP + "{P}ProxyPass / {b}/\n", b=make.backend(lambda c: (c.read_request(), c.send(answer(content)))).url)
    with Client(server.port, receive_buffer=4096) as client:
        client.send(request(fields=CLOSE))
        if size < 200_000:
            until(lambda: len(server.access()) == 1, "the answer is logged")
        assert client.read().body == content
        assert client.at_end()
        is_let_go(ends_of(client))


def test_a_request_that_waits(make):
    held = Held(make)
    server = make.httpd(LOOP + "{P}ProxyPass / {b}/\n", b=held.backend.url)
    clients = [Client(server.port) for _ in range(8)]
    for number, client in enumerate(clients):
        client.send(request(target=f"/held/{number}", fields=CLOSE))
    held.wait_for(8)
    held.free.set()
    for number, client in enumerate(clients):
        assert client.read().body == f"/held/{number}".encode()
        assert client.at_end()
        is_let_go(ends_of(client))


def test_tls_ends_with_its_own_end(make):
    server = make.httpd(LOOP + tls_host("{P}ProxyPass / {b}/"), b=make.echo("b").url, tls=True)
    with Client(server.tls_port, server_name="proxy.test") as client:
        assert client.ask(fields=CLOSE).status == 200
        client.sock.suppress_ragged_eofs = False  # an end without a close_notify would be an exception now
        assert client.at_end()
