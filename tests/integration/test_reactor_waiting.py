"""A request that begins on a worker and waits goes on on the event loop, with its connection: streams and tunnels too."""
import socket
import threading
import time

import pytest

from support.balancers import STATUS, pool
from support.client import Client, request
from support.loop import LOOP, on_loop, together
from support.tls import tls_host
from support.waiting import until
from support.wire import answer
from test_park import Held, ask
from test_parked_status import Counts
from test_tunnel import SWITCH, echo, open_tunnel, take, to_end

pytestmark = pytest.mark.own  # mod_proxy has no such loop

TLS = tls_host("{P}ProxyPass / {b}/")


@pytest.fixture(params=["plain", "tls"])
def front(request):
    return request.param


def server_for(make, front, backend, conf="", **more):
    """A server, and how to reach it: with TLS or without."""
    server = make.httpd(conf + LOOP + (TLS if front == "tls" else "{P}ProxyPass / {b}/\n"), b=backend.url, tls=front == "tls", **more)
    return server, {"port": server.tls_port, "server_name": "proxy.test"} if front == "tls" else {"port": server.port}


def test_first_requests_wait_there(make, front):
    held = Held(make)
    server, where = server_for(make, front, held.backend, threads=4)
    server.allow_log("AH00484|AH10159")
    clients = []
    for number in range(40):  # in turn: httpd keeps a thread for each TLS client that has not spoken yet
        clients.append(Client(**where))
        clients[-1].send(request(target=f"/held/{number}"))
    held.wait_for(40)
    held.free.set()
    for number, client in enumerate(clients):
        assert client.read().body == f"/held/{number}".encode()
    assert on_loop(server, 40, "/held/")
    for number, client in enumerate(clients):  # and the connection goes on there
        assert client.ask(target=f"/again/{number}").body == f"/again/{number}".encode()
    assert on_loop(server, 40, "/again/")


@pytest.mark.parametrize("last", [[("Connection", "close")], []], ids=["close", "keep"])
def test_an_answer_in_pieces(make, front, last):
    steps = [threading.Event() for _ in range(4)]
    pieces = [bytes([65 + number]) * (1 + 40_000 * number) for number in range(len(steps))]

    def script(connection):
        connection.read_request()
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % sum(map(len, pieces)))
        for step, piece in zip(steps, pieces):
            connection.wait(step)
            connection.send(piece)
    server, where = server_for(make, front, make.backend(script))
    with Client(**where) as client:
        client.send(request(fields=last))
        assert client.read_head().status == 200
        for step, piece in zip(steps, pieces):
            step.set()
            assert take(client, len(piece)) == piece
        if last:
            assert client.at_end()


def test_a_request_behind_the_one_that_waits(make, front):
    held = Held(make)
    server, where = server_for(make, front, held.backend)
    with Client(**where) as client:
        client.send(request(target="/held/1"))
        held.wait_for(1)
        client.send(request(target="/held/2") + request("POST", "/held/3", body=b"x" * 70_000))
        held.free.set()
        assert [client.read().body for _ in range(3)] == [b"/held/1", b"/held/2", b"/held/3"]


def test_a_wait_longer_than_the_keep_alive_timeout(make, front):
    """The time that a kept connection may be idle begins with the end of the answer."""
    begun = []

    def script(connection):
        while True:
            target = connection.read_request().target
            begun.append(time.monotonic())
            if target == "/slow":
                until(lambda: time.monotonic() - begun[0] > 1.5, "it took long")
            connection.send(answer(target.encode()))
    server, where = server_for(make, front, make.backend(script), conf="KeepAliveTimeout 1\n")
    with Client(**where) as client:
        assert client.ask(target="/slow").body == b"/slow"
        assert client.ask(target="/next").body == b"/next"
        assert client.at_end()
        assert time.monotonic() - begun[1] > 0.9
    assert len(server.access(2)) == 2


def test_tunnels_are_the_loops(make, front):
    server, where = server_for(make, front, make.backend(echo), threads=4)
    server.allow_log("AH00484|AH10159")
    clients = [open_tunnel(more=b"first", target=f"/ws/{number}", **where)[0] for number in range(24)]
    for client in clients:
        assert take(client, 10) == b"hellofirst"

    def work(number):
        for size in (1, 5_000, 70_000):
            data = bytes([number]) * size
            sender = threading.Thread(target=clients[number].send, args=(data,), daemon=True)
            if front == "plain":  # Python's TLS sockets are not for two threads at once
                sender.start()
            else:
                clients[number].send(data)
            assert take(clients[number], size) == data
    together(work, len(clients))
    for client in clients:
        client.close()
    assert on_loop(server, len(clients), "/ws/")


@pytest.mark.parametrize("towards", ["client", "backend"])
def test_a_tunnel_whose_reader_is_slow(make, front, towards):
    """What does not fit waits, and nothing of it is lost or stands still."""
    data = bytes(range(256)) * 20_000  # 5 MB
    free, heard = threading.Event(), []

    def backend(connection):
        connection.read_head()
        connection.send(SWITCH)
        if towards == "client":
            connection.send(data)
            return
        connection.wait(free)
        while sum(map(len, heard)) < len(data) and (piece := connection.sock.recv(65536)):
            heard.append(piece)
        connection.send(b"all")
    server, where = server_for(make, front, make.backend(backend))
    client, _ = open_tunnel(**where)
    if towards == "client":
        client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 100_000)
        assert take(client, len(data)) == data
    else:
        sender = threading.Thread(target=client.send, args=(data,), daemon=True)
        sender.start()
        free.set()
        sender.join(60)
        assert not sender.is_alive() and take(client, 3) == b"all" and b"".join(heard) == data
    client.close()
    server.expect_log("CXP0060")


def test_a_tunnel_that_is_closed_by_half(make):
    server, where = server_for(make, "plain", make.backend(echo))
    client, _ = open_tunnel(where["port"])
    assert take(client, 5) == b"hello"
    client.send(b"x" * 100_000)
    client.half_close()
    assert to_end(client) == b"x" * 100_000 + b"bye"
    server.expect_log("CXP0060")


def test_what_waits_is_counted_where_it_waits(make):
    """Its member has closed the connection, and it waits at the other one."""
    calls, free = [], threading.Event()

    def script(connection):
        connection.read_request()
        calls.append(connection)
        if len(calls) == 1:
            until(lambda: seen == [1], "the first wait was seen")
            return
        connection.wait(free)
        connection.send(answer(b"late"))
    seen = []
    members = [make.backend(script) for _ in range(2)]
    server = make.httpd(STATUS + LOOP + pool(*[f"{b.url} route={r}" for b, r in zip(members, "ab")], balancer="stickysession=at"), modules=("status",))
    server.allow_log("CXP0107")
    parked = Counts(server)
    with Client(server.port) as client:
        client.send(request(target="/?at=x.a"))
        until(lambda: parked.counts(parked.member(0)) == (1, 0), "it waits at the first")
        seen.append(1)
        until(lambda: (parked.counts(parked.member(0)), parked.counts(parked.member(1))) == ((0, 0), (1, 0)), "it waits at the other")
        free.set()
        assert client.read().body == b"late"


def test_the_limit_holds_for_what_waits_there(make):
    held = Held(make)
    server, where = server_for(make, "plain", held.backend, conf="{P}ProxyParkMax 3\n", threads=8)
    server.allow_log("CXP0062")
    clients = [Client(**where) for _ in range(7)]
    ask(clients, "/held/{}")
    held.wait_for(7)
    server.expect_log("CXP0062")
    held.free.set()
    for number, client in enumerate(clients):
        assert client.read().body == f"/held/{number}".encode()
    assert not on_loop(server, 7, "/held/")
