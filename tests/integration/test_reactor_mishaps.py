"""What may happen to a connection at the moment that it goes to the event loop or comes back from it.

The module of tests/bench/sleeping_hook.cpp does it, by a define.
"""
import pytest

from support.client import Client, fetch, request
from support.loop import LOOP, adopt, descriptor_kinds, on_loop
from support.waiting import stays, until
from support.wire import Closed
from test_park import Held
from test_reactor_blocking import HOOK

pytestmark = pytest.mark.own


def server_with(make, mishap, backend, conf="", **more):
    return make.httpd(f"Define {mishap}\n" + HOOK + conf + LOOP + "{P}ProxyPass / {b}/\n",
                      b=backend.url, **more)


def descriptors(server):
    return sum(descriptor_kinds(server).values())


def test_a_connection_that_has_failed_is_not_taken_again(make):
    """The MPM has it back for a moment (before Timeout), sees that it is broken and closes it."""
    held = Held(make)
    server = server_with(make, "BENCH_ABORT", held.backend, conf="Timeout 1\n{P}ProxyTimeout 60\n")
    server.wait_for_threads()
    before = descriptors(server)
    for number in range(8):
        with Client(server.port) as client:
            client.send(request(target=f"/held/{number}"))
            held.wait_for(number + 1)
            assert client.at_end()
    assert {line["path"] for line in server.access(8)} == {f"/held/{number}" for number in range(8)}
    until(lambda: descriptors(server) <= before + 4, "the descriptors are closed")


def test_the_mpm_cannot_poll_what_the_loop_has(make):
    """It closes the connection, and then the child ends."""
    held = Held(make)
    server = server_with(make, "BENCH_CLOSE", held.backend)
    server.allow_log("AH10503")
    first = server.children()
    with Client(server.port) as client:
        client.send(request(target="/held"))
        held.wait_for(1)
        assert client.at_end()
    held.free.set()
    until(lambda: not set(first) & set(server.children()), "another child")

    def is_served():
        try:
            return fetch(server.port, "/next").status == 200
        except Closed:  # its answer took long enough for it to be put away too
            return False
    until(is_served, "the next one is served")


def test_the_mpm_is_slow_to_let_go(make):
    """It takes the connection's row of the scoreboard away when it has put it away, which the loop may be using by then: httpd's log
    would no longer say that it speaks of a client."""
    server = server_with(make, "BENCH_LINGER", make.echo("b"), conf="{P}ProxyPass /dead/ http://127.0.0.1:1/ retry=0\n")
    server.allow_log("AH01114|cxxproxy:error")
    for _ in range(4):
        assert adopt(server.port, 1)[0].ask(target="/dead/x", fields=[("X-Bench-Sleep", "60")]).status == 503
    until(lambda: server.error_log().count("CXP0102") >= 4, "what failed is told")
    assert "[remote" not in server.error_log() and server.error_log().count("[client") >= 4


def test_a_log_hook_with_a_subrequest(make):
    """The core counts the request in the scoreboard right after the hook."""
    server = server_with(make, "BENCH_LOOKUP", make.echo("b"), conf="ExtendedStatus On\n", modules=("status",))
    clients = adopt(server.port, 4)
    for client in clients:
        for _ in range(4):
            assert client.ask(target="/next").status == 200
    assert on_loop(server, 16, "/next")


def test_the_mpm_loses_patience_while_a_hook_blocks(make):
    """The loop's thread is within the request when the MPM resumes its connection, and the backend takes its time then."""
    held = Held(make)
    server = server_with(make, "BENCH_NOTHING", held.backend, conf="Timeout 1\n{P}ProxyTimeout 60\n")
    server.allow_log("CXP0066")
    held.free.set()
    clients = adopt(server.port, 4)
    held.free.clear()
    for number, client in enumerate(clients):
        client.send(request(target=f"/blocked/{number}", fields=[("X-Bench-Sleep", "1500")]))
    held.wait_for(8)
    stays(lambda: len(held.backend.requests) == 8, "they wait", 0.3)
    held.free.set()
    for number, client in enumerate(clients):
        assert client.read().body == f"/blocked/{number}".encode()
        assert client.at_end()
