"""The proxy among httpd's other modules: they see its requests and answers as any handler's."""
import hashlib
import json
import subprocess
import zlib

import pytest

from support import settings
from support.backend import closed_port
from support.client import Client, fetch
from support.httpd import WELCOME
from support.tls import tls_host
from support.wire import answer

TEXT = b"compress me, please! " * 2000


@pytest.fixture(scope="module")
def echo(house):
    backend = house.echo()
    backend.says("/text", answer(TEXT, fields=[("Content-Type", "text/html"), ("ETag", "\"1\""),
                                               ("X-Backend", "echo")]))
    return backend


@pytest.fixture
def front(make, echo, family):
    def build(conf, *modules, **options):
        return make.httpd(conf + "\n{P}ProxyPass / {b}/\n", family=family, b=echo.url, modules=modules,
                          **options)
    return build


def fields_seen(response):
    return dict(response.json()["fields"])


# --- mod_deflate ------------------------------------------------------------------------------------

def test_deflate_compresses(front):
    server = front("AddOutputFilterByType DEFLATE text/html\n", "filter", "deflate")
    response = fetch(server.port, "/text", fields=[("Accept-Encoding", "gzip")])
    assert response.fields.get("Content-Encoding") == "gzip"
    assert zlib.decompress(response.body, 31) == TEXT and len(response.body) < len(TEXT) // 10
    assert fetch(server.port, "/text").body == TEXT


def test_inflate_and_substitute_rewrite_the_body(front):
    server = front("AddOutputFilterByType SUBSTITUTE text/html\nSubstitute s/please/thanks/n\n",
                   "filter", "substitute")
    assert fetch(server.port, "/text").body == TEXT.replace(b"please", b"thanks")


def gzip(data):
    packer = zlib.compressobj(wbits=31)
    return packer.compress(data) + packer.flush()


def test_input_filters_see_the_request_body(front):
    server = front("SetInputFilter DEFLATE\n", "filter", "deflate")
    body = b"".join(b"line %d of the body\n" % i for i in range(3000))
    told = fetch(server.port, "/in", "POST", [("Content-Encoding", "gzip")], gzip(body)).json()
    assert (told["length"], told["sha256"]) == (len(body), hashlib.sha256(body).hexdigest())


def test_an_input_filter_that_refuses_ends_the_request(front, echo):
    """mod_deflate stops at an inflate bomb: the backend may not see a request that looks complete."""
    server = front("SetInputFilter DEFLATE\n", "filter", "deflate")
    server.allow_log()
    server.allow_log("AH02649|AH01387")
    before = len(echo.requests)
    assert fetch(server.port, "/bomb", "POST", [("Content-Encoding", "gzip")],
                 gzip(b"0" * 3_000_000)).status >= 400
    assert all(seen.body.truncated for seen in echo.requests[before:])


# --- mod_headers, mod_setenvif, mod_env ----------------------------------------------------------------

def test_headers_edits_both_directions(front):
    server = front("""
RequestHeader set X-To-Backend "from httpd"
RequestHeader unset X-Secret
RequestHeader edit X-Edit old new
Header set X-To-Client "from httpd"
Header unset X-Backend
Header edit Content-Type json JSON
Header always set X-Always yes
""")
    response = fetch(server.port, "/h", fields=[("X-Secret", "1"), ("X-Edit", "an old one")])
    seen = fields_seen(response)
    assert seen["X-To-Backend"] == "from httpd" and seen["X-Edit"] == "an new one"
    assert "X-Secret" not in seen
    assert response.fields.get("X-To-Client") == "from httpd"
    assert response.fields.get("X-Always") == "yes" and "X-Backend" not in response.fields
    assert response.fields.get("Content-Type") == "application/JSON"


def test_request_header_early_and_proxy_field(front):
    server = front("RequestHeader unset Proxy early\nRequestHeader set X-Early 1 early\n")
    seen = fields_seen(fetch(server.port, "/h", fields=[("Proxy", "http://evil/")]))
    assert "Proxy" not in seen and seen["X-Early"] == "1"


def test_set_env_if_and_header_by_env(front):
    server = front("SetEnvIf User-Agent robot is_robot\nHeader set X-Robot yes env=is_robot\n"
                   "RequestHeader set X-Robot yes env=is_robot\n")
    robot = fetch(server.port, "/h", fields=[("User-Agent", "robot")])
    human = fetch(server.port, "/h", fields=[("User-Agent", "human")])
    assert robot.fields.get("X-Robot") == "yes" and fields_seen(robot)["X-Robot"] == "yes"
    assert "X-Robot" not in human.fields and "X-Robot" not in fields_seen(human)


# --- access control ---------------------------------------------------------------------------------

DENIED = {
    "Location": "<Location /secret>\nRequire all denied\n</Location>\n",
    "LocationMatch": "<LocationMatch ^/secret>\nRequire all denied\n</LocationMatch>\n",
    "by address": "<Location /secret>\nRequire ip 10.0.0.1\n</Location>\n",
    "by method": "<Location /secret>\n<RequireAll>\nRequire method PUT\n</RequireAll>\n</Location>\n",
    "If": "<If \"%{REQUEST_URI} =~ m#^/secret#\">\nRequire all denied\n</If>\n",
}


@pytest.mark.parametrize("conf", DENIED.values(), ids=DENIED.keys())
def test_denied_before_any_contact_with_the_backend(make, conf, family):
    backend = make.echo()
    server = make.httpd(conf + "{P}ProxyPass / {b}/\n", family=family, b=backend.url,
                        modules=("authz_host",))
    server.allow_log("AH01630|AH01797")
    for target in ("/secret", "/secret/x", "/%73ecret", "//secret", "/x/../secret"):
        assert fetch(server.port, target).status == 403
        assert fetch(server.port, target, "POST", body=b"x" * 1000).status == 403
    assert backend.connections == []
    assert fetch(server.port, "/open").status == 200


def test_basic_authentication_in_front(make, echo, family):
    server = make.httpd("""
<Location />
    AuthType Basic
    AuthName "x"
    AuthBasicProvider file
    AuthUserFile {root}/users
    Require valid-user
</Location>
{P}ProxyPass / {b}/
""", family=family, b=echo.url, start=False, modules=("auth_basic", "authn_core", "authn_file",
                                                      "authz_user"))
    (server.root / "users").write_text("me:{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=\n")  # secret
    server.start()
    server.allow_log("AH01617|AH01618")
    before = len(echo.requests)
    assert fetch(server.port).status == 401
    assert len(echo.requests) == before
    assert fetch(server.port, fields=[("Authorization", "Basic bWU6c2VjcmV0")]).status == 200


def test_documents_are_not_in_the_way(make, echo, family):
    """<Directory> and <Files> sections are for files; a proxied path has none."""
    server = make.httpd("""
<Directory "{docroot}">
    Require all denied
</Directory>
<Files "index.html">
    Require all denied
</Files>
{P}ProxyPass / {b}/
""", family=family, b=echo.url)
    assert fetch(server.port, "/index.html").status == 200


# --- errors and logs --------------------------------------------------------------------------------

def test_error_documents_for_our_errors(make, family):
    shut = make.backend(lambda c: c.read_request())
    server = make.httpd(f"""
ErrorDocument 502 "bad: %{{REQUEST_STATUS}}
ErrorDocument 503 /sorry.html
{{P}}ProxyPass /sorry.html !
{{P}}ProxyPass /closed {shut.url}/
{{P}}ProxyPass / http://127.0.0.1:{closed_port()}/
""", family=family)
    (server.root / "htdocs" / "sorry.html").write_text("we are sorry")
    server.allow_log()
    down = fetch(server.port)
    assert (down.status, down.text) == (503, "we are sorry")
    bad = fetch(server.port, "/closed", "POST", body=b"x")
    assert bad.status == 502 and bad.text.startswith("bad:")
    head = fetch(server.port, method="HEAD")
    assert head.status == 503 and head.body == b""


@pytest.mark.own
def test_error_document_for_504(make, family):
    def stall(connection):
        connection.read_request()
        connection.wait_close()
    backend = make.backend(stall)
    server = make.httpd("ErrorDocument 504 \"too slow\"\n{P}ProxyPass / {b}/ timeout=1\n", family=family,
                        b=backend.url)
    server.allow_log()
    response = fetch(server.port)
    assert (response.status, response.text.strip()) == (504, "too slow")


def test_error_pages_of_the_backend_are_the_backends(make, family):
    backend = make.backend(lambda c: (c.read_request(), c.send(answer(b"mine", "404 Not Found"))))
    server = make.httpd("ErrorDocument 404 \"httpd's\"\n{P}ProxyPass / {b}/\n", family=family,
                        b=backend.url)
    response = fetch(server.port)
    assert (response.status, response.body) == (404, b"mine")


def test_access_log_has_status_bytes_and_names(make, echo, family):
    server = make.httpd("""
<{P}Proxy balancer://logged>
    {P}BalancerMember {b}
</{P}Proxy>
{P}ProxyPass /dead http://127.0.0.1:{dead}/
{P}ProxyPass / balancer://logged/
""", family=family, b=echo.url, dead=closed_port())
    server.allow_log()
    text = fetch(server.port, "/text")
    server.access(1)  # a line is written after the answer; another thread's may overtake it
    fetch(server.port, "/text", "HEAD")
    server.access(2)
    page = fetch(server.port, "/dead")
    lines = server.access(3)
    assert [(line["status"], line["bytes"]) for line in lines] == [
        ("200", str(len(text.body))), ("200", "0"), ("503", str(len(page.body)))]
    assert lines[0]["worker"] == echo.url and lines[0]["balancer"] == "balancer://logged"
    assert lines[2]["balancer"] == "-"


def test_access_log_of_a_cut_answer_counts_what_was_sent(make, family):
    backend = make.backend(lambda c: (c.read_request(), c.send(
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")))
    server = make.httpd("{P}ProxyPass / {b}/\n", family=family, b=backend.url)
    server.allow_log()
    assert fetch(server.port).truncated
    assert server.access(1)[0]["bytes"] == "4"


# --- mod_rewrite, mod_alias, mod_status, mod_info -------------------------------------------------------

def rewriting(make, echo, family):
    """mod_rewrite's [P] asks whether mod_proxy is there: with this module the stand-in says so."""
    return make.httpd("""
RewriteEngine On
RewriteRule ^/old/(.*) {b}/new/$1 [P]
RewriteRule ^/query/(.*) {b}/q?path=$1 [P,QSA]
RewriteRule ^/pass/(.*) /passed/$1 [PT]
{P}ProxyPass /passed {b}/pt
{P}ProxyPassReverse /old {b}/new
<IfModule mod_proxy.c>
    Header set X-IfModule-File yes
</IfModule>
<IfModule proxy_module>
    Header set X-IfModule-Name yes
</IfModule>
""", family=family, b=echo.url, modules=("rewrite",), compat=True)


def test_rewrite_rule_with_p_proxies(make, echo, family):
    server = rewriting(make, echo, family)
    assert fetch(server.port, "/old/a/b?c=d").json()["target"] == "/new/a/b?c=d"
    assert fetch(server.port, "/query/a?c=d").json()["target"] == "/q?path=a&c=d"
    assert fetch(server.port, "/pass/x").json()["target"] == "/pt/x"
    assert fetch(server.port, "/else").status == 404


def test_if_module_sees_mod_proxy_through_the_stand_in(make, echo, family):
    server = rewriting(make, echo, family)
    response = fetch(server.port)
    assert response.fields.get("X-IfModule-File") == "yes"
    assert response.fields.get("X-IfModule-Name") == "yes"


def test_rewrite_rule_with_p_cannot_be_led_elsewhere(make, echo, family):
    elsewhere = make.echo("elsewhere")
    server = make.httpd("RewriteEngine On\nRewriteRule ^/host/(.*) {b}/$1 [P]\n{P}ProxyPass /x {b}/x\n",
                        family=family, b=echo.url, modules=("rewrite",), compat=True)
    server.allow_log(r"AH10508|AH10410|AH10411|AH01144|\[(rewrite|core|proxy|cxxproxy):")
    for target in (f"/host/@127.0.0.1:{elsewhere.port}/", f"/host/http://127.0.0.1:{elsewhere.port}/",
                   "/host/a%0d%0aHost:%20evil", "/host/a%20HTTP/1.1"):
        response = fetch(server.port, target)
        if response.status == 200:
            head = response.json()["head"]
            assert head.split("\r\n")[0].count(" ") == 2 and "evil" not in head.split("\r\n", 1)[1]
    assert elsewhere.connections == []


def test_redirect_of_mod_alias_stays_httpds(front):
    server = front("Redirect permanent /moved http://other.test\n{P}ProxyPass /moved !\n")
    response = fetch(server.port, "/moved/x")
    assert (response.status, response.fields.get("Location")) == (301, "http://other.test/x")


def test_status_and_info_work_beside_the_proxy(front):
    server = front("""
<Location /server-status>
    SetHandler server-status
</Location>
<Location /server-info>
    SetHandler server-info
</Location>
ExtendedStatus On
{P}ProxyPass /server-status !
{P}ProxyPass /server-info !
""", "status", "info")
    assert fetch(server.port, "/x").json()["target"] == "/x"
    status = fetch(server.port, "/server-status?auto")
    assert status.status == 200 and "Total Accesses" in status.text
    info = fetch(server.port, "/server-info")
    assert info.status == 200 and ("ProxyPass" in info.text)


def test_local_pages_beside_the_proxy(make, echo, family):
    server = make.httpd("{P}ProxyPass /app {b}/\n", family=family, b=echo.url)
    assert fetch(server.port, "/").text == WELCOME
    with Client(server.port) as client:
        assert client.ask(target="/").text == WELCOME
        assert client.ask(target="/app").json()["backend"] == "echo"
        assert client.ask(target="/").text == WELCOME


# --- HTTP/2 and other clients ---------------------------------------------------------------------------

def curl(*arguments):
    done = subprocess.run(["curl", "-sS", "--noproxy", "*", "--max-time", "30", *arguments],
                          capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def http2(make, echo, family):
    server = make.httpd("""
Protocols h2 h2c http/1.1
""" + tls_host("{P}ProxyPass / {b}/") + """
{P}ProxyPass / {b}/
""", family=family, b=echo.url, tls=True, modules=("http2",))
    return server


def test_http2_over_cleartext(http2):
    for how in ("--http2", "--http2-prior-knowledge"):
        out = curl(how, "-w", "\n%{http_version} %{http_code}", f"http://127.0.0.1:{http2.port}/a?b")
        body, version = out.rsplit(b"\n", 1)
        assert version == b"2 200"
        seen = json.loads(body)
        assert (seen["target"], seen["version"]) == ("/a?b", "HTTP/1.1")
        assert "upgrade" not in [n.lower() for n, _ in seen["fields"]]
        assert "http2-settings" not in [n.lower() for n, _ in seen["fields"]]


def test_http2_over_tls_with_bodies_both_ways(http2, tmp_path):
    payload = tmp_path / "payload"
    payload.write_bytes(b"0123456789" * 100_000)
    out = curl("-k", "--http2", "--data-binary", f"@{payload}", "-H", "Expect:",
               f"https://127.0.0.1:{http2.tls_port}/up")
    assert json.loads(out)["length"] == 1_000_000
    assert curl("-k", "--http2", f"https://127.0.0.1:{http2.tls_port}/text") == TEXT


def test_http2_streams_at_once(http2):
    base = f"https://127.0.0.1:{http2.tls_port}"
    out = curl("-k", "--http2", "--parallel", *[part for i in range(40) for part in
                                               ("-o", "/dev/null", f"{base}/s{i}")],
               "-w", "%{http_code}\n")
    assert out.split() == [b"200"] * 40


def test_http2_head_and_empty_answers(http2, echo):
    echo.says("/empty", b"HTTP/1.1 204 No Content\r\n\r\n")
    url = f"https://127.0.0.1:{http2.tls_port}"
    assert curl("-k", "--http2", "-o", "/dev/null", "-w", "%{http_code}", f"{url}/empty") == b"204"
    assert b"HTTP/2 200" in curl("-k", "--http2", "-I", f"{url}/text")


def test_http2_cut_answer_is_an_error_for_the_client(make, family):
    backend = make.backend(lambda c: (c.read_request(), c.send(
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")))
    server = make.httpd("Protocols h2c http/1.1\n{P}ProxyPass / {b}/\n", family=family, b=backend.url,
                        modules=("http2",))
    server.allow_log()
    server.allow_log("AH10034")
    done = subprocess.run(["curl", "-sS", "--noproxy", "*", "--max-time", "20", "--http2-prior-knowledge",
                           f"http://127.0.0.1:{server.port}/"], capture_output=True, check=False)
    assert done.returncode != 0


def test_http_client_of_the_standard_library(front):
    import http.client
    server = front("")
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=settings.PATIENCE)
    for method, body in (("GET", None), ("POST", b"x" * 70_000), ("PUT", iter([b"a", b"b"]))):
        connection.request(method, "/lib", body=body, encode_chunked=True,
                           headers={"Transfer-Encoding": "chunked"} if method == "PUT" else {})
        told = json.loads(connection.getresponse().read())
        assert (told["method"], told["truncated"]) == (method, False)
    connection.close()


def test_an_error_document_that_is_proxied_itself(make, family):
    """The POST's body belongs to the failed request, not to the GET of its error document."""
    pages = make.echo("pages")
    server = make.httpd(f"""
ErrorDocument 503 /pages/sorry
{{P}}ProxyPass /pages {pages.url}/pages
{{P}}ProxyPass / http://127.0.0.1:{closed_port()}/
""", family=family)
    server.allow_log()
    for body in (b"short", b"x" * 100_000):
        response = fetch(server.port, "/down", "POST", body=body)
        assert response.status == 200  # the document's own, as with mod_proxy
        told = response.json()
        assert (told["method"], told["target"], told["length"]) == ("GET", "/pages/sorry", 0)


def test_no_proxy_leaves_the_request_to_httpd(make, echo, family):
    server = make.httpd("""
SetEnvIf Request_URI "^/local" no-proxy
{P}ProxyPass / {b}/
""", family=family, b=echo.url, modules=("setenvif",))
    (server.root / "htdocs" / "local.txt").write_text("mine")
    assert fetch(server.port, "/local.txt").text == "mine"
    assert fetch(server.port, "/other").json()["target"] == "/other"


def test_a_balancer_without_members_is_503(make, family):
    server = make.httpd("{P}ProxyPass / balancer://nobody/\n", family=family)
    server.allow_log()
    assert fetch(server.port).status == 503


def test_the_status_page_shows_balancers(make, family):
    live = make.echo("live")
    server = make.httpd(f"""
{{P}}ProxyStatus Full
<{{P}}Proxy balancer://pool>
    {{P}}BalancerMember {live.url}
    {{P}}BalancerMember http://127.0.0.1:{closed_port()} retry=600
    {{P}}BalancerMember http://127.0.0.1:9 status=D
</{{P}}Proxy>
<Location /server-status>
    SetHandler server-status
</Location>
{{P}}ProxyPass /server-status !
{{P}}ProxyPass / balancer://pool/
""", family=family, modules=("status",))
    server.allow_log()
    for _ in range(6):
        assert fetch(server.port, "/x").status == 200
    page = fetch(server.port, "/server-status").text
    assert "balancer://pool" in page and live.url in page
    lines = fetch(server.port, "/server-status?auto").text.splitlines()
    told = dict(line.split(": ", 1) for line in lines if line.startswith("ProxyBalancer[0]Worker["))
    assert told["ProxyBalancer[0]Worker[0]Name"] == live.url
    assert int(told["ProxyBalancer[0]Worker[0]Elected"]) >= 6
    states = [told[f"ProxyBalancer[0]Worker[{i}]Status"] for i in range(3)]
    assert "Ok" in states[0] and "Err" in states[1] and "Dis" in states[2]


def test_the_status_page_is_silent_without_the_directive(make, family):
    server = make.httpd("""
<Location /server-status>
    SetHandler server-status
</Location>
<{P}Proxy balancer://pool>
    {P}BalancerMember http://127.0.0.1:9
</{P}Proxy>
{P}ProxyPass /pool balancer://pool/
""", family=family, modules=("status",))
    assert "balancer://pool" not in fetch(server.port, "/server-status").text
