"""What configtest says, and that what it explains is what requests do."""
import re
from pathlib import Path

import pytest

from support import settings
from support.client import fetch
from support.httpd import load_line

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


MAPPED = """
AllowEncodedSlashes NoDecode
ProxyPass /app/static !
ProxyPass /app {b}/plain
ProxyPass /app/e {b}/encoded mapping=encoded
ProxyPass /s {b}/servlet mapping=servlet
ProxyPassMatch ^/x/(\\d+)$ {b}/number/$1
ProxyPass /raw {b}/raw nocanon
<Location /loc>
    ProxyPass {b}/loc mapping=encoded
</Location>
<Location /app/e>
    Header set X-Section yes
</Location>
<If "%{REQUEST_URI} == '/if' && %{HTTP_HOST} =~ /^proxy.test/">
    ProxyPreserveHost On
</If>
ProxyPass /if {b}/if
"""


@pytest.mark.own
def test_rules_with_mapping_are_explained_in_their_phase(make, backend):
    server = make.httpd(MAPPED, family="std", b=backend.url)
    server.allow_log("AH10244: invalid URI path")
    paths = ["/app/e/a%2Fb%20c?q", "/app/other", "/app/static/x", "/s;p=1/x;y=2/../z", "/s", "/x/12", "/x/y", "/raw/a%2fb%41", "/loc/a%2Fb",
             "/app//e/./f", "/if", "/app/a%2Fb", "/app/a%zz"]
    base = f"http://proxy.test:{server.port}"
    told = explained(server, *[base + path for path in paths])
    for path in paths:
        lines, answer = told[base + path], fetch(server.port, path, host=f"proxy.test:{server.port}")
        if "X-Backend" not in answer.fields:
            assert "backend" not in lines, (path, lines)
            continue
        assert lines["backend"][0].endswith(f" GET {answer.json()['target']} HTTP/1.1"), (path, lines, answer.json()["target"])
        assert lines["host"][0].split(",")[0] == dict(answer.json()["fields"])["Host"], (path, lines)
    early = told[base + paths[0]]
    assert early["path"] == ["/app/e/a%2Fb%20c, not decoded"] and early["location"] == ["<Location /app/e>"]
    assert early["rule"][0].startswith(f"ProxyPass /app/e {backend.url}/encoded mapping=encoded (")
    assert early["hidden"][0].startswith(f"ProxyPass /app {backend.url}/plain (")
    assert told[base + "/app/static/x"]["rule"][0].endswith("kept here, no backend is asked; 2 rules before it do not match")
    assert told[base + "/s;p=1/x;y=2/../z"]["path"] == ["/s;p=1/z, not decoded", "/s/z, for access control"]
    assert told[base + "/x/12"]["rule"][0].startswith(f"ProxyPassMatch ^/x/(\\d+)$ {backend.url}/number/$1 (")
    assert told[base + "/x/y"]["rule"] == ["none: 7 rules do not match, httpd answers by itself"]
    assert told[base + "/loc/a%2Fb"]["rule"][0].startswith(f"ProxyPass {backend.url}/loc mapping=encoded in <Location /loc> (")
    assert any(setting.startswith("ProxyPreserveHost On (/") for setting in told[base + "/if"]["setting"])
    rules = [line.split(" ", 1)[0] + " " + line.split()[2] for line in server.dump("-D", "DUMP_CXXPROXY").splitlines() if re.match(r" +\d+\. ProxyPass", line)
             for line in [line.strip()]]
    assert rules == ["1. " + backend.url + "/loc", "2. /app/e", "3. /s", "4. /app/static", "5. /app", "6. ^/x/(\\d+)$", "7. /raw", "8. /if"]


# --- directives of httpd's own modules -------------------------------------------------------------

@pytest.mark.own
def test_every_directive_of_the_family_is_known(make):
    """httpd lists what its modules have; none of it may be an invalid command here."""
    family = [name.stem.removeprefix("mod_") for name in sorted(settings.MODULES.glob("mod_proxy*.so"))] + ["lbmethod_heartbeat"]
    first = ["slotmem_shm", "watchdog", "proxy", *(name for name in family if name != "proxy")]
    load = [load_line(name) for name in first if (settings.MODULES / f"mod_{name}.so").exists()]
    listed = make.httpd("", family="std", start=False, proxy=load).dump("-L")
    names = {name for name, module in re.findall(r"(?m)^(<?\w+) \((mod_\w+)\.c\)", listed) if module in {f"mod_{name}" for name in family}}
    assert {"<Proxy", "ProxyPass", "ProxyHTMLEnable", "ProxyHCTemplate", "AllowCONNECT", "HeartbeatStorage", "ProxyFCGIBackendType"} <= names
    for name in sorted(names - {"<Proxy", "<ProxyMatch"}):
        status, text = make.httpd(f"{name} a b\n", family="std", start=False).configtest()
        assert "Invalid command" not in text and "misspelled" not in text, (name, text)
        assert status == 0 or name in text, (name, text)


# --- merging through httpd -------------------------------------------------------------------------

# One value for each level: main server, virtual host, <Location> and <If>, <Location> inside. None: not allowed there.
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
             "ProxyParkAfter", "ProxyParkMax", "ProxyKeepAliveGuard", "ProxyKeepAliveStay", "ProxyReactor", "ProxyTunnelDrain", "ProxyWebsocketFallbackToProxyHttp", "ProxyRequests", "<Proxy", "BalancerMember", "ProxySet", "ProxyCheckNames", "ProxyExplain"}


@pytest.mark.own
def test_every_directive_has_a_place_in_the_matrix():
    rows = re.findall(r'\{DirectiveId::(\w+), (?:CXXPROXY_NAMES\()?"([^"]+)"', ROWS.read_text())
    names = {name for identity, name in rows if identity != "NotYet"}
    assert names == set(MATRIX) | NO_MATRIX


IF = 4


def value_at(name, level):
    return MATRIX[name][2 if level == IF else level]


@pytest.mark.own
@pytest.mark.parametrize("levels", [(), (0,), (1,), (2,), (3,), (IF,), (0, 1), (0, 2), (0, 1, 2, 3), (1, 3), (0, IF), (2, IF), (3, IF), (0, 1, 2, 3, IF)], ids=str)
def test_the_innermost_scope_decides(make, levels):
    def said(level):
        return f"# level {level}\n" + "".join(f"{name} {value_at(name, level)}\n" for name in MATRIX if level in levels and value_at(name, level))
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
    <If "%{{REQUEST_URI}} == '/in/deep/if'">
        {said(IF)}
    </If>
</VirtualHost>
""", family="std", start=False)
    lines = (server.root / "httpd.conf").read_text().splitlines()
    begins = [next(n for n, line in enumerate(lines, 1) if line.strip() == f"# level {level}") for level in range(5)]

    def line_of(name, level):
        return next(n for n, line in enumerate(lines, 1) if n > begins[level] and line.split()[:1] == [name])
    base = f"http://one.test:{server.port}"
    told = explained(server, *[base + path for path in ("/out", "/in", "/in/deep", "/in/deep/if")])
    for path, deepest in (("/out", 1), ("/in", 2), ("/in/deep", 3), ("/in/deep/if", IF)):
        settings_of = dict(line.split(" ", 1) for line in told[base + path]["setting"])
        for name in MATRIX:
            level = max((level for level in levels if level <= deepest and value_at(name, level)), default=None)
            value, _, source = settings_of[name].partition(" (")
            expected = "default)" if level is None else f"{server.root}/httpd.conf:{line_of(name, level)})"
            assert source == expected, (path, name, settings_of[name])
            assert level is None or value == value_at(name, level), (path, name, settings_of[name])
