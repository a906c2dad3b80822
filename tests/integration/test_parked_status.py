"""What is parked is seen: in the status page, whichever child answers it, and in the log."""
import re
import threading

import pytest

from support import settings
from support.balancers import STATUS, numbers, pool
from support.client import fetch, request
from support.waiting import until
from support.wire import answer
from test_park import WAYS, ask, clients_of
from test_park_life import closed_by_peer, gone
from test_tunnel import SWITCH, open_tunnel, take

pytestmark = pytest.mark.own  # mod_proxy parks nothing

NOTHING = (0, 0, 0, 0)


class Counts:
    """What the status page of a server says is parked."""

    def __init__(self, server):
        self.server = server

    def lines(self):
        return dict(line.split(": ", 1) for line in fetch(self.server.port, "/server-status?auto").text.splitlines() if ": " in line)

    def parked(self, prefix="Proxy"):
        """Requests, the oldest's milliseconds, tunnels, the oldest's milliseconds."""
        lines = self.lines()
        return tuple(int(lines[prefix + what].removesuffix(" ms"))
                     for what in ("ParkedRequests", "ParkedRequestsOldest", "ParkedTunnels", "ParkedTunnelsOldest"))

    def counts(self, prefix="Proxy"):
        return self.parked(prefix)[::2]

    def wait_for(self, requests, tunnels, prefix="Proxy"):
        until(lambda: self.counts(prefix) == (requests, tunnels), f"{requests} requests and {tunnels} tunnels are parked")

    def member(self, number):
        return f"ProxyBalancer[0]Worker[{number}]"


class Stage(Counts):
    """A balancer of two members and a backend of its own, which answer when they are released, and a place for tunnels."""

    def __init__(self, make, way="", conf="", **more):
        self.free = threading.Event()
        self.members = [make.backend(self.script) for _ in range(2)]
        self.lone = make.backend(self.script)
        super().__init__(make.httpd(way + conf + "AsyncRequestWorkerFactor 100\n" + STATUS + "{P}ProxyPass /lone/ {lone}/\n"
                                 + pool(*[f"{b.url} route={r}" for b, r in zip(self.members, "ab")], balancer="stickysession=at"),
                                 lone=self.lone.url, modules=("status",), **more))
        self.server.allow_log("AH00484|AH10159|AH10392|AH00288")

    def script(self, connection):
        while True:
            head = connection.read_request()
            if head.fields.get("Upgrade"):
                connection.send(SWITCH)
                while data := connection.sock.recv(65536):
                    connection.send(data)
                return
            connection.wait(self.free)
            connection.send(answer(b"late"))

    def wait_at(self, *targets):
        clients = clients_of(self.server, len(targets))
        for client, target in zip(clients, targets):
            client.send(request(target=target))
        return clients


@pytest.fixture(params=WAYS)
def way(request):
    return WAYS[request.param]


def test_each_member_shows_what_is_parked_there(make, way):
    stage = Stage(make, way, processes=2, threads=4)
    assert stage.parked() == NOTHING
    clients = stage.wait_at(*["/?at=x.a"] * 5, *["/?at=x.b"] * 3, "/lone/x", "/lone/x")
    tunnels = [open_tunnel(stage.server.port, target="/?at=x.b")[0] for _ in range(2)]
    stage.wait_for(10, 2)
    assert stage.counts(stage.member(0)) == (5, 0)
    assert stage.counts(stage.member(1)) == (3, 2)
    lines = stage.lines()
    assert lines["ProxyBackend[0]Name"] == stage.lone.url + "/" and "ProxyBackend[1]Name" not in lines
    assert stage.counts("ProxyBackend[0]") == (2, 0)
    assert lines[stage.member(0) + "ParkedTunnelsOldest"] == "0 ms"
    # The oldest gets older, and a newcomer makes it no younger.
    places = ("Proxy", stage.member(0), stage.member(1), "ProxyBackend[0]")
    until(lambda: all(stage.parked(place)[1] >= 1500 for place in places) and stage.parked()[3] >= 1500, "all of them wait for a second and more")
    clients += stage.wait_at("/?at=x.a")
    stage.wait_for(11, 2)
    assert all(stage.parked(place)[1] >= 1500 for place in places)
    # A tunnel that is used is as old as it is.
    for client in tunnels:
        client.send(b"ping")
        assert take(client, 4) == b"ping"
    stage.wait_for(11, 2)
    assert stage.parked()[3] >= 1500
    page = fetch(stage.server.port, "/server-status").text
    assert re.search(r"<tr><td>all</td><td>11</td><td>[1-9]\d* s</td><td>2</td><td>[1-9]\d* s</td></tr>", page)
    assert re.search(re.escape(stage.lone.url) + r"/?</td><td>2</td><td>[1-9]\d* s</td><td>0</td><td>0 s</td></tr>", page)
    assert re.search(re.escape(stage.members[1].url) + r".*<td>3</td><td>[1-9]\d* s</td><td>2</td><td>[1-9]\d* s</td></tr>", page)
    stage.free.set()
    assert [client.read().status for client in clients] == [200] * 11
    for client in tunnels:
        client.close()
    stage.wait_for(0, 0)
    assert stage.parked() == NOTHING == stage.parked(stage.member(0)) == stage.parked(stage.member(1))
    assert "ProxyBackend[0]Name" not in stage.lines()


def test_who_waits_for_no_member_is_in_the_sum(make):
    """A body that does not come, a slot that is taken, and a backend that only a rewrite rule names."""
    free = threading.Event()
    late = answer(b"late", fields=[("Connection", "close")])  # the upload must not meet a connection that is about to be closed
    backend = make.backend(lambda c: (c.read_request(), c.wait(free), c.send(late)))
    server = make.httpd(STATUS + """
RewriteEngine On
RewriteRule ^/rewritten {b}/ [P]
""" + pool(backend.url + " max=1", balancer="timeout=60"), b=make.backend(lambda c: (c.read_request(), c.wait(free), c.send(late))).url,
                        modules=("status", "rewrite"), compat=settings.OWN)

    def told():
        lines = fetch(server.port, "/server-status?auto").text
        return [int(re.search(rf"^{key}: (\d+)$", lines, re.M)[1])
                for key in ("ProxyParkedRequests", r"ProxyBalancer\[0\]Worker\[0\]ParkedRequests", r"ProxyBalancer\[0\]Waiting")]
    clients = clients_of(server, 2)
    ask(clients)
    until(lambda: told() == [2, 1, 1], "one waits for its answer, one for the slot")
    rewritten, upload = clients_of(server, 2)
    rewritten.send(request(target="/rewritten"))
    upload.send(request("POST", "/", fields=[("Content-Length", "5")]))
    until(lambda: told() == [4, 1, 1], "all are parked")
    upload.send(b"12345")
    until(lambda: told() == [4, 1, 2], "the upload waits for the slot")
    free.set()
    assert [client.read().status for client in [*clients, rewritten, upload]] == [200] * 4
    until(lambda: told() == [0, 0, 0], "nothing is parked")


def test_a_killed_child_leaves_nothing_parked(make):
    stage = Stage(make, processes=2, threads=4)
    clients = stage.wait_at(*["/?at=x.a", "/?at=x.b", "/lone/x"] * 8)
    tunnels = [open_tunnel(stage.server.port, target="/?at=x.a")[0] for _ in range(6)]
    stage.wait_for(24, 6)
    first, second = stage.server.children()
    stage.server.kill_child(first)
    until(gone([first]), "the first child is gone")
    # What the other child has stays exactly; every number says so, whichever child answers.
    stage.wait_for(sum(not closed_by_peer(client) for client in clients), sum(not closed_by_peer(client) for client in tunnels))
    stage.server.kill_child(second)
    stage.wait_for(0, 0)
    assert stage.parked() == NOTHING == stage.parked(stage.member(0)) == stage.parked(stage.member(1))
    assert "ProxyBackend[0]Name" not in stage.lines()
    stage.server.expect_log("CXP0013")
    stage.free.set()


def test_a_graceful_reload_keeps_the_numbers(make):
    stage = Stage(make, threads=8)
    old = stage.wait_at(*["/?at=x.a"] * 4, "/lone/x")
    tunnel, _ = open_tunnel(stage.server.port, target="/?at=x.b")
    stage.wait_for(5, 1)
    until(lambda: stage.parked(stage.member(0))[1] >= 1000, "a second has passed")
    stage.server.graceful()
    new = stage.wait_at(*["/?at=x.a"] * 2)  # in the new child, beside those in the old one
    stage.wait_for(7, 1)
    assert stage.counts(stage.member(0)) == (6, 0) and stage.counts(stage.member(1)) == (0, 1)
    assert stage.counts("ProxyBackend[0]") == (1, 0)
    assert stage.parked(stage.member(0))[1] >= 1000
    stage.free.set()
    assert [client.read().status for client in old + new] == [200] * 7
    stage.wait_for(0, 1)
    tunnel.close()
    stage.wait_for(0, 0)
    assert stage.parked() == NOTHING


def test_a_client_that_goes_away_is_not_counted(make):
    stage = Stage(make)
    clients = stage.wait_at(*["/?at=x.a"] * 3)
    stage.wait_for(3, 0)
    for client in clients:
        client.reset()
    stage.wait_for(0, 0)
    stage.server.expect_log("CXP0123")
    stage.free.set()


def test_the_log_tells_what_is_parked(make):
    """Once a minute, by the parent: httpd calls its monitors every ten seconds."""
    stage = Stage(make, processes=2)
    clients = stage.wait_at(*["/?at=x.a"] * 3, "/?at=x.b", "/lone/x")
    tunnel, _ = open_tunnel(stage.server.port, target="/?at=x.b")
    stage.wait_for(5, 1)
    stage.server.expect_log(r"CXP0064: all backends: parked: 5 requests, the oldest for \d+ s, and 1 tunnel, the oldest for \d+ s", timeout=60)
    a, b = (re.escape(member.url) for member in stage.members)
    stage.server.expect_log(rf"CXP0064: balancer://pool {a}: parked: 3 requests, the oldest for \d+ s$")
    stage.server.expect_log(rf"CXP0064: balancer://pool {b}: parked: 1 request, the oldest for \d+ s, and 1 tunnel, the oldest for \d+ s$")
    stage.server.expect_log(rf"CXP0064: {re.escape(stage.lone.url)}: parked: 1 request, the oldest for \d+ s$")
    stage.free.set()
    assert [client.read().status for client in clients] == [200] * 5
    tunnel.close()
    stage.wait_for(0, 0)


def test_a_full_lot_says_what_is_in_it(make):
    stage = Stage(make, conf="{P}ProxyParkMax 2\n", threads=8)
    tunnel, _ = open_tunnel(stage.server.port, target="/?at=x.b")
    stage.wait_for(0, 1)
    clients = stage.wait_at("/?at=x.a")
    stage.wait_for(1, 1)
    clients += stage.wait_at("/?at=x.a")
    stage.server.expect_log(r"CXP0062: .*; parked in this process: 1 request, the oldest for \d+ s, and 1 tunnel, the oldest for \d+ s")
    assert stage.counts() == (1, 1)  # the third waits on its thread
    stage.free.set()
    assert [client.read().status for client in clients] == [200] * 2
    tunnel.close()


@pytest.mark.parametrize("descriptors, conf, told", [(256, "", True), (256, "{P}ProxyParkMax 0\n", False), (320, "", False)])
def test_the_log_tells_that_nothing_can_be_parked(make, descriptors, conf, told):
    """Who needs all descriptors for the rest of the server is told so, unless it was wanted."""
    server = make.httpd(conf + "{P}ProxyPass / {b}/\n", b=make.echo("b").url, threads=4, descriptors=descriptors)
    assert fetch(server.port).status == 200
    if told:
        server.expect_log("CXP0061: waiting requests cannot be parked")
    else:
        server.forbid_log("CXP0061")


def test_the_worked_example_of_the_readme_adds_up():
    text = (settings.REPOSITORY / "README.md").read_text()
    example = dict(re.findall(r"^(\w+) +(\d+)\b", re.search(r"^ServerLimit .*?```", text, re.M | re.S)[0], re.M))
    children, threads, factor = (int(example[name]) for name in ("ServerLimit", "ThreadsPerChild", "AsyncRequestWorkerFactor"))
    assert int(example["MaxRequestWorkers"]) == children * threads and int(example["StartServers"]) == children
    wanted, = re.findall(r"For ([\d,]+) waiting requests or WebSockets in 4 children of 25 threads", text)
    each, = re.findall(r"# ([\d,]+) connections for each child", text)
    files, = re.findall(r"a limit of open files of at least ([\d,]+) for each child", text)
    wanted, each, files = (int(number.replace(",", "")) for number in (wanted, each, files))
    assert each == (factor + 1) * threads and each * children >= wanted
    assert files >= 3 * each + 256
