"""Requests that wait give their thread back: a few threads, many waiting requests, nobody notices."""
import gzip
import threading

import pytest

from support.client import Client, fetch, request
from support.tls import tls_host
from support.waiting import until
from support.wire import answer

pytestmark = pytest.mark.own  # mod_proxy holds a thread for each; its 4 threads would serve 4

# httpd before 2.4.63 has another way of waiting; the define takes it on a newer one.
WAYS = {"now": "", "before 2.4.63": "Define CXXPROXY_OLD_PARKING\n"}

CONF = """
AsyncRequestWorkerFactor 100
{P}ProxyPass /other/ {other}/
{P}ProxyPass / {b}/ {parameters}
"""


@pytest.fixture(params=WAYS)
def way(request):
    return WAYS[request.param]


class Held:
    """A backend that answers nobody until it is released; then everybody, with the path."""

    def __init__(self, make, body=None):
        self.free = threading.Event()
        self.body = body
        self.backend = make.backend(self.script)
        self.other = make.echo("other")

    def script(self, connection):
        while True:
            got = connection.read_request()
            connection.wait(self.free)
            connection.send(answer(self.body or got.target.encode()))

    def server(self, make, way="", parameters="", conf="", threads=4, **more):
        server = make.httpd(way + conf + CONF, b=self.backend.url, other=self.other.url, parameters=parameters, threads=threads, **more)
        server.allow_log(r"AH00484|AH10159")  # the MPM counts connections that wait as busy
        return server

    def wait_for(self, count):
        until(lambda: len(self.backend.requests) == count, f"{count} requests at the backend")


def ask(clients, target="/{}"):
    for number, client in enumerate(clients):
        client.send(request(target=target.format(number)))


def clients_of(server, count):
    return [Client(server.port) for _ in range(count)]


def test_many_wait_and_others_are_served(make, way):
    held = Held(make)
    server = held.server(make, way)
    clients = clients_of(server, 60)
    ask(clients)
    held.wait_for(60)
    assert fetch(server.port, "/other/x").status == 200
    held.free.set()
    for number, client in enumerate(clients):
        assert client.read().body == f"/{number}".encode()
        client.close()
    assert len(server.access(61)) == 61


def test_the_connection_is_an_ordinary_one_afterwards(make, way):
    held = Held(make)
    server = held.server(make, way)
    with Client(server.port) as client:
        client.send(request(target="/first"))
        held.wait_for(1)
        held.free.set()
        assert client.read().body == b"/first"
        for number in range(5):
            assert client.ask(target=f"/{number}").body == f"/{number}".encode()
            assert client.ask(target="/other/x").status == 200


def test_pipelined_requests_wait_one_after_the_other(make, way):
    held = Held(make)
    server = held.server(make, way)
    with Client(server.port) as client:
        client.send(request(target="/a") + request(target="/b") + request(target="/c"))
        held.wait_for(1)
        held.free.set()
        assert [client.read().body for _ in range(3)] == [b"/a", b"/b", b"/c"]


def test_a_client_that_goes_away_ends_the_work(make, way):
    held = Held(make)
    server = held.server(make, way)
    clients = clients_of(server, 12)
    ask(clients)
    held.wait_for(12)
    for client in clients:
        client.reset()
    server.expect_log("CXP0123")
    assert [line["status"] for line in server.access(12)] == ["499"] * 12
    held.free.set()


def test_a_client_that_half_closes_gets_its_answer(make, way):
    held = Held(make)
    server = held.server(make, way)
    with Client(server.port) as client:
        client.send(request(target="/half", fields=[("Connection", "close")]))
        held.wait_for(1)
        client.half_close()
        held.free.set()
        assert client.read().body == b"/half"


def test_a_backend_that_dies_with_many_waiting(make, way):
    held = Held(make)
    server = held.server(make, way)
    server.allow_log()
    clients = clients_of(server, 40)
    ask(clients)
    held.wait_for(40)
    held.backend.go_down()
    assert [client.read().status for client in clients] == [502] * 40
    held.free.set()


def test_the_time_limit_holds_while_waiting(make, way):
    held = Held(make)
    server = held.server(make, way, "timeout=300ms")
    server.allow_log()
    clients = clients_of(server, 10)
    ask(clients)
    assert [client.read().status for client in clients] == [504] * 10
    held.free.set()


def test_an_error_page_of_a_parked_request(make, way):
    held = Held(make)
    server = held.server(make, way, "timeout=200ms", conf="ErrorDocument 504 /other/page\n")
    server.allow_log()
    response = fetch(server.port, "/slow")
    assert response.status in (200, 504) and response.json()["backend"] == "other"
    held.free.set()


def test_a_wait_longer_than_timeout(make, way):
    """The MPM closes what it polls for Timeout; the request comes back before that and waits on."""
    held = Held(make)
    server = held.server(make, way, "timeout=30", conf="Timeout 1\n")
    with Client(server.port) as client:
        client.send(request(target="/patient"))
        held.wait_for(1)
        timer = threading.Timer(3, held.free.set)
        timer.start()
        assert client.read().body == b"/patient"
        timer.join()


def test_an_upload_that_stalls_holds_no_thread(make, way):
    held = Held(make)
    held.free.set()
    server = held.server(make, way)
    body = b"x" * 300_000
    clients = clients_of(server, 20)
    whole = request("POST", "/up", body=body)
    for client in clients:
        client.send(whole[:-100_000])
    assert fetch(server.port, "/other/x").status == 200
    for client in clients:
        client.send(whole[-100_000:])
    assert [client.read().body for client in clients] == [b"/up"] * 20
    assert all(r.body.data == body for r in held.backend.requests)


def test_clients_that_read_slowly_hold_no_thread(make, way):
    body = bytes(range(256)) * 40_000  # more than the sockets between hold
    held = Held(make, body)
    held.free.set()
    server = held.server(make, way)
    clients = [Client(server.port, receive_buffer=4096) for _ in range(12)]
    ask(clients)
    held.wait_for(12)
    assert fetch(server.port, "/other/x").status == 200
    for client in clients:
        assert client.read().body == body


def test_events_come_one_by_one(make, way):
    """Lock-step: each event is waited for at the client before the backend sends the next one."""
    turns = [threading.Semaphore(0) for _ in range(12)]

    def stream(connection):
        number = int(connection.read_request().target[1:])
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
        for event in range(5):
            assert turns[number].acquire(timeout=20)
            text = b"data: %d\n\n" % event
            connection.send(b"%x\r\n%s\r\n" % (len(text), text))
        connection.send(b"0\r\n\r\n")

    held = Held(make)
    held.backend.use(stream)
    server = held.server(make, way)
    clients = clients_of(server, 12)
    ask(clients)
    for turn in turns:
        turn.release()
    pieces = [client.body_pieces(client.read_head()) for client in clients]
    for event in range(5):
        for number in range(12):
            assert next(pieces[number]) == b"data: %d\n\n" % event
            turns[number].release()
    assert all(list(rest) == [] for rest in pieces)


def test_behind_tls_and_deflate(make):
    held = Held(make, b"text " * 1000)
    server = held.server(make, conf=tls_host("SetOutputFilter DEFLATE", "{P}ProxyPass / {b}/"), modules=("deflate", "filter"), tls=True)
    clients = []
    for _ in range(10):  # one after the other: httpd itself holds a thread from the handshake to the first request
        clients.append(Client(server.tls_port, server_name="proxy.test"))
        clients[-1].send(request(fields=[("Accept-Encoding", "gzip")]))
    held.wait_for(10)
    held.free.set()
    for client in clients:
        response = client.read()
        assert response.fields.get("Content-Encoding") == "gzip" and gzip.decompress(response.body) == held.body


def test_graceful_and_stop_with_many_waiting(make, way):
    held = Held(make)
    server = held.server(make, way)
    clients = clients_of(server, 20)
    ask(clients)
    held.wait_for(20)
    server.graceful()
    assert fetch(server.port, "/other/x").status == 200
    held.free.set()
    assert [client.read().status for client in clients] == [200] * 20


def test_off_by_directive_and_by_place(make):
    held = Held(make)
    server = held.server(make, conf="""
<Location /here/>
    {P}ProxyPark Off
</Location>
""", threads=4)
    held.free.set()
    assert fetch(server.port, "/here/a").body == b"/here/a"


def test_a_full_lot_makes_the_others_wait_on_their_threads(make):
    held = Held(make)
    server = held.server(make, conf="{P}ProxyParkMax 2\n")
    server.allow_log("CXP0062")
    clients = clients_of(server, 4)
    ask(clients)
    held.wait_for(4)
    assert fetch(server.port, "/other/x").status == 200
    held.free.set()
    assert [client.read().status for client in clients] == [200] * 4
