"""The tutorial's vhosts on a TLS port: what the backend is told, and https in redirects."""
import pytest

from support.client import Client, fetch
from support.tls import tls_host
from support.wire import answer

VHOST = """
<VirtualHost *:{port}>
    ServerName proxy.test
    {P}ProxyPreserveHost On
    {P}ProxyPass / {b}/
    {P}ProxyPassReverse / {b}/
</VirtualHost>
""" + tls_host(
    "ServerName proxy.test", "<{P}Proxy balancer://mycluster>", "    {P}BalancerMember {b}", "</{P}Proxy>", "{P}ProxyPreserveHost On",
    "{P}ProxyPass / balancer://mycluster/", "{P}ProxyPassReverse / balancer://mycluster/")


@pytest.fixture(scope="module")
def echo(house):
    backend = house.echo()

    def redirect(connection, asked):
        connection.send(answer(b"", "302 Found", [("Location", f"{backend.url}/there?x"),
                                                  ("Content-Location", f"{backend.url}/here")]))
        return True
    backend.on("/go", redirect)
    return backend


@pytest.fixture(scope="module")
def server(house, echo, file_family):
    return house.httpd(VHOST, family=file_family, tls=True, b=echo.url)


def over_tls(server, target="/", **options):
    return fetch(server.tls_port, target, server_name="proxy.test", **options)


def test_requests_and_bodies_pass(server):
    assert over_tls(server, "/a?b").json()["target"] == "/a?b"
    assert over_tls(server, "/up", method="POST", body=b"x" * 500_000).json()["length"] == 500_000


def test_location_becomes_https(server):
    response = over_tls(server, "/go", host=f"proxy.test:{server.tls_port}")
    assert response.fields.get("Location") == f"https://proxy.test:{server.tls_port}/there?x"
    assert response.fields.get("Content-Location") == f"https://proxy.test:{server.tls_port}/here"
    plain = fetch(server.port, "/go", host=f"proxy.test:{server.port}")
    assert plain.fields.get("Location") == f"http://proxy.test:{server.port}/there?x"


@pytest.mark.own
def test_the_backend_is_told_the_scheme(server):
    assert dict(over_tls(server).json()["fields"])["X-Forwarded-Proto"] == "https"
    assert dict(fetch(server.port).json()["fields"])["X-Forwarded-Proto"] == "http"


@pytest.mark.own
@pytest.mark.parametrize("conf, sent, expected", [
    ("", [("X-Forwarded-Proto", "https")], "https"),
    ("RequestHeader set X-Forwarded-Proto https\n", [], "https"),
    ("RequestHeader set X-Forwarded-Proto http\n", [("X-Forwarded-Proto", "https")], "http"),
    ("RequestHeader unset X-Forwarded-Proto\n", [("X-Forwarded-Proto", "https")], "http"),
], ids=["from the client", "set", "overwritten", "unset"])
def test_a_scheme_that_is_told_already_is_kept(make, echo, family, conf, sent, expected):
    """A TLS terminator in front, or an administrator behind one, knows better than this hop."""
    server = make.httpd(conf + "{P}ProxyPass / {b}/\n", family=family, b=echo.url)
    values = [v for n, v in fetch(server.port, fields=sent).json()["fields"]
              if n == "X-Forwarded-Proto"]
    assert values == [expected]


def test_several_requests_on_one_tls_connection(server):
    with Client(server.tls_port, server_name="proxy.test") as client:
        for i in range(5):
            assert client.ask(target=f"/{i}").json()["target"] == f"/{i}"


def test_a_cut_answer_looks_cut_over_tls(make, family):
    backend = make.backend(lambda c: (c.read_request(), c.send(
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")))
    server = make.httpd(VHOST, family=family, tls=True, b=backend.url)
    server.allow_log()
    import ssl
    with Client(server.tls_port, server_name="proxy.test") as client:
        try:
            response = client.ask()
            assert response.truncated
        except ssl.SSLError:
            pass


def test_ssl_variables_can_be_handed_on(make, echo, family):
    server = make.httpd(VHOST.replace("SSLEngine On", "SSLEngine On\n    RequestHeader set X-TLS "
                                      "\"%{SSL_PROTOCOL}s\""), family=family, tls=True, b=echo.url)
    assert dict(over_tls(server).json()["fields"])["X-TLS"].startswith("TLSv1.")
