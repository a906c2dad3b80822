"""Kept client connections are served by an event loop: counts, bytes and everything that can happen while a request waits."""
import hashlib
import threading

import pytest

from support import settings
from support.balancers import STATUS
from support.client import Client, fetch, request
from support.load import Load
from support.loop import LOOP, adopt, descriptor_kinds, on_loop, status, together
from support.tls import tls_host
from support.waiting import until
from support.wire import answer
from test_park import Held, ask

pytestmark = pytest.mark.own  # mod_proxy has no such loop

CONF = "{P}ProxyPass / {b}/\n"
DEFAULT = LOOP.replace("{P}ProxyKeepAliveStay 0\n", "")
# What httpd has when nobody speaks of it, and what makes a lone client's connection the loop's.
STAYS = {"stay": DEFAULT, "no stay": LOOP}


def body_of(target):
    return hashlib.sha256(target.encode()).hexdigest().encode() * (sum(target.encode()) % 600)


def by_path(connection):
    while True:
        connection.send(answer(body_of(connection.read_request().target)))


# --- who serves, and whether everything is counted ---------------------------------------------------

@pytest.mark.parametrize("stay", STAYS)
def test_many_connections_are_served_by_one_thread(make, stay):
    server = make.httpd(STAYS[stay] + CONF, b=make.backend(by_path).url)
    clients, rounds = 12, 60
    with_first = threading.Barrier(clients)

    def work(number):
        with Client(server.port) as client:
            with_first.wait(60)
            for n in range(20):
                assert client.ask(target=f"/first/{number}/{n}").status == 200
            with_first.wait(60)
            for n in range(rounds):
                target = f"/many/{number}/{n}"
                assert client.ask(target=target).body == body_of(target)
    together(work, clients)
    assert on_loop(server, clients * rounds, "/many/")
    assert len(server.access(clients * (rounds + 20))) == clients * (rounds + 20)


def test_lines_longer_than_httpd_takes_at_once(make):
    """Its readers take 8,192 bytes of a line at a time, from what the loop has read."""
    def tells(connection):
        while True:
            asked = connection.read_request()
            connection.send(answer(hashlib.sha256((asked.target + asked.fields.get("X-Long", "")).encode()).hexdigest().encode()))

    server = make.httpd("LimitRequestLine 60000\nLimitRequestFieldSize 60000\n" + LOOP + CONF, b=make.backend(tells).url)
    sizes = [*range(8180, 8200), 16384, 30000]
    clients = adopt(server.port, 4)

    def work(number):
        for size in sizes:
            letters = "".join(chr(97 + (n * n + number) % 26) for n in range(size))
            for target, field in ((f"/long/{letters}", ""), ("/long/", letters)):
                got = clients[number].ask(target=target, fields=[("X-Long", field)] if field else ())
                assert got.body == hashlib.sha256((target + field).encode()).hexdigest().encode()
    together(work, 4)
    assert on_loop(server, 4 * 2 * len(sizes), "/long/")


def test_without_it_workers_share_the_requests(make):
    """The control of the test above."""
    server = make.httpd(LOOP.replace("Reactor On", "Reactor Off") + CONF, b=make.backend(by_path).url)
    clients = adopt(server.port, 12)
    together(lambda number: [clients[number].ask(target=f"/many/{n}") for n in range(40)], 12)
    assert not on_loop(server, 480, "/many/")


@pytest.mark.parametrize("limit", ["", "ThreadLimit 40\n"])
def test_every_request_is_counted(make, limit):
    """`limit`: the scoreboard has rows that no worker uses, or has none."""
    server = make.httpd(limit + LOOP + STATUS + CONF, b=make.backend(by_path).url, modules=("status",))
    clients = adopt(server.port, 8)
    together(lambda number: [clients[number].ask(target=f"/counted/{n}") for n in range(50)], 8)
    lines = server.access(8 + 8 * 50)
    assert len(lines) == 8 + 8 * 50
    assert [int(line["bytes"]) for line in lines] == [len(body_of(line["path"])) for line in lines]
    asked = [8 + 8 * 50]

    def counted():
        """Each look is itself a request, which the next one counts."""
        now, expected = status(server), asked[0]
        asked[0] += 1
        return now if int(now["Total Accesses"]) == expected else None
    now = until(counted, "all are counted")
    # To the kilobyte, and the page itself.
    assert abs(int(now["Total kBytes"]) - sum(int(line["bytes"]) for line in lines) // 1024) < 4
    assert int(now["Total Duration"]) < 3600_000  # milliseconds, of about 400 requests that waited for nothing
    for client in clients:
        client.close()
    until(lambda: at_rest(status(server)), "nothing is left in the counters")


def at_rest(counters):
    """Of the MPM: only the connection that asks."""
    return (counters["ConnsAsyncWriting"], counters["ConnsAsyncKeepAlive"], counters["ConnsAsyncClosing"]) == ("0", "0", "0") and \
        int(counters["ConnsTotal"]) <= 1 and counters["BusyWorkers"] == "1"


def test_a_connection_costs_one_descriptor_while_it_is_adopted(make):
    server = make.httpd(LOOP + CONF, b=make.backend(by_path).url)
    clients = adopt(server.port, 10)
    assert [client.ask().status for client in clients] == [200] * 10
    adopted = descriptor_kinds(server)["anon_inode:[eventfd]"]
    for client in clients:
        client.close()
    until(lambda: descriptor_kinds(server)["anon_inode:[eventfd]"] == adopted - 10, "none is left")


# --- while a request waits ------------------------------------------------------------------------------

def loop_of(make, **more):
    """A backend that holds its answers, and clients that are the loop's."""
    held = Held(make)
    server = held.server(make, LOOP, **more)
    return held, server


def test_many_wait_and_others_are_served(make):
    held, server = loop_of(make, threads=4)
    clients, others = adopt(server.port, 40, "/other/x"), adopt(server.port, 3, "/other/x")
    ask(clients, "/held/{}")
    held.wait_for(40)
    for other in others:
        for n in range(20):
            assert other.ask(target=f"/other/{n}").status == 200
    held.free.set()
    for number, client in enumerate(clients):
        assert client.read().body == f"/held/{number}".encode()
        assert client.ask(target="/other/again").status == 200
    assert on_loop(server, 40, "/held/")
    assert len(server.access(43 + 40 + 60 + 40)) == 43 + 40 + 60 + 40


def test_a_backend_that_dies_with_many_waiting(make):
    held, server = loop_of(make)
    server.allow_log()
    clients = adopt(server.port, 10, "/other/x")
    ask(clients, "/held/{}")
    held.wait_for(10)
    held.backend.go_down()
    assert [client.read().status for client in clients] == [502] * 10
    assert [client.ask(target="/other/x").status for client in clients] == [200] * 10


def test_a_backend_that_does_not_answer(make):
    held, server = loop_of(make, parameters="timeout=1")
    server.allow_log()
    clients = adopt(server.port, 5, "/other/x")
    ask(clients, "/held/{}")
    assert [client.read().status for client in clients] == [504] * 5
    assert [client.ask(target="/other/x").status for client in clients] == [200] * 5


@pytest.mark.parametrize("leave", [Client.reset, Client.close], ids=["reset", "close"])
def test_a_client_that_goes_away_ends_the_work(make, leave):
    gone = []

    def script(connection):
        connection.read_request()
        connection.wait_close()
        gone.append(connection.number)
    held = make.backend(script)
    server = make.httpd(LOOP + "{P}ProxyPass /held/ {held}/\n" + CONF, b=make.echo().url, held=held.url)
    server.allow_log()
    clients = adopt(server.port, 6, "/other/x")
    ask(clients, "/held/{}")
    until(lambda: len(held.requests) == 6, "all wait")
    for number, client in enumerate(clients):
        leave(client)
        until(lambda n=number: len(gone) == n + 1, "its backend connection is ended")
    lines = [line for line in server.access(12) if line["path"].startswith("/held/")]
    assert len(lines) == 6 and all(line["conn"] == "X" for line in lines)


def test_a_client_that_half_closes_gets_its_answer(make):
    held, server = loop_of(make, conf="KeepAliveTimeout 100\n")
    waiting, quick = adopt(server.port, 2, "/other/x")
    ask([waiting], "/held/{}")
    held.wait_for(1)
    waiting.half_close()
    quick.send(request(target="/other/quick"))
    quick.half_close()
    assert quick.read().status == 200 and quick.at_end()  # at once: the loop had both in one event
    held.free.set()
    assert waiting.read().body == b"/held/0" and waiting.at_end()


def test_a_tls_client_that_ends_without_a_word(make):
    """No close_notify, only the end of the stream: seen at once, as on a worker."""
    held = Held(make)
    server = make.httpd("KeepAliveTimeout 100\n" + LOOP + """
{P}ProxyPass /other/ {other}/
{P}ProxyPass / {b}/
""" + tls_host("{P}ProxyPassInherit On"), b=held.backend.url, other=held.other.url, tls=True)
    waiting, quick, idle = adopt(server.tls_port, 3, "/other/x", server_name="proxy.test")
    ask([waiting], "/held/{}")
    held.wait_for(1)
    quick.send(request(target="/other/quick"))
    for client in (idle, quick, waiting):
        client.half_close()  # of the socket below; what comes from here on is not decrypted
    held.free.set()
    for client in (idle, quick, waiting):
        while client.reader._more():
            pass
    assert len([line for line in server.access(5) if line["status"] == "200"]) == 5


@pytest.mark.parametrize("whole, first", [(request(target="/slow", fields=[("X-Some", "thing")]), 20), (request("POST", "/slow", body=b"x" * 5000), 90)],
                         ids=["head", "body"])
def test_clients_that_send_slowly_hold_no_other(make, whole, first):
    """More of them than workers: what cannot be read whole is no business of the loop, and those who wait for a worker do not hold it."""
    server = make.httpd(LOOP + CONF, b=make.echo().url, threads=4)
    server.allow_log("AH00484|AH10159")
    others, slow = adopt(server.port, 4), adopt(server.port, 20)
    for client in slow:
        client.send(whole[:first])
    for _ in range(30):
        assert [client.ask(target="/other").status for client in others] == [200] * 4
    assert on_loop(server, 120, "/other")
    for client in slow:
        client.send(whole[first:])
    assert [client.read().status for client in slow] == [200] * 20


def test_slow_readers_beside_others(make):
    large = b"0123456789abcdef" * (1 << 19)
    server = make.httpd(LOOP + "{P}ProxyPass /large/ {large}/\n" + CONF, b=make.backend(by_path).url,
                        large=make.backend(lambda c: [c.send(answer(large)) for _ in iter(c.read_request, None)]).url)
    slow = [Client(server.port, receive_buffer=4096) for _ in range(4)]
    for client in slow:
        assert client.ask(target="/x").body == body_of("/x")
        client.send(request(target="/large/x"))
        assert client.read_head().status == 200
    others = adopt(server.port, 6)
    together(lambda number: [others[number].ask(target=f"/many/{n}") for n in range(40)], 6)
    assert on_loop(server, 240, "/many/")
    for client in slow:
        assert client.reader.exactly(len(large)) == large
        assert client.ask(target="/y").body == body_of("/y")


def test_load_without_a_failure(make):
    server = make.httpd(DEFAULT + CONF, b=make.backend(by_path).url, processes=2)
    with Load(server.port, clients=16, target="/x") as load:
        load.wait_done(2000)
    assert load.failures == [] and set(load.bodies) == {body_of("/x")}


# --- where it can be --------------------------------------------------------------------------------------

@pytest.mark.parametrize("mpm", ["worker", "prefork"])
@pytest.mark.parametrize("said", ["On", "Auto"])
def test_another_mpm_serves_as_ever(make, mpm, said):
    server = make.httpd("{P}ProxyReactor " + said + "\n" + CONF, b=make.backend(by_path).url, mpm=mpm, processes=4)
    if said == "On":
        server.expect_log("cxxproxy:warn.*CXP0065")
    for client in adopt(server.port, 4):
        assert client.ask(target="/x").body == body_of("/x")
    if said == "Auto":
        server.forbid_log("CXP0065")


# Modules that want a set-up of their own, or exclude another one that is loaded.
NOT_LOADED = ("proxy", "mpm_", "lbmethod_", "heart", "md", "authnz_fcgi", "httpd")


def stock_modules():
    names = sorted(path.name[len("mod_"):-len(".so")] for path in settings.MODULES.glob("mod_*.so"))
    return [name for name in names if not name.startswith(NOT_LOADED) and "cxxproxy" not in name]


def test_beside_every_stock_module(make):
    """All that httpd comes with is loaded, and some of it is at work."""
    backend = make.backend(lambda c: [c.send(answer(b"one two three " * 500, fields=[("Content-Type", "text/html")]))
                                      for _ in iter(c.read_request, None)])
    modules = stock_modules()
    assert len(modules) > 60, modules
    server = make.httpd(LOOP + """
CookieTracking On
ForensicLog {root}/forensic.log
DumpIOInput On
DumpIOOutput On
RequestReadTimeout header=20-40,MinRate=500 body=20,MinRate=500
RemoteIPHeader X-Client
RewriteEngine On
RewriteRule ^/written/(.*)$ /read/$1 [PT]
<Location />
    AddOutputFilterByType SUBSTITUTE;DEFLATE text/html
    Substitute s|two|2|
    SetOutputFilter BUFFER
    ExpiresActive On
    ExpiresDefault "access plus 1 hour"
</Location>
""" + CONF, b=backend.url, modules=modules)
    server.allow_log("AH01873|CXP0066")  # no session cache for TLS
    clients = adopt(server.port, 6)

    def work(number):
        for n in range(20):
            found = clients[number].ask(target=f"/written/{n}", fields=[("X-Client", "192.0.2.7")])
            assert found.status == 200 and found.body == b"one 2 three " * 500
            assert found.fields.get("Expires") and "Apache=" in found.fields.get("Set-Cookie")
    together(work, 6)
    # A sanitizer's run of all of this takes the loop's thread for so long that another one, or a worker, may take its place.
    assert settings.CHECKED or on_loop(server, 120, "/read/")
    assert backend.requests[-1].fields.get("X-Forwarded-For") == "192.0.2.7"
