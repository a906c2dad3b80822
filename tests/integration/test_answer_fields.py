"""Fields of answers: URLs and cookies of the backend become those of the proxy."""
from urllib.parse import quote, unquote

import pytest

from support.client import fetch
from support.httpd import MOD_PROXY, load_line
from support.wire import answer

CONF = """
<VirtualHost *:{port}>
    ServerName proxy.test
    {P}ProxyPass /d {b}/app
    {P}ProxyPassReverse /d {b}/app
    {P}ProxyPassReverse /pub /inside
    {P}ProxyPassReverseCookiePath /app /d
    {P}ProxyPassReverseCookiePath /base/ /
    {P}ProxyPassReverseCookieDomain back.test front.test
    {P}ProxyPassReverseCookieDomain .dotted.test .front.test
    {P}ProxyPass / {b}/
    {P}ProxyPassReverse / {b}/
    <Location /r/inner>
        {P}ProxyPassReverseCookiePath /app /late
        {P}ProxyPassReverseCookiePath /inner /l
        {P}ProxyPassReverse {b}/
    </Location>
</VirtualHost>
<VirtualHost *:{port}>
    ServerName canonical.test:8443
    UseCanonicalName On
    {P}ProxyPass / {b}/
    {P}ProxyPassReverse / {b}/
</VirtualHost>
<VirtualHost *:{port}>
    ServerName vars.test
    SetEnvIf Host ^(vars) name=$1
    SetEnvIf Request_URI . backend={b}
    {P}ProxyPassInterpolateEnv On
    {P}ProxyPass / {b}/
    {P}ProxyPassReverse /${name} ${backend}/app interpolate
    {P}ProxyPassReverseCookiePath /${name} /p-${name}-${nothing} interpolate
    {P}ProxyPassReverseCookieDomain ${name}.back ${name}.front interpolate
    {P}ProxyPassReverseCookiePath /plain /${name}
</VirtualHost>
<VirtualHost *:{port}>
    ServerName pool.test
    <{P}Proxy balancer://pool>
        {P}BalancerMember {b}
        {P}BalancerMember http://Other.test:81/base
        {P}BalancerMember http://slash.test/base/
    </{P}Proxy>
    {P}ProxyPass / {b}/
    {P}ProxyPassReverse /sub balancer://pool/part
    {P}ProxyPassReverse / balancer://pool
</VirtualHost>
"""

OWN_CONF = """
<VirtualHost *:{port}>
    ServerName flags.test
    {P}ProxyCookieFlags JS* HttpOnly SameSite=Strict
    {P}ProxyCookieFlags Secure
    {P}ProxyPass / {b}/
    <Location /r/off>
        {P}ProxyCookieFlags Off
    </Location>
</VirtualHost>
<VirtualHost *:{port}>
    ServerName text.test
    {P}ProxyPassReverseMode Text
    {P}ProxyPass / {b}/
    {P}ProxyPassReverse /d {b}/app
    {P}ProxyPassReverseCookiePath /app /d
    <Location /r/segment>
        {P}ProxyPassReverseMode Segment
    </Location>
</VirtualHost>
"""


LENGTHS = {
    "plain": b"content-LENGTH: 2\r\n",
    "zeros": b"content-LENGTH: 002\r\n",
    "list": b"content-LENGTH: 2, 2\r\n",
    "two": b"content-LENGTH: 2\r\nX-B: 2\r\nContent-Length: 2\r\n",
    "two-kinds": b"content-LENGTH: 0002\r\nContent-Length: 2, 02\r\n",
}


@pytest.fixture(scope="module")
def backend(house):
    """Sends back the fields that the query names: /r?Name=value&Name=value."""
    backend = house.echo("answers")

    def script(connection, request):
        connection.read_body(request)
        parts = request.target.partition("?")[2].replace("BACKEND", f"127.0.0.1:{backend.port}").split("&")
        connection.send(answer(b"ok", fields=[tuple(unquote(p).split("=", 1)) for p in parts if p]))
        return True
    for path in ("/r", "/r/inner", "/r/off", "/r/segment", "/app/r"):
        backend.on(path, script)
    for name, lengths in LENGTHS.items():
        backend.on(f"/length/{name}", lambda connection, request, lengths=lengths: connection.send(
            b"HTTP/1.1 200 OK\r\nX-A: 1\r\n%sX-C: 3\r\n\r\nok" % lengths) or True)
    return backend


def start(house, conf, **options):
    server = house.httpd(conf, **options)
    server.allow_log("AH00111")  # httpd takes ${name} for a Define of its own at first
    return server


@pytest.fixture(scope="module")
def server(house, backend, file_family):
    return start(house, CONF, family=file_family, b=backend.url)


@pytest.fixture(scope="module")
def reference(house, backend):
    return start(house, CONF, family="std", proxy=[load_line(m) for m in MOD_PROXY], b=backend.url)


@pytest.fixture(scope="module")
def own(house, backend):
    return start(house, CONF + OWN_CONF, b=backend.url)


def ask(server, *fields, path="/r", host="proxy.test"):
    """Pairs of name and value, as the client gets them; nothing of the server's own."""
    query = "&".join(f"{name}={quote(value, safe='/:')}" for name, value in fields)
    response = fetch(server.port, f"{path}?{query}", host=host)
    assert response.status == 200
    skipped = {"server", "connection", "content-length", "content-type"} | ({"date"} - {name.lower() for name, _ in fields})
    return [(name, value) for name, value in response.fields if name.lower() not in skipped]


COOKIES = [
    ("a=1; Path=/app", "a=1; Path=/d"),
    ("a=1; path=/app/deep/er; HttpOnly", "a=1; path=/d; HttpOnly"),
    ("a=1;PATH=/app;DOMAIN=BACK.TEST;Secure", "a=1;PATH=/d;DOMAIN=front.test;Secure"),
    ("a=1; Domain=back.test; Path=/app", "a=1; Domain=front.test; Path=/d"),
    ("a=1; Path=/base/x", "a=1; Path=/"),
    ("a=1; Path=/base", "a=1; Path=/base"),
    ("a=1; Path=/other", "a=1; Path=/other"),
    ("a=1; Path=/APP", "a=1; Path=/APP"),
    ("a=1; Domain=.back.test", "a=1; Domain=.back.test"),
    ("a=1; Domain=.dotted.test", "a=1; Domain=.front.test"),
    ("a=1; Domain=back.test.more", "a=1; Domain=front.test"),
    ("a=xpath=/app; y", "a=xpath=/app; y"),
    ("a=1", "a=1"),
    ("a=1;", "a=1;"),
    ("a=\"x, y\"; Expires=Wed, 09 Jun 2021 10:18:14 GMT; Path=/app",
     "a=\"x, y\"; Expires=Wed, 09 Jun 2021 10:18:14 GMT; Path=/d"),
    ("a=1; Path=/" + "app/" * 1000, "a=1; Path=/d"),
]


@pytest.mark.parametrize("sent, got", COOKIES)
def test_cookie_domain_and_path(server, sent, got):
    assert ask(server, ("Set-Cookie", sent)) == [("Set-Cookie", got)]


def test_all_cookies_in_their_order_behind_the_other_fields(server):
    assert ask(server, ("set-cookie", "a=1; Path=/app"), ("X-A", "1"), ("Set-Cookie", "b=2; Path=/x"), ("X-B", "2")) == [
        ("X-A", "1"), ("X-B", "2"), ("set-cookie", "a=1; Path=/d"), ("Set-Cookie", "b=2; Path=/x")]


def test_rules_of_the_outer_scope_come_first(server):
    def path_of(cookie):
        return dict(ask(server, ("Set-Cookie", f"a; Path={cookie}"), path="/r/inner"))["Set-Cookie"]
    assert path_of("/app") == "a; Path=/d" and path_of("/inner/x") == "a; Path=/l"
    assert dict(ask(server, ("Location", "http://BACKEND/x"), path="/r/inner"))["Location"] == "http://proxy.test/x"


@pytest.mark.own
@pytest.mark.parametrize("sent, got", [
    ("a=1; Path=/application", "a=1; Path=/application"),           # mod_proxy: /d
    ("a=1; Domain=back.testing", "a=1; Domain=back.testing"),       # mod_proxy: front.test
    ("path=/app; Path=/app", "path=/app; Path=/d"),                 # mod_proxy takes the cookie's name for the attribute
    ("a=1; Path=\"/app\"", "a=1; Path=\"/d\""),                     # mod_proxy: not found
    ("a=1; Path = /app", "a=1; Path = /d"),
    ("a=1; Path=/app; Path=/app/x; Path=/o", "a=1; Path=/d; Path=/d; Path=/o"),
])
def test_cookie_attributes_are_told_exactly(server, sent, got):
    assert ask(server, ("Set-Cookie", sent)) == [("Set-Cookie", got)]


@pytest.mark.own
@pytest.mark.parametrize("name", LENGTHS)
def test_one_length_in_the_place_of_the_first(server, name):
    response = fetch(server.port, f"/length/{name}", host="proxy.test")
    assert response.body == b"ok"
    names = [field for field, _ in response.fields if field.lower() in ("x-a", "content-length", "x-c")]
    assert names == ["X-A", "content-LENGTH", "X-C"]
    assert response.fields.all("Content-Length") == ["2"]


@pytest.mark.own
def test_cookie_flags(own):
    def flagged(cookie, path="/r"):
        return dict(ask(own, ("Set-Cookie", cookie), path=path, host="flags.test"))["Set-Cookie"]
    assert flagged("a=1; Path=/") == "a=1; Path=/; Secure"
    assert flagged("JSESSIONID=1; SameSite=None") == "JSESSIONID=1; SameSite=Strict; HttpOnly"
    assert flagged("a=1", path="/r/off") == "a=1"


@pytest.mark.own
@pytest.mark.parametrize("path, url, cookie", [("/r", "http://text.test/dendix", "a; Path=/d"),
                                               ("/r/segment", None, "a; Path=/appendix")])
def test_text_mode_is_mod_proxys(own, backend, path, url, cookie):
    got = dict(ask(own, ("Location", "http://BACKEND/appendix"), ("Set-Cookie", "a; Path=/appendix"), path=path, host="text.test"))
    assert got["Location"] == (url or f"{backend.url}/appendix") and got["Set-Cookie"] == cookie


URLS = [
    ("http://BACKEND/app/x?q#f", "http://proxy.test/d/x?q#f"),
    ("HTTP://BACKEND/APP/x", "http://proxy.test/d/x"),
    ("http://BACKEND/other", "http://proxy.test/other"),
    ("http://BACKEND/", "http://proxy.test/"),
    ("/inside/x", "http://proxy.test/pub/x"),
    ("http://anywhere.test/inside/x", "http://proxy.test/pub/x"),
    ("//host.test/inside/x", "//host.test/inside/x"),
    ("/elsewhere", "/elsewhere"),
    ("relative/x", "relative/x"),
    ("https://BACKEND/x", "https://BACKEND/x"),
    ("mailto:a@b", "mailto:a@b"),
    ("", ""),
]


@pytest.mark.parametrize("name", ["Location", "Content-Location", "URI", "Destination"])
@pytest.mark.parametrize("sent, got", URLS)
def test_urls(server, backend, name, sent, got):
    assert ask(server, (name, sent)) == [(name, got.replace("BACKEND", f"127.0.0.1:{backend.port}"))]


def test_each_field_of_a_name_is_mapped(server):
    assert ask(server, ("Location", "http://BACKEND/x"), ("X", "1"), ("location", "/inside")) == [
        ("Location", "http://proxy.test/x"), ("X", "1"), ("location", "http://proxy.test/pub")]


def test_the_clients_port_or_the_canonical_name(server):
    host = f"proxy.test:{server.port}"
    assert ask(server, ("Location", "http://BACKEND/x"), host=host) == [("Location", f"http://{host}/x")]
    assert ask(server, ("Location", "http://BACKEND/x"), host="canonical.test") == [("Location", "http://canonical.test:8443/x")]


@pytest.mark.parametrize("sent, got", [
    ("http://BACKEND/x", "http://pool.test/x"), ("http://BACKEND/part/x", "http://pool.test/sub/x"),
    ("http://other.test:81/base/x", "http://pool.test/x"), ("http://other.test:81/base/part/x", "http://pool.test/sub/x"),
    ("http://slash.test/base/part/x", "http://pool.test/sub/x"), ("http://third.test/", "http://third.test/"),
])
def test_every_member_of_a_balancer(server, sent, got):
    assert ask(server, ("Location", sent), host="pool.test") == [("Location", got)]


@pytest.mark.own
@pytest.mark.parametrize("sent, got", [
    ("5; url=http://BACKEND/app/x", "5; url=http://proxy.test/d/x"),
    ("0;URL='http://BACKEND/x'", "0;URL='http://proxy.test/x'"),
    ("5; url=/inside/x", "5; url=http://proxy.test/pub/x"),
    ("5; url=http://else.test/", "5; url=http://else.test/"), ("5", "5")])
def test_refresh(server, sent, got):
    """mod_proxy leaves Refresh alone."""
    assert ask(server, ("Refresh", sent)) == [("Refresh", got)]


@pytest.mark.own
def test_an_url_without_scheme(server):
    """mod_proxy leaves it alone, so that the client goes to the backend's own address."""
    assert ask(server, ("Location", "//BACKEND/app/x")) == [("Location", "http://proxy.test/d/x")]


def test_variables_in_rules(server):
    got = ask(server, ("Location", "http://BACKEND/app/x"), ("Set-Cookie", "a; Path=/vars/x; Domain=vars.back"), ("Set-Cookie", "b; Path=/plain"),
              host="vars.test")
    assert got == [("Location", "http://vars.test/vars/x"), ("Set-Cookie", "a; Path=/p-vars-; Domain=vars.front"), ("Set-Cookie", "b; Path=/${name}")]


@pytest.mark.parametrize("name", ["Date", "Expires", "Last-Modified"])
@pytest.mark.parametrize("sent, got", [
    ("Sunday, 06-Nov-94 08:49:37 GMT", "Sun, 06 Nov 1994 08:49:37 GMT"),
    ("Sun Nov  6 08:49:37 1994", "Sun, 06 Nov 1994 08:49:37 GMT"),
    ("Sun, 06 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 1994 08:49:37 GMT"), ("-1", "-1"), ("0", "0")])
def test_dates_come_in_the_usual_format(server, name, sent, got):
    if name == "Date" and len(sent) < 3:
        return  # httpd writes its own
    assert dict(ask(server, (name, sent)))[name] == got


TOGETHER = [
    [("Location", "/inside/x"), ("Set-Cookie", "a=1"), ("X-A", "1"), ("Set-Cookie", "b=2; path=/app"), ("Location", "http://BACKEND/q"), ("Via", "1.0 foo")],
    [("X", "1"), ("x", "2"), ("X", "3"), ("Link", "</a>"), ("ETag", "\"x\""), ("Vary", "A"), ("Vary", "B")],
    [("WWW-Authenticate", "Basic realm=x"), ("WWW-Authenticate", "Negotiate"), ("Refresh", "5"), ("P3P", "x"), ("X-Empty", "")],
    [("Content-Location", "http://BACKEND/app"), ("Destination", "http://BACKEND/app/"), ("URI", "<http://BACKEND/app>")],
    [("Keep-Alive", "timeout=9"), ("Connection", "X-B"), ("X-B", "1"), ("X-C", "2"), ("Upgrade", "h2c"), ("Cache-Control", "no-store"), ("Age", "3")],
]


@pytest.mark.own
@pytest.mark.parametrize("fields", TOGETHER)
def test_the_whole_head_is_mod_proxys(server, reference, fields):
    assert ask(server, *fields) == ask(reference, *fields)


@pytest.mark.own
@pytest.mark.parametrize("sent", [cookie for cookie, _ in COOKIES])
def test_cookies_are_mod_proxys(server, reference, sent):
    assert ask(server, ("Set-Cookie", sent)) == ask(reference, ("Set-Cookie", sent))
