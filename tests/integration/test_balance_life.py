"""Members go and come: failonstatus, failontimeout, maxattempts, ejection, slow start, budgets, sets."""
import pytest

from support import settings
from support.backend import closed_port
from support.balancers import STATUS, numbers, order, pool
from support.client import fetch
from support.waiting import until
from support.wire import answer


def failing(backend, status="503 Busy"):
    backend.says("/bad", answer(b"bad", status, [("X-Backend", backend.name)]))


def test_failonstatus_takes_the_member_out_and_passes_the_answer(make, family):
    backends = [make.echo(name) for name in "ab"]
    failing(backends[0])
    server = make.httpd(pool(*[f"{b.url} retry=100" for b in backends], balancer="failonstatus=500,503"), family=family)
    server.allow_log(r"CXP0024|AH01174|AH02324")
    assert fetch(server.port, "/bad").status == 503
    assert order(server, 4) == "bbbb"
    if settings.OWN:
        server.expect_log(r"CXP0024: balancer://pool .*: answered 503 \(failonstatus\); the member rests for 100 s")


@pytest.mark.parametrize("setting, expected", [("failontimeout=On", "bbbb"), ("failontimeout=Off", "abab")])
def test_failontimeout(make, setting, expected):
    backends = [make.echo(name) for name in "ab"]
    backends[0].on("/slow", lambda c, r: c.wait_close())
    server = make.httpd(pool(*[f"{b.url} retry=100 timeout=1" for b in backends], balancer=f"{setting} maxattempts=0"))
    server.allow_log()
    assert fetch(server.port, "/slow").status == (504 if settings.OWN else 502)
    got = order(server, 4)
    assert sorted(got) == sorted(expected)


def test_maxattempts_counts_further_members(make):
    dead = [f"http://127.0.0.1:{closed_port()} retry=0" for _ in range(3)]
    live = make.echo("a")
    server = make.httpd(pool(*dead, live.url, balancer="maxattempts=1"))
    server.allow_log()
    got = [fetch(server.port).status for _ in range(4)]
    assert 503 in got, got
    server = make.httpd(pool(*dead, live.url))
    server.allow_log()
    assert [fetch(server.port).status for _ in range(4)] == [200] * 4


@pytest.mark.own
def test_forcerecovery(make):
    """A disabled member does not suppress it (it does in mod_proxy); Off means 503."""
    backends = [make.echo(name) for name in "ab"]
    for setting, status in (("forcerecovery=On", 200), ("forcerecovery=Off", 503)):
        backends[0].go_down()
        server = make.httpd(pool(f"{backends[0].url} retry=100", f"{backends[1].url} status=+D", balancer=setting))
        server.allow_log()
        assert fetch(server.port).status == 503
        backends[0].listen()
        assert fetch(server.port).status == status


@pytest.mark.own
def test_ejection_after_failures_in_a_row_and_return(make):
    backends = [make.echo(name) for name in "abc"]
    failing(backends[0], "500 Broken")
    server = make.httpd(STATUS + pool(*[b.url for b in backends], balancer="ejectfailures=3 ejecttime=1s"), processes=4, threads=4,
                        modules=("status",))
    server.allow_log("CXP0024")
    for backend in backends[1:]:
        backend.says("/bad", answer(b"good"))
    got = [fetch(server.port, "/bad").status for _ in range(9)]
    assert got.count(500) == 3
    assert numbers(server)[0]["Status"] == "Init Ejct" and numbers(server)[0]["Errors"] == 3
    assert "a" not in order(server, 6)
    server.expect_log(r"CXP0024: .*answered 500 \(ejected, too many failures in a row\); the member rests for 1 s")
    until(lambda: "a" in order(server, 3), "the ejected member is back")
    server.expect_log("CXP0020")


@pytest.mark.own
def test_slow_start(make):
    backends = [make.echo(name) for name in "ab"]
    server = make.httpd(pool(*[f"{b.url} retry=1 slowstart=1h" for b in backends]), processes=2, threads=4)
    server.allow_log()
    assert sorted(order(server, 10)) == ["a"] * 5 + ["b"] * 5
    backends[0].go_down()
    order(server, 4)
    backends[0].listen()
    until(lambda: "a" in order(server, 20), "a is back", timeout=20)
    assert order(server, 60).count("a") < 15  # 5 % of a half; thirty without slow start


@pytest.mark.own
def test_retry_budget(make):
    live = make.echo("a")
    dead = f"http://127.0.0.1:{closed_port()} retry=0"
    server = make.httpd(pool(live.url, dead, balancer="retrybudget=10"))
    server.allow_log()
    got = [fetch(server.port).status for _ in range(60)]
    failed = got.count(503)
    # Thirty requests begin at the dead member: ten from the reserve and about a tenth of sixty go on.
    assert 11 <= failed <= 15, failed


def test_sets_spares_and_standbys_in_an_outage(make, family):
    backends = {name: make.echo(name) for name in "abrhx"}
    words = {"r": "status=+R", "h": "status=+H", "x": "lbset=1"}
    server = make.httpd(pool(*[f"{b.url} retry=600 {words.get(n, '')}" for n, b in backends.items()]), family=family)
    server.allow_log()
    assert set(order(server, 6)) == {"a", "b"}
    backends["a"].go_down()
    order(server, 2)
    assert set(order(server, 6)) == {"b", "r"}
    backends["b"].go_down()
    backends["r"].go_down()
    order(server, 4)
    assert set(order(server, 4)) == {"h"}
    backends["h"].go_down()
    order(server, 1)
    assert set(order(server, 4)) == {"x"}
