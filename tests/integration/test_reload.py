"""What a reload keeps: state, counters and requests in flight are those of the server, not of one generation."""
import threading

import pytest

from support.balancers import STATUS, numbers, pool
from support.client import Client, fetch, request
from support.waiting import until
from support.wire import answer

pytestmark = pytest.mark.own  # mod_proxy begins afresh at each reload


class Hanging:
    """Requests for /hang, each on a connection of its own, until they are let go."""

    def __init__(self, *backends):
        self._release = threading.Event()
        self._clients = []
        for backend in backends:
            backend.on("/hang", lambda c, r: (c.wait(self._release), c.send(answer(b"late")), True)[-1])

    def send(self, server, count):
        for _ in range(count):
            client = Client(server.port)
            client.send(request(target="/hang"))
            self._clients.append(client)

    def finish(self):
        self._release.set()
        for client in self._clients:
            assert client.read("GET").body == b"late"
            client.close()


def busy(server):
    return [m["Busy"] for m in numbers(server)]


@pytest.mark.parametrize("mpm", ["event", "prefork"])
def test_in_flight_counts_over_generations(make, mpm):
    """Requests of an old child are seen by the new ones until they end, also over several reloads."""
    backends = [make.echo(name) for name in "ab"]
    hanging = Hanging(*backends)
    server = make.httpd(STATUS + pool(*[b.url for b in backends], balancer="lbmethod=bybusyness"), mpm=mpm,
                        processes=8 if mpm == "prefork" else 2, modules=("status",))
    hanging.send(server, 4)
    until(lambda: busy(server) == [2, 2], "four requests hang")
    for _ in range(3):
        server.graceful()
        assert busy(server) == [2, 2]
    hanging.finish()
    until(lambda: busy(server) == [0, 0], "nothing is in flight any more")


def test_a_killed_child_of_an_old_generation_leaves_nothing_in_flight(make):
    backends = [make.echo(name) for name in "ab"]
    for backend in backends:
        backend.on("/hang", lambda c, r: c.wait_close())
    server = make.httpd(STATUS + pool(*[b.url for b in backends]), modules=("status",))
    clients = [Client(server.port) for _ in range(4)]
    for client in clients:
        client.send(request(target="/hang"))
    until(lambda: busy(server) == [2, 2], "four requests hang")
    old, = server.children()
    server.graceful()
    assert busy(server) == [2, 2]
    server.kill_child(old)
    until(lambda: busy(server) == [0, 0], "the parent has taken back what the child had")
    server.expect_log("CXP0013: process [0-9]+ ended with 4 requests in flight")
    for client in clients:
        client.close()


def test_what_an_old_child_learns_the_new_ones_know(make):
    """An answer that comes in the old generation after the reload takes the member out for all."""
    backends = [make.echo(name) for name in "ab"]
    release = threading.Event()
    for backend in backends:
        backend.on("/hang", lambda c, r: (c.wait(release), c.send(answer(b"bad", "503 Busy")), True)[-1])
    server = make.httpd(STATUS + pool(*[f"{b.url} retry=100" for b in backends], balancer="failonstatus=503 maxattempts=0"),
                        modules=("status",))
    server.allow_log("CXP0024")
    with Client(server.port) as client:
        client.send(request(target="/hang"))
        until(lambda: sum(busy(server)) == 1, "it hangs")
        at = busy(server).index(1)
        server.graceful()
        assert fetch(server.port).status == 200
        release.set()
        assert client.read("GET").status == 503
    assert numbers(server)[at]["Status"] == "Init Err"
    other = backends[1 - at].name
    assert [fetch(server.port).fields.get("X-Backend") for _ in range(4)] == [other] * 4
    server.graceful()
    assert numbers(server)[at]["Status"] == "Init Err"


def test_counters_follow_the_member_through_a_changing_file(make):
    """Moved, beside new ones and without old ones: Elected goes on; one that was away begins afresh."""
    backends = {name: make.echo(name) for name in "abcd"}
    server = make.httpd("", modules=("status",))

    def reload_with(names):
        server.configure(STATUS + pool(*[backends[name].url for name in names]))
        server.graceful()

    def elected():
        by_port = {b.url.rpartition(":")[2]: name for name, b in backends.items()}
        return {by_port[m["Name"].rpartition(":")[2]]: m["Elected"] for m in numbers(server)}

    def ask(count):
        got = [fetch(server.port).fields.get("X-Backend") for _ in range(count)]
        return {name: got.count(name) for name in got}
    reload_with("ab")
    assert ask(10) == {"a": 5, "b": 5}
    reload_with("cba")
    assert elected() == {"a": 5, "b": 5, "c": 0}
    ask(9)
    assert sum(elected().values()) == 19
    before = elected()
    reload_with("bd")
    assert elected() == {"b": before["b"], "d": 0}
    reload_with("dab")
    assert elected() == {"a": 0, "b": before["b"], "d": 0}


def test_a_restart_begins_afresh(make):
    """As in mod_proxy: all children have ended, and nothing says that the state is to survive."""
    backends = [make.echo(name) for name in "ab"]
    server = make.httpd(STATUS + pool(*[f"{b.url} retry=100" for b in backends]), modules=("status",))
    server.allow_log()
    backends[0].go_down()
    assert [fetch(server.port).status for _ in range(4)] == [200] * 4
    assert numbers(server)[0]["Status"] == "Init Err"
    server.restart()
    assert [(m["Status"], m["Elected"]) for m in numbers(server)] == [("Init Ok", 0)] * 2


def test_more_members_than_there_is_room_for(make):
    """The segment is made anew, larger; what it knew goes on."""
    backends = [make.echo(name) for name in "ab"]
    kept = [f"{b.url} retry=100" for b in backends]
    server = make.httpd(STATUS + pool(*kept), modules=("status",))
    server.allow_log()
    backends[0].go_down()
    assert [fetch(server.port).status for _ in range(4)] == [200] * 4
    before = [(m["Status"], m["Elected"]) for m in numbers(server)]
    assert before[0][0] == "Init Err"
    server.configure(STATUS + pool(*kept, *[f"http://127.0.0.1:9/{i} status=D" for i in range(200)]))
    server.graceful()
    after = numbers(server)
    assert len(after) == 202 and [(m["Status"], m["Elected"]) for m in after[:2]] == before
    assert fetch(server.port).fields.get("X-Backend") == "b"
    assert numbers(server)[1]["Elected"] == before[1][1] + 1
