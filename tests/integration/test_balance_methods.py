"""Methods at work: who gets what at scripted backends, with several processes."""
import threading
import time

import pytest

from support.balancers import STATUS, numbers, order, pool
from support.client import fetch
from support.httpd import MOD_PROXY, load_line
from support.load import Load
from support.waiting import until
from support.wire import answer

pytestmark = pytest.mark.own


@pytest.fixture(scope="module")
def abc(house):
    return [house.echo(name) for name in "abc"]


def slow(seconds):
    def script(connection, _request):
        time.sleep(seconds)  # the backend's own work, not a wait of the test
        connection.send(answer(b"done", fields=[("X-Backend", "s")]))
        return True
    return script


# --- beside stock mod_proxy -------------------------------------------------------------------------

STOCK = [load_line(name) for name in (*MOD_PROXY, "lbmethod_bytraffic", "lbmethod_bybusyness")]

SAME = [
    ("lbmethod=byrequests", ("loadfactor=5", "", ""), 14),
    ("lbmethod=byrequests", ("loadfactor=1.5", "loadfactor=2.25", ""), 19),
    ("lbmethod=bybusyness", ("loadfactor=5", "", ""), 14),
    ("lbmethod=bybusyness", ("", "", ""), 9),
    ("", ("lbset=1", "", "lbset=1"), 4),
    ("", ("status=+D", "", "status=+R"), 8),
    ("", ("status=+D", "status=+S", "status=+H"), 4),
    ("", ("status=+D", "lbset=1", "status=+H"), 4),
    ("", ("status=+N", "", "status=+R"), 8),
    ("", ("lbset=2 status=+H", "lbset=1", "lbset=1 status=+R"), 4),
    ("", ("status=+D", "lbset=1 status=+D", "lbset=2"), 4),
]


@pytest.mark.parametrize("settings, members, count", SAME, ids=[f"{s}|{'|'.join(m)}" for s, m, _ in SAME])
def test_the_order_is_that_of_mod_proxy(make, abc, settings, members, count):
    conf = pool(*[f"{b.url} {words}" for b, words in zip(abc, members)], balancer=settings)
    # mod_proxy counts a request as busy until its pool is gone, which may be after the next one came: its
    # bybusyness is then not in the order of byrequests that it has without load.
    stock = make.httpd(conf.replace("bybusyness", "byrequests"), family="std", proxy=STOCK)
    theirs = order(stock, count)
    ours = order(make.httpd(conf), count)
    # Who serves, and how often, is the same with spares; the place of a spare in the turn is not promised.
    if "+R" in "".join(members):
        assert sorted(ours) == sorted(theirs)
    else:
        assert ours == theirs


# --- each method ------------------------------------------------------------------------------------

@pytest.mark.parametrize("method", ["bybusyness", "leastload", "ewma"])
def test_a_slow_member_gets_less(make, method):
    backends = [make.echo(name) for name in "abs"]
    backends[2].on("/", slow(0.2))
    server = make.httpd(pool(*[b.url for b in backends], balancer=f"lbmethod={method}"), processes=4, threads=8)
    with Load(server.port, clients=16) as load:
        load.wait_done(600)
    assert load.failures == []
    counts = [len(b.requests) for b in backends]
    assert counts[2] < sum(counts) / 6, counts  # a third in turn


def test_bybusyness_weights_count(make):
    release = threading.Event()
    backends = [make.echo(name) for name in "ab"]
    for backend in backends:
        backend.on("/slow", lambda c, r: (c.wait(release), c.send(answer(b"late")), True)[-1])
    server = make.httpd(STATUS + pool(f"{backends[0].url} loadfactor=10", backends[1].url, balancer="lbmethod=bybusyness"),
                        processes=4, threads=8, modules=("status",))
    threads = [threading.Thread(target=fetch, args=(server.port, "/slow")) for _ in range(22)]
    for thread in threads:
        thread.start()
        until(lambda n=threads.index(thread): sum(len(b.requests) for b in backends) > n, "it is under way")
    busy = [m["Busy"] for m in numbers(server)]
    release.set()
    for thread in threads:
        thread.join(30)
    assert busy == [20, 2]


def test_bytraffic_does_not_flood_a_member_that_returns(make):
    """mod_proxy gives it 100 % until its sum of bytes has caught up."""
    backends = [make.echo(name) for name in "abc"]
    server = make.httpd(pool(*[f"{b.url} retry=1" for b in backends], balancer="lbmethod=bytraffic"), processes=2, threads=8)
    server.allow_log()
    assert sorted(order(server, 30)) == ["a"] * 10 + ["b"] * 10 + ["c"] * 10
    backends[2].go_down()
    assert "c" not in order(server, 60)
    backends[2].listen()
    until(lambda: fetch(server.port).fields.get("X-Backend") == "c", "c is back")
    assert 7 <= order(server, 30).count("c") <= 13


@pytest.mark.parametrize("key, ask", [
    ("path", lambda n: {"target": f"/p{n}"}), ("uri", lambda n: {"target": f"/p?{n}"}),
    ("query:user", lambda n: {"target": f"/?xuser=1&user={n}"}), ("cookie:SID", lambda n: {"fields": [("Cookie", f"XSID=1; SID={n}")]}),
    ("header:X-User", lambda n: {"fields": [("X-User", str(n))]})])
def test_hash_keeps_a_key_at_its_member(make, abc, key, ask):
    server = make.httpd(pool(*[b.url for b in abc], balancer=f"lbmethod=hash hashkey={key}"), processes=3, threads=4)
    first = {n: fetch(server.port, **ask(n)).fields.get("X-Backend") for n in range(24)}
    assert set(first.values()) == set("abc")
    assert {n: fetch(server.port, **ask(n)).fields.get("X-Backend") for n in range(24)} == first


def test_hash_by_client_and_failover_and_return(make):
    backends = [make.echo(name) for name in "abc"]
    server = make.httpd(pool(*[f"{b.url} retry=1" for b in backends], balancer="lbmethod=hash"), processes=2, threads=4)
    server.allow_log()
    home = order(server, 1)
    assert order(server, 10) == home * 10
    backends["abc".index(home)].go_down()
    away = order(server, 1)
    assert away != home and order(server, 10) == away * 10
    backends["abc".index(home)].listen()
    until(lambda: order(server, 1) == home, "the key is back at its member")


def test_hash_bounded_a_hot_key_spills(make):
    release = threading.Event()
    backends = [make.echo(name) for name in "abcd"]
    for backend in backends:
        backend.on("/hot", lambda c, r: (c.wait(release), c.send(answer(b"late")), True)[-1])
    server = make.httpd(STATUS + pool(*[b.url for b in backends], balancer="lbmethod=hash hashkey=path hashfactor=1.25"),
                        processes=2, threads=16, modules=("status",))
    threads = [threading.Thread(target=fetch, args=(server.port, "/hot")) for _ in range(16)]
    for thread in threads:
        thread.start()
        until(lambda n=threads.index(thread): sum(len(b.requests) for b in backends) > n, "it is under way")
    busy = sorted(m["Busy"] for m in numbers(server))
    release.set()
    for thread in threads:
        thread.join(30)
    assert busy == [1, 5, 5, 5]


def test_random_and_first(make, abc):
    server = make.httpd(pool(*[b.url for b in abc], balancer="lbmethod=random"))
    drawn = order(server, 60)
    assert set(drawn) == set("abc") and drawn != "abc" * 20
    server = make.httpd(pool(*[b.url for b in abc], balancer="lbmethod=first"), processes=2, threads=4)
    assert order(server, 12) == "a" * 12
