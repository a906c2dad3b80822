"""Where rules stand and which one wins: main server, virtual hosts, Location, order, exclusion."""
import re

import pytest

from support.client import Client, fetch
from support.httpd import WELCOME


@pytest.fixture(scope="module")
def abc(house):
    return [house.echo(name) for name in "abc"]


def served_by(server, target="/", **options):
    """The name of the backend and the target that it saw, or the status of a local answer."""
    answer = fetch(server.port, target, **options)
    if "X-Backend" not in answer.fields:
        return answer.status
    told = answer.json()
    return told["backend"], told["target"]


def test_main_server(make, abc, family):
    server = make.httpd("{P}ProxyPass /app {a}/inner\n{P}ProxyPassReverse /app {a}/inner\n",
                        family=family, a=abc[0].url)
    assert served_by(server, "/app/x?q=1") == ("a", "/inner/x?q=1")
    assert fetch(server.port, "/").text == WELCOME


def test_name_based_vhosts_are_isolated(make, abc, family):
    server = make.httpd("""
<VirtualHost *:{port}>
    ServerName a.test
    {P}ProxyPass / {a}/
</VirtualHost>
<VirtualHost *:{port}>
    ServerName b.test
    ServerAlias bb.test *.b.test
    {P}ProxyPass /only {b}/from-b
    {P}ProxyPass /b {b}/
</VirtualHost>
<VirtualHost *:{port}>
    ServerName c.test
    {P}ProxyPass /c {c}/
    {P}ProxyPreserveHost On
</VirtualHost>
""", family=family, a=abc[0].url, b=abc[1].url, c=abc[2].url)
    assert served_by(server, "/only", host="a.test") == ("a", "/only")
    assert served_by(server, "/only", host="b.test") == ("b", "/from-b")
    assert served_by(server, "/only", host="x.b.test") == ("b", "/from-b")
    assert served_by(server, "/only", host="c.test") == 404
    assert served_by(server, "/b/1", host="c.test") == 404
    assert served_by(server, "/c/1", host="c.test") == ("c", "//1")
    assert served_by(server, "/c/1", host="b.test") == 404
    assert served_by(server, "/", host="nobody.test") == ("a", "/")
    hosts = {}
    for name in "ac":
        told = fetch(server.port, "/c/1", host=f"{name}.test").json()
        hosts[name] = dict(told["fields"])["Host"]
    assert hosts == {"a": f"127.0.0.1:{abc[0].port}", "c": "c.test"}


def test_vhosts_of_one_client_connection(make, abc, family):
    """The rule belongs to the request, not to the connection."""
    server = make.httpd("""
<VirtualHost *:{port}>
    ServerName a.test
    {P}ProxyPass / {a}/
</VirtualHost>
<VirtualHost *:{port}>
    ServerName b.test
    {P}ProxyPass / {b}/
</VirtualHost>
""", family=family, a=abc[0].url, b=abc[1].url)
    with Client(server.port) as client:
        names = [client.ask(host=f"{n}.test").json()["backend"] for n in "abba"]
    assert names == list("abba")


def test_port_based_vhosts(make, abc, family):
    server = make.httpd("""
<VirtualHost *:{port0}>
    {P}ProxyPass / {a}/
</VirtualHost>
<VirtualHost *:{port1}>
    {P}ProxyPass / {b}/
</VirtualHost>
""", family=family, ports=2, a=abc[0].url, b=abc[1].url)
    assert [fetch(port).json()["backend"] for port in server.ports] == ["a", "b"]


def test_location_with_one_argument(make, abc, family):
    server = make.httpd("""
<Location /one>
    {P}ProxyPass {a}/uno
    {P}ProxyPassReverse {a}/uno
</Location>
<Location /two/>
    {P}ProxyPass {b}/
</Location>
""", family=family, a=abc[0].url, b=abc[1].url)
    assert served_by(server, "/one") == ("a", "/uno")
    assert served_by(server, "/one/x?y") == ("a", "/uno/x?y")
    assert served_by(server, "/onely") == 404
    assert served_by(server, "/two/x") == ("b", "/x")


def test_location_with_two_arguments_is_an_error(make, family):
    server = make.httpd("<Location /one>\n{P}ProxyPass /one http://127.0.0.1:9/\n</Location>\n",
                        family=family, start=False)
    status, text = server.configtest()
    assert status != 0 and "ProxyPass" in text, text
    assert re.search("(?i)location|section", text), text


def test_first_match_in_file_order_wins_not_the_longest(make, abc, family):
    server = make.httpd("""
{P}ProxyPass /x {a}/a
{P}ProxyPass /x/deep {b}/b
{P}ProxyPass /y/deep {b}/b
{P}ProxyPass /y {a}/a
""", family=family, a=abc[0].url, b=abc[1].url)
    assert served_by(server, "/x/deep/1") == ("a", "/a/deep/1")
    assert served_by(server, "/y/deep/1") == ("b", "/b/1")
    assert served_by(server, "/y/shallow") == ("a", "/a/shallow")


def test_exclusion_serves_locally_and_must_come_first(make, abc, family):
    server = make.httpd("""
{P}ProxyPass /img !
{P}ProxyPass / {a}/
{P}ProxyPass /late !
""", family=family, a=abc[0].url)
    (server.root / "htdocs" / "img").mkdir()
    (server.root / "htdocs" / "img" / "x.txt").write_text("local")
    assert fetch(server.port, "/img/x.txt").text == "local"
    assert served_by(server, "/img") in (301, 404, 403)
    assert served_by(server, "/image") == ("a", "/image")
    assert served_by(server, "/late/x") == ("a", "/late/x")


def test_location_rules_come_before_server_rules(make, abc, family):
    server = make.httpd("""
{P}ProxyPass /x {a}/server
{P}ProxyPass /gone !
<Location /x>
    {P}ProxyPass {b}/location
</Location>
<Location /gone>
    {P}ProxyPass {b}/not-excluded
</Location>
""", family=family, a=abc[0].url, b=abc[1].url)
    assert served_by(server, "/x/1") == ("b", "/location/1")
    assert served_by(server, "/gone/1") == ("b", "/not-excluded/1")


def test_nested_location_the_later_one_wins(make, abc, family):
    server = make.httpd("""
<Location /x>
    {P}ProxyPass {a}/outer
</Location>
<Location /x/in>
    {P}ProxyPass {b}/inner
</Location>
<Location /x/out>
    {P}ProxyPass !
</Location>
""", family=family, a=abc[0].url, b=abc[1].url)
    assert served_by(server, "/x/1") == ("a", "/outer/1")
    assert served_by(server, "/x/in/1") == ("b", "/inner/1")
    assert served_by(server, "/x/out/1") == 404


def test_main_servers_rules_come_before_the_vhosts(make, abc, family):
    server = make.httpd("""
{P}ProxyPass /.well-known !
{P}ProxyPass /shared {a}/main
<VirtualHost *:{port}>
    ServerName v.test
    {P}ProxyPass /shared {b}/vhost
    {P}ProxyPass / {b}/
</VirtualHost>
""", family=family, a=abc[0].url, b=abc[1].url)
    assert served_by(server, "/shared/1", host="v.test") == ("a", "/main/1")
    assert served_by(server, "/other", host="v.test") == ("b", "/other")
    assert served_by(server, "/.well-known/acme", host="v.test") == 404


def test_location_of_the_main_server_reaches_into_vhosts(make, abc, family):
    server = make.httpd("""
<Location /status>
    {P}ProxyPass !
</Location>
<Location /m>
    {P}ProxyPass {a}/main
</Location>
<VirtualHost *:{port}>
    {P}ProxyPass / {b}/
</VirtualHost>
""", family=family, a=abc[0].url, b=abc[1].url)
    assert served_by(server, "/status") == 404
    assert served_by(server, "/m/1") == ("a", "/main/1")
    assert served_by(server, "/n") == ("b", "/n")


def test_proxying_comes_before_alias_and_documents(make, abc, family):
    server = make.httpd("""
Alias /x {root}/htdocs
{P}ProxyPass /x {a}/proxied
{P}ProxyPass /index.html {a}/index
""", family=family, a=abc[0].url)
    assert served_by(server, "/x/index.html") == ("a", "/proxied/index.html")
    assert served_by(server, "/index.html") == ("a", "/index")


def test_settings_of_the_main_server_reach_the_vhost_unless_set_there(make, abc, family):
    server = make.httpd("""
{P}ProxyPreserveHost On
{P}ProxyAddHeaders Off
<VirtualHost *:{port}>
    ServerName one.test
    {P}ProxyPass / {a}/
</VirtualHost>
<VirtualHost *:{port}>
    ServerName two.test
    {P}ProxyPreserveHost Off
    {P}ProxyAddHeaders On
    {P}ProxyPass / {a}/
</VirtualHost>
""", family=family, a=abc[0].url)
    one = dict(fetch(server.port, host="one.test").json()["fields"])
    two = dict(fetch(server.port, host="two.test").json()["fields"])
    assert one["Host"] == "one.test" and "X-Forwarded-For" not in one
    assert two["Host"] == f"127.0.0.1:{abc[0].port}" and two["X-Forwarded-Host"] == "two.test"


def test_balancer_of_the_main_server_is_known_in_vhosts(make, abc, family):
    server = make.httpd("""
<{P}Proxy balancer://shared>
    {P}BalancerMember {a}
    {P}BalancerMember {b}
</{P}Proxy>
<VirtualHost *:{port}>
    {P}ProxyPass / balancer://shared/
</VirtualHost>
""", family=family, a=abc[0].url, b=abc[1].url)
    assert [served_by(server, "/p")[0] for _ in range(4)] == ["a", "b", "a", "b"]


def test_balancers_of_two_vhosts_with_one_name_are_two(make, abc, family):
    server = make.httpd("""
<VirtualHost *:{port}>
    ServerName one.test
    <{P}Proxy balancer://same>
        {P}BalancerMember {a}
    </{P}Proxy>
    {P}ProxyPass / balancer://same/
</VirtualHost>
<VirtualHost *:{port}>
    ServerName two.test
    <{P}Proxy balancer://same>
        {P}BalancerMember {b}
        {P}BalancerMember {c}
    </{P}Proxy>
    {P}ProxyPass / balancer://same/
</VirtualHost>
""", family=family, a=abc[0].url, b=abc[1].url, c=abc[2].url)
    assert [served_by(server, host="one.test")[0] for _ in range(2)] == ["a", "a"]
    assert [served_by(server, host="two.test")[0] for _ in range(4)] == ["b", "c", "b", "c"]


def test_set_handler_proxies(make, abc, family):
    server = make.httpd("""
<Location /h>
    SetHandler "proxy:{a}/by-handler"
</Location>
""", family=family, a=abc[0].url)
    assert served_by(server, "/h")[0] == "a"


def test_a_proxy_section_decides_about_access(make, abc, family):
    """Sections are matched with the backend URL; their directives count, whatever comes last inside."""
    server = make.httpd("""
<{P}Proxy {a}/closed>
    Require all denied
</{P}Proxy>
<{P}Proxy {a}/field*>
    Header set X-Section wildcard
    {P}ProxyAddHeaders Off
</{P}Proxy>
<{P}Proxy {b}>
    Require all denied
</{P}Proxy>
<VirtualHost *:{port}>
    <{P}Proxy {b}/open>
        Require all granted
    </{P}Proxy>
    {P}ProxyPass /a {a}
    {P}ProxyPass /b {b}
</VirtualHost>
""", family=family, a=abc[0].url, b=abc[1].url)
    server.allow_log("AH01630")
    assert [fetch(server.port, path).status for path in ("/a/x", "/a/closed/x", "/b/x", "/b/open/x")] == [200, 403, 403, 200]
    assert "X-Section" not in fetch(server.port, "/a/x").fields
    assert fetch(server.port, "/a/field/x").fields.get("X-Section") == "wildcard"
