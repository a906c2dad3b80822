"""ProxyErrorOverride: httpd's page or ErrorDocument in place of the backend's, beside mod_proxy."""
import threading
from urllib.parse import quote, unquote

import pytest

from support.client import Client, fetch, request
from support.httpd import MOD_PROXY, load_line
from support.wire import answer, chunked

CONF = """
<VirtualHost *:{port}>
    ServerName proxy.test
    {P}ProxyErrorOverride On
    {P}ProxyPass /docs {b}/docs
    {P}ProxyPass /local !
    {P}ProxyPass / {b}/
    ErrorDocument 404 /local/page.html
    ErrorDocument 410 "gone for good"
    ErrorDocument 500 /docs/fine
    ErrorDocument 502 /docs/broken
    ErrorDocument 503 http://elsewhere.test/sorry
    <Location /off>
        {P}ProxyErrorOverride Off
    </Location>
    <Location /codes>
        {P}ProxyErrorOverride On 403
        <If "%{QUERY_STRING} =~ /more/">
            {P}ProxyErrorOverride On 405
        </If>
    </Location>
</VirtualHost>
<VirtualHost *:{port}>
    ServerName codes.test
    {P}ProxyErrorOverride On 403 500
    {P}ProxyPass / {b}/
    <Location /more>
        {P}ProxyErrorOverride On 405
    </Location>
    <Location /off>
        {P}ProxyErrorOverride Off
    </Location>
</VirtualHost>
<VirtualHost *:{port}>
    ServerName never.test
    {P}ProxyPass / {b}/
</VirtualHost>
"""
PATHS = ["/r", "/off/r", "/codes/r", "/more/r"]


@pytest.fixture(scope="module")
def backend(house):
    """/r?status=404 Gone&Name=value answers with that, and a body of its own."""
    backend = house.echo("errors")

    def script(connection, request):
        connection.read_body(request)
        fields = [tuple(unquote(p).split("=", 1)) for p in request.target.partition("?")[2].split("&")]
        head = request.method == "HEAD"
        connection.send(answer(b"" if head else b"the backend's own page", dict(fields)["status"],
                               [f for f in fields if f[0] not in ("status", "more")], length=not head))
        return True
    for path in PATHS:
        backend.on(path, script)
    backend.says("/docs/fine", answer(b"a page of the backend"))
    backend.says("/docs/broken", answer(b"also broken", "500 Broken Too"))
    backend.says("/chunked", b"HTTP/1.1 404 No\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked(b"x" * 5000, b"y"))
    backend.says("/large", answer(b"x" * 300_000, "404 No"))
    return backend


def start(house, backend, **options):
    server = house.httpd(CONF, b=backend.url, **options)
    (server.root / "htdocs" / "local").mkdir()
    (server.root / "htdocs" / "local" / "page.html").write_text("the proxy's page")
    return server


@pytest.fixture(scope="module")
def server(house, backend, file_family):
    return start(house, backend, family=file_family)


@pytest.fixture(scope="module")
def reference(house, backend):
    return start(house, backend, family="std", proxy=[load_line(m) for m in MOD_PROXY])


def ask(server, status, *fields, path="/r", host="proxy.test", **options):
    query = "&".join(f"{name}={quote(value, safe='')}" for name, value in (("status", status),) + fields)
    return fetch(server.port, f"{path}?{query}", host=host, **options)


BACKENDS = b"the backend's own page"


def test_pages_of_the_proxy(server):
    assert ask(server, "404 Nope").body == b"the proxy's page"
    assert ask(server, "410 Gone").body == b"gone for good"
    assert b"Forbidden" in ask(server, "403 Forbidden").body and ask(server, "403 Forbidden").status == 403
    away = ask(server, "503 Busy")
    assert (away.status, away.fields.get("Location")) == (302, "http://elsewhere.test/sorry")
    proxied = ask(server, "500 Oops")
    assert (proxied.status, proxied.body) == (500, b"a page of the backend")


@pytest.mark.parametrize("status", ["200 OK", "204 No Content", "304 Not Modified", "302 Found"])
def test_other_answers_stay(server, status):
    response = ask(server, status, ("X-A", "1"), ("ETag", '"e"'))
    assert response.status == int(status[:3]) and response.fields.get("X-A") == "1"


@pytest.mark.parametrize("host, path, status, ours", [
    ("proxy.test", "/off/r", "404 No", False), ("proxy.test", "/codes/r", "404 No", False), ("proxy.test", "/codes/r", "403 No", True),
    ("codes.test", "/r", "404 No", False), ("codes.test", "/r", "500 No", True), ("codes.test", "/more/r", "405 No", True),
    ("codes.test", "/more/r", "403 No", True), ("codes.test", "/more/r", "404 No", False), ("codes.test", "/off/r", "500 No", False),
    ("never.test", "/r", "500 No", False)])
def test_scopes_and_codes(server, host, path, status, ours):
    response = ask(server, status, host=host, path=path)
    assert response.status == int(status[:3]) and (response.body != BACKENDS) == ours


def test_a_condition_adds_codes(server):
    assert ask(server, "405 No", path="/codes/r").body == BACKENDS
    assert ask(server, "405 No", ("more", "1"), path="/codes/r").body != BACKENDS


@pytest.mark.own
def test_every_challenge_is_kept(server):
    """mod_proxy keeps the first."""
    response = ask(server, "401 Who", ("WWW-Authenticate", "Negotiate"), ("X-A", "1"), ("WWW-Authenticate", "Basic realm=x"))
    assert response.status == 401 and response.body != BACKENDS
    assert ", ".join(response.fields.all("WWW-Authenticate")) == "Negotiate, Basic realm=x"


@pytest.mark.own
def test_both_connections_are_kept(server, backend):
    """mod_proxy opens another one to the backend each time."""
    with Client(server.port) as client:
        for target in ("/r?status=404%20No", "/chunked", "/r?status=410%20No", "/r?status=200%20OK"):
            client.ask(target=target)
    last = backend.requests[-4:]
    assert len({request.connection for request in last}) == 1


def test_a_large_body_is_not_passed(server):
    with Client(server.port) as client:
        for _ in range(2):
            assert client.ask(target="/large").body == b"the proxy's page"


@pytest.mark.own
def test_a_body_that_does_not_come_holds_nobody_up(make):
    """mod_proxy waits for it, up to the timeout."""
    def script(connection):
        connection.read_request()
        connection.send(b"HTTP/1.1 404 No\r\nContent-Length: 9\r\n\r\nhalf")
        connection.wait_close()
    backend = make.backend(script)
    server = make.httpd("{P}ProxyErrorOverride On\n{P}ProxyPass / {b}/\n", b=backend.url)
    for _ in range(2):
        assert fetch(server.port, "/a").status == 404
    assert len(backend.connections) == 2


@pytest.mark.own
def test_requests_that_waited_without_a_thread(make):
    """More of them than there are threads."""
    release = threading.Event()

    def slow(connection, told):
        connection.read_body(told)
        connection.wait(release)
        connection.send(answer(b"the backend's own page", "404 No"))
        return True
    backend = make.echo()
    backend.on("/slow", slow)
    server = make.httpd("AsyncRequestWorkerFactor 100\n{P}ProxyErrorOverride On\n{P}ProxyPass / {b}/\nErrorDocument 404 \"page of the proxy\"\n",
                        b=backend.url, threads=4)
    server.allow_log(r"AH00484|AH10159")  # the MPM counts connections that wait as busy
    clients = [Client(server.port) for _ in range(8)]
    for client in clients:
        client.send(request("GET", "/slow"))
    backend.wait_requests(8)
    release.set()
    for client in clients:
        response = client.read()
        assert (response.status, response.body) == (404, b"page of the proxy")
        client.close()  # the MPM may close it by itself: all its threads were busy
    assert fetch(server.port, "/quick").status == 200


@pytest.mark.own
def test_a_page_that_fails_as_well(server):
    """The status of the first error, with httpd's own page; mod_proxy asks for the page ten times and answers 500."""
    response = ask(server, "502 Bad")
    assert response.status == 502 and b"Bad Gateway" in response.body
    assert ask(server, "404 Nope").status == 404


CASES = [("404 Nope", []), ("404 Nope", [("X-A", "1"), ("Set-Cookie", "a=1"), ("Content-Type", "text/plain")]), ("410 Gone", []),
         ("403 Custom Reason", [("X-A", "1")]), ("401 Who", [("WWW-Authenticate", "Basic realm=x"), ("X-A", "1")]), ("401 Who", []),
         ("500 Oops", [("X-A", "1")]), ("503 Busy", [("Retry-After", "5")]), ("405 No", [("Allow", "GET")]), ("416 Range", [("Content-Range", "bytes */5")]),
         ("451 Law", []), ("599 Odd", []), ("420 Odd", []), ("200 OK", [("X-A", "1")]), ("304 Not Modified", [("ETag", '"x"')])]


@pytest.mark.own
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST"])
@pytest.mark.parametrize("status, fields", CASES, ids=lambda v: v if isinstance(v, str) else "")
def test_equal_to_mod_proxy(server, reference, status, fields, method):
    def seen(which):
        got = ask(which, status, *fields, method=method, body=b"abc" if method == "POST" else None)
        return (got.status, got.reason, [f for f in got.fields if f[0] not in ("Date", "ETag", "Last-Modified")],
                got.body.replace(str(which.port).encode(), b"PORT"))
    assert seen(server) == seen(reference)
