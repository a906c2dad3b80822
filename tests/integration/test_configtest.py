"""What configtest says, and that what it explains is what requests do."""
import re
from pathlib import Path

import pytest

from support.client import fetch

ROWS = Path(__file__).resolve().parents[2] / "src" / "config" / "directive_rows.h"


@pytest.fixture(scope="module")
def backend(house):
    return house.echo("b")


# --- a URL without a path --------------------------------------------------------------------------

@pytest.fixture(scope="module")
def without_slash(house, backend):
    return house.httpd("ProxyPass /port/ http://127.0.0.1:{less}\n<Proxy balancer://mine>\n    BalancerMember {b}\n</Proxy>\n"
                       "ProxyPass /balancer/ balancer://mine\nProxyPass /seg {b}\nProxyPass / {b}\n", family="std",
                       less=str(backend.port)[:-1], b=backend.url)


@pytest.mark.own  # mod_proxy: 500, as the host would be "127.0.0.1:8080foo"; balancer://minefoo
@pytest.mark.parametrize("target, expected", [("/foo", "/foo"), ("/", "/"), ("//foo", "/foo"), ("/seg", "/"), ("/seg/x", "/x"),
                                              ("/balancer/foo", "/foo"), ("/balancer/", "/")])
def test_a_slash_stands_between_host_and_path(without_slash, target, expected):
    assert fetch(without_slash.port, target).json()["target"] == expected


@pytest.mark.own  # mod_proxy: the client chooses the port
def test_a_client_does_not_choose_the_backends_port(without_slash, backend):
    without_slash.allow_log()
    assert fetch(without_slash.port, f"/port/{str(backend.port)[-1]}/x").status == 503


# --- warnings --------------------------------------------------------------------------------------

@pytest.mark.own
def test_a_warning_comes_to_the_console_and_to_the_log(make, backend):
    server = make.httpd("# one\nProxyPass /a/ {b}/y\n", family="std", b=backend.url)
    line = len((server.root / "httpd.conf").read_text().splitlines())
    status, text = server.configtest()
    where = f"(line {line} of {server.root}/httpd.conf)"
    assert status == 0 and f"mod_cxxproxy: warning: ProxyPass /a/ {backend.url}/y: the path ends with a slash" in text and where in text
    told = server.expect_log(r"cxxproxy:warn\].*the path ends with a slash and the URL does not")
    assert told.endswith(where)
    assert fetch(server.port, "/a/foo").json()["target"] == "/yfoo"  # which is what the warning says


# --- the dump and explanations ---------------------------------------------------------------------

HOUSE = """
ProxyPass /shared {b}/shared
<VirtualHost *:{port}>
    ServerName one.test
    ServerAlias www.one.test
    ProxyPreserveHost On
    <Proxy balancer://mine>
        BalancerMember {b} loadfactor=2 timeout=5
        BalancerMember {b}/other status=D
        ProxySet lbmethod=byrequests
    </Proxy>
    <Proxy http://127.0.0.1:*>
        Require all granted
    </Proxy>
    ProxyPass /static !
    ProxyPass /app {b}/in timeout=7
    ProxyPassReverse /app {b}/in
    ProxyPass /app/late {b}/late
    ProxyPass /b/ balancer://mine/
    <Location /loc>
        ProxyPreserveHost Off
        ProxyPass {b}/loc
    </Location>
</VirtualHost>
<VirtualHost *:{port}>
    ServerName two.test
</VirtualHost>
"""


@pytest.fixture(scope="module")
def described(house, backend):
    return house.httpd(HOUSE, family="std", b=backend.url)


def explained(server, *urls):
    """Each URL's lines: {what: [text, ...]}."""
    told = {}
    text = server.dump("-D", "DUMP_CXXPROXY_EXPLAIN", *[word for url in urls for word in ("-C", f"CxxProxyExplain {url}")])
    for line in text.splitlines():
        if not line.startswith(" "):
            here = told.setdefault(line, {})
        else:
            what, _, rest = line.strip().partition(" ")
            here.setdefault(what, []).append(rest.strip())
    return told


@pytest.mark.own
def test_the_dump_names_everything_with_its_line(described, backend):
    text = described.dump("-D", "DUMP_CXXPROXY")
    conf = described.root / "httpd.conf"
    lines = conf.read_text().splitlines()

    def where(wanted):
        return f"{conf}:{next(n for n, line in enumerate(lines, 1) if line.strip().startswith(wanted))}"
    one = text[text.index("one.test"):text.index("two.test")]
    for pattern in (rf"ProxyPreserveHost On +{where('ProxyPreserveHost On')}$", r"ProxyAddHeaders On +default$",
                    rf"1\. ProxyPass {backend.url}/loc in <Location /loc> +{where(f'ProxyPass {backend.url}/loc')}$",
                    rf"2\. ProxyPass /shared {backend.url}/shared \(main server\) +{where('ProxyPass /shared')}$",
                    rf"3\. ProxyPass /static ! +{where('ProxyPass /static')}$",
                    rf"ProxyPassReverse /app {backend.url}/in +{where('ProxyPassReverse')}$",
                    rf"balancer://mine +{where('<Proxy balancer')}$", rf"member {backend.url} +{where('BalancerMember')}$",
                    rf"loadfactor=2 +{where('BalancerMember')}$", r"loadfactor=1 +default$", r"status=D +\S+$",
                    rf"timeout=7 +{where('ProxyPass /app ')}$", r"<Proxy http://127\.0\.0\.1:\*> +\S+$"):
        assert re.search(pattern, one, re.M), f"{pattern}\n{one}"
    assert re.search(rf"sections of this server\n +<Location /loc>\n +ProxyPreserveHost Off +{where('ProxyPreserveHost Off')}$", one, re.M), one
    assert "main server\n" in text and "as the main server" in text


@pytest.mark.own
def test_what_is_explained_is_what_happens(described, backend):
    server, port = described, described.port
    asked = {host: f"http://{host}:{port}" for host in ("one.test", "two.test")}
    paths = ["/app/x?y", "/app/late", "/shared/a%20b", "/b/x", "/loc/x", "/static/x", "/nothing", "//app//z/../x"]
    told = explained(server, *[asked["one.test"] + path for path in paths], asked["two.test"] + "/shared", asked["two.test"] + "/app")
    for path in paths:
        lines = told[asked["one.test"] + path]
        answer = fetch(port, path, host=f"one.test:{port}")
        assert "one.test" in lines["server"][0]
        if "X-Backend" not in answer.fields:
            assert "backend" not in lines, (path, lines)
            continue
        line = f"GET {answer.json()['target']} HTTP/1.1"
        assert lines["backend"][0].endswith(line), (path, lines, line)
        sent = dict(answer.json()["fields"])["Host"]
        assert lines["host"][0].split(",")[0] == sent, (path, lines)
    app = told[asked["one.test"] + "/app/x?y"]
    assert app["rule"][0].startswith(f"ProxyPass /app {backend.url}/in (") and app["rule"][0].endswith("2 rules before it do not match")
    assert app["reverse"][0].startswith(f"ProxyPassReverse /app {backend.url}/in (")
    assert app["section"] == [s for s in app["section"] if s.startswith("<Proxy http://127.0.0.1:*>")]
    assert "covers this path too" in told[asked["one.test"] + "/app/late"]["hidden"][0]
    assert told[asked["one.test"] + "/loc/x"]["location"] == ["<Location /loc>"]
    assert any(s.startswith("ProxyPreserveHost Off (/") for s in told[asked["one.test"] + "/loc/x"]["setting"])
    assert "kept here" in told[asked["one.test"] + "/static/x"]["rule"][0]
    assert "two.test" in told[asked["two.test"] + "/shared"]["server"][0]
    assert "main server" in told[asked["two.test"] + "/shared"]["rule"][0]
    assert told[asked["two.test"] + "/app"]["rule"][0].startswith("none")


@pytest.mark.own
def test_explanations_of_what_cannot_be(described):
    port = described.port
    told = explained(described, f"http://one.test:{port}/app/a%2Fb", "http://one.test:1/app", f"http://127.0.0.1:{port}/shared", "https://one.test/")
    assert "refuses this path" in told[f"http://one.test:{port}/app/a%2Fb"]["answer"][0]
    assert "no Listen line is for port 1" in told["http://one.test:1/app"]["note"][0]
    assert told[f"http://127.0.0.1:{port}/shared"]["rule"][0].startswith("ProxyPass /shared")
    assert "443" in told["https://one.test/"]["note"][0]
    assert "nothing to explain" in described.dump("-D", "DUMP_CXXPROXY_EXPLAIN")


@pytest.mark.own
def test_without_the_words_nothing_is_dumped(described):
    assert described.dump() == ""


# --- merging through httpd -------------------------------------------------------------------------

# One value for each level: main server, virtual host, <Location>, <Location> inside. None: not allowed there.
MATRIX = {
    "ProxyPreserveHost": ("On", "Off", "On", "Off"),
    "ProxyAddHeaders": ("Off", "On", "Off", "On"),
    "Proxy100Continue": ("Off", "On", "Off", "On"),
    "ProxyTimeout": ("11", "22", "33", "44"),
    "ProxyPassReverseMode": ("Text", "Segment", "Text", "Segment"),
    "ProxyForwardedFields": ("For", "Port Forwarded", "For Host", "Server"),
    "ProxyForwardedTrust": ("None", "10.0.0.0/8 ::1", "192.0.2.1", "None"),
    "ProxyErrorOverride": ("On", "Off", "On", "Off"),
    "ProxyPark": ("On", "Off", "On", "Off"),
    "ProxyWebsocketIdleTimeout": ("11", "22", "33", "44"),
    "ProxyPassInterpolateEnv": ("On", "Off", "On", "Off"),
    "ProxyPassInherit": ("Off", "On", None, None),
    "BalancerInherit": ("Off", "On", None, None),
    "BalancerPersist": ("On", "Off", None, None),
    "ProxyIOBufferSize": ("1024", "2048", None, None),
    "ProxyReceiveBufferSize": ("1024", "2048", None, None),
    "ProxySourceAddress": ("127.0.0.1", "127.0.0.2", None, None),
    "ProxyVia": ("On", "Block", None, None),
    "ProxyMaxForwards": ("5", "9", None, None),
    "ProxyBadHeader": ("Ignore", "StartBody", None, None),
    "ProxyStatus": ("On", "Full", None, None),
}
# What adds to lists, has one value, or is for the whole server: other tests.
NO_MATRIX = {"ProxyPass", "ProxyPassMatch", "<ProxyMatch", "ProxyPassReverse", "ProxyPassReverseCookieDomain", "ProxyPassReverseCookiePath", "ProxyCookieFlags",
             "ProxyParkAfter", "ProxyParkMax", "ProxyKeepAliveGuard", "ProxyKeepAliveStay", "ProxyWebsocketFallbackToProxyHttp", "ProxyRequests", "<Proxy", "BalancerMember", "ProxySet", "ProxyCheckNames", "ProxyExplain"}


@pytest.mark.own
def test_every_directive_has_a_place_in_the_matrix():
    rows = re.findall(r'\{DirectiveId::(\w+), (?:CXXPROXY_NAMES\()?"([^"]+)"', ROWS.read_text())
    names = {name for identity, name in rows if identity != "NotYet"}
    assert names == set(MATRIX) | NO_MATRIX


@pytest.mark.own
@pytest.mark.parametrize("levels", [(), (0,), (1,), (2,), (3,), (0, 1), (0, 2), (0, 1, 2, 3), (1, 3)], ids=str)
def test_the_innermost_scope_decides(make, levels):
    def said(level):
        return "".join(f"{name} {values[level]}\n" for name, values in MATRIX.items() if level in levels and values[level])
    server = make.httpd(f"""
{said(0)}
ProxyPass /out http://127.0.0.1:9/
<VirtualHost *:{{port}}>
    ServerName one.test
    {said(1)}
    <Location /in>
        {said(2)}
        ProxyPass http://127.0.0.1:9/in
    </Location>
    <Location /in/deep>
        {said(3)}
    </Location>
</VirtualHost>
""", family="std", start=False)
    base = f"http://one.test:{server.port}"
    told = explained(server, base + "/out", base + "/in", base + "/in/deep")
    for path, deepest in (("/out", 1), ("/in", 2), ("/in/deep", 3)):
        settings = dict(line.split(" ", 1) for line in told[base + path]["setting"])
        for name, values in MATRIX.items():
            level = max((level for level in levels if level <= deepest and values[level]), default=None)
            value, _, source = settings[name].partition(" (")
            assert (source == "default)") == (level is None), (path, name, settings[name])
            assert level is None or value == values[level], (path, name, settings[name])
