"""What a reload keeps: state, counters and requests in flight are those of the server, not of one generation."""
import hashlib
import struct
import threading
import time

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
    for generation in range(3):
        server.graceful()
        until(lambda: sum(busy(server)) == 4 + generation, "those of the old generations are counted")
        hanging.send(server, 1)
        until(lambda: sum(busy(server)) == 5 + generation, "and one of the new one")
    assert max(busy(server)) - min(busy(server)) <= 1  # bybusyness knows of them all
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


# --- BalancerPersist ----------------------------------------------------------------------------------

FILE = "run/cxxproxy-state"


def resting(make, persist="{P}BalancerPersist On\n", retry=100):
    """A server whose first member has failed and rests, and what it says of both."""
    backends = [make.echo(name) for name in "ab"]
    conf = persist + STATUS + pool(*[f"{b.url} retry={retry}" for b in backends])
    server = make.httpd(conf, modules=("status",))
    server.allow_log()
    backends[0].go_down()
    assert [fetch(server.port).fields.get("X-Backend") for _ in range(5)] == ["b"] * 5
    backends[0].listen()
    before = told(server)
    assert before[0][0] == "Init Err" and before[1] == ("Init Ok", 5)
    return backends, server, before


def told(server):
    return [(m["Status"], m["Elected"]) for m in numbers(server)]


HEAD = struct.Struct("=QIIIIQQqq16s")  # src/net/state_file.h; the sum is the last
DRAIN = 1 << 6


def set_status(path, member, status):
    """Changes a member's letters in the state file, as a status page would at run time."""
    data = bytearray(path.read_bytes())
    head = list(HEAD.unpack_from(data))
    _, _, head_size, balancer_size, member_size, balancers, *_ = head
    struct.pack_into("=I", data, head_size + balancers * balancer_size + member * member_size + 16, status)
    head[-1] = bytes(16)
    HEAD.pack_into(data, 0, *head)
    head[-1] = hashlib.md5(data, usedforsecurity=False).digest()
    HEAD.pack_into(data, 0, *head)
    path.write_bytes(data)


def stop_and_start(server):
    server.shut_down()
    server.start()


def test_state_survives_restart_and_stop(make):
    _, server, before = resting(make)
    server.restart()
    assert told(server) == before
    assert (server.root / FILE).stat().st_mode & 0o7777 == 0o600
    for _ in range(2):
        stop_and_start(server)
        assert told(server) == before
        assert [fetch(server.port).fields.get("X-Backend") for _ in range(3)] == ["b"] * 3
        before[1] = ("Init Ok", before[1][1] + 3)
    assert sorted(p.name for p in (server.root / "run").iterdir() if p.name.startswith("cxxproxy-state")) == ["cxxproxy-state"]
    server.forbid_log("CXP0014|CXP0015")


def test_a_rest_ends_while_the_server_is_stopped(make):
    backends, server, _ = resting(make, retry=2)
    server.shut_down()
    ended = time.monotonic()
    until(lambda: time.monotonic() - ended > 2, "the rest is over by the wall clock")
    server.start()
    got = [fetch(server.port).fields.get("X-Backend") for _ in range(4)]
    assert sorted(got) == ["a", "a", "b", "b"], got
    assert len(backends[0].requests) == 2


def test_without_persist_a_stop_begins_afresh(make):
    _, server, _ = resting(make, persist="")
    stop_and_start(server)
    assert told(server) == [("Init Ok", 0)] * 2
    assert not (server.root / FILE).exists()


def test_the_file_of_the_configuration_wins_over_the_state_file(make):
    backends, server, before = resting(make)
    server.shut_down()
    conf = "{P}BalancerPersist On\n" + STATUS
    server.configure(conf + pool(f"{backends[1].url} status=D", f"{backends[0].url} retry=100", "http://127.0.0.1:9 status=D"))
    server.start()
    assert told(server) == [("Init Dis", before[1][1]), before[0], ("Init Dis", 0)]


def test_letters_of_the_state_file_survive(make):
    """Letters that were set at run time: put there through the file, which knows them for each member."""
    _, server, _ = resting(make)
    server.shut_down()
    set_status(server.root / FILE, 1, DRAIN)
    server.start()
    assert numbers(server)[1]["Status"] == "Init Drn Ok"
    server.graceful()
    assert numbers(server)[1]["Status"] == "Init Drn Ok"
    server.restart()
    assert numbers(server)[1]["Status"] == "Init Drn Ok"
    stop_and_start(server)
    assert numbers(server)[1]["Status"] == "Init Drn Ok"


@pytest.mark.parametrize("damage, why", [
    (lambda b: b[:-1], "it is not as long as it says"), (lambda b: b[:40], "it is cut off"), (lambda b: b"", "it is cut off"),
    (lambda b: b[:100] + bytes([b[100] ^ 1]) + b[101:], "its checksum is wrong"), (lambda b: b[:8] + b"\xff" + b[9:], "it has another version"),
    (lambda b: b[:20] + b"\x01" + b[21:], "its records have another size"), (lambda b: b"x" * 500, "it is no state file of this machine"),
    (None, "it cannot be read")], ids=lambda v: v if isinstance(v, str) else "")
def test_a_file_that_does_not_fit_is_ignored_with_one_line(make, damage, why):
    _, server, _ = resting(make)
    server.shut_down()
    path = server.root / FILE
    if damage is None:
        path.unlink()
        path.mkdir()
    else:
        path.write_bytes(damage(path.read_bytes()))
    before = server.error_log().count("CXP0014")
    server.start()
    assert told(server) == [("Init Ok", 0)] * 2
    assert server.error_log().count("CXP0014") == before + 1
    server.expect_log(f"CXP0014: the state file .*/run/cxxproxy-state is ignored: {why}")
    if damage is None:
        path.rmdir()
    # And the next stop writes a good one.
    assert fetch(server.port).status == 200
    after = told(server)
    stop_and_start(server)
    assert told(server) == after


def test_a_state_file_that_cannot_be_written_does_not_stop_the_stop(make):
    _, server, before = resting(make)
    (server.root / FILE).mkdir()
    server.graceful()
    server.expect_log(r"\(21\)Is a directory: CXP0015: cannot write the state file .*/run/cxxproxy-state")
    assert told(server) == before
    server.shut_down()
    assert server.error_log().count("CXP0015") == 2
    (server.root / FILE).rmdir()
    server.start()
    assert told(server) == [("Init Ok", 0)] * 2
