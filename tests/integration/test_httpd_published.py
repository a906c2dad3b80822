"""httpd's own published proxy tests, told again: the cases of its Apache-Test suite for mod_proxy, mod_proxy_balancer and the
proxy's part of mod_rewrite, and the security cases CVE-2011-3368 and CVE-2011-4317."""
import tempfile
from pathlib import Path
from shutil import rmtree

import pytest

from support import settings
from support.client import Client, fetch
from support.wire import answer

# One httpd is proxy and backend, as there.
CONF = """
<VirtualHost *:{port}>
    ServerName reverse.test
    SetEnvIf Request_URI "^/reverse/locproxy/index.html" no-proxy
    {P}ProxyPass /reverse/notproxy/ !
    {P}ProxyPass /reverse/cgi/ {cgi}/
    {P}ProxyPass /uds/ "unix:{folder}/test.sock|http:"
    {P}ProxyPass /reverse/ http://127.0.0.1:{port1}/
    {P}ProxyPassReverse /reverse/ http://127.0.0.1:{port1}/
    {P}ProxyPassReverse /reverse/cgi/ {cgi}/
    {P}ProxyPassReverseCookieDomain local remote
    {P}ProxyPassReverseCookiePath /local /remote
    Alias /reverse/notproxy/ {docroot}/notproxy/
    <Location /reverse/locproxy/>
        {P}ProxyPass http://127.0.0.1:{port1}/
    </Location>
    <Location /nofwd/>
        {P}ProxyAddHeaders Off
        {P}ProxyPass {cgi}/
    </Location>
    RewriteEngine On
    RewriteRule ^/rewrite/proxy/(.*)$ {cgi}/$1 [P]
    RewriteRule ^/rewrite/qsa/(.*)$ {cgi}/$1?foo=bar [P,QSA]
    RewriteRule ^/rewrite/skip/(.*)$ /reverse/$1 [PT]
</VirtualHost>
<VirtualHost *:{port}>
    ServerName balancer.test
    <{P}Proxy balancer://foo1>
        {P}BalancerMember http://127.0.0.1:{port1} loadfactor=1
        {P}BalancerMember http://127.0.0.1:{port2} loadfactor=1
    </{P}Proxy>
    {P}ProxySet balancer://foo1 lbmethod=byrequests
    <Location /baltest1>
        {P}ProxyPass balancer://foo1/
    </Location>
    <{P}Proxy balancer://echo>
        {P}BalancerMember http://127.0.0.1:{dead}
        {P}BalancerMember {cgi}
    </{P}Proxy>
    {P}ProxyPass /baltest_echo_post balancer://echo/post
    <{P}Proxy balancer://pr45434>
        {P}BalancerMember http://127.0.0.1:{port1}/modules
    </{P}Proxy>
    {P}ProxyPass /pr45434 balancer://pr45434/alias
    {P}ProxyPassReverse /pr45434 balancer://pr45434/alias
</VirtualHost>
<VirtualHost *:{port1} *:{port2}>
    ServerName origin.test
    Redirect permanent /perm /alias
    Redirect permanent /modules/alias/redirect-me /modules/alias/5.html
</VirtualHost>
"""


@pytest.fixture(scope="module")
def folder():
    path = Path(tempfile.mkdtemp(prefix="cxxproxy-sock-"))
    path.chmod(0o755)
    yield path
    rmtree(path, ignore_errors=True)


@pytest.fixture(scope="module")
def cgi(house):
    backend = house.echo("cgi")

    def dripfeed(connection, request):
        connection.read_body(request)
        connection.send(b"HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\n")
        for letter in b"abcdef":
            connection.send(bytes([letter]))

    def interim(connection, request):
        connection.read_body(request)
        connection.send(b"HTTP/1.1 102 Please Wait...\r\nHost: nph-102\r\n\r\n" + answer(b"this is nph-stdout"))
        return True

    def cookies(connection, request):
        connection.read_body(request)
        connection.send(answer(b"", fields=[("Set-Cookie", "fakedomain=local;domain=local"), ("Set-Cookie", "fakepath=/local;path=/local")]))
        return True

    def post(connection, request):
        connection.read_body(request)
        connection.send(answer(request.body.data))
        return True

    backend.on("/dripfeed", dripfeed)
    backend.on("/102", interim)
    backend.on("/cookies", cookies)
    backend.on("/post", post)
    return backend


@pytest.fixture(scope="module")
def server(house, cgi, folder, file_family):
    from support.backend import closed_port

    def old_style(connection):
        connection.read_head()
        connection.send(b"HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\nhello world\n")
    house.backend(old_style, path=folder / "test.sock")
    server = house.httpd(CONF, family=file_family, compat=settings.OWN, modules=("rewrite",), ports=3, start=False, cgi=cgi.url, folder=folder,
                         dead=closed_port())
    (server.root / "htdocs" / "notproxy").mkdir()
    (server.root / "htdocs" / "notproxy" / "local.html").write_text("hello world\n")
    return server.start()


def get(server, target, host="reverse.test", **options):
    return fetch(server.port, target, host=host, **options)


def test_reverse_proxy(server):
    for target in ("/reverse/", "/reverse/locproxy/", "/reverse/index.html"):
        answered = get(server, target)
        assert answered.status == 200 and answered.text.startswith("It works"), target
    assert get(server, "/reverse/locproxy/index.html").status == 404  # no-proxy
    local = get(server, "/reverse/notproxy/local.html")
    assert (local.status, local.text) == (200, "hello world\n")
    assert get(server, "/reverse/nonesuch/file%25").status == 404  # PR 15207


def test_what_a_script_sees(server):
    assert "X-Forwarded-For" in dict(get(server, "/reverse/cgi/env").json()["fields"])
    assert "X-Forwarded-For" not in dict(get(server, "/nofwd/env").json()["fields"])
    assert get(server, "/reverse/cgi/env?reverse-proxy").json()["target"] == "/env?reverse-proxy"
    assert get(server, "/reverse/cgi/dripfeed").text == "abcdef"


def test_interim_response(server):
    with Client(server.port) as client:
        answered = client.ask(target="/reverse/cgi/102", host="reverse.test")
        assert [i.status for i in answered.interim] == [102] and answered.text == "this is nph-stdout"


def test_cookies(server):
    assert get(server, "/reverse/cgi/cookies").fields.all("Set-Cookie") == ["fakedomain=local;domain=remote", "fakepath=/local;path=/remote"]


def test_redirects(server):
    moved = get(server, "/reverse/perm")
    assert (moved.status, moved.fields.get("Location")) == (301, "http://reverse.test/reverse/alias")
    moved = get(server, "/pr45434/redirect-me", host="balancer.test")  # PR 45434
    assert (moved.status, moved.fields.get("Location")) == (301, "http://balancer.test/pr45434/5.html")


def test_unix_socket_with_an_old_backend(server):
    answered = get(server, "/uds/")
    assert (answered.status, answered.text) == (200, "hello world\n")


def test_balancer(server):
    assert get(server, "/baltest1/index.html", host="balancer.test").status == 200
    server.allow_log()
    for size in (8, 64, 2048, 4096):  # PR 63891: the first member is dead, the body goes to the other
        answered = get(server, "/baltest_echo_post", host="balancer.test", method="POST", body=b"A" * size)
        assert (answered.status, answered.body) == (200, b"A" * size)


def test_rewriting(server):
    assert get(server, "/rewrite/proxy/env?a=b").json()["target"] == "/env?a=b"
    assert get(server, "/rewrite/qsa/env?a=b").json()["target"] == "/env?foo=bar&a=b"
    assert get(server, "/rewrite/skip/index.html").status == 200


@pytest.mark.parametrize("target", ["@127.0.0.1:{port1}/", ":@127.0.0.1/", "qualys:@127.0.0.1:{port1}/", "127.0.0.1:{port1}/x"])
def test_targets_without_a_slash(server, target):
    """CVE-2011-3368, CVE-2011-4317."""
    with Client(server.port) as client:
        client.send(f"GET {target.format(port1=server.ports[1])} HTTP/1.1\r\nHost: reverse.test\r\nConnection: close\r\n\r\n".encode())
        assert client.read().status in (400, 404)
