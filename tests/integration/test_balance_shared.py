"""Numbers that all processes share: exact distributions, in flight, what a killed child leaves."""
import threading

import pytest

from support.backend import closed_port
from support.balancers import STATUS, numbers, pool
from support.client import fetch
from support.load import Load
from support.waiting import until
from support.wire import answer

pytestmark = pytest.mark.own  # mod_proxy counts without locks, and has no Busy that could be trusted


@pytest.mark.parametrize("mpm, weights", [("event", (1, 2, 5)), ("event", (1.5, 1, 2.25)), ("prefork", (1, 1, 1))])
def test_every_request_is_counted_once(make, mpm, weights):
    """Four processes: Elected is exact, equals what the backends saw, and nothing stays in flight."""
    backends = [make.echo(name) for name in "abc"]
    server = make.httpd(STATUS + pool(*[f"{b.url} loadfactor={w}" for b, w in zip(backends, weights)]),
                        mpm=mpm, processes=4, threads=16, modules=("status",))
    server.allow_log("AH00161|AH00484")  # the server is full
    with Load(server.port, clients=4 if mpm == "prefork" else 48) as load:
        load.wait_done(1500)
    assert load.failures == []
    told = numbers(server)
    assert [m["Elected"] for m in told] == [len(b.requests) for b in backends]
    assert [m["Busy"] for m in told] == [0, 0, 0]
    total = sum(m["Elected"] for m in told)
    for member, weight in zip(told, weights):
        assert abs(member["Elected"] - total * weight / sum(weights)) <= 1
        assert member["SentBytes"] > 0 and member["RcvdBytes"] > 0 and member["Latency"].endswith(" us")


def test_bytes_and_errors_are_those_on_the_wire(make):
    raw = answer(b"x" * 1000, "500 Broken")
    backend = make.backend(lambda c: (c.read_request(), c.send(raw), c.wait_close()))
    server = make.httpd(STATUS + pool(backend.url), modules=("status",))
    assert fetch(server.port).status == 500
    member, = numbers(server)
    assert member["RcvdBytes"] == len(raw)
    assert member["SentBytes"] == len(backend.connections[0].received)
    assert (member["Errors"], member["Failures"], member["Elected"]) == (1, 0, 1)


def test_in_flight_is_seen_while_it_lasts(make):
    release = threading.Event()
    backend = make.echo("a")
    backend.on("/slow", lambda c, r: (c.wait(release), c.send(answer(b"late")), True)[-1])
    server = make.httpd(STATUS + pool(backend.url, f"http://127.0.0.1:{closed_port()} status=D"), modules=("status",))
    threads = [threading.Thread(target=fetch, args=(server.port, "/slow")) for _ in range(5)]
    for thread in threads:
        thread.start()
    until(lambda: numbers(server)[0]["Busy"] == 5, "five in flight")
    release.set()
    for thread in threads:
        thread.join(30)
    until(lambda: numbers(server)[0]["Busy"] == 0, "none in flight")


@pytest.mark.parametrize("mpm, method", [("event", "bybusyness"), ("event", "leastload"), ("prefork", "byrequests")])
def test_a_killed_child_leaves_nothing_in_flight(make, mpm, method):
    """kill -9 of a child under load, with requests that hang in it: all counts return to 0."""
    backends = [make.echo(name) for name in "ab"]
    for backend in backends:
        backend.on("/hang", lambda c, r: c.wait_close())
    server = make.httpd(STATUS + pool(*[b.url for b in backends], balancer=f"lbmethod={method}"), mpm=mpm,
                        processes=8 if mpm == "prefork" else 4, threads=8, modules=("status",))
    server.allow_log("AH10392|AH00161|AH00484")  # killed successively; the server is full
    hanging = [threading.Thread(target=lambda: _quietly(server.port, "/hang"), daemon=True) for _ in range(4)]
    for thread in hanging:
        thread.start()
    until(lambda: sum(m["Busy"] for m in numbers(server)) >= 4, "four requests hang")
    with Load(server.port, clients=2 if mpm == "prefork" else 12) as load:
        load.wait_more(100)
        for child in server.children():
            server.kill_child(child)
            load.wait_more(20)
        load.wait_more(50)
    for thread in hanging:
        thread.join(30)
        assert not thread.is_alive()
    until(lambda: [m["Busy"] for m in numbers(server)] == [0, 0], "nothing is in flight any more")
    elected, seen = sum(m["Elected"] for m in numbers(server)), sum(len(b.requests) for b in backends)
    # Killed between the choice and the request: at most one for each client of that moment.
    assert seen <= elected <= seen + 12 + 4, (elected, seen)
    server.expect_log("CXP0013: process [0-9]+ ended with [0-9]+ requests in flight")


def _quietly(port, target):
    try:
        fetch(port, target)
    except Exception:  # pylint: disable=broad-except
        pass  # its child was killed
