"""What configtest says, and that what it explains is what requests do."""
import pytest

from support.client import fetch


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
