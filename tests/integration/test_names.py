"""Cxx names and standard names, alone, beside real mod_proxy, and with the stand-in module."""
import pytest

from support import settings
from support.client import fetch
from support.httpd import MOD_PROXY, load_line

OWN_LINE = f"LoadModule cxxproxy_module {settings.SO}"
COMPAT_LINE = f"LoadModule proxy_module {settings.COMPAT_SO}"
FOREIGN = [load_line(name) for name in MOD_PROXY]
ORDERS = {"ours first": [OWN_LINE] + FOREIGN, "mod_proxy first": FOREIGN + [OWN_LINE]}

pytestmark = pytest.mark.own


@pytest.fixture(scope="module")
def backends(house):
    return house.echo("a"), house.echo("b")


def test_both_families_in_one_file(make, backends):
    server = make.httpd("CxxProxyPass /cxx {a}/one\nProxyPass /std {b}/two\n"
                        "<Location /in>\n    ProxyPass {a}/three\n</Location>\n",
                        a=backends[0].url, b=backends[1].url)
    assert fetch(server.port, "/cxx/x").json()["target"] == "/one/x"
    assert fetch(server.port, "/std/x").json()["target"] == "/two/x"
    assert fetch(server.port, "/in/x").json()["target"] == "/three/x"


@pytest.mark.parametrize("lines", ORDERS.values(), ids=ORDERS.keys())
def test_beside_mod_proxy_each_has_its_own_names(make, backends, lines):
    """X-Forwarded-Proto tells whose request it is: mod_proxy does not send it."""
    server = make.httpd("""
<VirtualHost *:{port}>
    ServerName ours.test
    CxxProxyPreserveHost On
    <CxxProxy balancer://mycluster>
        CxxBalancerMember {a}
        CxxBalancerMember {b}
    </CxxProxy>
    CxxProxyPass / balancer://mycluster/
    CxxProxyPassReverse / balancer://mycluster/
</VirtualHost>
<VirtualHost *:{port}>
    ServerName theirs.test
    ProxyPreserveHost On
    <Proxy balancer://mycluster>
        BalancerMember {a}
        BalancerMember {b}
    </Proxy>
    ProxyPass / balancer://mycluster/
    ProxyPassReverse / balancer://mycluster/
</VirtualHost>
""", family="cxx", proxy=lines, a=backends[0].url, b=backends[1].url)
    ours = [fetch(server.port, "/x", host="ours.test").json() for _ in range(4)]
    theirs = [fetch(server.port, "/x", host="theirs.test").json() for _ in range(4)]
    assert [told["backend"] for told in ours] == list("abab")
    assert [told["backend"] for told in theirs] == list("abab")
    assert all("X-Forwarded-Proto" in dict(told["fields"]) for told in ours)
    assert not any("X-Forwarded-Proto" in dict(told["fields"]) for told in theirs)
    assert all(dict(told["fields"])["Host"] == "ours.test" for told in ours)


@pytest.mark.parametrize("lines", ORDERS.values(), ids=ORDERS.keys())
def test_beside_mod_proxy_its_own_checks_still_speak(make, lines):
    server = make.httpd("ProxyPass / http://127.0.0.1:9/ no-such-parameter=1\n", family="cxx",
                        proxy=lines, start=False)
    status, text = server.configtest()
    assert status != 0 and "ProxyPass" in text, text


@pytest.mark.parametrize("lines", ORDERS.values(), ids=ORDERS.keys())
def test_beside_mod_proxy_rewrite_rule_with_p_is_mod_proxys(make, backends, lines):
    server = make.httpd("RewriteEngine On\nRewriteRule ^/old/(.*) {a}/new/$1 [P]\n"
                        "CxxProxyPass /cxx {a}/ours\n", family="cxx", proxy=lines, a=backends[0].url,
                        modules=("rewrite",))
    told = fetch(server.port, "/old/x").json()
    assert told["target"] == "/new/x" and "X-Forwarded-Proto" not in dict(told["fields"])
    assert fetch(server.port, "/cxx/x").json()["target"] == "/ours/x"


@pytest.mark.parametrize("lines", [[OWN_LINE, COMPAT_LINE], [COMPAT_LINE, OWN_LINE]],
                         ids=["module first", "stand-in first"])
def test_standard_names_work_with_the_stand_in(make, backends, lines):
    server = make.httpd("""
<IfModule mod_proxy.c>
    ProxyPass /file {a}/file
</IfModule>
<IfModule proxy_module>
    ProxyPass /name {a}/name
</IfModule>
<IfModule !mod_proxy.c>
    ProxyPass / {a}/wrong
</IfModule>
""", family="std", proxy=lines, a=backends[0].url)
    assert fetch(server.port, "/file/x").json()["target"] == "/file/x"
    assert fetch(server.port, "/name/x").json()["target"] == "/name/x"
    assert fetch(server.port, "/else").status == 404


def test_without_the_stand_in_there_is_no_mod_proxy(make):
    server = make.httpd("<IfModule mod_proxy.c>\nThisWouldFail\n</IfModule>\n"
                        "<IfModule proxy_module>\nThisWouldFail\n</IfModule>\n"
                        "<IfModule !cxxproxy_module>\nThisWouldFail\n</IfModule>\n", start=False)
    assert server.configtest()[0] == 0


def test_a_server_without_a_rule_is_untouched(make):
    server = make.httpd("")
    assert fetch(server.port).status == 200
    assert fetch(server.port, "/nothing").status == 404


def test_without_the_module_the_names_are_httpds_error(make):
    server = make.httpd("CxxProxyPass / http://127.0.0.1:9/\n", family="cxx", proxy=[], start=False)
    status, text = server.configtest()
    assert status != 0 and "Invalid command 'CxxProxyPass'" in text, text


def test_handler_names_are_public(make, backends):
    server = make.httpd('<Location /h>\n    SetHandler "cxxproxy:{a}/own"\n</Location>\n',
                        a=backends[0].url)
    assert fetch(server.port, "/h").json()["backend"] == "a"
