"""Fields of requests that tell a backend who asked, and Via and Max-Forwards, beside mod_proxy."""
import pytest

from support.client import Client, fetch, request
from support.httpd import MOD_PROXY, load_line
from support.tls import tls_host

# The same under both proxies.
CONF = """
RequestHeader set X-Early seen early
RequestHeader append X-Late appended
<VirtualHost *:{port}>
    ServerName proxy.test
    {P}ProxyPass / {b}/
</VirtualHost>
<VirtualHost *:{port}>
    ServerName via.test
    {P}ProxyVia On
    {P}ProxyMaxForwards 7
    {P}ProxyPreserveHost On
    {P}ProxyPass / {b}/
</VirtualHost>
<VirtualHost *:{port}>
    ServerName full.test:99
    UseCanonicalName On
    {P}ProxyVia Full
    {P}ProxyPass / {b}/
</VirtualHost>
<VirtualHost *:{port}>
    ServerName block.test
    {P}ProxyVia Block
    {P}ProxyAddHeaders Off
    {P}ProxyPass / {b}/
</VirtualHost>
<VirtualHost *:{port}>
    ServerName remote.test
    RemoteIPHeader X-Client
    RemoteIPInternalProxy 127.0.0.1
    {P}ProxyPass / {b}/
    <Location /located>
        RequestHeader set X-Forwarded-Proto https
        RequestHeader unset X-Late
        {P}ProxyAddHeaders Off
    </Location>
</VirtualHost>
"""

OWN_CONF = """
<VirtualHost *:{port}>
    ServerName all.test
    {P}ProxyForwardedFields For Host Server Proto Port Forwarded
    {P}ProxyPass / {b}/
    <Location /port>
        {P}ProxyForwardedFields Port
    </Location>
</VirtualHost>
<VirtualHost *:{port}>
    ServerName none.test
    {P}ProxyForwardedTrust None
    {P}ProxyPass / {b}/
    <Location /own>
        {P}ProxyForwardedTrust 10.0.0.0/8 127.0.0.1
    </Location>
    <Location /other>
        {P}ProxyForwardedTrust 10.0.0.0/8
        {P}ProxyAddHeaders Off
    </Location>
</VirtualHost>
"""
TLS_CONF = tls_host("ServerName proxy.test", "{P}ProxyForwardedFields Proto Port Forwarded", "{P}ProxyPass / {b}/")


@pytest.fixture(scope="module")
def echo(house):
    return house.echo()


@pytest.fixture(scope="module")
def server(house, echo, file_family):
    return house.httpd(CONF, family=file_family, b=echo.url, modules=("remoteip",))


@pytest.fixture(scope="module")
def reference(house, echo):
    return house.httpd(CONF, family="std", proxy=[load_line(m) for m in MOD_PROXY], b=echo.url, modules=("remoteip",))


@pytest.fixture(scope="module")
def own(house, echo):
    return house.httpd(OWN_CONF + TLS_CONF, tls=True, b=echo.url)


def head(server, fields=(), host="proxy.test", **options):
    """Lines of the request as the backend got it, without what differs on purpose and between two servers."""
    told = fetch(server.port, **{"target": "/f", "host": host, "fields": fields, **options}).json()
    lines = [line for line in told["head"].split("\r\n") if not line.startswith(("X-Forwarded-Proto: http", "Connection:"))]
    return [line.replace(f":{server.port}", ":PORT") for line in lines]


def sent(server, fields=(), host="proxy.test", **options):
    told = fetch(server.port, **{"target": "/f", "host": host, "fields": fields, **options}).json()
    return [tuple(field) for field in told["fields"]]


def test_via_and_max_forwards(server):
    lines = head(server, [("X-A", "1"), ("via", "1.0 first"), ("X-B", "2")], host="via.test")
    assert lines[1:6] == ["Host: via.test", "X-A: 1", "via: 1.0 first, 1.1 via.test", "X-B: 2", "X-Early: seen"]
    assert "Max-Forwards: 7" in lines
    assert "Max-Forwards: 3" in head(server, [("Max-Forwards", "4")], host="via.test")
    assert not [line for line in head(server, [("Via", "1.0 a")], host="block.test") if "Via" in line or "Forwarded" in line]


def test_via_of_answers(server):
    assert fetch(server.port, host="via.test").fields.all("Via") == ["1.1 via.test"]
    assert fetch(server.port, host="full.test").fields.all("Via")[0].startswith("1.1 full.test:99 (Apache/2.4.")
    assert fetch(server.port, host="block.test").fields.all("Via") == []
    with Client(server.port) as client:
        client.send(b"GET /f HTTP/1.0\r\nHost: via.test\r\n\r\n")
        assert client.read().fields.all("Via") == ["1.0 via.test"]


def test_remoteip_is_whom_we_name(server):
    fields = dict(sent(server, [("X-Client", "192.0.2.9")], host="remote.test"))
    assert fields["X-Forwarded-For"] == "192.0.2.9"


CASES = {
    "plain": dict(),
    "via": dict(host="via.test", fields=[("X-A", "1"), ("VIA", "1.0 a"), ("Via", "HTTP/1.1 b (c)"), ("X-B", "2")]),
    "no via": dict(host="via.test", fields=[("Accept", "*/*")]),
    "max forwards": dict(host="via.test", fields=[("X-A", "1"), ("max-forwards", "3"), ("X-B", "2")]),
    "full": dict(host="full.test", fields=[("Via", "1.0 a")]),
    "block": dict(host="block.test", fields=[("X-A", "1"), ("Via", "1.0 a"), ("via", "b"), ("X-Forwarded-For", "10.1.1.1")]),
    "port": dict(host="via.test:8080"),
    "forwarded": dict(fields=[("x-forwarded-for", "1.2.3.4"), ("X-FORWARDED-HOST", "a, b"), ("A", "1"), ("X-Forwarded-Server", "s"),
                              ("X-Forwarded-For", "5.6.7.8"), ("Forwarded", "for=x"), ("X-Forwarded-Port", "1")]),
    "remoteip": dict(host="remote.test", fields=[("X-Client", "192.0.2.9"), ("X-Forwarded-For", "10.0.0.1")]),
    "remoteip v6": dict(host="remote.test", fields=[("X-Client", "2001:db8::9")]),
    "located": dict(host="remote.test", target="/located/x", fields=[("X-Late", "mine"), ("X-A", "1")]),
    "early and late": dict(fields=[("X-Early", "client"), ("X-Late", "client")]),
    "body": dict(host="via.test", method="POST", body=b"abc", fields=[("X-A", "1"), ("Content-Type", "x/y")]),
    "expect": dict(host="via.test", method="POST", body=b"abc", fields=[("X-A", "1"), ("expect", "100-Continue"), ("X-B", "2")]),
    "expect without via": dict(method="PUT", body=b"abc", fields=[("Expect", "100-continue"), ("X-B", "2")]),
    "odd case": dict(fields=[("hOST2", "x"), ("USER-AGENT", "y"), ("accept", "z"), ("cOOKIE", "a=b"), ("Cookie", "c=d")]),
}


@pytest.mark.own
@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_requests_equal_mod_proxys(server, reference, case):
    assert head(server, **case) == head(reference, **case)


@pytest.mark.own
@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_answers_equal_mod_proxys(server, reference, case):
    def fields(which):
        got = fetch(which.port, **{"target": "/f", **case}).fields
        return [field for field in got if field[0].lower() not in ("date", "content-length")]
    assert fields(server) == fields(reference)


@pytest.mark.own
def test_all_fields(own):
    fields = dict(sent(own, host="all.test:81"))
    assert fields["X-Forwarded-Port"] == "81" and fields["X-Forwarded-Proto"] == "http" and fields["X-Forwarded-Host"] == "all.test:81"
    assert fields["Forwarded"] == 'for=127.0.0.1;host="all.test:81";proto=http'
    fields = dict(sent(own, [("Forwarded", "for=\"[::1]\""), ("X-Forwarded-Port", "9")], host="all.test"))
    assert fields["Forwarded"] == 'for="[::1]", for=127.0.0.1;host=all.test;proto=http' and fields["X-Forwarded-Port"] == "9"


@pytest.mark.own
def test_an_inner_scope_chooses_other_fields(own):
    names = [name for name, _ in sent(own, host="all.test", target="/port/x")]
    assert [name for name in names if "orwarded" in name] == ["X-Forwarded-Port"]


@pytest.mark.own
def test_fields_over_tls(own):
    with Client(own.tls_port, server_name="proxy.test") as client:
        fields = dict(map(tuple, client.ask(target="/f", host=f"proxy.test:{own.tls_port}").json()["fields"]))
    assert fields["X-Forwarded-Proto"] == "https" and fields["X-Forwarded-Port"] == str(own.tls_port)
    assert fields["Forwarded"] == f'for=127.0.0.1;host="proxy.test:{own.tls_port}";proto=https' and "X-Forwarded-For" not in fields


FORGED = [("X-Forwarded-For", "6.6.6.6"), ("x-forwarded-host", "evil.test"), ("X-Forwarded-Server", "evil"), ("X-FORWARDED-PROTO", "https"),
          ("X-Forwarded-Port", "1"), ("Forwarded", "for=6.6.6.6"), ("X-Real", "stays")]


@pytest.mark.own
@pytest.mark.parametrize("target, expected", [
    ("/f", {"x-forwarded-for": "127.0.0.1", "x-forwarded-host": "none.test", "x-forwarded-server": "none.test", "x-forwarded-proto": "http"}),
    ("/own/f", {"x-forwarded-for": "6.6.6.6, 127.0.0.1", "x-forwarded-host": "evil.test, none.test", "x-forwarded-server": "evil, none.test",
                "x-forwarded-proto": "https", "x-forwarded-port": "1", "forwarded": "for=6.6.6.6"}),
    ("/other/f", {})])
def test_whose_word_counts(own, target, expected):
    fields = sent(own, FORGED, host="none.test", target=target)
    assert {name.lower(): value for name, value in fields if "forwarded" in name.lower()} == expected
    assert ("X-Real", "stays") in fields
    assert len([1 for name, _ in fields if "forwarded" in name.lower()]) == len(expected)


@pytest.mark.own
def test_a_hidden_name_is_not_trusted_either(own):
    """Connection cannot take a field out of the reach of the rule, nor bring one through."""
    with Client(own.port) as client:
        client.send(request("GET", "/f", [("Connection", "X-Forwarded-For"), *FORGED], host="none.test"))
        told = [tuple(field) for field in client.read().json()["fields"]]
    assert [value for name, value in told if name.lower() == "x-forwarded-for"] == ["127.0.0.1"]
