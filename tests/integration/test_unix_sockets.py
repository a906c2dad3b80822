"""Backends behind unix sockets: every place where one can be named, what the backend sees, what fails how."""
import socket
import tempfile
from pathlib import Path
from shutil import rmtree

import pytest

from support import settings
from support.client import fetch


@pytest.fixture(scope="module")
def folder():
    path = Path(tempfile.mkdtemp(prefix="cxxproxy-sock-"))
    path.chmod(0o755)
    yield path
    rmtree(path, ignore_errors=True)


@pytest.fixture(scope="module")
def sockets(house, folder):
    return [house.echo(name, path=folder / f"{name}.sock") for name in "abc"]


CONF = """
{P}ProxyPass /plain unix:{f}/a.sock|http://name.test/base
{P}ProxyPass /other "unix:{f}/b.sock|http://other.test:81/"
{P}ProxyPass /short unix:{f}/a.sock|http:
{P}ProxyPassMatch ^/match/(.*)$ unix:{f}/c.sock|http://c.test/m/$1
{P}ProxyPass /grp balancer://grp
<{P}Proxy balancer://grp>
    {P}BalancerMember unix:{f}/b.sock|http://member.test/in
</{P}Proxy>
<{P}Proxy "unix:{f}/c.sock|http://declared.test">
    {P}ProxySet timeout=5
</{P}Proxy>
<Location /han>
    SetHandler "proxy:unix:{f}/b.sock|http://han.test"
</Location>
RewriteEngine On
RewriteRule ^/rew/(.*)$ unix:{f}/a.sock|http://rew.test/r/$1 [P]
RewriteRule ^/dec/(.*)$ unix:{f}/c.sock|http://declared.test/d/$1 [P]
RewriteRule ^/open/(.*)$ $1 [P]
"""


@pytest.fixture(scope="module")
def server(house, sockets, folder, file_family):
    return house.httpd(CONF, family=file_family, compat=settings.OWN, modules=("rewrite",), f=folder)


def told(server, target):
    answer = fetch(server.port, target)
    if "X-Backend" not in answer.fields:
        return answer.status
    seen = answer.json()
    return seen["backend"], seen["target"], dict(seen["fields"])["Host"]


def test_where_a_socket_is_named(server):
    assert told(server, "/plain/x?q") == ("a", "/base/x?q", "name.test")
    assert told(server, "/other/x") == ("b", "//x", "other.test:81")
    assert told(server, "/short/x") == ("a", "/x", "localhost")
    if settings.OWN:  # mod_proxy 2.4.71 looks the name up instead
        assert told(server, "/match/x") == ("c", "/m/x", "c.test")
    assert told(server, "/grp/x") == ("b", "/in/x", "member.test")
    assert told(server, "/rew/x?q=1") == ("a", "/r/x?q=1", "rew.test")
    assert told(server, "/dec/x") == ("c", "/d/x", "declared.test")
    backend, target, host = told(server, "/han/x")
    assert (backend, host) == ("b", "han.test") and target.endswith("/htdocs/han")


def test_connections_are_kept(server, sockets):
    numbers = {fetch(server.port, "/plain/kept").json()["connection"] for _ in range(5)}
    assert len(numbers) < 5


@pytest.mark.own
def test_a_request_names_no_socket(server, folder, sockets):
    """CVE-2021-40438: mod_rewrite hands on what the rule built, the client has no say in the socket."""
    server.allow_log()
    seen = len(sockets[0].requests)
    for target in (f"/open/unix:{folder}/a.sock|http://localhost/x", f"/open/unix:{folder}/a.sock%7Chttp://localhost/x",
                   f"/open/%75nix:{folder}/a.sock|http://localhost/x", f"/plain/x?unix:{folder}/b.sock|http://localhost/"):
        answer = fetch(server.port, target)
        assert answer.status >= 400 or answer.json()["backend"] == "a" and target.startswith("/plain"), target
    assert len(sockets[0].requests) == seen + 1


@pytest.mark.own
def test_same_name_other_socket(make, sockets, folder):
    """With mod_proxy the second rule goes to the first socket."""
    server = make.httpd("{P}ProxyPass /a unix:{f}/a.sock|http://localhost/\n{P}ProxyPass /b unix:{f}/b.sock|http://localhost/\n", f=folder)
    assert told(server, "/a")[0] == "a" and told(server, "/b")[0] == "b"


@pytest.mark.own
def test_relative_paths_and_failures(make, folder):
    server = make.httpd("{P}ProxyPass /none unix:none.sock|http://localhost/\n"
                        "{P}ProxyPass /closed unix:{f}/locked/x.sock|http://localhost/\n"
                        "{P}ProxyPass /dead unix:{f}/dead.sock|http://localhost/\n"
                        "{P}ProxyPass /rel unix:rel.sock|http://rel.test/\n", f=folder)
    dead = socket.socket(socket.AF_UNIX)
    dead.bind(str(folder / "dead.sock"))
    (folder / "dead.sock").chmod(0o777)
    dead.close()
    (server.root / "run").chmod(0o755)
    make.echo("rel", path=server.root / "run" / "rel.sock")
    assert told(server, "/rel/x") == ("rel", "//x", "rel.test")
    assert fetch(server.port, "/none").status == 503
    server.expect_log(r"unix:.*/run/none.sock\|http://localhost.*: No such file or directory")
    assert fetch(server.port, "/dead").status == 503
    server.expect_log(r"CXP0102: unix:.*/dead.sock\|http://localhost: connection refused")
    locked = folder / "locked"
    locked.mkdir()
    locked.chmod(0o700)
    status = fetch(server.port, "/closed").status
    assert status == 503
    server.expect_log(r"locked/x.sock.*: (permission denied \(httpd's user|No such file)")
