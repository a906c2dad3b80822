"""Environment variables and parameters that change how one request is sent (mod_proxy's names)."""
import hashlib
import threading

import pytest

from support import settings
from support.backend import closed_port
from support.client import Client, fetch, request
from support.wire import answer, chunked


@pytest.fixture
def switched(make, family):
    """switched(lines): an echo backend behind a server with these lines of SetEnv."""
    def build(lines, parameters="", conf=""):
        backend = make.echo("echo")
        server = make.httpd(f"{lines}\n{conf}\n{{P}}ProxyPass / {backend.url}/ {parameters}\n", family=family,
                            modules=("env", "setenvif"))
        server.backend = backend
        return server
    return build


def sent(server, name):
    fields = server.backend.requests[-1].fields
    return [value for key, value in fields if key.lower() == name.lower()]


def test_nokeepalive_closes_after_each_request(switched):
    server = switched("SetEnv proxy-nokeepalive 1")
    for i in range(3):
        assert fetch(server.port, f"/{i}").status == 200
        assert [v.lower() for v in sent(server, "Connection")] == ["close"]
    assert len(server.backend.connections) == 3


def test_initial_not_pooled_opens_one_connection_for_each_client(switched):
    server = switched("SetEnv proxy-initial-not-pooled 1")
    for _ in range(2):
        with Client(server.port) as client:
            for i in range(3):
                assert client.ask("GET", f"/{i}").status == 200
    assert len(server.backend.connections) == 2


@pytest.mark.parametrize("size", [10, 20_000, 200_000])
@pytest.mark.parametrize("name", ["force-proxy-request-1.0", "proxy-sendcl"])
def test_a_chunked_body_gets_a_length(switched, name, size):
    server = switched(f"SetEnv {name} 1")
    body = bytes(range(256)) * (size // 256 + 1)
    with Client(server.port) as client:
        client.send(request("POST", "/up", [("Transfer-Encoding", "chunked")])
                    + chunked(*[body[i:i + 5000] for i in range(0, len(body), 5000)]))
        told = client.read("POST").json()
    assert told["length"] == len(body) and told["sha256"] == hashlib.sha256(body).hexdigest()
    assert sent(server, "Content-Length") == [str(len(body))] and sent(server, "Transfer-Encoding") == []


def test_http10_is_spoken_and_the_connection_not_kept(switched):
    server = switched("SetEnv force-proxy-request-1.0 1")
    for i in range(2):
        assert fetch(server.port, f"/{i}").status == 200
    assert [r.version for r in server.backend.requests] == ["HTTP/1.0"] * 2
    assert len(server.backend.connections) == 2


def test_sendchunked_takes_sendcl_back(switched):
    server = switched("SetEnv proxy-sendcl 1\nSetEnv proxy-sendchunked 1")
    with Client(server.port) as client:
        client.send(request("POST", "/up", [("Transfer-Encoding", "chunked")]) + chunked(b"x" * 60_000))
        assert client.read("POST").json()["length"] == 60_000
    assert sent(server, "Transfer-Encoding") == ["chunked"] and sent(server, "Content-Length") == []


def test_sendchunked_leaves_a_known_length(switched):
    server = switched("SetEnv proxy-sendchunked 1")
    assert fetch(server.port, "/up", "POST", body=b"x" * 60_000).json()["length"] == 60_000
    assert sent(server, "Content-Length") == ["60000"]


def test_interim_responses_can_be_suppressed(make, family):
    def script(connection):
        while True:
            connection.read_request()
            connection.send(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + answer(b"final"))
    backend = make.backend(script)
    server = make.httpd(f"SetEnvIf Request_URI ^/quiet proxy-interim-response=Suppress\n{{P}}ProxyPass / {backend.url}/\n",
                        family=family, modules=("setenvif",))
    with Client(server.port) as client:
        quiet = client.ask("GET", "/quiet")
        loud = client.ask("GET", "/loud")
    assert (quiet.body, len(quiet.interim)) == (b"final", 0)
    assert (loud.body, len(loud.interim)) == (b"final", 1)


def test_100_continue_from_httpd_itself(make, family):
    """Proxy100Continue Off: the backend sees no expectation, the client gets its 100 from httpd."""
    backend = make.echo("echo")
    server = make.httpd(f"{{P}}Proxy100Continue Off\n{{P}}ProxyPass / {backend.url}/\n", family=family)
    with Client(server.port) as client:
        client.send(request("POST", "/up", [("Content-Length", "4"), ("Expect", "100-continue")]))
        assert client.read_head().status == 100
        client.send(b"body")
        told = client.read("POST").json()
    assert told["length"] == 4
    assert "expect" not in backend.requests[-1].head.decode("latin-1").lower()


@pytest.mark.own
def test_totaltimeout_ends_a_dribbling_answer(make, family):
    gone = threading.Event()

    def script(connection):
        connection.read_request()
        connection.send(b"HTTP/1.1 200 OK\r\n\r\n")
        while not gone.wait(0.05):
            connection.send(b"drip")
    backend = make.backend(script)
    server = make.httpd(f"{{P}}ProxyPass / {backend.url}/ timeout=5 totaltimeout=500ms\n", family=family)
    server.allow_log()
    assert fetch(server.port).truncated
    gone.set()
    server.expect_log(r"CXP0133: .*total timeout")


@pytest.mark.own
def test_totaltimeout_before_the_answer_is_504(make, family):
    def script(connection):
        connection.read_request()
        connection.wait_close()
    backend = make.backend(script)
    server = make.httpd(f"{{P}}ProxyPass / {backend.url}/ timeout=5 totaltimeout=300ms\n", family=family)
    server.allow_log()
    assert fetch(server.port).status == 504


@pytest.mark.own
@pytest.mark.parametrize("replay, method, expected", [
    ("on", "GET", 200), ("on", "PUT", 200), ("on", "POST", 502),
    ("safe", "GET", 200), ("safe", "PUT", 502), ("off", "GET", 502)])
def test_replay_decides_what_is_sent_again(make, family, replay, method, expected):
    """A kept connection that the backend closes when the next request has arrived."""
    def script(connection):
        connection.read_request()
        connection.send(answer(b"fine"))
        if connection.number == 0:
            connection.read_request()
    backend = make.backend(script)
    server = make.httpd(f"{{P}}ProxyPass / {backend.url}/ replay={replay}\n", family=family)
    server.allow_log()
    assert fetch(server.port, "/first").status == 200
    body = b"x" if method != "GET" else None
    assert fetch(server.port, "/second", method, body=body).status == expected


@pytest.mark.own
def test_responsefieldsize_is_the_limit(make, family):
    backend = make.backend(lambda c: (c.read_request(), c.send(answer(b"x", fields=[("X-Long", "y" * 5000)]))), )
    server = make.httpd(f"{{P}}ProxyPass /small {backend.url}/ responsefieldsize=4096\n"
                        f"{{P}}ProxyPass /large {backend.url}/l responsefieldsize=9000\n", family=family)
    server.allow_log()
    assert fetch(server.port, "/small").status == 502
    assert fetch(server.port, "/large").status == 200
    server.expect_log(r"CXP0113: ")


@pytest.mark.parametrize("mode, expected", [("IsError", 502), ("Ignore", 200), ("StartBody", 200)])
def test_bad_header_modes(make, family, mode, expected):
    def script(connection):
        connection.read_request()
        connection.send(b"HTTP/1.1 200 OK\r\nX-A: 1\r\nthis line has no colon\r\nX-B: 2\r\n\r\nbody")
    backend = make.backend(script)
    server = make.httpd(f"{{P}}ProxyBadHeader {mode}\n{{P}}ProxyPass / {backend.url}/\n", family=family)
    server.allow_log()
    response = fetch(server.port)
    assert response.status == expected
    if mode == "Ignore":
        assert response.body == b"body" and response.fields.get("X-B") == "2"
    if mode == "StartBody" and settings.OWN:  # mod_proxy loses the line
        assert response.body.startswith(b"this line has no colon")


@pytest.mark.own
def test_proxytimeout_of_a_location_wins(make, family):
    def script(connection):
        connection.read_request()
        connection.wait_close()
    backend = make.backend(script)
    server = make.httpd(f"""
{{P}}ProxyTimeout 60
<Location /quick>
    {{P}}ProxyTimeout 300ms
</Location>
{{P}}ProxyPass / {backend.url}/
""", family=family)
    server.allow_log()
    assert fetch(server.port, "/quick").status == 504
    server.expect_log(r"CXP0109: .*within 300 ms")


def test_a_switch_counts_for_a_proxied_error_document(make, family):
    pages = make.echo("pages")
    server = make.httpd(f"""
SetEnv proxy-nokeepalive 1
ErrorDocument 503 /pages/sorry
{{P}}ProxyPass /pages {pages.url}/pages
{{P}}ProxyPass / http://127.0.0.1:{closed_port()}/
""", family=family, modules=("env",))
    server.allow_log()
    assert fetch(server.port, "/down").json()["target"] == "/pages/sorry"
    assert [value.lower() for value in pages.requests[-1].fields.all("Connection")] == ["close"]
