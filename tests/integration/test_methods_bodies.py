"""Methods, and bodies in both directions under every framing."""
import hashlib
import threading

import pytest

from support import settings
from support.client import Client, fetch, request
from support.wire import answer, chunked, Closed


@pytest.fixture(scope="module")
def echo(house):
    return house.echo()


@pytest.fixture(scope="module")
def server(house, echo):
    return house.httpd("{P}ProxyPass / {b}/\n", b=echo.url)


@pytest.fixture
def says(make):
    """says(bytes) makes a server whose backend answers with exactly these bytes and closes."""
    def build(data, **options):
        def script(connection):
            connection.read_request()
            connection.send(data)
            options.get("after", lambda c: None)(connection)
        backend = make.backend(script)
        server = make.httpd("{P}ProxyPass / {b}/\n", b=backend.url)
        server.backend = backend
        return server
    return build


# --- methods -------------------------------------------------------------------------------------

@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "PROPFIND",
                                    "MKCOL", "REPORT", "SEARCH", "LOCK", "BREW", "get", "M-SEARCH"])
@pytest.mark.parametrize("body", [None, b"", b"content"], ids=["none", "empty", "some"])
def test_every_method_with_and_without_body(server, method, body):
    told = fetch(server.port, "/m?q", method, body=body)
    assert told.status == 200, told.text
    seen = told.json()
    assert (seen["method"], seen["target"]) == (method, "/m?q")
    assert (seen["length"], seen["truncated"]) == (len(body or b""), False)


def test_head_has_the_fields_and_no_body(server, echo):
    echo.on("/head", lambda c, r: c.send(
        b"HTTP/1.1 200 OK\r\nContent-Length: 1234\r\nX-A: b\r\n\r\n") or True)
    with Client(server.port) as client:
        first = client.ask("HEAD", "/head")
        assert (first.status, first.fields.get("Content-Length")) == (200, "1234")
        assert first.fields.get("X-A") == "b"
        assert client.ask("GET", "/next").json()["target"] == "/next"


def test_trace_is_not_mirrored_with_foreign_bytes(server):
    """httpd answers or refuses TRACE by TraceEnable; what counts is that the framing survives."""
    with Client(server.port) as client:
        answer_to_trace = client.ask("TRACE", "/t")
        assert answer_to_trace.status in (200, 405) and not answer_to_trace.truncated
        assert client.ask("GET", "/t2").json()["target"] == "/t2"


# --- request bodies ------------------------------------------------------------------------------

SIZES = [0, 1, 16383, 16384, 16385, 65535, 65536, 65537, 300_000, 3_000_000]


@pytest.mark.parametrize("size", SIZES)
def test_upload_with_content_length(server, size):
    body = bytes(i * 7 % 251 for i in range(1000)) * (size // 1000 + 1)
    body = body[:size]
    told = fetch(server.port, "/up", "POST", body=body).json()
    assert (told["length"], told["sha256"]) == (size, hashlib.sha256(body).hexdigest())
    assert dict(told["fields"])["Content-Length"] == str(size)
    assert "Transfer-Encoding" not in dict(told["fields"])


@pytest.mark.parametrize("size", SIZES)
def test_upload_chunked(server, size):
    body = (b"0123456789abcde" * (size // 15 + 1))[:size]
    head = request("POST", "/up", [("Transfer-Encoding", "chunked"), ("Connection", "close")])
    with Client(server.port) as client:
        client.send(head)
        for at in range(0, size, 50_000):
            client.send(b"%x\r\n%s\r\n" % (len(body[at:at + 50_000]), body[at:at + 50_000]))
        told = client.send(b"0\r\n\r\n").read().json()
    assert (told["length"], told["sha256"]) == (size, hashlib.sha256(body).hexdigest())
    assert ("Content-Length" in dict(told["fields"])) != ("Transfer-Encoding" in dict(told["fields"]))


def test_upload_chunked_with_extensions_and_trailers(server):
    """Extensions and request trailers end at the proxy; the data arrives."""
    with Client(server.port) as client:
        client.send(request("POST", "/up", [("Transfer-Encoding", "chunked"), ("Trailer", "X-T")]))
        client.send(b"5;a=b\r\nhello\r\n6;q=\"x y\"\r\n world\r\n0\r\nX-T: late\r\nHost: evil\r\n\r\n")
        told = client.read().json()
        assert (told["length"], told["sha256"]) == (11, hashlib.sha256(b"hello world").hexdigest())
        names = [name for name, _ in told["fields"]]
        assert "X-T" not in names and names.count("Host") == 1
        assert client.ask("GET", "/next").json()["target"] == "/next"


@pytest.mark.parametrize("coding", ["length", "chunked"])
def test_upload_in_dribbles_of_one_byte(server, coding):
    body = b"one byte at a time"
    if coding == "length":
        whole = request("POST", "/up", body=body)
    else:
        whole = request("POST", "/up", [("Transfer-Encoding", "chunked")]) + chunked(
            *[body[i:i + 1] for i in range(len(body))])
    with Client(server.port) as client:
        for i in range(len(whole)):
            client.send(whole[i:i + 1])
        told = client.read().json()
    assert (told["length"], told["sha256"]) == (len(body), hashlib.sha256(body).hexdigest())


def test_pipelined_requests_with_bodies_are_answered_in_order(server):
    bodies = [b"a", b"", b"c" * 20_000, b"d"]
    with Client(server.port) as client:
        client.send(b"".join(request("POST", f"/{i}", body=b) for i, b in enumerate(bodies)))
        for i, body in enumerate(bodies):
            told = client.read().json()
            assert (told["target"], told["length"]) == (f"/{i}", len(body))


def test_upload_that_ends_early_never_looks_complete(server, echo):
    """The client half-closes inside its body: the backend must not see a finished request."""
    server.allow_log()
    before = len(echo.requests)
    with Client(server.port) as client:
        client.send(request("POST", "/cut", [("Content-Length", "100000")]) + b"x" * 50_000)
        client.half_close()
        try:
            assert client.read().status >= 400
        except Closed:
            pass
    for seen in echo.requests[before:]:
        assert seen.body.truncated or seen.body.length == 0


@pytest.mark.parametrize("tail", [b"zz\r\nhello\r\n0\r\n\r\n", b"5\r\nhelloXX0\r\n\r\n",
                                  b"-5\r\nhello\r\n0\r\n\r\n", b"5\nhello\r\n0\r\n\r\n",
                                  b"fffffffffffffffff\r\nhello"])
def test_malformed_chunks_are_refused_and_end_the_connection(server, echo, tail):
    server.allow_log()
    server.allow_log(r"\[(http|core):(error|warn)\]")
    before = len(echo.requests)
    with Client(server.port) as client:
        client.send(request("POST", "/bad", [("Transfer-Encoding", "chunked")]) + tail)
        client.half_close()
        assert 400 <= client.read().status < 500
        assert client.at_end()
    for seen in echo.requests[before:]:
        assert seen.body.truncated


def test_limit_request_body_is_not_for_proxied_requests(make, echo):
    """httpd's core leaves proxied requests out of LimitRequestBody (measured with mod_proxy), so a
    limit that a site set for its own scripts does not cut uploads to a backend."""
    server = make.httpd("LimitRequestBody 1000\n{P}ProxyPass / {b}/\n", b=echo.url)
    for size in (1000, 1001, 100_000):
        assert fetch(server.port, "/l", "POST", body=b"x" * size).json()["length"] == size


# --- Expect --------------------------------------------------------------------------------------

def test_expect_is_answered_before_the_body_and_the_body_arrives(server):
    with Client(server.port) as client:
        client.send(request("POST", "/e", [("Expect", "100-continue"), ("Content-Length", "5")]))
        assert client.read_head().status == 100
        told = client.send(b"hello").read().json()
    assert (told["length"], told["sha256"]) == (5, hashlib.sha256(b"hello").hexdigest())


@pytest.mark.parametrize("status", ["417 Expectation Failed", "413 Content Too Large",
                                    "401 Unauthorized"])
def test_expect_refused_by_the_backend(server, echo, status):
    """The final answer comes instead of 100; the client keeps its body, the connection closes or
    stays clean."""
    def refuse(connection, _):
        connection.send(answer(b"no", status, [("Connection", "close")]))
        return False
    echo.on("/refuse", refuse)
    server.allow_log()
    with Client(server.port) as client:
        client.send(request("POST", "/refuse",
                            [("Expect", "100-continue"), ("Content-Length", "500000")]))
        final = client.read()
        if final.interim:
            assert [i.status for i in final.interim] == [100]
        assert (final.status, final.body) == (int(status[:3]), b"no")


def test_unknown_expectation_is_417(server, echo):
    server.allow_log(r"\[(http|core):")
    before = len(echo.requests)
    assert fetch(server.port, "/e", "POST", [("Expect", "miracle")], b"x").status == 417
    assert len(echo.requests) == before


# --- interim responses ---------------------------------------------------------------------------

@pytest.mark.parametrize("interim, expected", [
    (b"HTTP/1.1 102 Processing\r\n\r\n", [102]),
    (b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\n\r\n", [103]),
    (b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </b>\r\n\r\n",
     [103, 103]),
])
def test_interim_responses_reach_the_client_apart_from_the_final_one(says, interim, expected):
    server = says(interim + answer(b"final", fields=[("X-Final", "1")]))
    response = fetch(server.port)
    assert [i.status for i in response.interim] == expected
    assert (response.status, response.body) == (200, b"final")
    assert "Link" not in response.fields and response.fields.get("X-Final") == "1"
    if 103 in expected:
        assert all("Link" in i.fields for i in response.interim)


def test_unasked_100_is_harmless(says):
    server = says(b"HTTP/1.1 100 Continue\r\n\r\n" + answer(b"final"))
    response = fetch(server.port)
    assert (response.status, response.body) == (200, b"final")


def test_endless_interim_responses_are_502(says):
    server = says(b"HTTP/1.1 102 Processing\r\n\r\n" * 200 + answer(b"final"))
    server.allow_log()
    assert fetch(server.port).status == 502


def test_http_1_0_client_gets_no_interim_response(says):
    server = says(b"HTTP/1.1 103 Early Hints\r\n\r\n" + answer(b"final"))
    with Client(server.port) as client:
        client.send(b"GET / HTTP/1.0\r\n\r\n")
        assert client.read_head().status == 200


# --- response bodies -----------------------------------------------------------------------------

def test_response_with_content_length(says):
    response = fetch(says(answer(b"x" * 100_000)).port)
    assert response.fields.get("Content-Length") == "100000"
    assert response.body == b"x" * 100_000


def test_response_with_empty_body(says):
    response = fetch(says(answer(b"")).port)
    assert (response.status, response.body, response.truncated) == (200, b"", False)


@pytest.mark.parametrize("coded", [
    chunked(b"hello ", b"world"),
    b"6;ext=1\r\nhello \r\n5;x=\"a;b\"\r\nworld\r\n0;last\r\n\r\n",
    b"0006\r\nhello \r\n005\r\nworld\r\n000\r\n\r\n",
    b"B\r\nhello world\r\n0\r\n\r\n",
])
def test_response_chunked(says, coded):
    server = says(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + coded)
    response = fetch(server.port)
    assert (response.body, response.truncated) == (b"hello world", False)


def test_response_trailers_are_not_merged_into_the_head(says):
    server = says(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-T\r\n\r\n" +
                  chunked(b"hello", trailers=b"X-T: 1\r\nSet-Cookie: a=b\r\nContent-Length: 3\r\n"))
    with Client(server.port) as client:
        response = client.ask()
    assert (response.body, response.truncated) == (b"hello", False)
    assert "Set-Cookie" not in response.fields and "X-T" not in response.fields


def test_response_until_close(says):
    server = says(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n" + b"until close" * 5000)
    response = fetch(server.port)
    assert (response.status, response.body, response.truncated) == (200, b"until close" * 5000, False)


def test_response_until_close_on_a_kept_client_connection(says):
    """The end of such a body is still told to the client."""
    server = says(b"HTTP/1.1 200 OK\r\n\r\nuntil close")
    with Client(server.port) as client:
        for _ in range(3):
            response = client.ask()
            assert response.body == b"until close"
            assert response.fields.get("Transfer-Encoding") == "chunked"


def test_response_of_http_1_0(says):
    response = fetch(says(b"HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\nold").port)
    assert (response.version, response.body) == ("HTTP/1.1", b"old")


@pytest.mark.parametrize("status", ["204 No Content", "304 Not Modified"])
def test_status_without_body(make, status):
    def script(connection):
        while True:
            connection.read_request()
            connection.send(f"HTTP/1.1 {status}\r\nETag: \"e\"\r\n\r\n".encode())
    backend = make.backend(script)
    server = make.httpd("{P}ProxyPass / {b}/\n", b=backend.url)
    with Client(server.port) as client:
        for _ in range(3):
            response = client.ask()
            assert (response.status, response.fields.get("ETag")) == (int(status[:3]), '"e"')
            assert "Transfer-Encoding" not in response.fields
    assert len(backend.connections) == 1


@pytest.mark.parametrize("status", ["200 OK", "200 Something Else", "201 Created", "299 Odd",
                                    "301 Moved", "400 Bad Request", "404 Not Found", "418 Teapot",
                                    "429 Too Many", "500 Error", "503 Busy", "507 Full", "599 Last"])
def test_status_and_body_of_the_backend_pass(says, status):
    server = says(answer(b"body", status, [("X-Own", "yes"), ("Retry-After", "7")]))
    response = fetch(server.port)
    assert (response.status, response.body) == (int(status[:3]), b"body")
    assert response.fields.get("X-Own") == "yes" and response.fields.get("Retry-After") == "7"
    assert response.reason == status[4:]


def test_http_1_0_client_gets_a_body_that_close_ends(says):
    server = says(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked(b"he", b"llo"))
    with Client(server.port) as client:
        client.send(b"GET / HTTP/1.0\r\n\r\n")
        response = client.read()
        assert response.body == b"hello" and "Transfer-Encoding" not in response.fields
        assert client.at_end()


# --- the answer comes before the request is over ---------------------------------------------------

def test_final_answer_while_uploading(make):
    """413 while 8 MiB are on their way: the client gets it, and nobody hangs."""
    def script(connection):
        connection.read_head()
        connection.send(answer(b"too much", "413 Content Too Large", [("Connection", "close")]))
        connection.half_close()
        connection.wait_close()
    backend = make.backend(script)
    server = make.httpd("{P}ProxyPass / {b}/\n", b=backend.url)
    server.allow_log()
    with Client(server.port) as client:
        client.send(request("POST", "/", [("Content-Length", str(8 << 20))]))
        stopped = threading.Event()

        def upload():
            try:
                for _ in range(128):
                    client.send(b"x" * 65536)
            except OSError:
                pass
            stopped.set()
        threading.Thread(target=upload, daemon=True).start()
        response = client.read()
        assert stopped.wait(settings.PATIENCE)
    assert (response.status, response.body) == (413, b"too much")


@pytest.mark.own
def test_an_early_answer_does_not_wait_for_the_clients_body(make):
    """mod_proxy reads the whole body first and hangs with a client that waits for its answer. The
    backend keeps its end open, but it has not got the whole request: never used again."""
    def early(connection):
        connection.read_head()
        connection.send(answer(b"early", "403 Forbidden"))
        connection.wait_close()
    backend = make.backend([early, lambda c: (c.read_request(), c.send(answer(b"fine")))])
    server = make.httpd("{P}ProxyPass / {b}/\n", b=backend.url, threads=4)
    server.allow_log()
    with Client(server.port) as client:
        client.send(request("POST", "/", [("Content-Length", "1000000")]) + b"x" * 200_000)
        response = client.read()
        assert (response.status, response.body) == (403, b"early")
        assert response.fields.get("Connection") == "close"
    response = fetch(server.port, "/second")
    assert (response.status, response.body) == (200, b"fine")
    assert len(backend.connections) == 2
