"""Client connections between two requests: a thread that stays, and the guard against the event MPM's closing."""
import threading

import pytest

from support.client import Client, fetch, request
from support.tls import tls_host
from support.waiting import stays, until
from support.wire import answer
from test_park import clients_of

pytestmark = pytest.mark.own

CONF = "{P}ProxyPass / {b}/\n"
STAYS = {"stays": "", "does not stay": "{P}ProxyKeepAliveStay 0\n"}


@pytest.fixture(params=STAYS)
def stay(request):
    return STAYS[request.param]


def test_the_limits_of_keep_alive_hold(make, stay):
    server = make.httpd(stay + "KeepAliveTimeout 1\nMaxKeepAliveRequests 3\n" + CONF, b=make.echo().url)
    with Client(server.port) as client:
        fields = [client.ask().fields for _ in range(4)]
        assert [f.get("Connection") for f in fields] == [None, None, None, "close"]
        assert client.at_end()
    with Client(server.port, timeout=5) as client:
        assert client.ask().status == 200
        assert client.at_end()  # after a second or two
    off = make.httpd("KeepAlive Off\n" + CONF, b=make.echo().url)
    with Client(off.port) as client:
        assert client.ask().fields.get("Connection") == "close" and client.at_end()


def test_every_kind_of_next_request(make, stay):
    server = make.httpd(stay + CONF, b=make.echo().url)
    with Client(server.port) as client:
        for number in range(30):
            assert client.ask(target=f"/{number}").json()["target"] == f"/{number}"
        client.send(request(target="/a") + request(target="/b") + request(target="/c")[:10])
        assert [client.read().json()["target"] for _ in range(2)] == ["/a", "/b"]
        client.send(request(target="/c")[10:])
        assert client.read().json()["target"] == "/c"
        assert client.ask("POST", "/up", body=b"x" * 100_000).json()["target"] == "/up"
        client.send(b"\r\n" + request(target="/after-a-blank-line"))
        assert client.read().json()["target"] == "/after-a-blank-line"
        client.send(b"garbage\r\n\r\n")
        assert client.read().status == 400 and client.at_end()
    assert len(server.access(36)) == 36


def test_a_client_that_closes_between_two_requests(make, stay):
    server = make.httpd(stay + CONF, b=make.echo().url)
    for _ in range(20):
        with Client(server.port) as client:
            assert client.ask().status == 200
    with Client(server.port) as client:
        assert client.ask().status == 200
        client.half_close()
        assert client.at_end()
    before = server.descriptors()
    until(lambda: server.descriptors() <= before, "connections are closed")


def test_busy_threads_close_no_kept_connection(make):
    """More kept clients than threads, all at once, again and again: with the MPM alone some are closed."""
    count, rounds = 40, 10
    together = threading.Barrier(count)

    def script(connection):
        while True:
            connection.read_request()
            together.wait(20)
            connection.send(answer(b"ok"))
    server = make.httpd("AsyncRequestWorkerFactor 100\n" + CONF, b=make.backend(script).url, threads=4)
    server.allow_log(r"AH00484|AH10159")
    clients = clients_of(server, count)
    for _ in range(rounds):
        for client in clients:
            client.send(request())
        assert [client.read().body for client in clients] == [b"ok"] * count


def test_idle_connections_end_when_the_server_reloads(make, stay):
    server = make.httpd(stay + "KeepAliveTimeout 50\n" + CONF, b=make.echo().url)
    clients = clients_of(server, 10)
    assert all(client.ask().status == 200 for client in clients)
    old = server.children()
    server.graceful()
    assert all(client.at_end() for client in clients)
    until(lambda: not set(old) & set(server.children()), "the old child ends")
    assert fetch(server.port).status == 200


def test_a_thread_stays_only_where_threads_are_idle(make):
    """As many quick clients as threads: others are served as well."""
    server = make.httpd("{P}ProxyKeepAliveStay 50ms\n" + CONF, b=make.echo().url, threads=4)
    server.allow_log(r"AH00484|AH10159")
    clients = clients_of(server, 4)
    running = threading.Event()

    def work(client):
        while not running.is_set():
            assert client.ask().status == 200
    threads = [threading.Thread(target=work, args=(client,), daemon=True) for client in clients]
    for thread in threads:
        thread.start()
    stays(lambda: fetch(server.port, "/other").status == 200, "others are served", 1)
    running.set()
    for thread in threads:
        thread.join()


def test_two_hosts_on_one_connection(make, stay):
    """Each with its own timeout and rule."""
    server = make.httpd(stay + """
<VirtualHost *:{port}>
    ServerName one.test
    KeepAliveTimeout 3
    {P}ProxyPass / {one}/
</VirtualHost>
<VirtualHost *:{port}>
    ServerName two.test
    KeepAliveTimeout 1
    Timeout 2
    {P}ProxyPass / {two}/
</VirtualHost>
""", one=make.echo("one").url, two=make.echo("two").url)
    with Client(server.port) as client:
        for _ in range(50):
            assert client.ask(host="one.test").json()["backend"] == "one"
            assert client.ask(host="two.test").json()["backend"] == "two"


def test_over_tls(make, stay):
    server = make.httpd(stay + """
KeepAliveTimeout 1
""" + tls_host("{P}ProxyPass / {b}/"), b=make.echo().url, tls=True)
    with Client(server.tls_port, server_name="proxy.test") as client:
        for number in range(30):
            assert client.ask(target=f"/{number}").json()["target"] == f"/{number}"
        client.send(request(target="/a") + request(target="/b"))
        assert [client.read().json()["target"] for _ in range(2)] == ["/a", "/b"]
        assert client.at_end()
