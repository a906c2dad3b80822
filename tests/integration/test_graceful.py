"""apachectl graceful and restart while requests are under way."""
import threading

import pytest

from support import settings
from support.client import Client, fetch, request
from support.load import Load
from support.waiting import until
from support.wire import answer

POOL = """
<{P}Proxy balancer://pool>
    {P}BalancerMember {a}
    {P}BalancerMember {b}
</{P}Proxy>
{P}ProxyPass / balancer://pool/
"""


@pytest.mark.parametrize("mpm", ["event", "worker", "prefork"])
def test_graceful_under_load_loses_nothing(make, mpm):
    backends = [make.echo(name) for name in "ab"]
    server = make.httpd(POOL, a=backends[0].url, b=backends[1].url, mpm=mpm,
                        processes=16 if mpm == "prefork" else 2)
    with Load(server.port, clients=8) as load:
        for _ in range(3):
            load.wait_more(100)
            server.graceful()
        load.wait_more(100)
    assert load.failures == []
    # Every answer that a client got was asked for once; a client that met a closing connection
    # before its request was read repeated it.
    asked = sum(len(b.requests) for b in backends)
    assert load.done <= asked <= load.done + load.reconnects + 8


def test_a_request_under_way_is_finished(make, family):
    release = threading.Event()

    def slow(connection):
        connection.read_request()
        connection.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nfirst")
        connection.wait(release)
        connection.send(b"-last")
    backend = make.backend([slow, lambda c: (c.read_request(), c.send(answer(b"new")))])
    server = make.httpd("{P}ProxyPass / {b}/\n", family=family, b=backend.url)
    with Client(server.port) as client:
        client.send(request())
        head = client.read_head()
        server.graceful()
        assert fetch(server.port).body == b"new"
        release.set()
        assert b"".join(client.body_pieces(head)) == b"first-last"


def test_a_changed_file_counts_after_graceful(make, family):
    backends = [make.echo(name) for name in "ab"]
    server = make.httpd("{P}ProxyPass / {a}/\n", family=family, a=backends[0].url, b=backends[1].url)
    assert fetch(server.port).json()["backend"] == "a"
    server.configure("{P}ProxyPass / {b}/\n")
    server.graceful()
    until(lambda: fetch(server.port).json()["backend"] == "b", "the new rule counts")


@pytest.mark.own
def test_a_resting_member_still_rests_after_graceful(make, family):
    """mod_proxy forgets (BalancerPersist Off) and asks the dead member again."""
    backends = [make.echo(name) for name in "ab"]
    server = make.httpd(POOL.replace("{a}", "{a} retry=100"), family=family, a=backends[0].url,
                        b=backends[1].url)
    server.allow_log()
    backends[0].go_down()
    assert [fetch(server.port).json()["backend"] for _ in range(2)] == ["b", "b"]
    backends[0].listen()
    before = len(backends[0].connections)
    server.graceful()
    assert [fetch(server.port).json()["backend"] for _ in range(4)] == ["b"] * 4
    assert len(backends[0].connections) == before


@pytest.mark.own
def test_the_order_goes_on_after_graceful(make, family):
    """mod_proxy starts again at the first member."""
    backends = [make.echo(name) for name in "ab"]
    server = make.httpd(POOL, family=family, a=backends[0].url, b=backends[1].url)
    got = [fetch(server.port).json()["backend"]]
    server.graceful()
    got += [fetch(server.port).json()["backend"] for _ in range(3)]
    assert got == ["a", "b", "a", "b"]


@pytest.mark.own
def test_what_changed_in_the_file_wins_over_kept_state(make, family):
    backends = [make.echo(name) for name in "ab"]
    server = make.httpd(POOL, family=family, a=backends[0].url, b=backends[1].url)
    fetch(server.port)
    server.configure(POOL.replace("{a}", "{a} status=+D"))
    server.graceful()
    assert [fetch(server.port).json()["backend"] for _ in range(3)] == ["b"] * 3
    server.configure(POOL)
    server.graceful()
    assert "a" in [fetch(server.port).json()["backend"] for _ in range(2)]


def test_a_hard_restart_works_and_forgets_nothing_of_the_configuration(make, family):
    backends = [make.echo(name) for name in "ab"]
    server = make.httpd(POOL, family=family, a=backends[0].url, b=backends[1].url)
    for _ in range(3):
        assert sorted(fetch(server.port).json()["backend"] for _ in range(2)) == ["a", "b"]
        server.restart()


def test_many_graceful_restarts_do_not_grow_the_parent(make, family):
    """Segments, pools and descriptors of earlier generations are gone."""
    server = make.httpd("{P}ProxyPass / http://127.0.0.1:9/\n", family=family)

    def of_parent():
        folder = f"/proc/{server.process.pid}"
        import os
        with open(f"{folder}/maps", encoding="ascii") as maps:
            shared = sum("/dev/zero" in line or "(deleted)" in line for line in maps)
        return len(os.listdir(f"{folder}/fd")), shared
    server.graceful()
    descriptors, shared = of_parent()
    for _ in range(8):
        server.graceful()
    after = of_parent()
    assert after[0] <= descriptors + 1 and after[1] <= shared + 1, (descriptors, shared, after)


def test_a_child_that_is_killed_takes_nothing_with_it(make, family):
    """The other processes go on with the shared state, and a new child joins."""
    import os
    import signal
    backends = [make.echo(name) for name in "ab"]
    server = make.httpd(POOL, family=family, a=backends[0].url, b=backends[1].url, processes=2)
    fetch(server.port)
    victim = server.children()[0]
    os.kill(victim, signal.SIGKILL)
    until(lambda: victim not in server.children(), "the child is gone")
    until(lambda: len(server.children()) == 2, "a new child")
    got = [fetch(server.port).json()["backend"] for _ in range(6)]
    assert got.count("a") == 3 or not settings.OWN
