"""What blocks on the event loop holds its own request, and no other.

The hook of tests/bench/sleeping_hook.cpp waits inside a request until the test opens a FIFO, so "while it blocks" is certain and
no time is measured.
"""
import base64
import os
import threading

import pytest

from support import settings
from support.client import Client, fetch, request
from support.loop import LOOP, adopt, is_read, on_loop, threads, together
from support.waiting import stays, until
from support.wire import answer
from test_park_life import closed_by_peer

pytestmark = pytest.mark.own

HOOK = f"LoadModule bench_sleep_module {settings.HOOK_SO}\n"
MOST = 16  # strikes of a backend that leave it on the loop
# Two backends: what requests to one of them do is held against that one only.
CONF = "{P}ProxyPass /other/ {other}/\n{P}ProxyPass / {b}/\n"
BARRED = r"cxxproxy:notice.*CXP0066: requests to \S+ have blocked the event loop"


class Gate:
    """A FIFO: who opens it for reading waits until open() was called here."""

    def __init__(self, server):
        self.path = server.root / "htdocs" / "gate"
        os.mkfifo(self.path)
        self.path.chmod(0o666)

    @property
    def fields(self):
        return [("X-Bench-Wait", str(self.path))]

    def open(self):
        """Lets everybody through, again and again until close() of the returned descriptor."""
        try:
            return os.open(self.path, os.O_WRONLY | os.O_NONBLOCK)
        except OSError:
            return None  # nobody waits


def server_of(make, conf="", **more):
    server = make.httpd(HOOK + LOOP + conf + CONF, b=make.echo("b").url, other=make.echo("other").url, **more)
    return server, Gate(server)


def release(gate, clients):
    """Opens the gate until all of them have their answer; their statuses."""
    done = threading.Event()

    def let_through():
        while not done.wait(0.01):
            if (descriptor := gate.open()) is not None:
                os.close(descriptor)
    opener = threading.Thread(target=let_through, daemon=True)
    opener.start()
    try:
        return [client.read().status for client in clients]
    finally:
        done.set()
        opener.join()


def others_are_served(others, rounds=30):
    together(lambda number: [others[number].ask(target=f"/other/{n}") for n in range(rounds)], len(others))


def test_others_are_served_while_a_hook_blocks(make):
    server, gate = server_of(make, modules=("status",))  # so that the scoreboard is written by all of them
    others = adopt(server.port, 6, "/other/x")
    blocking = adopt(server.port, 5)
    for client in blocking:
        client.send(request(target="/blocks", fields=gate.fields))
    others_are_served(others)
    assert not any(has_answer(client) for client in blocking)
    assert release(gate, blocking) == [200] * 5
    assert [client.ask(target="/again").status for client in blocking] == [200] * 5
    others_are_served(others)
    assert len(threads(server, "/other/")) < 8 and on_loop(server, 6 * (1 + 2 * 30), "/other/")
    assert len(server.access(11 + 360 + 10)) == 11 + 360 + 10
    server.forbid_log("CXP0066")


def test_a_connection_whose_requests_block_is_served_by_workers(make):
    """Others go on asking the same backend on the loop."""
    server, gate = server_of(make)
    others, blocking = adopt(server.port, 4), adopt(server.port, 4)
    for _ in range(2):
        for client in blocking:
            client.send(request(target="/blocks", fields=gate.fields))
        until(lambda: all(is_read(client) for client in blocking), "all are under way")
        assert others[0].ask(target="/between").status == 200  # the last one has lost the loop as well
        assert release(gate, blocking) == [200] * 4
    together(lambda number: [others[number].ask(target=f"/same/{n}") for n in range(30)], 4)
    assert on_loop(server, 4 * 30, "/same/")
    together(lambda number: [blocking[number].ask(target=f"/after/{n}") for n in range(30)], 4)
    until(lambda: sum(threads(server, "/after/").values()) == 4 * 30, "all are logged")
    assert threads(server, "/same/").most_common(1)[0][0] not in threads(server, "/after/")
    server.forbid_log("CXP0066")


def has_answer(client):
    client.sock.setblocking(False)
    try:
        return bool(client.reader.buffer) or client.reader._more() or True
    except BlockingIOError:
        return False
    finally:
        client.sock.settimeout(settings.PATIENCE)


def test_a_backend_whose_requests_block_is_served_by_workers(make):
    server, gate = server_of(make)
    blocking, before = adopt(server.port, MOST + 4), adopt(server.port, 4)
    for client in blocking:
        client.send(request(target="/blocks", fields=gate.fields))
    server.expect_log(BARRED)
    assert release(gate, blocking) == [200] * (MOST + 4)
    clients = adopt(server.port, 8, "/barred")
    together(lambda number: [clients[number].ask(target=f"/barred/{n}") for n in range(30)], 8)
    assert not on_loop(server, 8 * 31, "/barred")
    together(lambda number: [before[number].ask(target=f"/before/{n}") for n in range(30)], 4)
    assert not on_loop(server, 4 * 30, "/before/")  # which were the loop's
    others = adopt(server.port, 4, "/other/x")
    others_are_served(others, 50)
    assert on_loop(server, 4 * 51, "/other/")
    assert server.error_log().count("CXP0066") == 1


def test_others_are_served_however_many_block(make):
    """After some of them the backend is barred, while they still block, and workers take the others."""
    server, gate = server_of(make, threads=32)
    others, blocking = adopt(server.port, 4, "/other/x"), adopt(server.port, 24)
    for client in blocking:
        client.send(request(target="/blocks", fields=gate.fields))
    server.expect_log(BARRED)
    others_are_served(others)
    assert not any(has_answer(client) for client in blocking)
    assert release(gate, blocking) == [200] * 24
    others_are_served(others)
    others_are_served(blocking)


def test_an_authentication_that_blocks(make):
    """It may always block, so the loop is given to another thread before, and it is no strike."""
    server, gate = server_of(make, """
<Location /private>
    AuthType Basic
    AuthName here
    AuthUserFile {root}/htdocs/gate
    Require valid-user
</Location>
""", modules=("authn_core", "authn_file", "authz_user", "auth_basic"))
    server.allow_log("AH01620|AH01618|auth_basic:error|authn_file:error|AH0")
    others, private = adopt(server.port, 5, "/other/x"), adopt(server.port, 5)
    for client in private:
        client.send(request(target="/private/x", fields=[("Authorization", "Basic " + base64.b64encode(b"joe:secret").decode())]))
    others_are_served(others)
    assert not any(has_answer(client) for client in private)
    assert release(gate, private) == [500] * 5  # a FIFO is no file of passwords
    assert on_loop(server, 5 * 31, "/other/")
    server.forbid_log("CXP0066")


def test_a_handler_of_others_that_blocks(make):
    """A CGI program that waits. The loop has as many threads for such requests as there are workers."""
    server, gate = server_of(make, """
{P}ProxyPass /cgi !
ScriptAlias /cgi {root}/htdocs/wait.sh
""", modules=("cgid",), threads=32)
    script = server.root / "htdocs" / "wait.sh"
    script.write_text(f"#!/bin/sh\nread line <{gate.path}\nprintf 'Content-Type: text/plain\\n\\ndone'\n")
    script.chmod(0o755)
    others, waiting = adopt(server.port, 5, "/other/x"), adopt(server.port, 20)
    for client in waiting:
        client.send(request(target="/cgi"))
    others_are_served(others)
    assert not any(has_answer(client) for client in waiting)
    assert release(gate, waiting) == [200] * 20
    assert [client.ask(target="/again").status for client in waiting] == [200] * 20
    assert on_loop(server, 5 * 31, "/other/")
    server.forbid_log("CXP0066")


def test_a_hook_that_blocks_for_longer_than_the_timeout(make):
    """The MPM gives such a connection up, as far as it knows nothing happens there. It must not wait for the hook with its
    listener, and the request comes to its end."""
    server, gate = server_of(make, "Timeout 2\nKeepAliveTimeout 100\n")
    server.allow_log(BARRED)
    blocking, others = adopt(server.port, 3), adopt(server.port, 3, "/other/x")
    for client in blocking:
        client.send(request(target="/blocks", fields=gate.fields))
    until(lambda: all(is_read(client) for client in blocking), "all are under way")
    stays(lambda: fetch(server.port, "/other/new").status == 200 and others[0].ask(target="/other/kept").status == 200, "others are served", 4)
    assert not any(has_answer(client) for client in blocking)
    assert release(gate, blocking) == [200] * 3
    others_are_served(others)


def test_graceful_and_clients_that_go_while_a_hook_blocks(make):
    server, gate = server_of(make, "KeepAliveTimeout 100\n")
    server.allow_log(BARRED)
    server.allow_log()
    others, blocking, leaving = adopt(server.port, 4, "/other/x"), adopt(server.port, 4), adopt(server.port, 4)
    for client in blocking + leaving:
        client.send(request(target="/blocks", fields=gate.fields))
    until(lambda: all(is_read(client) for client in blocking + leaving), "all are under way")
    old = server.children()
    server.graceful()
    for client in leaving:
        client.reset()
    for client in others:
        until(lambda c=client: closed_by_peer(c), "idle ones are closed")
    assert release(gate, blocking) == [200] * 4
    until(lambda: not set(old) & set(server.children()), "the old child ends")
    with Client(server.port) as client:
        assert client.ask(target="/new").status == 200
