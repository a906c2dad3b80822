"""Which rule a request takes, and where it may lead: every kind of rule, order, inheritance, SetHandler, [P], sections."""
import pytest

from support import settings
from support.client import Client, fetch


@pytest.fixture(scope="module")
def abc(house):
    return [house.echo(name) for name in "abc"]


def served(server, target="/", **options):
    """"backend target", or the status of a local answer."""
    answer = fetch(server.port, target, **options)
    if "X-Backend" not in answer.fields:
        return answer.status
    told = answer.json()
    return f"{told['backend']} {told['target']}"


def check(server, rows, **options):
    seen = {target: served(server, target, **options) for target in rows}
    assert seen == rows


RULES = """
{P}ProxyPassMatch ^/first/(\\d+)/(.*)$ {a}/num/$2?id=$1
{P}ProxyPass /first {b}/plain
{P}ProxyPassMatch "\\.gif$" {c}
{P}ProxyPass /keep !
{P}ProxyPassMatch ^/keep2/.*\\.txt$ !
{P}ProxyPass /keep2 {a}/keep2
{P}ProxyPass ~ "^/til(/.*)?$" {a}$1
{P}ProxyPassMatch ^/grp(/.*)$ balancer://grp$1
{P}ProxyPassMatch ^/gname/([a-z]+)(/.*)$ balancer://$1$2
{P}ProxyPassMatch ^/port/(\\d+)/(.*)$ http://127.0.0.1:$1/$2
{P}ProxyPassMatch ^/tail/(.*)$ {a}$1
{P}ProxyPassMatch ^/esc/(.*)$ {a}/\\$1/$1
{P}ProxyPassMatch ^/end$ {a}/end
{P}ProxyPass /enc {a}/decoded
{P}ProxyPass /enc/deep {b}/encoded mapping=encoded
{P}ProxyPass /enc/kept ! mapping=encoded
{P}ProxyPass /srv {c}/srv mapping=servlet
<{P}Proxy balancer://grp>
    {P}BalancerMember {b}/base
</{P}Proxy>
<Location /loc>
    {P}ProxyPass {a}/loc
</Location>
<Location /loc/kept>
    {P}ProxyPass !
</Location>
{P}ProxyPass /loc/server !
<LocationMatch "^/lm/(\\w+)/(.*)$">
    {P}ProxyPass {b}/$2/$1
</LocationMatch>
<Location ~ "^/lt/.*\\.x$">
    {P}ProxyPassMatch {c}
</Location>
<Location /srv/private>
    Require all denied
</Location>
<Location /enc/deep/secret>
    Require all denied
</Location>
RewriteEngine On
RewriteRule ^/enc/deep/blocked - [F]
RewriteRule ^/forbidden - [F]
RewriteRule ^/rew/(.*)$ {c}/rewritten/$1 [P]
RewriteRule ^/moved/(.*)$ /first/$1 [PT]
RewriteRule ^/bal/(.*)$ balancer://grp/$1 [P]
{P}ProxyPass /rew {a}/never
Alias /first/alias {docroot}
Alias /files {docroot}
SetEnvIf Request_URI "^/first/noproxy" no-proxy
"""


@pytest.fixture(scope="module")
def server(house, abc, file_family):
    return house.httpd(RULES, family=file_family, compat=settings.OWN, modules=("rewrite",), a=abc[0].url, b=abc[1].url, c=abc[2].url)


def test_expressions_and_prefixes_are_one_list(server, abc):
    check(server, {
        "/first/12/x": "a /num/x%3Fid=12", "/first/x": "b /plain/x", "/first/x.gif": "b /plain/x.gif", "/any/x.gif": "c /any/x.gif",
        "/keep/x": 404, "/keep/x.gif": "c /keep/x.gif", "/keep2/a.txt": 404, "/keep2/a": "a /keep2/a", "/til": "a /", "/til/x": "a /x",
        "/grp/x.y": "b /base/x.y", "/gname/grp/z": "b /base/z", f"/port/{abc[2].port}/x": "c /x", "/end": "a /end/end", "/end%0a": 404,
        "/first/alias": "b /plain/alias", "/files/": 200, "/moved/x": "b /plain/x", "/esc/v": "a /$1/v",
    })


def test_no_proxy(server):
    assert served(server, "/first/noproxy") == 404


def test_location_comes_before_the_server(server):
    check(server, {"/loc/x": "a /loc/x", "/loc/kept/x": 404, "/loc/server": "a /loc/server", "/lm/w/r": "b /r/w",
                   "/lt/a.x": "c /lt/a.x", "/lt/a.y": 404})


def test_encoded_rules_come_before_everything(server):
    server.allow_log("AH01630")
    check(server, {
        "/enc/x": "a /decoded/x", "/enc/deep/x": "b /encoded/x", "/enc/deep/a%3Fb": "b /encoded/a%3Fb", "/enc/deep/a%2Fb": "b /encoded/a%2Fb",
        "/enc/deep/blocked": "b /encoded/blocked", "/enc%2Fdeep/x": 404, "/enc/deep/secret/x": 403, "/forbidden": 403,
        "/enc/kept/x": "a /decoded/kept/x",
    })


def test_servlet_rules_and_access_control(server):
    server.allow_log("AH01630")
    check(server, {"/srv/x;v=1/y": "c /srv/x;v=1/y", "/srv;v=1/x": "c /srv;v=1/x", "/x/..;a/srv/y": "c /srv/y",
                   "/srv/private": 403, "/srv/private;v=1": 403, "/srv/x/..;/private": 403, "/srv;x/private/y": 403})


def test_rewriting_rules_decide_first(server):
    check(server, {"/rew/x": "c /rewritten/x", "/bal/x": "b /base/x"})


@pytest.mark.own
def test_a_request_cannot_change_the_host(server, abc):
    """mod_proxy asks the resolver for such names, or takes another port."""
    server.allow_log("CXP0031")
    for target in ("/tail/.evil.test/x", "/tail/80/x", "/tail/@evil.test/", "/port/80@evil.test/x"):
        assert served(server, target) in (400, 404), target
    assert served(server, "/tail//x") in (400, "a /x")


def test_the_filled_host_keeps_no_connection(server, abc):
    told = fetch(server.port, f"/port/{abc[0].port}/x").json()
    assert dict(told["fields"])["Connection"].lower() == "close"
    assert dict(told["fields"])["Host"] == f"127.0.0.1:{abc[0].port}"


def test_interpolation(make, abc, family):
    server = make.httpd("""
SetEnvIf X-Env "(.*)" PLACE=$1
SetEnvIf X-Host "(.*)" HOST=$1
{P}ProxyPassInterpolateEnv On
{P}ProxyPass /env {a}/${PLACE}/x interpolate
{P}ProxyPass /path/${PLACE} {b}/in interpolate
{P}ProxyPass /host http://${HOST}/h interpolate
{P}ProxyPass /plain {c}/plain
{P}ProxyPassReverse /back http://${HOST}/ interpolate
<Location /off>
    {P}ProxyPassInterpolateEnv Off
    {P}ProxyPass {c}/off interpolate
</Location>
""", family=family, a=abc[0].url, b=abc[1].url, c=abc[2].url)
    server.allow_log("AH00111|CXP0031")
    assert served(server, "/env/y", fields=[("X-Env", "one")]) == "a /one/x/y"
    assert served(server, "/env/y") == "a //x/y"
    assert served(server, "/path/two/y", fields=[("X-Env", "two")]) == "b /in/y"
    assert served(server, "/host/y", fields=[("X-Host", f"127.0.0.1:{abc[2].port}")]) == "c /h/y"
    assert served(server, "/plain/x") == "c /plain/x"
    assert served(server, "/off/x") == "c /off/x"
    if settings.OWN:
        assert served(server, "/host/y", fields=[("X-Host", f"127.0.0.1:{abc[2].port}/else")]) == 400
        assert served(server, "/host/y", fields=[("X-Host", f"u@127.0.0.1:{abc[2].port}")]) == 400


INHERIT = """
{P}ProxyPass /main {a}/main
{P}ProxyPass /both {a}/main-wins
{P}ProxyPass /out !
<{P}Proxy balancer://grp>
    {P}BalancerMember {a}/grp
</{P}Proxy>
<VirtualHost *:{port}>
    ServerName on.test
    {P}ProxyPass /both {b}/vhost
    {P}ProxyPass /out {b}/out
    {P}ProxyPass /grp balancer://grp
    {P}ProxyPass / {b}/rest/
</VirtualHost>
<VirtualHost *:{port}>
    ServerName off.test
    {P}BalancerInherit Off
    {P}ProxyPassInherit Off
    {P}ProxyPass / {c}/rest/
</VirtualHost>
"""


def test_inheritance(make, abc, family):
    server = make.httpd(INHERIT, family=family, a=abc[0].url, b=abc[1].url, c=abc[2].url)
    check(server, {"/main/x": "a /main/x", "/both": "a /main-wins", "/out/x": 404, "/grp/x": "a /grp/x", "/x": "b /rest/x"}, host="on.test")
    check(server, {"/main/x": "a /main/x", "/x": "c /rest/x", "/out/x": 404}, host="off.test")


HANDLERS = """
<Directory "{docroot}">
    <Files "exact.app">
        SetHandler "proxy:{a}"
    </Files>
    <FilesMatch "\\.grp$">
        SetHandler "proxy:balancer://grp"
    </FilesMatch>
</Directory>
<{P}Proxy balancer://grp>
    {P}BalancerMember {b}/base
</{P}Proxy>
<Location /loc>
    SetHandler "proxy:{b}/pre"
</Location>
<If "%{REQUEST_URI} =~ m#^/if#">
    SetHandler "proxy:{c}"
</If>
<Directory "{docroot}/dir">
    Require all granted
    DirectoryIndex index.app
    RewriteEngine On
    RewriteRule ^(.*\\.app)$ {c}/per/$1 [P]
</Directory>
<Directory "{docroot}/all">
    Require all granted
    SetHandler "proxy:{a}"
</Directory>
"""


def test_handlers(make, abc, family):
    server = make.httpd(HANDLERS, family=family, compat=settings.OWN, modules=("rewrite",), start=False, a=abc[0].url, b=abc[1].url, c=abc[2].url)
    docroot = server.root / "htdocs"
    for folder in ("dir", "all"):
        (docroot / folder).mkdir()
    for name in ("exact.app", "x.grp", "dir/index.app", "all/f"):
        (docroot / name).write_text("not the backend")
    server.start()
    check(server, {
        "/exact.app": f"a {docroot}/exact.app", "/exact.app?q=1": f"a {docroot}/exact.app?q=1", "/x.grp": f"b /base{docroot}/x.grp",
        "/loc/x": f"b /pre{docroot}/loc", "/if": f"c {docroot}/if", "/dir/a.app?q": "c /per/a.app?q", "/dir/": "c /per/index.app",
        "/all/f": f"a {docroot}/all/f", "/index.html": 200,
    })


SECTIONS = """
{P}ProxyPass /a {a}/one
{P}ProxyPass /b {b}/two
{P}ProxyPass /c {c}/three
{P}ProxyPass /grp balancer://grp/x
<{P}Proxy balancer://grp>
    {P}BalancerMember {c}/grp
    Header set X-Group yes
</{P}Proxy>
<{P}Proxy "{a}/one">
    Header set X-Plain yes
    RequestHeader set X-To-Backend plain
</{P}Proxy>
<{P}Proxy "http://*:{bport}/*">
    Header set X-Wild yes
</{P}Proxy>
<{P}ProxyMatch "/two/(private|secret)">
    Require all denied
</{P}ProxyMatch>
<{P}ProxyMatch "^http://[^/]+/(?<first>[^/]+)/(?<name>[^/?]+)$">
    Header set X-Match "%{MATCH_FIRST}e-%{MATCH_NAME}e"
    SetEnv seen yes
</{P}ProxyMatch>
<Location /a>
    Header set X-Order location
</Location>
<{P}Proxy "{a}">
    Header set X-Order proxy
</{P}Proxy>
"""


def test_sections_match_the_backend_url(make, abc, family):
    server = make.httpd(SECTIONS, family=family, a=abc[0].url, b=abc[1].url, c=abc[2].url, bport=abc[1].port)
    server.allow_log("AH01630")

    def fields(target):
        return {n: v for n, v in fetch(server.port, target).fields if n in ("X-Group", "X-Plain", "X-Wild", "X-Match", "X-Order")}
    # httpd walks through <Location> once more after <Proxy>, so <Location> has the last word.
    assert fields("/a/x") == {"X-Plain": "yes", "X-Match": "one-x", "X-Order": "location"}
    assert fields("/b/x") == {"X-Wild": "yes", "X-Match": "two-x"}
    assert fields("/c/x/y") == {}
    assert fields("/grp/x") == {"X-Group": "yes"}
    assert dict(fetch(server.port, "/a/x").json()["fields"])["X-To-Backend"] == "plain"
    check(server, {"/b/private": 403, "/b/secret/x": 403, "/b/public": "b /two/public"})


def test_each_url_keeps_its_parameters(make, abc, family):
    """mod_proxy lets the second rule share the first one's backend; the requests arrive all the same."""
    server = make.httpd("{P}ProxyPass /a {a}/app\n{P}ProxyPass /b {a}/app/deep disablereuse=On\n{P}ProxyPass /c {a}\n",
                        family=family, a=abc[0].url)
    server.allow_log("AH0114[56]")
    check(server, {"/a/x": "a /app/x", "/b/x": "a /app/deep/x", "/c/x": "a /x"})
    if settings.OWN:
        connection = {t: dict(fetch(server.port, f"/{t}/x").json()["fields"])["Connection"].lower() for t in "abc"}
        assert connection == {"a": "keep-alive", "b": "close", "c": "keep-alive"}


@pytest.mark.own  # mod_proxy looks the URL up in the end
def test_a_module_that_changes_the_url(make, abc, family):
    """Another path stays with the rule's backend, another host or balancer leads there."""
    server = make.httpd("""
LuaHookAccessChecker {root}/change.lua change
RewriteEngine On
RewriteRule ^/rewritten$ {a}/app/deep/x [P]
{P}ProxyPass /a {a}/app
{P}ProxyPass /b {a}/app/deep disablereuse=On
{P}ProxyPass /c {b}
{P}ProxyPass /grp balancer://grp/in
<{P}Proxy balancer://grp>
    {P}BalancerMember {c}
</{P}Proxy>
""", family=family, compat=True, modules=("rewrite", "lua"), a=abc[0].url, b=abc[1].url, c=abc[2].url, start=False)
    (server.root / "change.lua").write_text(f"""
function change(r)
    local name = r.filename or ''
    name = name:gsub('app/deeper', 'app/deep/x'):gsub('^(%a+:).*/to%-b$', '%1{abc[1].url}/y z'):gsub('^(%a+:).*/to%-grp$', '%1balancer://grp/z')
    name = name:gsub('^(%a+:balancer://grp)/in/other$', '%1/other%%20')
    if name ~= r.filename then r.filename = name end
    return apache2.DECLINED
end
""")
    server.start()
    check(server, {"/a/deeper": "a /app/deep/x", "/b/x": "a /app/deep/x", "/rewritten": "a /app/deep/x", "/a/to-b": "b /y%20z", "/grp/to-b": "b /y%20z",
                   "/a/to-grp": "c /z", "/grp/x": "c /in/x", "/grp/other": "c /other%2520", "/a/deeper?q": "a /app/deep/x?q"})
    connection = {t: dict(fetch(server.port, t).json()["fields"])["Connection"].lower() for t in ("/a/deeper", "/b/x", "/rewritten")}
    assert connection == {"/a/deeper": "keep-alive", "/b/x": "close", "/rewritten": "close"}


# --- noquery ---------------------------------------------------------------------------------------

@pytest.mark.own  # mod_proxy 2.4.71 accepts the word and passes the query
@pytest.mark.parametrize("target, expected", [
    ("/kept/x?a=1", "/kept/x?a=1"), ("/cut/x?a=1", "/cut/x"), ("/cut/x?", "/cut/x"), ("/cut", "/cut"),
    ("/match/x?a=1", "/m/x"), ("/raw/a%2Fb?a=1", "/raw/a%2Fb"), ("/loc/x?a=1", "/loc/x")])
def test_noquery_keeps_the_query_here(make, family, target, expected):
    backend = make.echo()
    server = make.httpd("""
AllowEncodedSlashes NoDecode
{P}ProxyPass /kept {b}/kept
{P}ProxyPass /cut {b}/cut noquery
{P}ProxyPassMatch ^/match/(.*)$ {b}/m/$1 noquery
{P}ProxyPass /raw {b}/raw nocanon noquery
<Location /loc>
    {P}ProxyPass {b}/loc noquery
</Location>
""", b=backend.url, family=family)
    assert fetch(server.port, target).json()["target"] == expected
