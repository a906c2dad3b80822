"""What was authorised is what is forwarded: the exact target at the backend, for every kind of rule.

One table, uri_fidelity.txt: each line is a request target, and what the backend saw (or the status,
when none did). The answers are mod_proxy's: CXXPROXY_PEER=mod_proxy runs the same table. What this module
does differently on purpose stands in OWN below, and in docs/differences.md.

    CXXPROXY_PEER=mod_proxy CXXPROXY_WRITE=1 pytest test_uri_fidelity.py    writes the table again
"""
import os
from pathlib import Path

import pytest

from support import settings
from support.client import Client

TABLE = Path(__file__).with_name("uri_fidelity.txt")

# Each way is the first segment of the path.
CONF = """
AllowEncodedSlashes {slashes}
{P}ProxyPass /enc {b}/in mapping=encoded
{P}ProxyPass /ens/ {b}/in/ mapping=encoded
{P}ProxyPass /srv {b}/in mapping=servlet
{P}ProxyPass /srs/ {b}/in/ mapping=servlet
{P}ProxyPass /noc {b}/in nocanon
{P}ProxyPass /nos/ {b}/in/ nocanon
{P}ProxyPassMatch ^/mat/(.*)$ {b}/in/$1
{P}ProxyPass ~ ^/til(/.*)$ {b}$1
{P}ProxyPassMatch ^/all/ {b}/in
{P}ProxyPassMatch ^/mnc/(.*)$ {b}/in/$1 nocanon
{P}ProxyPass /pla {b}/in
{P}ProxyPass /sla/ {b}/in/
{P}ProxyPass /les {b}
<Location /loc>
    {P}ProxyPass {b}/in
</Location>
<LocationMatch "^/lma/(.*)$">
    {P}ProxyPass {b}/in/$1
</LocationMatch>
RewriteEngine On
RewriteRule ^/rew/(.*)$ {b}/in/$1 [P]
RewriteRule ^/rne/(.*)$ {b}/in/$1 [P,NE]
RewriteRule ^/rbe/(.*)$ {b}/in/$1 [P,B]
RewriteRule ^/rqs/(.*)$ {b}/in/$1?x=$1 [P]
RewriteRule ^/pth/(.*)$ /pla/$1 [PT]
<Location /han>
    SetHandler "proxy:{b}"
</Location>
<Directory "{docroot}/fil">
    Require all granted
    <FilesMatch "\\.app$">
        SetHandler "proxy:{b}"
    </FilesMatch>
</Directory>
<Directory "{docroot}/per">
    Require all granted
    RewriteEngine On
    RewriteRule ^(.*)$ {b}/in/$1 [P]
</Directory>
{P}ProxyPass /bal balancer://grp/in
<{P}Proxy balancer://grp>
    {P}BalancerMember {b}
</{P}Proxy>
"""
WAYS = ("pla sla les loc noc nos enc ens srv srs mat til all mnc lma rew rne rbe rqs pth han fil per bal").split()

PATHS = [
    "/x", "", "/", "//x", "/a//b", "/./a", "/a/../b", "/../x", "/a/%2e%2e/b", "/a/%2e/b", "/a/..;/b", "/a;v=1/b", ";v=1/b",
    "/a%3Bb/c", "/a%2Fb", "/a%2fb", "/%2e%2e%2fx", "/..%2f..%2fx", "/a%5Cb", "/a%25b", "/a%252Fb", "/%252e%252e/x", "/a%3Fb",
    "/a%3fq=1?r=2", "/a%23b", "/a#b", "/a?b#c", "/%C3%A4", "/\u00c3\u00a4", "/%c0%ae%c0%ae/x", "/a%20b", "/a+b", "/a b", "/a%0ab", "/a%0d%0aX:y",
    "/a%09b", "/a%00b", "/a%7Fb", "/a%80%FF", "/a%zz", "/a%", "/a%4", "/%41%7E%2D", "/~!$&'()*,;=:@", "/a|b", "/a\"b", "/a<b>",
    "/a[b]", "/a^b`c{d}", "/a\\b", "?", "?q", "/?a=%2F%20&b=c?d/e", "/x?a'b(c)\"<>", "/x?a=\u00c3", "/x?a=%zz", "/x?a%0d%0a", "/x??",
    "/x?a=b?c=d", "/x?a=http://h/..//", "/x?a[]=1&b{}|", "/x.app", "/x.app/info?q",
]
WHOLE = [
    "http://proxy.test/pla/x", "http://other.test/pla/x?q", "http://proxy.test", "http://[::1]/pla/x", "http://user@proxy.test/pla/x",
    "http://proxy.test/noc/x", "http://proxy.test/mnc/x", "http://proxy.test:81/pla/x", "https://proxy.test/pla/x", "http://proxy.test/enc/x",
    "http:///pla/x", "proxy.test:80", "*", "pla/x", "//pla/x", "/%70la/x", "/PLA/x", "/pla%2Fx", "/pla%2e/x", "/x/../pla/y", "/pla;v/x",
    "/%2570la/x", "/pla%3Fx", "/noc/../pla/x", "/enc%2Fx", "/%65nc/x", "/srv;v=1/x", "/x/..;/srv/y", "/..;/srv", "/mat/a%0a", "/mat/a%0ab",
    "HTTP://PROXY.TEST/pla/X", "http://proxy.test/pla?q", "http://proxy.test?q", "ftp://proxy.test/pla/x", "/pla/x HTTP/1.1 HTTP/1.1",
]
# With AllowEncodedSlashes On and NoDecode only these can differ.
ENCODED = [path for path in PATHS if "%2" in path or "%5" in path or "%0" in path]

# mod_proxy -> this module.
OWN = {
    # A '#' would end the path at the backend: never sent.
    ("*", "/rqs/a%23b"): 400, ("*", "/rne/a%23b"): 400,
}
# mod_proxy refuses a '%' of its own making with NoDecode, unless two hexadecimal digits happen to follow.
OWN.update({("NoDecode", f"/{way}/a%25b"): "/in/a%25b" for way in "pla sla mat rew pth bal".split()})
OWN.update({("NoDecode", f"/{way}/a%25b"): "/a%25b" for way in ("les", "til")})
OWN.update({("NoDecode", "/all/a%25b"): "/in/all/a%25b", ("NoDecode", "/rqs/a%25b"): "/in/a%25b?x=a%b"})


def ask(server, target):
    with Client(server.port) as client:
        client.send(f"GET {target} HTTP/1.1\r\nHost: proxy.test\r\nConnection: close\r\n\r\n".encode("latin-1"))
        answer = client.read()
        if "X-Backend" not in answer.fields:
            return str(answer.status)
        return answer.json()["target"].replace(str(server.root), "ROOT")


def targets(slashes):
    if slashes != "Off":
        return [f"/{way}{path}" for way in WAYS for path in ENCODED]
    return [f"/{way}{path}" for way in WAYS for path in PATHS] + WHOLE


def shown(text):
    return ascii(text)[1:-1].replace('\\"', '"')


def read_table():
    """{slashes: {target: answer}}"""
    table = {}
    for line in TABLE.read_text(encoding="ascii").splitlines():
        slashes, target, answer = line.split("\t")
        table.setdefault(slashes, {})[target] = answer
    return table


def make_server(make, slashes, more=""):
    modules = ("rewrite", "lua") if more else ("rewrite",)
    backend = make.echo("b")
    server = make.httpd(CONF + more, compat=settings.OWN, modules=modules, b=backend.url, slashes=slashes, start=False)
    for folder in ("fil", "per"):
        (server.root / "htdocs" / folder).mkdir()
    (server.root / "htdocs" / "fil" / "x.app").write_text("not the backend")
    return server


@pytest.mark.parametrize("slashes", ["Off", "On", "NoDecode"])
def test_the_target_at_the_backend(make, slashes):
    server = make_server(make, slashes)
    server.start()
    server.allow_log(r"AH\d+|CXP\d+")  # what all say about odd targets
    seen = {shown(target): shown(ask(server, target)) for target in targets(slashes)}
    if os.environ.get("CXXPROXY_WRITE"):
        table = read_table() if TABLE.exists() else {}
        table[slashes] = seen
        TABLE.write_text("".join(f"{s}\t{t}\t{a}\n" for s, rows in sorted(table.items()) for t, a in rows.items()), encoding="ascii")
        return
    check(seen, slashes)


def check(seen, slashes):
    expected = {target: answer for target, answer in read_table()[slashes].items() if target in seen}
    if settings.OWN:
        for (when, target), answer in OWN.items():
            if when in ("*", slashes) and target in expected:
                expected[target] = str(answer)
    different = [f"{t}: {seen[t]}, expected {a}" for t, a in expected.items() if seen[t] != a]
    assert len(seen) == len(expected) and not different, "\n".join(different)


# Where a rule's URL is in r->filename the module knows its parts; another text there, be it the same, is looked at anew.
@pytest.mark.parametrize("hook", ["AccessChecker", "Fixups"], ids=["before", "after"])
def test_a_module_that_has_copied_the_file_name_changes_nothing(make, hook):
    """Before the URL is canonical, and afterwards."""
    server = make_server(make, "NoDecode", f"LuaHook{hook} {{root}}/copy.lua copy\n")
    (server.root / "copy.lua").write_text(
        "function copy(r)\n if string.find(r.filename or '', 'proxy:', 1, true) then\n"
        "  r.filename = r.filename .. ''\n  r.headers_in['X-Copied'] = 'yes'\n end\n return apache2.DECLINED\nend\n")
    server.start()
    server.allow_log(r"AH\d+|CXP\d+")
    with Client(server.port) as client:
        client.send(b"GET /pla/x HTTP/1.1\r\nHost: proxy.test\r\nConnection: close\r\n\r\n")
        assert dict(client.read().json()["fields"])["X-Copied"] == "yes"
    ways = ("pla", "sla", "les", "loc", "noc", "enc", "srv", "mat", "rew", "han", "bal")
    check({shown(target): shown(ask(server, target)) for target in targets("NoDecode") if target[1:4] in ways}, "NoDecode")
