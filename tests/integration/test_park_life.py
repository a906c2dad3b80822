"""What can happen to a server in which hundreds of requests wait and tunnels stand."""
import os
import re
import resource
import select
import signal
import socket
import threading
from pathlib import Path

import pytest

from support import settings
from support.client import Client, fetch, request
from support.waiting import until
from support.wire import Closed, Truncated, answer
from test_park import CONF, WAYS, Held, ask, clients_of
from test_tunnel import echo, open_tunnel, take

pytestmark = pytest.mark.own

WAITING, TUNNELS = (120, 40) if settings.CHECKED else (500, 200)


class Crowd:
    """A server with WAITING requests and TUNNELS tunnels, and clients that know their own."""

    def __init__(self, make, **more):
        self.held = Held(make)
        self.tunnel_backend = make.backend(echo)
        conf = "{P}ProxyPass /ws {ws}/\n" + more.pop("conf", "")
        self.server = self.held.server(make, conf=conf, threads=8, ws=self.tunnel_backend.url, **more)
        self.server.allow_log()
        self.waiting = clients_of(self.server, WAITING)
        ask(self.waiting)
        self.held.wait_for(WAITING)
        self.tunnels = [open_tunnel(self.server.port)[0] for _ in range(TUNNELS)]
        assert all(take(client, 5) == b"hello" for client in self.tunnels)

    def answers(self):
        self.held.free.set()
        return [client.read() for client in self.waiting]

    def everybody_is_answered(self):
        for number, response in enumerate(self.answers()):
            assert (response.status, response.body) == (200, f"/{number}".encode())

    def tunnels_stand(self):
        for number, client in enumerate(self.tunnels):
            client.send(b"%6d" % number)
        return all(take(client, 6) == b"%6d" % number for number, client in enumerate(self.tunnels))

    def close(self):
        for client in self.waiting + self.tunnels:
            client.close()


@pytest.fixture(params=WAYS)
def way(request):
    return WAYS[request.param]


def gone(pids):
    return lambda: not any(os.path.exists(f"/proc/{pid}") for pid in pids)


def closed_by_peer(connection):
    """Asked at once: a socket with a time limit would wait for it also with MSG_DONTWAIT."""
    try:
        look = select.poll()
        look.register(connection.sock, select.POLLIN)
        return bool(look.poll(0)) and connection.sock.recv(1, socket.MSG_PEEK) == b""
    except (OSError, ValueError):
        return True  # closed here


def test_graceful_loses_neither_requests_nor_tunnels(make):
    crowd = Crowd(make)
    before = crowd.server.children()
    crowd.server.graceful()
    assert fetch(crowd.server.port, "/other/x").status == 200  # the new child serves
    assert crowd.tunnels_stand()
    crowd.everybody_is_answered()
    assert crowd.tunnels_stand()
    crowd.close()
    until(gone(before), "the old child ends when its tunnels have ended")


def test_graceful_stop_lets_them_finish(make):
    crowd = Crowd(make)
    children = crowd.server.children()
    crowd.server.end(signal.SIGWINCH)
    crowd.everybody_is_answered()
    assert crowd.tunnels_stand()
    crowd.close()
    until(gone(children), "the children end")


def test_stop_is_quick(make):
    crowd = Crowd(make)
    crowd.server.end(signal.SIGTERM)
    for client in crowd.waiting + crowd.tunnels:
        assert client.at_end()
    crowd.held.free.set()


def test_a_child_that_has_served_enough_answers_those_who_wait(make):
    crowd = Crowd(make, conf=f"MaxConnectionsPerChild {WAITING + TUNNELS + 20}\n")
    first = crowd.server.children()
    for _ in range(40):
        assert fetch(crowd.server.port, "/other/x").status == 200
    until(lambda: set(crowd.server.children()) - set(first), "another child takes over")
    assert crowd.tunnels_stand()
    crowd.everybody_is_answered()
    crowd.close()
    until(gone(first), "the first child ends")


def test_a_killed_child_takes_only_its_own(make):
    crowd = Crowd(make)
    (child,) = crowd.server.children()
    crowd.server.kill_child(child)
    for client in crowd.waiting + crowd.tunnels:
        assert client.at_end()
    until(lambda: [pid for pid in crowd.server.children() if pid != child], "another child is there")
    assert fetch(crowd.server.port, "/other/x").status == 200
    for connection in crowd.held.backend.connections:
        until(lambda c=connection: closed_by_peer(c), "the backend's connections are closed")
    crowd.held.free.set()


def test_descriptors_run_out(make):
    """Clients beyond the limit are not served for a while; those who wait are, and so is everybody afterwards."""
    held = Held(make)
    server = held.server(make, conf="{P}ProxyKeepAliveStay 0\n", threads=8, descriptors=320)
    server.allow_log()
    server.allow_log(r"\[mpm_event:(error|alert|crit)\]|\(24\)Too many open files")
    # What UBSan has once seen it knows; for the first look at an object of the event loop it needs a descriptor.
    with Client(server.port) as first:
        assert all(answers(first) for _ in range(5))
    waiting = clients_of(server, 20)
    ask(waiting)
    held.wait_for(20)
    others = [Client(server.port, timeout=1) for _ in range(340)]
    served = sum(answers(client) for client in others)
    assert served > 150
    held.free.set()
    assert [client.read().status for client in waiting] == [200] * 20
    # A child that could not accept ends, and waits for the clients that it has answered.
    for client in others + waiting:
        client.close()
    until(lambda: answers(Client(server.port, timeout=1)), "new clients are served")


def answers(client):
    try:
        return client.ask(target="/other/x").status == 200
    except (Closed, Truncated, OSError):
        return False


def test_slow_bodies_meet_mod_reqtimeout_while_parked(make):
    held = Held(make)
    held.free.set()
    server = held.server(make, conf="RequestReadTimeout body=1\n", modules=("reqtimeout",))
    server.allow_log()
    with Client(server.port) as client:
        client.send(request("POST", "/slow", [("Content-Length", "100000")]) + b"x" * 60_000)
        assert client.read().status in (400, 408)
    assert fetch(server.port, "/patient").body == b"/patient"


PARKS = int(os.environ.get("CXXPROXY_PARKS", "1000" if settings.CHECKED else "6000"))


RULES = "{P}ProxyPass /other/ {other}/\n{P}ProxyPass / {b}/\n"


def test_the_mpm_accepts_more_where_nobody_says_how_many(make, family):
    held = Held(make)
    server = make.httpd(RULES, family=family, b=held.backend.url, other=held.other.url, threads=4)
    server.allow_log(r"AH00484|AH10159")
    server.expect_log(r"CXP0063: AsyncRequestWorkerFactor is not set: it is 400,")
    clients = clients_of(server, 40)
    ask(clients)
    held.wait_for(40)
    assert fetch(server.port, "/other/x").status == 200
    held.free.set()
    assert [client.read().status for client in clients] == [200] * 40


@pytest.mark.parametrize("conf", ["AsyncRequestWorkerFactor 2\n" + RULES, "<IfModule mpm_event_module>\nAsyncRequestWorkerFactor 3\n</IfModule>\n" + RULES, ""])
def test_the_mpm_is_left_alone_otherwise(make, conf):
    server = make.httpd(conf, b="http://127.0.0.1:9", other="http://127.0.0.1:9")
    server.forbid_log("CXP0063")


CLIENTS = 50  # many times the threads: that all are asked at once proves that most of them wait parked


def test_many_parks_leave_nothing_behind(make, way):
    all_there = threading.Barrier(CLIENTS)

    def together(connection):
        while True:
            connection.read_request()
            all_there.wait(settings.PATIENCE)
            connection.send(answer(b"late"))
    backend = make.backend(together)
    server = make.httpd(way + CONF, b=backend.url, other=backend.url, parameters="", threads=4)
    server.allow_log(r"AH00484|AH10159")
    clients = clients_of(server, CLIENTS)

    def play(requests):
        for _ in range(requests // CLIENTS):
            if way:  # without the guard, the MPM closes kept connections while its threads are busy
                while clients:
                    clients.pop().close()
                clients.extend(clients_of(server, CLIENTS))
            ask(clients)
            assert [client.read().body for client in clients] == [b"late"] * CLIENTS
            del backend.requests[:]
        return server.descriptors(), server.resident()
    before = play(PARKS // 5)
    after = play(PARKS)
    print(f"\n{PARKS} parks: descriptors {before[0]} -> {after[0]}, resident {before[1] >> 10} -> {after[1] >> 10} KiB")
    assert after[0] <= before[0] + 4 + (CLIENTS if way else 0)  # some of the last clients' may still be open
    if not settings.CHECKED:
        assert after[1] < before[1] + 1024 * 1024


@pytest.mark.own
@pytest.mark.parametrize("most, size", [(None, 16384), (1000, 3256)])
def test_the_table_of_descriptors_is_large_at_once(make, most, size):
    """It would grow while a crowd comes, and hold everybody up who wants a descriptor then."""
    server = make.httpd((f"{{P}}ProxyParkMax {most}\n" if most else "") + "{P}ProxyPass / {b}/\n", b=make.echo("b").url)
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]

    def sizes():
        texts = [Path(f"/proc/{pid}/status").read_text() for pid in server.children()]
        return [int(re.search(r"^FDSize:\s+(\d+)$", text, re.MULTILINE)[1]) for text in texts]
    until(lambda: all(number >= min(size, hard) for number in sizes()), "each child has room")
