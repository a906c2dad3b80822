"""ping=: a request with a body asks the backend first, and goes elsewhere when it does not answer."""
import threading
import time

import pytest

from support import settings
from support.client import Client, fetch, request
from support.wire import Closed, answer

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
POOL = """
<{P}Proxy balancer://pool>
    {P}BalancerMember {a} ping=500ms
    {P}BalancerMember {b} ping=500ms
</{P}Proxy>
{P}ProxyPass / balancer://pool/
"""


def willing(connection):
    while True:
        try:
            head = connection.read_head()
        except Closed:
            return
        if "Expect" in head.fields:
            connection.send(CONTINUE)
        connection.read_body(head)
        connection.send(answer(b"ok"))


def silent(connection):
    connection.read_head()
    connection.wait_close()


def beyond_the_head(backend):
    """What each connection got behind its request head."""
    return [connection.received.partition(b"\r\n\r\n")[2] for connection in backend.connections]


def plain(make, backend, more=""):
    return make.httpd("%s{P}ProxyPass / {b}/ ping=500ms\n" % more, b=backend.url)


@pytest.mark.parametrize("raw, expects", [
    (request("POST", "/", (), b"hello"), True),
    (request("GET", "/", (), b"hello"), True),
    (request("POST", "/", [("Transfer-Encoding", "chunked")]) + b"5\r\nhello\r\n0\r\n\r\n", True),
    (request("POST", "/", [("Transfer-Encoding", "chunked")]) + b"9c40\r\n" + b"x" * 40000 + b"\r\n0\r\n\r\n", True),
    (request("POST", "/", (), b"hello").replace(b"HTTP/1.1", b"HTTP/1.0"), True),
    (request("POST", "/", (), b""), False),
    (request("GET", "/"), False),
])
def test_a_request_asks_first_when_it_has_a_body(make, raw, expects):
    backend = make.backend(willing)
    with Client(plain(make, backend).port) as client:
        client.send(raw)
        response = client.read()
    assert (response.status, response.interim) == (200, [])  # this client asked for no 100
    assert backend.requests[0].fields.all("Expect") == (["100-Continue"] if expects else [])
    assert backend.requests[0].fields.names()[1] == ("Expect" if expects else "X-Forwarded-For")


@pytest.mark.parametrize("more", ["", "{P}Proxy100Continue Off\n"])
def test_a_client_that_waits_gets_its_100(make, more):
    backend = make.backend(willing)
    with Client(plain(make, backend, more).port) as client:
        client.send(request("POST", "/", [("Expect", "100-continue"), ("Content-Length", "5")]))
        assert client.read_head().status == 100
        client.send(b"hello")
        assert client.read().status == 200
    assert backend.requests[0].body.data == b"hello"


def test_http_1_0_to_the_backend_cannot_ask(make):
    backend = make.backend(willing)
    server = plain(make, backend, "SetEnv force-proxy-request-1.0 1\n")
    assert fetch(server.port, "/", "POST", body=b"hello").status == 200
    assert "Expect" not in backend.requests[0].fields


def test_a_lone_backend_that_does_not_answer_is_503(make):
    backend = make.backend(silent)
    server = plain(make, backend)
    server.allow_log()
    began = time.monotonic()
    assert fetch(server.port, "/", "POST", body=b"hello").status == 503
    assert 0.4 < time.monotonic() - began < 5
    assert beyond_the_head(backend) == [b""]


def test_a_member_that_does_not_answer_is_left_alone(make):
    a, b = make.backend(silent), make.backend(willing)
    server = make.httpd(POOL, a=a.url, b=b.url)
    server.allow_log()
    assert [fetch(server.port, "/", "POST", body=b"hello").status for _ in range(4)] == [200] * 4
    assert beyond_the_head(a) == [b""]
    assert len(b.requests) == 4


@pytest.mark.parametrize("status", [200, 417, 413, 503])
def test_a_final_answer_instead_is_the_answer(make, status):
    def answers(connection):
        connection.read_head()
        connection.send(answer(b"no", status=f"{status} Any"))
        connection.wait_close()
    server = plain(make, make.backend(answers))
    response = fetch(server.port, "/", "POST", body=b"hello")
    assert (response.status, response.text) == (status, "no")


@pytest.mark.own  # mod_proxy sends the body behind it, and the next request on the connection meets a confused backend
def test_a_final_answer_instead_keeps_the_body_here(make):
    closed = threading.Event()

    def answers(connection):
        connection.read_head()
        connection.send(answer(b"no"))
        connection.wait_close()
        closed.set()
    backend = make.backend(answers)
    assert fetch(plain(make, backend).port, "/", "POST", body=b"hello").status == 200
    assert closed.wait(settings.PATIENCE)
    assert beyond_the_head(backend) == [b""]


@pytest.mark.own  # mod_proxy answers 502
def test_a_member_that_closes_instead_of_a_100_got_nothing(make):
    a, b = make.backend(lambda connection: connection.read_head()), make.backend(willing)
    server = make.httpd(POOL, a=a.url, b=b.url)
    assert fetch(server.port, "/", "POST", body=b"hello").status == 200
    server.expect_log("CXP0107.*trying the next member")
    assert beyond_the_head(a) == [b""]


@pytest.mark.own
def test_what_the_log_says(make):
    server = plain(make, make.backend(silent))
    assert fetch(server.port, "/", "POST", body=b"hello").status == 503
    server.expect_log(r"CXP0137: http://127.0.0.1:\d+: no 100 Continue within 500 ms \(attempt 1, phase head\), answered 503")
