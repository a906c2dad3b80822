"""Descriptors and the event loop: what idle clients take, who gives way when there are none left, and that they do not run out."""
import pytest

from support.client import Client
from support.loop import LOOP, adopt, descriptor_kinds, threads
from support.waiting import until
from test_park import Held, ask

pytestmark = pytest.mark.own  # mod_proxy has no such loop

# The rest of the server keeps 256, so 400 are for clients and their backends; those that have spoken once get 300 of them, others 350.
DESCRIPTORS = 656
FACTOR = "AsyncRequestWorkerFactor 100\n"  # the MPM would accept fewer
MANY = 180


def server_with(make, count):
    """Clients that came one after another, so that few connections to the backend are kept."""
    held = Held(make)
    server = held.server(make, LOOP + FACTOR, threads=8, descriptors=DESCRIPTORS)
    server.allow_log("CXP0062")
    return held, server, [client for _ in range(count) for client in adopt(server.port, 1, "/other/first")]


def is_served_by_one(server, path):
    """All of these requests ran on one thread, with others to choose from."""
    return len(threads(server, path)) == 1


def test_an_idle_client_takes_two(make):
    """Not three: it has no backend while it is idle. All of 136 are the loop's, with an eventfd each."""
    _, server, clients = server_with(make, 136)
    until(lambda: descriptor_kinds(server)["anon_inode:[eventfd]"] >= 136, "all are adopted")
    assert [client.ask(target="/other/x").status for client in clients] == [200] * 136
    server.forbid_log("CXP0062|Too many open files")


def test_who_speaks_takes_the_place_of_who_is_idle(make):
    """The loop is full of clients that say nothing; one that speaks comes on it nevertheless."""
    _, server, clients = server_with(make, MANY)
    for client in clients:  # nothing is left of what is kept for clients that speak again
        assert client.ask(target="/other/again").status == 200
    active = Client(server.port)
    rounds = 0

    def comes_on_the_loop():
        nonlocal rounds
        rounds += 1
        for _ in range(20):
            assert active.ask(target=f"/other/{rounds}/x").status == 200
        until(lambda: sum(threads(server, f"/other/{rounds}/").values()) == 20, "20 lines in the log")
        return is_served_by_one(server, f"/other/{rounds}/")
    until(comes_on_the_loop, "all of 20 requests on one thread")
    assert [client.ask(target="/other/x").status for client in clients] == [200] * MANY
    server.forbid_log("Too many open files")


def test_there_is_room_for_who_speaks_again(make):
    """Clients that spoke once have left some: the loop takes one with its second request, whoever is idle."""
    _, server, clients = server_with(make, MANY)
    active = adopt(server.port, 1, "/other/first")[0]
    for _ in range(20):
        assert active.ask(target="/other/x").status == 200
    until(lambda: sum(threads(server, "/other/x").values()) == 20, "20 lines in the log")
    assert max(threads(server, "/other/x").values()) >= 19
    assert [client.ask(target="/other/again").status for client in clients] == [200] * MANY


def test_all_speak_at_once(make):
    """Each needs a backend now: whose does not find a descriptor waits for a thread. Nobody fails, and the MPM can accept."""
    held, server, clients = server_with(make, MANY)
    ask(clients, "/held/{}")
    until(lambda: len(held.backend.requests) >= 40, "the backend has many more than there are worker threads")
    assert server.descriptors() < 400 + 80  # with those that the child has for itself
    held.free.set()
    assert [client.read().body for client in clients] == [f"/held/{number}".encode() for number in range(MANY)]
    assert Client(server.port).ask(target="/other/x").status == 200
    server.forbid_log("Too many open files")
