"""ProxyPassReverse: a backend's own address becomes the proxy's in the fields of an answer."""
import pytest

from support.client import fetch
from support.wire import answer

FIELDS = ["Location", "Content-Location", "URI", "Destination"]


@pytest.fixture(scope="module")
def redirector(house):
    """A backend that sends back what the query asks for: /?Name=value&status=302."""
    backend = house.echo("redirector")

    def script(connection, request):
        connection.read_body(request)
        query = request.target.partition("?")[2].replace("BACKEND", f"127.0.0.1:{backend.port}")
        fields = [part.split("=", 1) for part in query.split("&")]
        status = dict(map(tuple, fields)).get("status", "302 Found").replace("%20", " ")
        connection.send(answer(b"", status, [f for f in fields if f[0] != "status"]))
        return True
    backend.on("/r", script)
    backend.on("/app/r", script)
    return backend


@pytest.fixture(scope="module")
def server(house, redirector, file_family):
    return house.httpd("""
<VirtualHost *:{port}>
    ServerName proxy.test
    {P}ProxyPass /d {b}/app
    {P}ProxyPassReverse /d {b}/app
    {P}ProxyPass / {b}/
    {P}ProxyPassReverse / {b}/
</VirtualHost>
<VirtualHost *:{port}>
    ServerName pool.test
    <{P}Proxy balancer://pool>
        {P}BalancerMember {b}
        {P}BalancerMember http://other.test:81/base
    </{P}Proxy>
    {P}ProxyPassReverse / balancer://pool/
    {P}ProxyPass / {b}/
</VirtualHost>
<VirtualHost *:{port}>
    ServerName location.test
    <Location /l>
        {P}ProxyPass {b}
        {P}ProxyPassReverse {b}
    </Location>
</VirtualHost>
<VirtualHost *:{port}>
    ServerName path.test
    {P}ProxyPass / {b}/
    {P}ProxyPassReverse /outside /inside
</VirtualHost>
<VirtualHost *:{port}>
    ServerName none.test
    {P}ProxyPass / {b}/
</VirtualHost>
""", family=file_family, b=redirector.url)


def mapped(server, value, name="Location", host="proxy.test", path="/r", status="302%20Found"):
    response = fetch(server.port, f"{path}?{name}={value}&status={status}", host=host)
    assert response.status == int(status[:3])
    return response.fields.get(name)


@pytest.mark.parametrize("name", FIELDS)
def test_each_field_that_carries_an_address(server, name):
    assert mapped(server, "http://BACKEND/x?y", name) == "http://proxy.test/x?y"


@pytest.mark.parametrize("status", ["200%20OK", "201%20Created", "301%20Moved", "303%20See", "307%20T",
                                    "308%20P", "404%20No", "503%20Busy"])
def test_on_every_status(server, status):
    assert mapped(server, "http://BACKEND/x", status=status) == "http://proxy.test/x"


def test_the_port_of_the_client_side_is_kept(server):
    host = f"proxy.test:{server.port}"
    assert mapped(server, "http://BACKEND/x", host=host) == f"http://{host}/x"


def test_the_first_rule_that_fits_decides(server):
    assert mapped(server, "http://BACKEND/app/x", path="/d/r") == "http://proxy.test/d/x"
    assert mapped(server, "http://BACKEND/app") == "http://proxy.test/d"
    assert mapped(server, "http://BACKEND/else/x") == "http://proxy.test/else/x"


def test_scheme_and_host_are_compared_without_case(server, redirector):
    assert mapped(server, f"HTTP://127.0.0.1:{redirector.port}/x") == "http://proxy.test/x"


@pytest.mark.parametrize("value", ["http://elsewhere.test/x", "https://127.0.0.1/x", "/relative/x",
                                   "//127.0.0.1/x", "relative", "http://127.0.0.1:1/x", "mailto:x@y"])
def test_other_addresses_stay(server, value):
    assert mapped(server, value) == value


@pytest.mark.own
def test_a_rule_ends_at_a_segment(server, redirector):
    """mod_proxy turns /appendix into /dendix."""
    assert mapped(server, "http://BACKEND/appendix") == "http://proxy.test/appendix"


def test_every_member_of_a_balancer(server):
    assert mapped(server, "http://BACKEND/x", host="pool.test") == "http://pool.test/x"
    assert mapped(server, "http://other.test:81/base/x", host="pool.test") == "http://pool.test/x"
    assert mapped(server, "http://third.test/x", host="pool.test") == "http://third.test/x"


def test_inside_location(server):
    assert mapped(server, "http://BACKEND/x", host="location.test", path="/l/r") == \
        "http://location.test/l/x"


def test_a_rule_with_a_path_only(server):
    assert mapped(server, "/inside/x", host="path.test") in ("/outside/x", "http://path.test/outside/x")
    assert mapped(server, "/other", host="path.test") == "/other"


def test_without_a_rule_nothing_changes(server, redirector):
    assert mapped(server, "http://BACKEND/x", host="none.test") == f"http://127.0.0.1:{redirector.port}/x"


def test_other_fields_and_bodies_stay(server, redirector):
    own = f"http://127.0.0.1:{redirector.port}/x"
    assert mapped(server, "http://BACKEND/x", "Link") == own
    assert mapped(server, "http://BACKEND/x", "X-Location") == own


def test_a_long_location_is_mapped_whole(server):
    tail = "x" * 4000
    assert mapped(server, "http://BACKEND/" + tail) == "http://proxy.test/" + tail
