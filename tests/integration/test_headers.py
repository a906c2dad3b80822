"""Fields in both directions: what is dropped, what is added, what stays as it was."""
import pytest

from support import settings
from support.client import Client, fetch
from support.httpd import MOD_PROXY, load_line
from support.wire import answer


@pytest.fixture(scope="module")
def echo(house):
    return house.echo()


@pytest.fixture(scope="module")
def server(house, echo, file_family):
    return house.httpd("""
<VirtualHost *:{port}>
    ServerName proxy.test
    {P}ProxyPass / {b}/
</VirtualHost>
<VirtualHost *:{port}>
    ServerName keep.test
    {P}ProxyPreserveHost On
    {P}ProxyPass / {b}/
</VirtualHost>
<VirtualHost *:{port}>
    ServerName bare.test
    {P}ProxyAddHeaders Off
    {P}ProxyPass / {b}/
</VirtualHost>
""", family=file_family, b=echo.url)


def seen(server, fields=(), host="proxy.test", **options):
    """The fields of a request as the backend saw them, in order."""
    return [tuple(f) for f in fetch(server.port, "/f", fields=fields, host=host, **options)
            .json()["fields"]]


def names(fields):
    return [name.lower() for name, _ in fields]


# --- Host and X-Forwarded-* -----------------------------------------------------------------------

def test_host_is_the_backends(server, echo):
    fields = seen(server, host="proxy.test")
    assert fields[0] == ("Host", f"127.0.0.1:{echo.port}") and names(fields).count("host") == 1


@pytest.mark.parametrize("host", ["keep.test", "keep.test:8000", "KEEP.test"])
def test_host_is_the_clients_with_preserve_host(server, host):
    assert dict(seen(server, host=host))["Host"] == host


def test_host_of_an_http_1_0_request_without_one(make, echo, family):
    server = make.httpd("{P}ProxyPreserveHost On\n{P}ProxyPass / {b}/\n", family=family, b=echo.url)
    server.allow_log("AH01092")
    with Client(server.port) as client:
        client.send(b"GET /f HTTP/1.0\r\n\r\n")
        told = client.read().json()
    hosts = [value for name, value in told["fields"] if name == "Host"]
    assert len(hosts) == 1 and hosts[0].startswith("proxy.test")
    assert "X-Forwarded-Host" not in dict(told["fields"])


def test_forwarded_fields(server):
    fields = dict(seen(server))
    assert fields["X-Forwarded-For"] == "127.0.0.1"
    assert fields["X-Forwarded-Host"] == "proxy.test"
    assert fields["X-Forwarded-Server"] == "proxy.test"


@pytest.mark.own
def test_forwarded_proto(server):
    assert dict(seen(server))["X-Forwarded-Proto"] == "http"


def test_forwarded_fields_are_appended_to_the_clients(server):
    fields = seen(server, [("X-Forwarded-For", "10.0.0.1, 10.0.0.2"), ("X-Forwarded-Host", "first.test"),
                           ("X-Forwarded-Server", "outer.test")])
    assert dict(fields)["X-Forwarded-For"] == "10.0.0.1, 10.0.0.2, 127.0.0.1"
    assert dict(fields)["X-Forwarded-Host"] == "first.test, proxy.test"
    assert dict(fields)["X-Forwarded-Server"] == "outer.test, proxy.test"
    assert names(fields).count("x-forwarded-for") == 1


def test_forwarded_fields_in_two_lines_become_one_list(server):
    fields = seen(server, [("X-Forwarded-For", "10.0.0.1"), ("X-Forwarded-For", "10.0.0.2")])
    joined = ", ".join(v for n, v in fields if n.lower() == "x-forwarded-for")
    assert joined == "10.0.0.1, 10.0.0.2, 127.0.0.1"


def test_add_headers_off(server):
    fields = seen(server, [("X-Forwarded-For", "10.0.0.1")], host="bare.test")
    assert dict(fields)["X-Forwarded-For"] == "10.0.0.1"
    assert "x-forwarded-host" not in names(fields) and "x-forwarded-server" not in names(fields)


# --- hop by hop -----------------------------------------------------------------------------------

HOP_BY_HOP = [("Keep-Alive", "timeout=5"), ("TE", "trailers"), ("Trailer", "X-T"),
              ("Proxy-Connection", "keep-alive"), ("Upgrade", "h2c")]


@pytest.mark.parametrize("field", HOP_BY_HOP, ids=lambda f: f[0])
def test_hop_by_hop_fields_of_the_request_end_here(server, field):
    fields = seen(server, [field, ("X-Stays", "yes")])
    assert field[0].lower() not in names(fields)
    assert ("X-Stays", "yes") in fields


@pytest.mark.parametrize("token", ["X-Secret", "x-secret", " X-Secret ", "foo, X-Secret", "X-Secret,,bar",
                                   "close, X-Secret"])
def test_fields_that_connection_names_end_here(server, token):
    with Client(server.port) as client:
        told = client.ask(target="/f", fields=[("Connection", token), ("X-Secret", "1"),
                                               ("X-Other", "2")]).json()
    got = names(told["fields"])
    assert "x-secret" not in got and "x-other" in got
    assert dict(told["fields"]).get("Connection", "Keep-Alive").lower() in ("keep-alive", "close")


@pytest.mark.parametrize("named", ["X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Server",
                                   "X-Forwarded-For, X-Forwarded-Host"])
def test_connection_cannot_remove_the_proxys_own_fields(server, named):
    with Client(server.port) as client:
        told = client.ask(target="/f", fields=[("Connection", named),
                                               ("X-Forwarded-For", "6.6.6.6")]).json()
    fields = dict(told["fields"])
    assert fields["X-Forwarded-For"].endswith("127.0.0.1")
    assert fields["X-Forwarded-Host"] and fields["X-Forwarded-Server"] == "proxy.test"


@pytest.mark.parametrize("named", ["Host", "Content-Length", "Transfer-Encoding"])
def test_connection_cannot_remove_host_or_framing(server, named):
    server.allow_log(r"\[(http|core|proxy|cxxproxy|proxy_http):")
    with Client(server.port) as client:
        response = client.ask("POST", "/f", [("Connection", named)], b"hello")
    if response.status == 200:
        told = response.json()
        assert told["length"] == 5 and "host" in names(told["fields"])
    else:
        assert response.status in (400, 502)


def test_response_fields_hop_by_hop_end_here(make, family):
    def script(connection):
        connection.read_request()
        connection.send(answer(b"ok", fields=[
            ("Connection", "close, X-Private"), ("Keep-Alive", "timeout=9"), ("X-Private", "1"),
            ("Proxy-Connection", "x"), ("Upgrade", "h2c"), ("Trailer", "X-T"), ("X-Public", "2")]))
    backend = make.backend(script)
    server = make.httpd("{P}ProxyPass / {b}/\n", family=family, b=backend.url)
    with Client(server.port) as client:
        response = client.ask()
        for gone in ("X-Private", "Proxy-Connection", "Trailer", "Upgrade"):
            assert gone not in response.fields, gone
        assert response.fields.get("Keep-Alive") in (None, "timeout=5")
        assert response.fields.get("X-Public") == "2"
        assert client.ask().body == b"ok"  # the backend's `close` is not the client's


# --- what stays -----------------------------------------------------------------------------------

def test_case_and_order_of_request_fields(server):
    sent = [("x-lower", "a"), ("X-UPPER", "B"), ("X-MiXeD", "c"), ("Accept", "*/*"), ("Cookie", "a=b; c=d"),
            ("Authorization", "Basic eDp5"), ("If-None-Match", "\"e\""),
            ("User-Agent", "test/1 (x; y)"), ("Referer", "http://x.test/?a=b")]
    kept = [f for f in seen(server, sent) if f in sent]
    assert kept == sent


def test_repeated_request_fields_are_all_there(server):
    fields = seen(server, [("X-R", "1"), ("X-Other", "x"), ("X-R", "2")])
    assert ", ".join(v for n, v in fields if n == "X-R") == "1, 2"


@pytest.mark.parametrize("value", ["", "a  b", "\"q, u\"", "t\xe4st", "x" * 7000, "a\tb"])
def test_values_pass_byte_for_byte(server, value):
    told = fetch(server.port, "/f", fields=[("X-V", value)]).json()
    assert [v for n, v in told["fields"] if n == "X-V"] == [value]


def test_response_fields_case_order_and_repetition(make, family):
    sent = [("x-lower", "a"), ("X-UPPER", "B"), ("Set-Cookie", "a=1; Path=/"), ("ETag", "\"1\""),
            ("Set-Cookie", "b=2"), ("Content-Type", "text/x-odd; charset=utf-8"), ("X-Empty", ""),
            ("Link", "</a>; rel=x"), ("Link", "</b>"), ("WWW-Authenticate", "Basic realm=\"x, y\"")]
    backend = make.backend(lambda c: (c.read_request(), c.send(answer(b"ok", fields=sent))))
    server = make.httpd("{P}ProxyPass / {b}/\n", family=family, b=backend.url)
    response = fetch(server.port)
    assert response.fields.all("Set-Cookie") == ["a=1; Path=/", "b=2"]
    assert ", ".join(response.fields.all("Link")) == "</a>; rel=x, </b>"
    got = [n for n, _ in response.fields]
    for name, value in sent:
        assert name in got
        assert value in ", ".join(response.fields.all(name))


def test_date_and_server_of_the_backend_pass(make, family):
    fields = [("Date", "Sun, 06 Nov 1994 08:49:37 GMT"), ("Server", "Origin/1")]
    backend = make.backend(lambda c: (c.read_request(), c.send(answer(b"ok", fields=fields))))
    server = make.httpd("{P}ProxyPass / {b}/\n", family=family, b=backend.url)
    response = fetch(server.port)
    for name, value in fields:
        assert response.fields.all(name) == [value]


def test_content_type_is_not_invented(make, family):
    backend = make.backend(lambda c: (c.read_request(), c.send(answer(b"ok"))))
    server = make.httpd("{P}ProxyPass / {b}/\n", family=family, b=backend.url)
    assert "Content-Type" not in fetch(server.port, "/page").fields


# --- the request line and head as a whole ---------------------------------------------------------

def test_request_bytes(server, echo):
    head = fetch(server.port, "/f?q", fields=[("X-A", "b")]).json()["head"].split("\r\n")
    expected = ["GET /f?q HTTP/1.1", f"Host: 127.0.0.1:{echo.port}", "X-A: b",
                "X-Forwarded-For: 127.0.0.1", "X-Forwarded-Host: proxy.test",
                "X-Forwarded-Server: proxy.test"]
    if settings.OWN:
        head.remove("X-Forwarded-Proto: http")
    assert head[:6] == expected
    assert head[6:] in (["Connection: Keep-Alive", "", ""], ["", ""])


REQUESTS = {
    "plain": dict(),
    "query": dict(target="/f/a%20b;x?y=%2F&z"),
    "fields": dict(fields=[("x-a", "1"), ("Accept", "*/*"), ("X-B", ""), ("Cookie", "a=b")]),
    "repeated": dict(fields=[("X-R", "1"), ("X-R", "2")]),
    "hop by hop": dict(fields=HOP_BY_HOP + [("Connection", "x-a"), ("X-A", "1")]),
    "forwarded": dict(fields=[("X-Forwarded-For", "10.1.1.1"), ("Via", "1.1 x"), ("Forwarded", "for=y")]),
    "body": dict(method="POST", body=b"hello", fields=[("Content-Type", "text/plain")]),
    "empty body": dict(method="PUT", body=b""),
    "large body": dict(method="POST", body=b"x" * 100_000),
    "odd method": dict(method="BREW"),
    "head": dict(method="DELETE"),
    "other host": dict(host="elsewhere.test:99"),
}


@pytest.fixture(scope="module")
def pair(house, echo):
    """The same configuration in front of the same backend, under both proxies."""
    conf = "{P}ProxyPass / {b}/\n{P}ProxyPassReverse / {b}/\n"
    own = house.httpd(conf, b=echo.url)
    reference = house.httpd(conf, family="std", proxy=[load_line(m) for m in MOD_PROXY], b=echo.url)
    return own, reference


@pytest.mark.own
@pytest.mark.parametrize("case", REQUESTS.values(), ids=REQUESTS.keys())
def test_request_bytes_equal_mod_proxys(pair, case):
    """Same line, same fields in the same order; only what DESIGN lists as intended may differ."""
    case = dict({"target": "/f"}, **case)

    def lines(server):
        head = fetch(server.port, **case).json()["head"].split("\r\n")
        return [line for line in head if not line.startswith(("X-Forwarded-Proto:", "Connection:"))]
    own, reference = (lines(server) for server in pair)
    assert own == reference


@pytest.mark.own
@pytest.mark.parametrize("case", REQUESTS.values(), ids=REQUESTS.keys())
def test_response_fields_equal_mod_proxys(pair, case):
    own, reference = (fetch(server.port, **dict({"target": "/f"}, **case)) for server in pair)
    assert own.status == reference.status
    volatile = ("date", "content-length")
    assert [f for f in own.fields if f[0].lower() not in volatile] == \
           [f for f in reference.fields if f[0].lower() not in volatile]
