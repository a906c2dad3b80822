"""Limits and queues: max per child, maxtotal over all, who waits and for how long."""
import os
import re
import select
import signal
import socket
import threading
import time

import pytest

from support.backend import closed_port
from support.balancers import STATUS, numbers, pool
from support.client import Client, fetch, request
from support.load import Load
from support.waiting import until
from support.wire import answer

pytestmark = pytest.mark.own  # mod_proxy has `max` only, and marks a full member as failed

BUSY = r"AH00161|AH00484|AH10159|AH10392"  # httpd's own words about a full server and killed children


def waiting(server, number=0):
    found = re.search(rf"^ProxyBalancer\[{number}\]Waiting: (\d+)$", fetch(server.port, "/server-status?auto").text, re.M)
    return int(found.group(1))


class Gate:
    """A backend that answers with the request's path, one request for each permission.

    `most` is how many requests it ever had in work at a time for somebody who still was there: what a
    killed process had asked for counts for nobody.
    """

    def __init__(self, make, name="gate", pause=None):
        self.turns, self.lock = threading.Semaphore(0), threading.Lock()
        self.pause, self.working, self.most, self.started = pause, set(), 0, []
        self.name = name
        self.backend = make.backend(self.script)
        self.url = self.backend.url

    @staticmethod
    def left(connection):
        ready, _, _ = select.select([connection.sock], [], [], 0)
        return bool(ready) and connection.sock.recv(1, socket.MSG_PEEK) == b""

    def script(self, connection):
        while True:
            asked = connection.read_request()
            with self.lock:
                self.working.add(connection)
                self.working = {one for one in self.working if one is connection or not self.left(one)}
                self.most = max(self.most, len(self.working))
                self.started.append(asked.target)
            if self.pause is None:
                assert self.turns.acquire(timeout=60), "the test never let this request go"
            else:
                threading.Event().wait(self.pause)
            with self.lock:
                self.working.discard(connection)
            connection.send(answer(asked.target.encode(), fields=[("X-Backend", self.name)]))

    def let(self, count):
        for _ in range(count):
            self.turns.release()

    def wait_started(self, count):
        until(lambda: len(self.started) >= count, f"{count} requests at {self.name}, have {self.started}")


def server_of(make, members, balancer="", conf="", **options):
    other = make.echo("other")
    options.setdefault("threads", 4)
    server = make.httpd(conf + STATUS + "{P}ProxyPass /other/ {other}/\nAsyncRequestWorkerFactor 100\n" * (options.get("mpm") != "prefork")
                        + pool(*members, balancer=balancer), other=other.url, modules=("status",), **options)
    server.allow_log(BUSY)
    return server


def ask_in_turn(server, count, first=0):
    """Clients whose requests have come one after the other, and wait."""
    clients = []
    for number in range(first, first + count):
        before = waiting(server)
        clients.append(Client(server.port))
        clients[-1].send(request(target=f"/{number}"))
        until(lambda: waiting(server) == before + 1, f"request {number} waits")
    return clients


def hold(server, gate, count=1):
    """Clients whose requests are with the backend."""
    clients = []
    for number in range(count):
        clients.append(Client(server.port))
        clients[-1].send(request(target=f"/held{number}"))
        gate.wait_started(number + 1)
    return clients


def test_first_come_first_served_without_a_thread(make):
    """Thirty wait for one slot in a child of four threads: others are served, the order is kept."""
    gate = Gate(make)
    server = server_of(make, [f"{gate.url} max=1"])
    first, = hold(server, gate)
    clients = ask_in_turn(server, 30)
    assert fetch(server.port, "/other/x").status == 200
    gate.let(31)
    assert first.read().status == 200
    for number, client in enumerate(clients):
        assert client.read().body == f"/{number}".encode()
    assert gate.started == ["/held0"] + [f"/{n}" for n in range(30)]
    assert gate.most == 1 and len(gate.backend.connections) == 1
    assert numbers(server)[0]["Status"] == "Init Ok" and waiting(server) == 0


@pytest.mark.parametrize("limit", ["max=1", "maxtotal=1"])
def test_a_backend_without_a_balancer(make, limit):
    gate = Gate(make)
    server = make.httpd("{P}ProxyPass / {b}/ " + limit + " acquire=400\n", b=gate.url, threads=4)
    first, = hold(server, gate)
    late = fetch(server.port, "/late")
    assert late.status == 503 and late.fields.get("Retry-After") == "1"
    server.expect_log(r"CXP0132: http://[^ ]+: all connections allowed to the backend are in use for 400 ms \(attempt 1, phase connect\), answered 503")
    gate.let(2)
    assert first.read().status == 200
    assert fetch(server.port, "/next").body == b"/next"  # nobody rests


def test_the_queue_is_bounded(make):
    gate = Gate(make)
    server = server_of(make, [f"{gate.url} maxtotal=1"], "queue=3 queuetimeout=20", processes=2)
    first, = hold(server, gate)
    clients = ask_in_turn(server, 3)
    refused = fetch(server.port, "/refused")
    assert refused.status == 503 and refused.fields.get("Retry-After") == "20"
    server.expect_log(r"CXP0138: balancer://pool: all connections .*, answered 503")
    gate.let(4)
    assert [c.read().status for c in [first, *clients]] == [200] * 4
    assert "/refused" not in gate.started
    assert numbers(server)[0]["Status"] == "Init Ok"


def test_queue_0_lets_nobody_wait(make):
    gate, spare = Gate(make), make.echo("spare")
    server = server_of(make, [f"{gate.url} max=1", f"{spare.url} max=1 lbset=1"], "queue=0")
    first, = hold(server, gate)
    assert fetch(server.port, "/refused").status == 503  # nor is the next set for it: its set is busy, not failed
    server.expect_log("CXP0138")
    gate.let(1)
    assert first.read().status == 200


def test_who_waits_too_long_is_told_so(make):
    gate = Gate(make)
    server = server_of(make, [f"{gate.url} max=1"], "queuetimeout=300ms")
    first, = hold(server, gate)
    begin = time.monotonic()
    late = fetch(server.port, "/late")
    assert late.status == 503 and late.fields.get("Retry-After") == "1"
    assert 0.29 < time.monotonic() - begin < 5
    server.expect_log(r"CXP0132: balancer://pool: all connections .* in use for 300 ms .*, answered 503")
    gate.let(1)
    assert first.read().status == 200
    assert numbers(server)[0]["Status"] == "Init Ok" and numbers(server)[0]["Elected"] == 1


def test_ten_at_once_for_one_slot(make):
    """Each takes 100 ms: all are served in a second, or those whose time is over are told so then."""
    gate = Gate(make, pause=0.1)
    server = server_of(make, [f"{gate.url} max=1"])
    with Load(server.port, clients=10) as load:
        load.wait_done(20)
    assert load.failures == [] and gate.most == 1


def test_a_full_member_is_passed_over(make):
    gate, free = Gate(make, "gate"), make.echo("free")
    server = server_of(make, [f"{gate.url} maxtotal=2", free.url], processes=2)
    held = [Client(server.port) for _ in range(4)]  # in turn: two for each
    for client in held:
        client.send(request(target="/held"))
    gate.wait_started(2)
    until(lambda: len(free.requests) == 2, "the other two are answered")
    assert all(fetch(server.port, f"/{n}").fields.get("X-Backend") == "free" for n in range(20))
    assert [m["Status"] for m in numbers(server)] == ["Init Ok", "Init Ok"]
    assert [m["Elected"] for m in numbers(server)] == [2, 22]
    gate.let(2)
    assert [c.read().status for c in held] == [200] * 4


def test_a_session_waits_for_its_member(make):
    gate, free = Gate(make, "gate"), make.echo("free")
    server = server_of(make, [f"{gate.url} route=a max=1", f"{free.url} route=b"], "stickysession=S")
    first = Client(server.port)
    first.send(request(target="/held", fields=[("Cookie", "S=1.a")]))
    gate.wait_started(1)
    second = Client(server.port)
    second.send(request(target="/mine", fields=[("Cookie", "S=1.a")]))
    until(lambda: waiting(server) == 1, "the session waits")
    assert [fetch(server.port).fields.get("X-Backend") for _ in range(5)] == ["free"] * 5
    gate.let(2)
    assert first.read().status == 200
    assert second.read().body == b"/mine"
    assert gate.started == ["/held", "/mine"]


@pytest.mark.parametrize("leave", [Client.reset, Client.close], ids=["reset", "close"])
def test_a_client_that_leaves_the_queue(make, leave):
    gate = Gate(make)
    server = server_of(make, [f"{gate.url} max=1"], "queue=2")
    first, = hold(server, gate)
    clients = ask_in_turn(server, 2)
    leave(clients[0])
    until(lambda: waiting(server) == 1, "its place is free")
    clients += ask_in_turn(server, 1, first=2)
    gate.let(3)
    assert [c.read().body for c in (first, *clients[1:])] == [b"/held0", b"/1", b"/2"]
    assert gate.started == ["/held0", "/1", "/2"]


def test_graceful_with_a_queue(make):
    gate = Gate(make)
    server = server_of(make, [f"{gate.url} max=1"])
    first, = hold(server, gate)
    clients = ask_in_turn(server, 10)
    server.graceful()
    gate.let(11)
    assert [c.read().status for c in [first, *clients]] == [200] * 11


@pytest.mark.parametrize("mpm", ["event", "prefork"])
def test_maxtotal_is_never_exceeded(make, mpm):
    """Four processes, one killed after the other: never more at work than allowed, everybody is served."""
    gate = Gate(make, pause=0.004)
    server = server_of(make, [f"{gate.url} maxtotal=3"], mpm=mpm, processes=8 if mpm == "prefork" else 4, threads=16)
    with Load(server.port, clients=7 if mpm == "prefork" else 40) as load:
        load.wait_more(150)
        for _ in range(8):
            server.kill_child(server.children()[0])  # the one that is there longest
            load.wait_more(40)
        load.wait_more(150)
    assert gate.most <= 3
    assert len([f for f in load.failures if isinstance(f, tuple)]) == 0, load.failures  # nobody got an error page
    until(lambda: numbers(server)[0]["Busy"] == 0, "none in flight")
    with Load(server.port, clients=3) as load:  # nothing is lost either: three at a time again
        until(lambda: len(gate.working) == 3 or load.failures, "three at work")
    assert load.failures == []


def test_maxtotal_counts_over_reloads(make):
    """Old and new processes share the limit while the old ones serve out what they have."""
    gate = Gate(make, pause=0.004)
    server = server_of(make, [f"{gate.url} maxtotal=3"], processes=4, threads=16)
    with Load(server.port, clients=40) as load:
        for _ in range(3):
            load.wait_more(60)
            server.graceful()
        load.wait_more(60)
    assert gate.most <= 3
    assert [f for f in load.failures if isinstance(f, tuple)] == []


def test_order_over_processes(make):
    """Waiters of four processes are served in the order in which they came."""
    gate = Gate(make)
    server = server_of(make, [f"{gate.url} maxtotal=1"], processes=4)
    first, = hold(server, gate)
    clients = ask_in_turn(server, 24)
    for number, client in enumerate([first, *clients]):
        gate.let(1)
        assert client.read().status == 200
        gate.wait_started(min(number + 2, 25))
    assert gate.started == ["/held0"] + [f"/{n}" for n in range(24)]


def test_a_stopped_process_stops_nobody(make):
    """One process hangs with the oldest waiter: the others pass it after its grace."""
    gate = Gate(make, pause=0.002)
    server = server_of(make, [f"{gate.url} maxtotal=1"], processes=4, threads=8)
    with Load(server.port, clients=32) as load:
        load.wait_more(100)
        hung = server.children()[0]
        os.kill(hung, signal.SIGSTOP)
        try:
            holds = [until(lambda: load.done, "going on")]
            before = load.done
            until(lambda: load.done > before + 50 or len(gate.working) == 0, "the others are served, or it holds the permit itself", timeout=20)
            assert holds
        finally:
            os.kill(hung, signal.SIGCONT)
        load.wait_more(50)
    assert gate.most == 1


@pytest.mark.parametrize("mpm", ["event", "prefork"])
def test_timeout_of_a_balancer_keeps_every_waiter(make, mpm):
    """mod_proxy lets one wait, and answers the others 503 at once. Here all wait, and all are served."""
    member = make.echo("member")
    member.refuse()
    server = server_of(make, [f"{member.url} retry=2"], "timeout=10 forcerecovery=Off", mpm=mpm, processes=8 if mpm == "prefork" else 1)
    server.allow_log()
    assert fetch(server.port, "/down").status == 503
    member.listen()
    clients = ask_in_turn(server, 6)
    assert [c.read().status for c in clients] == [200] * 6
    assert waiting(server) == 0


def test_timeout_of_a_balancer_ends(make):
    server = server_of(make, [f"http://127.0.0.1:{closed_port()} status=D"], "timeout=1")
    begin = time.monotonic()
    assert fetch(server.port).status == 503
    assert 0.9 < time.monotonic() - begin < 8
    server.expect_log(r"CXP0131: balancer://pool: no member of the balancer is usable for 1 s .*, answered 503")


@pytest.mark.parametrize("parameters, kept", [("ttl=1 smax=1", 1), ("ttl=1 min=1", 1), ("ttl=1", 0), ("smax=1", 1)])
def test_which_idle_connections_are_kept(make, parameters, kept):
    gate = Gate(make)
    server = server_of(make, [f"{gate.url} {parameters}"])
    clients = hold(server, gate, 3)
    gate.let(4)
    assert [c.read().status for c in clients] == [200] * 3
    if "ttl" in parameters:
        idle_since = threading.Event()
        until(lambda: idle_since.wait(1.3) or True, "the connections are older than ttl")
    assert fetch(server.port, "/next").status == 200
    assert len(gate.backend.connections) == 3 + (1 if kept == 0 else 0)
    until(lambda: sum(not c.over for c in gate.backend.connections) == 1, "the others are closed")
