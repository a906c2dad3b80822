"""ProxyIOBufferSize, ProxyReceiveBufferSize, ProxySourceAddress and the parameters of the same names."""
import socket
import threading

import pytest

from support.client import Client, fetch
from support.waiting import until
from support.wire import answer


@pytest.fixture
def peers(make):
    """A backend that says from which address it was asked."""
    return make.backend(lambda c: (c.read_request(), c.send(answer(c.sock.getpeername()[0].encode()))))


def test_source_address(make, family, peers):
    server = make.httpd("{P}ProxySourceAddress 127.0.0.9\n{P}ProxyPass / {b}/\n", family=family, b=peers.url)
    assert [fetch(server.port, "/").body for _ in range(2)] == [b"127.0.0.9"] * 2


@pytest.mark.own
def test_source_address_of_the_other_family(make, peers):
    """mod_proxy connects from another address then."""
    server = make.httpd("{P}ProxySourceAddress ::1\n{P}ProxyPass / {b}/\n", b=peers.url)
    server.allow_log()
    assert fetch(server.port, "/").status == 503 and not peers.connections
    server.expect_log(r"CXP0104: ")


@pytest.mark.parametrize("conf, parameters", [("{P}ProxyIOBufferSize 512", ""), ("{P}ProxyIOBufferSize 100000", ""),
                                              ("", "iobuffersize=600"), ("{P}ProxyReceiveBufferSize 4096", ""),
                                              ("{P}ProxyIOBufferSize 0\n{P}ProxyReceiveBufferSize 0", "receivebuffersize=2048")])
def test_bodies_of_any_size_pass(make, family, conf, parameters):
    echo = make.echo()
    body = bytes(range(256)) * 1500
    echo.says("/down", answer(body))
    server = make.httpd(conf + "\n{P}ProxyPass / {b}/ " + parameters + "\n", family=family, b=echo.url)
    with Client(server.port) as client:
        for _ in range(2):
            assert client.ask(target="/down").body == body
            assert client.ask("POST", "/up", body=body).json()["length"] == len(body)


@pytest.mark.own
@pytest.mark.parametrize("conf, parameters", [("{P}ProxyReceiveBufferSize 4096", ""), ("{P}ProxyReceiveBufferSize 100000", "receivebuffersize=4096")])
def test_receive_buffer_of_the_socket(make, conf, parameters):
    """What a backend can send while the client takes nothing: little with a small buffer."""
    stop = threading.Event()
    sent = []

    def script(connection):
        connection.read_request()
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n")
        connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        connection.sock.settimeout(0.3)
        total = 0
        try:
            while not stop.is_set():
                total += connection.sock.send(b"x" * 4096)
        except TimeoutError:
            sent.append(total)
    backend = make.backend(script)
    server = make.httpd(conf + "\n{P}ProxyIOBufferSize 4096\n{P}ProxyPass / {b}/ " + parameters + "\n", b=backend.url, before="SendBufferSize 4096\n")
    server.allow_log()
    with Client(server.port, receive_buffer=4096) as client:
        client.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        client.read_head()
        until(lambda: sent, "the backend could not send any more")
    stop.set()
    assert sent[0] < 100_000
