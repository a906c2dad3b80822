"""Adopted connections and time limits, the end of children, aborts, and what is left behind."""
import signal

import pytest

from support import settings
from support.balancers import STATUS
from support.client import Client, fetch, request
from support.load import Load
from support.loop import LOOP, adopt, descriptor_kinds, on_loop, status, together
from support.waiting import stays, until
from support.wire import answer
from test_park import Held, ask
from test_park_life import closed_by_peer

pytestmark = pytest.mark.own

CONF = "{P}ProxyPass / {b}/\n"


# --- time limits -------------------------------------------------------------------------------------------

def test_requests_and_idle_connections_outlast_the_timeout(make):
    """The MPM closes what it has polled for Timeout; these connections it has again and again before that."""
    held = Held(make)
    server = held.server(make, LOOP, conf="Timeout 2\nKeepAliveTimeout 100\n", parameters="timeout=100")
    waiting, idle = adopt(server.port, 6, "/other/x"), adopt(server.port, 6, "/other/x")
    ask(waiting, "/held/{}")
    held.wait_for(6)
    stays(lambda: not any(closed_by_peer(client) for client in waiting + idle), "nobody is closed", 5)
    assert len(held.backend.requests) == 6
    held.free.set()
    for number, client in enumerate(waiting):
        assert client.read().body == f"/held/{number}".encode()
    for client in waiting + idle:
        assert client.ask(target="/other/after").status == 200
    assert on_loop(server, 12, "/other/after")
    assert len(server.access(12 + 6 + 12)) == 12 + 6 + 12


def test_idle_connections_end_after_the_keep_alive_timeout(make):
    server = make.httpd("KeepAliveTimeout 1\n" + LOOP + CONF, b=make.echo().url)
    clients = adopt(server.port, 8)
    assert [client.ask(target="/on").status for client in clients] == [200] * 8
    assert all(client.at_end() for client in clients)
    assert on_loop(server, 8, "/on")


def test_the_number_of_requests_of_a_connection_is_limited(make):
    server = make.httpd("MaxKeepAliveRequests 20\n" + LOOP + CONF, b=make.echo().url)
    for client in adopt(server.port, 3):
        fields = [client.ask().fields.get("Connection") for _ in range(20)]
        assert fields == [None] * 19 + ["close"] and client.at_end()
    for client in adopt(server.port, 2):  # those behind the last one are not answered
        client.send(request() * 25)
        assert [client.read().fields.get("Connection") for _ in range(20)] == [None] * 19 + ["close"]
        assert client.at_end()


def test_two_hosts_on_one_connection(make):
    """With timeouts of their own. The MPM has a queue for each timeout, and must not find a connection in the wrong one."""
    server = make.httpd(LOOP + STATUS + """
<VirtualHost *:{port}>
    ServerName one.test
    Timeout 3
    KeepAliveTimeout 2
    {P}ProxyPass / {one}/
</VirtualHost>
<VirtualHost *:{port}>
    ServerName two.test
    Timeout 7
    KeepAliveTimeout 1
    {P}ProxyPass / {two}/
</VirtualHost>
""", one=make.echo("one").url, two=make.echo("two").url, modules=("status",))
    clients = [Client(server.port) for _ in range(6)]

    def work(number):
        for n in range(30):
            name = ("one", "two")[(n + number) % 2]
            assert clients[number].ask(target="/x", host=f"{name}.test").json()["backend"] == name
    together(work, 6)
    assert on_loop(server, 180, "/x")
    for client in clients[:3]:
        client.close()
    assert all(client.at_end() for client in clients[3:])  # by the keep-alive timeout of the last host
    until(lambda: at_rest(status(server)), "nothing is left in the counters")


def at_rest(counters):
    """Of the MPM: only the connection that asks."""
    return [counters["ConnsAsync" + kind] for kind in ("WaitIO", "Writing", "KeepAlive", "Closing")] == ["0"] * 4 and \
        int(counters["ConnsTotal"]) <= 1 and counters["BusyWorkers"] == "1"


# --- the end of a child ------------------------------------------------------------------------------------

def crowd(make, **more):
    """Connections that wait at the backend, and idle ones."""
    held = Held(make)
    server = held.server(make, LOOP, conf="KeepAliveTimeout 100\n", **more)
    server.allow_log(r"AH00484|AH10159|AH0009[54]|AH0049[23]|AH00045")
    waiting, idle = adopt(server.port, 12, "/other/x"), adopt(server.port, 12, "/other/x")
    ask(waiting, "/held/{}")
    held.wait_for(12)
    return held, server, waiting, idle


def release(held, waiting):
    held.free.set()
    for number, client in enumerate(waiting):
        assert client.read().body == f"/held/{number}".encode()


def test_graceful_loses_nothing(make):
    held, server, waiting, idle = crowd(make)
    old = server.children()
    with Load(server.port, clients=6, target="/other/load") as load:
        load.wait_more(100)
        server.graceful()
        assert all(client.at_end() for client in idle)
        load.wait_more(100)
        release(held, waiting)
        until(lambda: not set(old) & set(server.children()), "the old child ends")
        load.wait_more(100)
    assert load.failures == []
    assert len(held.backend.requests) == 12
    assert len([line for line in server.access() if line["path"].startswith("/held/")]) == 12


def test_graceful_stop_waits_for_those_who_wait(make):
    held, server, waiting, idle = crowd(make)
    server.end(signal.SIGWINCH)
    assert all(client.at_end() for client in idle)
    assert not any(closed_by_peer(client) for client in waiting)
    release(held, waiting)
    assert server.process.wait(settings.PATIENCE) == 0
    assert len([line for line in server.access() if line["path"].startswith("/held/")]) == 12


def test_stop_is_quick_and_clean(make):
    held, server, waiting, idle = crowd(make)
    server.end(signal.SIGTERM)
    assert server.process.wait(settings.PATIENCE) == 0
    for client in waiting + idle:
        until(lambda c=client: closed_by_peer(c), "every connection is closed")
    held.free.set()


def test_a_killed_child(make):
    held, server, waiting, idle = crowd(make)
    old = server.children()
    for pid in old:
        server.kill_child(pid)
    for client in waiting + idle:
        until(lambda c=client: closed_by_peer(c), "every connection is closed")
    until(lambda: server.children() and not set(old) & set(server.children()), "another child is there")
    clients = adopt(server.port, 6, "/other/x")
    assert [client.ask(target="/other/again").status for client in clients] == [200] * 6
    held.free.set()


def test_a_child_that_ends_after_its_connections(make):
    """Those who wait have their answer from it, idle ones are closed, others are served by the next one."""
    held, server, waiting, idle = crowd(make, before="MaxConnectionsPerChild 30\n")
    old = set(server.children())

    def ends():
        assert fetch(server.port, "/other/new").status == 200
        return all(closed_by_peer(client) for client in idle)
    until(ends, "the child has had its connections")
    assert not any(closed_by_peer(client) for client in waiting)
    release(held, waiting)
    until(lambda: not old & set(server.children()), "it ends")
    assert len([line for line in server.access() if line["path"].startswith("/held/")]) == 12


def test_children_that_end_after_some_connections(make):
    server = make.httpd("MaxConnectionsPerChild 25\n" + LOOP + CONF, b=make.echo().url, processes=2)
    server.allow_log(r"AH00484|AH10159")
    first = set(server.children())
    with Load(server.port, clients=6, target="/kept") as kept, Load(server.port, clients=4, target="/new", keep_alive=False) as new:
        until(lambda: not first & set(server.children()), "the first children have ended", timeout=60)
        kept.wait_more(100)
        new.wait_more(40)
    assert kept.failures == [] and new.failures == []


# --- nothing is left behind --------------------------------------------------------------------------------

MANY = 3000 if settings.CHECKED else 20_000
ABORTS = 60 if settings.CHECKED else 200


def mixture(connection):
    large = answer(b"l" * 400_000)
    while True:
        asked = connection.read_request()
        connection.send(large if asked.target.startswith("/large") else answer(b"small"))


@pytest.mark.slow
def test_aborts_and_many_requests_leave_nothing_behind(make):
    backend = make.backend(mixture)
    server = make.httpd(LOOP + STATUS + CONF, b=backend.url, modules=("status",))
    server.allow_log()
    clients, depth = 12, 10

    def pipelined(count):
        def work(_):
            with Client(server.port) as client:
                for _ in range(count // clients // depth):
                    client.send(request(target="/small") * depth)
                    got = b""  # read() would take most of the test's time
                    while got.count(b"\r\n\r\nsmall") < depth:
                        got += client.sock.recv(65536)
                    assert got.count(b"HTTP/1.1 200 OK\r\n") == depth
        together(work, clients)
        del backend.requests[:]
        for connection in backend.connections:
            connection.reader.raw.clear()
            connection.requests.clear()

    def aborts(count):
        def work(_):
            for number in range(count // 10):
                client = Client(server.port, receive_buffer=4096)
                assert client.ask(target="/small").status == 200
                client.send(request(target="/large"))
                if number % 2:
                    client.read_head()
                client.reset()
        together(work, 10)

    def at_work():
        """Sockets beyond kept connections to the backend, and what is polled in the place of clients: of those some are kept."""
        kinds = descriptor_kinds(server)
        return kinds["socket"] - backend.open_connections, kinds["anon_inode:[eventfd]"]

    def rest():
        until(lambda: at_rest(status(server)), "nothing is under way")

    lines = [0]

    def play(requests, broken):
        pipelined(requests)
        aborts(broken)
        lines[0] += requests // clients // depth * clients * depth + broken // 10 * 10 * 2
        rest()
    play(MANY // 5, ABORTS // 2)
    (sockets, events), resident = at_work(), server.resident()
    play(MANY, ABORTS)
    until(lambda: at_work()[0] <= sockets + 2, f"sockets are as before: {sockets}, {at_work()}")
    assert at_work()[1] <= events + clients
    if not settings.CHECKED:
        assert server.resident() < resident + 4 * 1024 * 1024
    proxied = [line for line in server.access(lines[0]) if line["path"] in ("/small", "/large")]
    assert len(proxied) == lines[0]
