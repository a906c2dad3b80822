"""One reload after the other under load, with members that come and go: no request is lost, and all are counted."""
import os
import threading
import time
from pathlib import Path

import pytest

from support import settings
from support.balancers import STATUS, numbers, pool
from support.client import fetch
from support.load import Load
from support.waiting import until
from support.wire import answer

RELOADS = 20
PACE = 3  # seconds from one reload to the next: 20 in 60 seconds


class Cast:
    """Backends of which the file has a changing part; `a` and `b` are always there."""

    def __init__(self, make, server):
        self.backends = {name: make.echo(name) for name in "abcdef"}
        self._server = server
        self._idle = {}              # requests of those that are out, when no child knew them any more
        self._begun = dict.fromkeys(self.backends, 0)
        self.inside = []

    def change(self, names):
        """A reload with these members, in this order; returns when the last child of the old file has ended."""
        self.check_absent()
        for name in set(names) - set(self.inside):
            self._begun[name] = len(self.backends[name].requests)
        old = set(self._server.children())
        self._server.configure(STATUS + pool(*[self.backends[n].url for n in names]))
        self._server.graceful()
        until(lambda: not old & set(self._server.children()), "the old children have ended")
        self.inside = list(names)
        self._idle = {n: len(b.requests) for n, b in self.backends.items() if n not in names}

    def check_absent(self):
        assert self._idle == {n: len(self.backends[n].requests) for n in self._idle}, "a member got requests that the file did not have"

    def check_counts(self):
        """Elected is what a backend has seen since the file had it."""
        told = {name: member for name, member in zip(self.inside, numbers(self._server))}
        assert {n: m["Elected"] for n, m in told.items()} == {n: len(self.backends[n].requests) - self._begun[n] for n in self.inside}
        assert [m["Busy"] for m in told.values()] == [0] * len(told)


def members(step):
    """Another list each time: longer, shorter, turned round."""
    names = [n for i, n in enumerate("abcdef") if n in "ab" or step * 7 % (i + 3) < 2]
    return names[step % len(names):] + names[:step % len(names)]


@pytest.mark.parametrize("mpm, clients, reloads", [("event", 6, RELOADS), ("prefork", 2, 6)])
def test_reloads_lose_no_request(make, mpm, clients, reloads):
    """Clients that keep their connection and clients that do not; mod_proxy loses none either, but forgets its counts."""
    server = make.httpd("", mpm=mpm, processes=6 if mpm == "prefork" else 2, modules=("status",))
    server.allow_log("AH00161|AH00484|AH03490|AH10159")  # the server is full
    cast = Cast(make, server)
    cast.change("ab")
    lists = set()
    with Load(server.port, clients=clients) as kept, Load(server.port, clients=clients, keep_alive=False) as fresh:
        begun = time.monotonic()
        for step in range(reloads):
            cast.change(members(step))
            lists.add(tuple(cast.inside))
            kept.wait_more(5)
            fresh.wait_more(5)
            until(lambda n=step: time.monotonic() - begun >= PACE * (n + 1), "the time for the next reload")
            assert kept.failures == [] and fresh.failures == []
        took = time.monotonic() - begun
    assert kept.failures == [] and fresh.failures == [] and fresh.reconnects == 0
    assert len(lists) >= min(reloads, 10)
    seen = sum(len(b.requests) for b in cast.backends.values())
    # Repeated by the client where httpd closed a kept connection, as RFC 9112 9.3.1 has it; mostly unread.
    assert kept.done + fresh.done <= seen <= kept.done + fresh.done + kept.reconnects
    cast.check_absent()
    if settings.OWN:
        until(lambda: sum(m["Busy"] for m in numbers(server)) == 0, "nothing is in flight")
        cast.check_counts()
    print(f"{reloads} reloads in {took:.0f} s: {kept.done} + {fresh.done} requests, {kept.reconnects} repeated")


def test_requests_that_wait_outlive_reloads(make):
    """New connections one after the other to a backend that takes its time, so that a child is told to stop in every
    state: also with a connection that is accepted and not begun, for which the MPM does not keep its listener."""
    pause = threading.Event()
    backend = make.backend(lambda c: (c.read_request(), pause.wait(0.004), c.send(answer(b"late")), c.wait_close()))
    server = make.httpd("{P}ProxyPass / {b}/ disablereuse=On\n", b=backend.url, processes=2, threads=8)
    server.allow_log("AH00161|AH00484|AH03490|AH10159")
    with Load(server.port, clients=2, keep_alive=False) as load:
        for _ in range(60):
            server.graceful()
            load.wait_more(5)
    assert load.failures == []


@pytest.mark.plain  # a sanitizer keeps what was freed
def test_fifty_reloads_leave_nothing_in_the_parent(make):
    backends = [make.echo(name) for name in "abcdef"]
    server = make.httpd(STATUS + pool(*[b.url for b in backends]), modules=("status",))
    folder = Path(f"/proc/{server.process.pid}")

    def parent():
        pages = int((folder / "statm").read_text().split()[1])
        maps = (folder / "maps").read_text().splitlines()
        return pages * os.sysconf("SC_PAGE_SIZE"), len(os.listdir(folder / "fd")), sum("/dev/zero" in line for line in maps)

    def reload(step):
        server.configure(("{P}BalancerPersist On\n" if settings.OWN and step % 2 else "") + STATUS +
                         pool(*[f"{b.url} route=r{step}" for b in backends[step % 5:]]))
        server.graceful()
        assert fetch(server.port).status == 200
    for step in range(10):
        reload(step)
    before = parent()
    for step in range(10, 60):
        reload(step)
    after = parent()
    assert after[1] <= before[1] + 1 and after[2] <= before[2], (before, after)
    assert after[0] - before[0] < 50 * 16 * 1024, (before, after)
    print(f"parent: {before} -> {after}")
