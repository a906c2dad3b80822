"""What tests of the event loop share: connections that are the loop's, and on which thread a request ran."""
import collections
import os
import re
import threading

from .client import Client, request
from .waiting import until
from .wire import Closed, Truncated

# A kept connection is the loop's after its first request, even if no other is there.
LOOP = "{P}ProxyReactor On\n{P}ProxyKeepAliveStay 0\nCustomLog \"{root}/threads.log\" \"%{tid}P %U\"\n"


def threads(server, prefix="/"):
    """{thread: number of requests} over the requests whose path begins so."""
    path = server.root / "threads.log"
    lines = path.read_text().splitlines() if path.exists() else []
    return collections.Counter(line.split(" ", 1)[0] for line in lines if line.split(" ", 1)[1].startswith(prefix))


def on_loop(server, count, prefix):
    """Were (almost) all of these `count` requests served by one thread? Another one takes its place when it was
    blocked, which may be by a slow disk under the log; but sixteen workers share such work evenly."""
    until(lambda: sum(threads(server, prefix).values()) >= count, f"{count} lines in the log of threads")
    served = threads(server, prefix)
    assert sum(served.values()) == count
    return max(served.values()) > count * 3 / 4


def adopt(port, count, target="/", server_name=None):
    """Clients whose first request was answered: their next one is the loop's."""
    clients = [Client(port, server_name=server_name) for _ in range(count)]
    for client in clients:
        client.send(request(target=target))
    for client in clients:
        assert client.read().status == 200
    return clients


def descriptor_kinds(server):
    """{what it is: number} of the open descriptors of all children."""
    kinds = collections.Counter()
    for pid in server.children():
        for name in os.listdir(f"/proc/{pid}/fd"):
            try:
                kinds[re.sub(r":\[\d+\]$", "", os.readlink(f"/proc/{pid}/fd/{name}"))] += 1
            except OSError:
                pass
    return kinds


def ends_of(client):
    """The server's and the client's end of the connection, as /proc/net/tcp writes them."""
    return [f"0100007F:{address[1]:04X}" for address in (client.sock.getpeername(), client.sock.getsockname())]


def is_read(client):
    """Has the server read every byte that this client has sent?"""
    its, mine = ends_of(client)
    with open("/proc/net/tcp", encoding="ascii") as table:
        for line in table:
            parts = line.split()
            if parts[1] == its and parts[2] == mine:
                return parts[4].endswith(":00000000")
            if parts[1] == mine and parts[2] == its and not parts[4].startswith("00000000:"):
                return False
    return True


def status(server):
    """server-status?auto as a dictionary. It is a request of its own, on a connection of its own."""
    with Client(server.port) as client:
        page = client.ask(target="/server-status?auto", fields=[("Connection", "close")])
    return dict(line.split(": ", 1) for line in page.text.splitlines() if ": " in line)


def together(work, count):
    """Runs work(number) in `count` threads and hands their exceptions on."""
    errors = []

    def run(number):
        try:
            work(number)
        except (AssertionError, OSError, Closed, Truncated) as error:
            errors.append(f"{number}: {error!r}")
    runners = [threading.Thread(target=run, args=(number,), daemon=True) for number in range(count)]
    for runner in runners:
        runner.start()
    for runner in runners:
        runner.join(120)
        assert not runner.is_alive(), "a client hangs"
    assert errors == []
