"""Many virtual hosts on one address, and one kept connection that asks for them in turn: whichever it asked for before, each
request goes where httpd sends it on a worker thread.
"""
import json

import pytest

from support.client import Client
from support.loop import LOOP
from support.tls import tls_host
from support.waiting import until

pytestmark = pytest.mark.own

HOST = """
<VirtualHost {address}>
    ServerName {name}
    {more}
    ErrorDocument 400 "400 of {name}"
    ErrorDocument 403 "403 of {name}"
    CustomLog "{{root}}/hosts.log" "{name} %>s"
    {{P}}ProxyPass / {{b}}/{name}/
</VirtualHost>
"""
HOSTS = (
    ("default.test", ""),
    ("a.test", "ServerAlias www.a.test *.a.test"),
    ("b.test", ""),
    ("old.test", "ServerPath /old"),
    ("short.test", "LimitRequestFieldSize 100"),  # which httpd takes from the first one, while it reads
    ("unsafe.test", "HttpProtocolOptions Unsafe"),
    ("x.a.test", ""),  # a.test comes first
    ("v6.test", "ServerAlias [::1] ::1"),
)


def hosts(address="*:{port}", more=""):
    return "".join(HOST.format(address=address, name=name, more=f"{own}\n    {more}") for name, own in HOSTS)


def get(host, target="/", fields=b"", version=b"1.1"):
    return b"GET " + target.encode() + b" HTTP/" + version + b"\r\n" + b"".join(b"Host: " + h.encode() + b"\r\n" for h in ([host] if isinstance(host, str) else host)) + fields + b"\r\n"


LONG = b"X-Long: " + b"l" * 200 + b"\r\n"
KEEP = b"Connection: keep-alive\r\n"
# Bytes of a request, and the virtual host that answers it; each is sent twice in a row, and all of them in both directions.
ASKED = [
    (get("a.test"), "a.test"),
    (get("A.TEST"), "a.test"),
    (get("a.test:81"), "a.test"),
    (get("a.test."), "a.test"),
    (get("www.a.test"), "a.test"),
    (get("x.a.test"), "a.test"),
    (get("b.test"), "b.test"),
    (get(" b.test \t"), "b.test"),
    (get("nobody.test"), "default.test"),
    (get("[::1]"), "v6.test"),
    (get("[::1]:80"), "v6.test"),
    (get("a.test", "http://b.test/"), "b.test"),
    (get("a.test", "//b.test/"), "a.test"),
    (get("short.test", fields=LONG), "short.test"),
    (get("b.test", fields=LONG), "b.test"),
    (get("unsafe.test"), "unsafe.test"),
    (get([], "/old/", KEEP, b"1.0"), "old.test"),
    (get([], "/", KEEP, b"1.0"), "default.test"),
    (get("a.test", "/old/", KEEP, b"1.0"), "a.test"),
    (get("b.test", fields=b"Content-Length: 3\r\n") + b"abc", "b.test"),
]
# What is refused, and ends its connection.
REFUSED = [
    get(["a.test", "b.test"]),
    get(["a.test", "a.test"]),
    get([]),
    get(""),
    get("b.test", fields=b"Bad Field: 1\r\n"),
    get("a/b.test"),
    get("b.test", fields=b"X: \0\r\n"),
    get("b.test", fields=b"\0Host: a.test\r\n"),
    get("b.test", fields=b"Transfer-Encoding: chunked\r\nContent-Length: x\r\n"),
    get("unsafe.test", "/a b"),
    get("b.test", fields=b"X-Long: " + b"l" * 9000 + b"\r\n"),
]


REACTORS = (LOOP, "{P}ProxyReactor Off\n")


@pytest.fixture(params=REACTORS, ids=["loop", "threads"])
def reactor(request):
    return request.param


def told(client, data):
    """Status and which virtual host has answered."""
    response = client.send(data).read()
    return response.status, response.json()["target"].split("/")[1] if response.status == 200 else response.text


def logged(server, count):
    def lines():
        return (server.root / "hosts.log").read_text().splitlines()
    until(lambda: len(lines()) >= count, f"{count} lines in the log of hosts")
    assert len(lines()) == count
    return lines()


def test_each_request_is_answered_by_its_own_host(make, reactor):
    server = make.httpd(reactor + hosts(), b=make.echo("b").url)
    for asked in (ASKED, ASKED[::-1], ASKED[::2] + ASKED[1::2]):
        with Client(server.port) as client:
            client.send(get("a.test")).read()
            for data, host in asked:
                for _ in range(2):
                    assert told(client, data) == (200, host), data
    lines = logged(server, 3 * (1 + 2 * len(ASKED)))
    assert all(lines.count(f"{name} 200") == 3 * (2 * sum(host == name for _, host in ASKED) + (name == "a.test")) for name, _ in HOSTS)


def test_pipelined_for_different_hosts(make, reactor):
    server = make.httpd(reactor + hosts(), b=make.echo("b").url)
    with Client(server.port) as client:
        client.send(get("a.test")).read()
        client.send(b"".join(data for data, _ in ASKED))
        for data, host in ASKED:
            assert client.read().json()["target"].split("/")[1] == host, data


def refusals(server, before):
    """For each of REFUSED, behind two requests for a host: the answer, and who logged it."""
    results = []
    for data in REFUSED:
        with Client(server.port) as client:
            for _ in range(2):
                assert told(client, get(before)) == (200, before)
            logged(server, 3 * len(results) + 2)
            answer = told(client, data)
            results.append((answer, logged(server, 3 * len(results) + 3)[-1]))
    return results


@pytest.mark.parametrize("before", ["a.test", "b.test", "default.test", "unsafe.test"])
def test_what_is_refused_is_refused_alike(make, before):
    servers = [make.httpd(conf + hosts(), b=make.echo().url) for conf in REACTORS]
    for server in servers:
        server.allow_log()
    on_loop, on_threads = (refusals(server, before) for server in servers)
    assert on_loop == on_threads


def test_the_page_for_what_is_refused(make):
    """It is the first host's, and comes from its backend."""
    pages = []
    for conf in REACTORS:
        server = make.httpd(conf + hosts().replace('ErrorDocument 400 "400 of default.test"', "ErrorDocument 400 /page"), b=make.echo().url)
        server.allow_log()
        for data in (get("b.test", fields=b"Bad Field: 1\r\n"), get("b.test", fields=b"X: \1\r\n"), get("b.test", fields=b"X-Long: " + b"l" * 9000 + b"\r\n")):
            with Client(server.port) as client:
                for _ in range(2):
                    assert told(client, get("b.test")) == (200, "b.test")
                response = client.send(data).read()
                pages.append((response.status, response.json()["target"]))
    assert pages == [(200, "/default.test/page")] * 6  # with the status of a page of a backend


def test_a_request_without_fields(make, reactor):
    """HTTP/0.9 ends with its line, whatever follows."""
    server = make.httpd(reactor + hosts(), b=make.echo("b").url)
    with Client(server.port) as client:
        for _ in range(2):
            assert told(client, get("b.test")) == (200, "b.test")
        client.send(b"GET /old/\r\nHost: b.test\r\n\r\n")
        assert json.loads(b"".join(iter(lambda: client.sock.recv(65536), b"")))["target"] == "/old.test/old/"


def test_a_name_that_is_none(make, reactor):
    """Longer than a name can be: the first host's, however often."""
    server = make.httpd(reactor + hosts(), b=make.echo("b").url)
    with Client(server.port) as client:
        for _ in range(3):
            assert told(client, get("z." * 2000 + "test")) == (200, "default.test")
            assert told(client, get("b.test")) == (200, "b.test")


def test_hosts_that_must_be_known(make, reactor):
    """StrictHostCheck: what no virtual host names is refused, also behind requests that were not."""
    server = make.httpd(reactor + "StrictHostCheck On\n" + hosts(), b=make.echo("b").url)
    server.allow_log("AH10157")
    for host in ("a.test", "b.test", "default.test"):
        with Client(server.port) as client:
            for _ in range(3):
                assert told(client, get(host)) == (200, host)
            assert client.send(get("nobody.test")).read().status == 400


def test_a_fixed_answer_is_still_each_hosts_own(make, reactor):
    """What a host forbids is forbidden, whoever was asked before."""
    closed = HOST.format(address="*:{port}", name="closed.test", more="<Location />\n Require all denied\n</Location>")
    server = make.httpd(reactor + hosts() + closed, b=make.echo("b").url)
    server.allow_log("AH01630")
    with Client(server.port) as client:
        for _ in range(3):
            assert told(client, get("b.test")) == (200, "b.test")
            assert told(client, get("b.test")) == (200, "b.test")
            assert told(client, get("closed.test")) == (403, "403 of closed.test")
            assert told(client, get("closed.test")) == (403, "403 of closed.test")


def test_behind_tls(make, reactor):
    """The name of the handshake chooses the host of the connection, Host that of the request."""
    inside = tls_host("ServerName proxy.test", "{P}ProxyPass / {b}/proxy.test/") + "".join(
        tls_host(f"ServerName {name}", f"{{P}}ProxyPass / {{b}}/{name}/") for name in ("a.test", "b.test"))
    server = make.httpd(reactor + inside, b=make.echo("b").url, tls=True)
    server.allow_log("AH01909")  # the certificate is of proxy.test
    with Client(server.tls_port, server_name="proxy.test") as client:
        for host in ("proxy.test", "proxy.test", "a.test", "a.test", "b.test", "a.test", "proxy.test", "proxy.test", "other.test"):
            assert told(client, get(host)) == (200, host if host != "other.test" else "proxy.test")
