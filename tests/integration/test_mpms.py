"""The same work under each multi-processing module."""
import hashlib

import pytest

from support.client import Client, fetch
from support.load import Load

MPMS = ["event", "worker", "prefork"]


@pytest.fixture(params=MPMS)
def server(request, make):
    backends = [make.echo(name) for name in "ab"]
    server = make.httpd(f"""
<{{P}}Proxy balancer://pool>
    {{P}}BalancerMember {backends[0].url}
    {{P}}BalancerMember {backends[1].url}
</{{P}}Proxy>
{{P}}ProxyPass / balancer://pool/
""", mpm=request.param, processes=12 if request.param == "prefork" else 3, threads=8)
    server.backends = backends
    return server


def test_requests_bodies_and_order(server):
    assert "".join(fetch(server.port).json()["backend"] for _ in range(8)) == "abababab"
    body = b"y" * 200_000
    told = fetch(server.port, "/up", "POST", body=body).json()
    assert told["sha256"] == hashlib.sha256(body).hexdigest()
    with Client(server.port) as client:
        for i in range(5):
            assert client.ask(target=f"/{i}").json()["target"] == f"/{i}"


def test_load(server):
    with Load(server.port, clients=8) as load:
        load.wait_done(400)
    assert load.failures == []


def test_restart_and_stop_leave_nothing(server):
    assert fetch(server.port).status == 200
    before = set(server.children())
    server.restart()
    assert fetch(server.port).status == 200
    assert not before & set(server.children())
