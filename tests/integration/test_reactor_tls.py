"""TLS clients on the event loop, which reads their records itself: wherever these are cut, and whatever comes with them."""
import ssl

import pytest

from support.client import Client, Reader, request
from support.loop import LOOP, is_read, on_loop
from support.tls import tls_host
from support.waiting import until

pytestmark = pytest.mark.own  # mod_proxy has no such loop

CONF = LOOP + """
{P}ProxyPass / {b}/
""" + tls_host("{P}ProxyPassInherit On")


class Records:
    """The socket of a TLS client that holds its records back until flush()."""

    def __init__(self, sock):
        trust_all = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        trust_all.check_hostname, trust_all.verify_mode = False, ssl.CERT_NONE
        self.sock, self.incoming, self.outgoing = sock, ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = trust_all.wrap_bio(self.incoming, self.outgoing, server_hostname="proxy.test")
        self._when_there(self.tls.do_handshake)
        self.flush()

    def _when_there(self, act):
        while True:
            try:
                return act()
            except ssl.SSLWantReadError:
                self.flush()
                self.take()

    def take(self):
        data = self.sock.recv(65536)
        self.incoming.write(data) if data else self.incoming.write_eof()

    def flush(self):
        if self.outgoing.pending:
            self.sock.sendall(self.outgoing.read())

    def recv(self, size):
        try:
            return self._when_there(lambda: self.tls.read(size))
        except (ssl.SSLEOFError, ssl.SSLZeroReturnError):
            return b""

    def sendall(self, data):
        self.tls.write(data)
        self.flush()

    def close(self):
        self.sock.close()

    def getsockname(self):
        return self.sock.getsockname()

    def getpeername(self):
        return self.sock.getpeername()


@pytest.fixture(scope="module")
def server(house):
    return house.httpd(CONF, b=house.echo().url, tls=True)


def loops_client(server, requests=4):
    client = Client(server.tls_port)
    client.sock = Records(client.sock)
    client.reader = Reader(client.sock)
    for n in range(requests):
        assert client.ask(target=f"/adopted/{n}").status == 200
    return client


def ask_for(client, *targets, fields=()):
    """Each in a record of its own, which waits for flush()."""
    for target in targets:
        client.sock.tls.write(request(target=target, fields=fields))


def send_in_two(client, records, cut):
    client.sock.sock.sendall(records[:cut])
    until(lambda: is_read(client), "the first part is read")
    client.sock.sock.sendall(records[cut:])


def answers(client, *targets):
    for target in targets:
        assert client.read().json()["target"] == target


@pytest.mark.parametrize("spread", ["one record", "two records"])
def test_records_cut_at_every_place(server, spread):
    client = loops_client(server)
    size, cut = 2, 1
    while cut < size:
        text = request(target=f"/cut/{cut}")
        for part in (text,) if spread == "one record" else (text[:30], text[30:]):
            client.sock.tls.write(part)
        records = client.sock.outgoing.read()
        size = len(records)
        send_in_two(client, records, cut)
        answers(client, f"/cut/{cut}")
        cut += 1
    assert size > 60


def test_several_records_at_once(server):
    client = loops_client(server)
    targets = [f"/several/{n}" for n in range(12)]
    ask_for(client, *targets)
    send_in_two(client, client.sock.outgoing.read(), -20)
    answers(client, *targets)
    assert on_loop(server, len(targets), "/several/")


@pytest.mark.parametrize("size", [8191, 8192, 8193, 12000, 16384])
def test_a_record_of_many_requests(server, size):
    """mod_ssl decrypts a long record in two pieces; a request may end where the first one does."""
    client = loops_client(server)
    targets = [f"/long/{n}" for n in range(8)]
    plain = request(target="/long/x", fields=[("X-Fill", "")])
    room = size - 8 * len(plain)
    fill = [room // 8 + (1 if n < room % 8 else 0) for n in range(8)]
    text = b"".join(request(target=target, fields=[("X-Fill", "f" * fill[n])]) for n, target in enumerate(targets))
    assert len(text) == size
    client.send(text)
    answers(client, *targets)
    assert client.ask(target="/long/after").status == 200


@pytest.mark.parametrize("before", [0, 4], ids=["new", "on the loop"])
def test_more_than_is_held_at_once(server, before):
    """More records than the loop keeps, of a client that reads nothing meanwhile. `before`: requests that were answered."""
    client = loops_client(server, before)
    targets = [f"/more/{n}" for n in range(40)]
    ask_for(client, *targets, fields=[("X-Fill", "f" * 7000)])
    client.sock.flush()
    answers(client, *targets)


def test_the_end_comes_with_the_request(server):
    client = loops_client(server)
    ask_for(client, "/end/1", "/end/2")
    with pytest.raises(ssl.SSLWantReadError):
        client.sock.tls.unwrap()  # writes the close_notify
    client.sock.flush()
    records = client.sock
    seen = b""
    while data := records.sock.recv(65536):
        seen += data
    assert len(seen) > 300  # what came is encrypted, and nothing decrypts it any more
    assert len([line for line in server.access(2) if line["path"].startswith("/end/") and line["status"] == "200"]) == 2
