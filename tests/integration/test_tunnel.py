"""WebSocket and other upgrades: bytes both ways, for as long as somebody sends."""
import base64
import hashlib
import threading

import pytest

from support.client import Client, fetch, request
from support.h2 import H2
from support.tls import tls_host
from support.waiting import until
from support.wire import answer

pytestmark = pytest.mark.own  # mod_proxy tunnels with upgrade=websocket only

ASK = [("Connection", "keep-alive, Upgrade"), ("Upgrade", "websocket"), ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="), ("Sec-WebSocket-Version", "13")]
SWITCH = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"


def echo(connection):
    key = connection.read_head().fields.get("Sec-WebSocket-Key", "")
    accept = base64.b64encode(hashlib.sha1(key.encode() + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest())
    connection.send(SWITCH.replace(b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", accept) + b"hello")  # mod_http2 looks at it (RFC 6455 4.2.2)
    while data := connection.sock.recv(65536):
        connection.send(data)
    connection.send(b"bye")


def open_tunnel(port, more=b"", server_name=None, fields=ASK, target="/ws"):
    client = Client(port, server_name=server_name)
    client.send(request(target=target, fields=fields) + more)
    head = client.read_head()
    assert head.status == 101, head.raw_head
    return client, head


def take(client, size):
    return b"".join(client.reader.pieces(size))


def to_end(client):
    while client.reader._more():
        pass
    data, client.reader.buffer = client.reader.buffer, b""
    return data


@pytest.mark.parametrize("mpm", ["event", "worker", "prefork"])
def test_echo_and_half_close(make, mpm, family):
    backend = make.backend(echo)
    server = make.httpd("{P}ProxyPass / {b}/\n", family=family, b=backend.url, mpm=mpm, processes=2)
    client, head = open_tunnel(server.port, b"first")  # right behind the request
    assert head.fields.get("Upgrade") == "websocket" and head.fields.get("Connection") == "Upgrade"
    assert head.fields.get("Sec-WebSocket-Accept") == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
    assert take(client, 10) == b"hellofirst"  # "hello" came with the 101
    for size in (1, 100, 70_000, 500_000):
        data = bytes(range(256)) * (size // 256 + 1)
        threading.Thread(target=client.send, args=(data,), daemon=True).start()
        assert take(client, len(data)) == data
    client.half_close()
    assert to_end(client) == b"bye"
    client.close()
    server.expect_log("CXP0060")
    line = server.access(1)[0]
    assert line["status"] == "101" and int(line["bytes"]) > 570_000
    asked = backend.requests[0].fields
    assert asked.get("Upgrade") == "websocket" and asked.get("Connection") == "Upgrade"
    assert asked.get("Sec-WebSocket-Key") == "dGhlIHNhbXBsZSBub25jZQ=="


def test_the_backend_closes(make):
    def bye(connection):
        connection.read_head()
        connection.send(SWITCH + b"last words")
    server = make.httpd("{P}ProxyPass / {b}/\n", b=make.backend(bye).url)
    client, _ = open_tunnel(server.port)
    assert to_end(client) == b"last words"
    client.close()
    server.expect_log("CXP0060")


def test_over_tls(make):
    server = make.httpd(tls_host("{P}ProxyPass / {b}/"), b=make.backend(echo).url, tls=True)
    client, _ = open_tunnel(server.tls_port, b"first", server_name="proxy.test")
    assert take(client, 10) == b"hellofirst"
    for round in range(20):  # in turn: Python's TLS sockets are not for two threads at once
        data = bytes(range(round, 256)) * 100
        client.send(data)
        assert take(client, len(data)) == data
    client.close()
    server.expect_log("CXP0060")


def test_more_tunnels_than_threads(make):
    server = make.httpd("AsyncRequestWorkerFactor 100\n{P}ProxyPass /other/ {o}/\n{P}ProxyPass / {b}/\n",
                        b=make.backend(echo).url, o=make.echo("o").url, threads=4)
    server.allow_log(r"AH00484|AH10159")
    tunnels = [open_tunnel(server.port)[0] for _ in range(40)]
    assert fetch(server.port, "/other/x").status == 200
    for _ in range(3):
        for number, client in enumerate(tunnels):
            client.send(b"%02d" % number)
        for number, client in enumerate(tunnels):
            assert take(client, 7 if _ == 0 else 2)[-2:] == b"%02d" % number
    server.graceful()  # the old child stays until they end
    for client in tunnels:
        client.send(b"z")
        assert take(client, 1) == b"z"
        client.close()
    server.expect_log("CXP0060")


def test_ws_urls_and_balancers(make):
    server = make.httpd("""
<{P}Proxy balancer://sockets>
    {P}BalancerMember {ws}
</{P}Proxy>
{P}ProxyPass /lone/ {ws}/
{P}ProxyPass / balancer://sockets/
{P}ProxyWebsocketFallbackToProxyHttp On
""", ws=make.backend(echo).url.replace("http:", "ws:"))
    for target in ("/lone/x", "/x"):
        client, _ = open_tunnel(server.port, target=target)
        assert take(client, 5) == b"hello"
        client.close()
    server.expect_log("CXP0060")


@pytest.mark.parametrize("parameter, offered, wanted", [
    ("", "websocket", "websocket"), ("", "WebSocket", "WebSocket"), ("", "foo, websocket", "websocket"), ("", "foo", None),
    ("", "h2c", None), ("upgrade=NONE", "websocket", None), ("upgrade=foo", "websocket", None), ("upgrade=foo", "foo", "foo"),
    ("upgrade=ANY", "raw/2", "raw/2"), ("upgrade=ANY", "h2c", None), ("upgrade=ANY", "TLS/1.0", None), ("upgrade=websocket,foo", "foo", "foo"),
])
def test_what_is_asked_of_the_backend(make, parameter, offered, wanted):
    backend = make.echo("e")
    server = make.httpd("{P}ProxyPass / {b}/ {parameter}\n", b=backend.url, parameter=parameter)
    # A backend that does not switch gives an ordinary answer.
    assert fetch_with(server.port, [("Connection", "Upgrade"), ("Upgrade", offered)]).status == 200
    fields = backend.requests[0].fields
    assert fields.get("Upgrade") == wanted
    assert fields.get("Connection") == ("Upgrade" if wanted else "Keep-Alive")


def fetch_with(port, fields, method="GET", body=None):
    with Client(port) as client:
        return client.ask(method, "/", fields, body)


@pytest.mark.parametrize("fields, method, body", [
    ([("Upgrade", "websocket")], "GET", None),                                # Connection does not name it
    ([("Connection", "Upgrade")], "GET", None),
    ([("Connection", "Upgrade"), ("Upgrade", "websocket")], "POST", b"body"),  # its end would not be known
])
def test_what_is_no_request_to_switch(make, fields, method, body):
    backend = make.echo("e")
    server = make.httpd("{P}ProxyPass / {b}/\n", b=backend.url)
    assert fetch_with(server.port, fields, method, body).status == 200
    assert backend.requests[0].fields.get("Upgrade") is None


@pytest.mark.parametrize("head", [
    b"HTTP/1.1 101 Switching\r\nConnection: Upgrade\r\n\r\n",
    b"HTTP/1.1 101 Switching\r\nUpgrade: foo\r\nConnection: Upgrade\r\n\r\n",
    b"HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\n\r\n",
    b"HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\nUpgrade: foo\r\nConnection: Upgrade\r\n\r\n",
    b"HTTP/1.1 101 Switching\r\nUpgrade: websocket, foo\r\nConnection: Upgrade\r\n\r\n",
    b"HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nContent-Length: 5\r\n\r\nhello",
    b"HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nTransfer-Encoding: chunked\r\n\r\n",
])
def test_a_switch_that_does_not_match_is_refused(make, head):
    backend = make.backend([lambda c: (c.read_head(), c.send(head), c.wait_close()), lambda c: (c.read_head(), c.send(answer(b"next")))])
    server = make.httpd("{P}ProxyPass / {b}/\n", b=backend.url)
    with Client(server.port) as client:
        client.send(request(fields=ASK))
        assert client.read().status == 502
    server.expect_log("CXP0118|CXP0116")
    assert fetch(server.port).body == b"next"


def test_an_idle_tunnel_is_closed(make):
    closed = threading.Event()

    def quiet(connection):
        connection.read_head()
        connection.send(SWITCH)
        connection.wait_close()
        closed.set()
    server = make.httpd("{P}ProxyWebsocketIdleTimeout 300ms\n{P}ProxyPass / {b}/\n", b=make.backend(quiet).url)
    client, _ = open_tunnel(server.port)
    assert to_end(client) == b""
    until(closed.is_set, "the backend's end")
    server.expect_log("CXP0060: .*nothing was sent for too long")


@pytest.mark.parametrize("towards", ["client", "backend"])
def test_who_does_not_read_stops_the_sender(make, towards):
    """What lies between the two is bounded; and nothing of it is lost."""
    sent, free = threading.Event(), threading.Event()
    data = bytes(range(256)) * 160_000  # 40 MB

    def pour(connection):
        connection.read_head()
        connection.send(SWITCH)
        connection.send(data)
        sent.set()

    def drink(connection):
        connection.read_head()
        connection.send(SWITCH)
        connection.wait(free)
        connection.reader.keep = False
        got = 0
        while got < len(data):
            piece = connection.sock.recv(1 << 16)
            assert piece == data[got:got + len(piece)]
            got += len(piece)
        connection.send(b"all")

    server = make.httpd("AsyncRequestWorkerFactor 100\n{P}ProxyPass /other/ {o}/\n{P}ProxyPass / {b}/\n", b=make.backend(pour if towards == "client" else drink).url,
                        o=make.echo("o").url, threads=4)
    server.allow_log(r"AH00484|AH10159")
    client, _ = open_tunnel(server.port)
    if towards == "backend":
        threading.Thread(target=lambda: (client.send(data), sent.set()), daemon=True).start()
    assert fetch(server.port, "/other/x").status == 200
    assert not sent.wait(0.3)  # it cannot: 40 MB have no room in between
    if towards == "client":
        assert take(client, len(data)) == data
    else:
        free.set()
        assert take(client, 3) == b"all"
    until(sent.is_set, "the sender's end")
    client.close()
    server.expect_log("CXP0060")


@pytest.mark.parametrize("mpm", ["event", "worker"])
def test_a_limit_after_graceful(make, mpm):
    server = make.httpd("{P}ProxyTunnelDrain 1s\n{P}ProxyPass / {b}/\n", b=make.backend(echo).url, mpm=mpm, threads=4)
    server.allow_log(r"AH00288|AH00484")  # the old child still has its slot
    client, _ = open_tunnel(server.port)
    assert take(client, 5) == b"hello"
    before = server.children()
    server.graceful()
    client.send(b"still there")
    assert take(client, 11) == b"still there"
    assert client.at_end()
    server.expect_log("CXP0060.*the server is being stopped")
    until(lambda: not set(before) & set(server.children()), "the old child ends")


def test_a_body_of_no_length_is_none(make):
    server = make.httpd("{P}ProxyPass / {b}/\n", b=make.backend(echo).url)
    client, _ = open_tunnel(server.port, fields=ASK + [("Content-Length", "0")])
    assert take(client, 5) == b"hello"
    client.close()
    server.expect_log("CXP0060")


def test_over_http2(make):
    """Extended CONNECT (RFC 8441): mod_http2 makes an ordinary request to switch of it."""
    backend = make.backend(echo)
    server = make.httpd("Protocols h2c http/1.1\nH2WebSockets On\n{P}ProxyPass / {b}/\n", b=backend.url, modules=("http2",))
    ask = [(b":method", b"CONNECT"), (b":protocol", b"websocket"), (b":scheme", b"http"), (b":authority", b"proxy.test"),
           (b":path", b"/ws"), (b"sec-websocket-version", b"13")]
    with H2(server.port) as client:
        assert client.open(ask) == 200
        assert client.hear(5) == b"hello"
        for text in (b"a", b"b" * 10_000, b"c"):
            client.say(text)
            assert client.hear(len(text)) == text
        client.say(b"last", last=True)
        assert client.hear() == b"lastbye"
    server.expect_log("CXP0060")
    assert backend.requests[0].fields.get("Upgrade") == "websocket"
    assert fetch(server.port).status != 200  # an ordinary request that the backend switches unasked
    server.expect_log("CXP0118")
