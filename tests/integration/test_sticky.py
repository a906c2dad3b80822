"""Sticky sessions: the recipe of the manuals, Tomcat's jvmRoute, failover, redirect, drain, odd cookies."""
import re
from collections import Counter

import pytest

from support import settings
from support.balancers import pool
from support.client import fetch

RECIPE = 'Header add Set-Cookie "ROUTEID=.%{BALANCER_WORKER_ROUTE}e; path=/" env=BALANCER_ROUTE_CHANGED\n'
TELL = "".join(f'Header always set X-{short} "%{{{name}}}e" env={name}\n' for short, name in {
    "Sticky": "BALANCER_SESSION_STICKY", "Session-Route": "BALANCER_SESSION_ROUTE", "Changed": "BALANCER_ROUTE_CHANGED",
    "Name": "BALANCER_NAME", "Worker": "BALANCER_WORKER_NAME", "Worker-Route": "BALANCER_WORKER_ROUTE"}.items())
NOTES = 'LogFormat "%{session-sticky}n %{session-route}n" notes\nCustomLog {root}/notes.log notes\n'


def sticky(house, said="stickysession=ROUTEID", more="", members=("route=1", "route=2", "route=3"), **options):
    """A server with the recipe over three members a, b, c; `members` is what their lines say."""
    backends = [house.echo(name) for name in "abc"[:len(members)]]
    server = house.httpd(RECIPE + TELL + more + pool(*[f"{b.url} {m}" for b, m in zip(backends, members)], balancer=said),
                         **options)
    return server, backends


def served(server, cookie=None, target="/"):
    answered = fetch(server.port, target, fields=[("Cookie", cookie)] if cookie is not None else [])
    answered.fields = dict(answered.fields)
    return answered


def who(*arguments, **options):
    return served(*arguments, **options).fields.get("X-Backend")


@pytest.fixture(scope="module")
def shared(house):
    return sticky(house, "stickysession=ROUTEID lbmethod=byrequests", NOTES, processes=2)


def test_the_recipe_word_for_word(shared):
    """A first visitor gets a cookie, and with it the same member from every process."""
    server, backends = shared
    names = {}
    for _ in range(6):
        first = served(server)
        cookie = first.fields["Set-Cookie"]
        assert re.fullmatch(r"ROUTEID=\.[123]; path=/", cookie)
        assert first.fields["X-Changed"] == "1" and "X-Session-Route" not in first.fields
        names[cookie.split(";")[0]] = first.fields["X-Backend"]
    assert names == {"ROUTEID=.1": "a", "ROUTEID=.2": "b", "ROUTEID=.3": "c"}
    for cookie, name in names.items():
        for _ in range(8):
            again = served(server, f"lang=en; {cookie}; x=y")
            assert again.fields["X-Backend"] == name
            assert "Set-Cookie" not in again.fields and "X-Changed" not in again.fields


def test_variables_and_notes(shared):
    server, backends = shared
    told = served(server, "ROUTEID=abc.2").fields
    assert told["X-Name"] == "balancer://pool" and told["X-Worker"] == backends[1].url.rstrip("/")
    assert (told["X-Worker-Route"], told["X-Sticky"], told["X-Session-Route"]) == ("2", "ROUTEID", "2")
    unknown = served(server, "ROUTEID=abc.gone").fields
    assert (unknown["X-Sticky"], unknown["X-Session-Route"], unknown["X-Changed"]) == ("ROUTEID", "gone", "1")
    server.quiesce()
    notes = (server.root / "notes.log").read_text().splitlines()
    assert "ROUTEID 2" in notes and "ROUTEID gone" in notes and "- -" in notes


# Cookie, path, who serves: a letter, or ? for anybody with a changed route.
SAME = [
    ("ROUTEID=.1", "/", "a"),
    ("ROUTEID=abc.3", "/", "c"),
    ("ROUTEID=abc", "/", "?"),
    ("ROUTEID=", "/", "?"),
    ("ROUTEID=abc.", "/", "?"),
    ("routeid=.1", "/", "?"),
    ("ROUTEID=.4", "/", "?"),
    ("ROUTEID=.1, ROUTEID=.2", "/", "a"),
    ("x=1,ROUTEID=.2", "/", "b"),
    ("ROUTEID =.2", "/", "b"),
    ("XROUTEID=.1; ROUTEID=.3", "/", "c"),
    (None, "/x;ROUTEID=abc.2", "b"),
    (None, "/x;ROUTEID=abc.2?q=1", "b"),
    (None, "/x?ROUTEID=abc.2", "b"),
    (None, "/x?a=b&ROUTEID=abc.3&c=d", "c"),
    ("ROUTEID=.1", "/x?ROUTEID=abc.2", "b"),
    ("ROUTEID=.1", "/x;ROUTEID=abc.2", "b"),
    ("ROUTEID=.1", "/x?ROUTEID=abc.gone", "?"),
    ("ROUTEID=.1", "/x?routeid=abc.2", "a"),
]
OWN = [
    ("ROUTEID=a.b.c.2", "/", "b"),           # the id has dots
    ('ROUTEID="abc.2"', "/", "b"),
    ("ROUTEID=.old; ROUTEID=.2", "/", "b"),  # one of another path
    (None, "/x?XROUTEID=abc.2", "?"),        # not that name
    ("ROUTEID=.1", "/x?XROUTEID=abc.2", "a"),
    (None, "/x;ROUTEID=abc.2/y", "b"),
]


@pytest.mark.parametrize("cookie, target, expected", SAME + [pytest.param(*c, marks=pytest.mark.own) for c in OWN])
def test_where_the_session_is_found(shared, cookie, target, expected):
    server, _ = shared
    for _ in range(3):
        answered = served(server, cookie, target)
        assert answered.status == 200
        assert ("X-Changed" in answered.fields) == (expected == "?")
        assert expected == "?" or answered.fields["X-Backend"] == expected


ODD = [b"ROUTEID=" + b"." * 7000, b"ROUTEID=" + b"x" * 7000 + b".1", b"ROUTEID=;" * 800, b"ROUTEID=.x," * 700 + b"ROUTEID=.1",
       b"ROUTEID=.1\t\t", b"ROUTEID=.%31", b"ROUTEID=.%0d%0aX: y", b"ROUTEID=.\xff\xfe", b'ROUTEID="', b"=.1", b";;;,,,===",
       b"ROUTEID=../../../etc/passwd", b"ROUTEID=.-1", b"ROUTEID=.1 .2", b"ROUTEID=." + b"1" * 64, b"ROUTEID"]


def test_odd_and_forged_cookies_are_harmless(shared):
    server, _ = shared
    for text in ODD:
        answered = served(server, text.decode("latin-1"))
        assert answered.status == 200, text[:40]
        assert answered.fields["X-Worker-Route"] in "123" and "X" not in answered.fields, text[:40]
    assert Counter(served(server).fields["X-Backend"] for _ in range(6)) == {"a": 2, "b": 2, "c": 2} or not settings.OWN


@pytest.mark.parametrize("control", ["\x01", "\x1b", "\x7f"])
def test_control_characters_in_a_cookie_are_refused_by_httpd(shared, control):
    assert served(shared[0], f"ROUTEID=.{control}1").status == 400


def test_tomcat_and_other_separators(house):
    """jvmRoute in cookie and URL under their two names, ! as separator, no separator, ; as delimiter."""
    for said, cookie, target in [
            ("stickysession=JSESSIONID|jsessionid", "JSESSIONID=A1B2.2", "/"),
            ("stickysession=JSESSIONID|jsessionid", None, "/app;jsessionid=A1B2.2?x=1"),
            ("stickysession=JSESSIONID|jsessionid scolonpathdelim=On", None, "/app;jsessionid=A1B2.2;v=1"),
            ("stickysession=SID stickysessionsep=!", "SID=a.1!2", "/"),
            ("stickysession=SID stickysessionsep=Off", "SID=2", "/"),
            ("stickysession=SID lbmethod=bybusyness", "SID=a.2", "/")][:6 if settings.OWN else 5]:
        server, _ = sticky(house, said)
        assert [who(server, cookie, target) for _ in range(3)] == ["b"] * 3, said
    assert served(server, "SID=a").fields["X-Changed"] == "1"


def test_a_dead_member_hands_over_and_the_cookie_follows(make):
    server, backends = sticky(make, members=("route=1 retry=100", "route=2", "route=3"))
    server.allow_log()
    assert who(server, "ROUTEID=.1") == "a"
    backends[0].go_down()
    moved = served(server, "ROUTEID=.1")
    assert moved.fields["X-Backend"] in "bc" and moved.fields["X-Changed"] == "1" and moved.fields["X-Session-Route"] == "1"
    cookie = moved.fields["Set-Cookie"].split(";")[0]
    assert [who(server, cookie) for _ in range(4)] == [moved.fields["X-Backend"]] * 4


@pytest.mark.own  # with retry=0 mod_proxy may try the dead one twice, which is a 503
def test_the_dead_member_gets_its_sessions_back(make):
    server, backends = sticky(make, members=("route=1 retry=0", "route=2", "route=3"))
    server.allow_log()
    backends[0].go_down()
    assert who(server, "ROUTEID=.1") in "bc"
    backends[0].listen()
    back = served(server, "ROUTEID=.1")
    assert back.fields["X-Backend"] == "a" and "X-Changed" not in back.fields


def test_a_draining_member_serves_its_sessions_only(make):
    server, _ = sticky(make, members=("route=1 status=N", "route=2", "route=3"))
    assert [who(server, "ROUTEID=.1") for _ in range(3)] == ["a"] * 3
    assert "a" not in [who(server) for _ in range(6)]


@pytest.mark.parametrize("letter", ["D", "S", pytest.param("E", marks=pytest.mark.own)])
def test_redirect_of_a_member_that_is_out(make, letter):
    """Along a chain; the route has changed, so that the cookie follows."""
    server, _ = sticky(make, members=(f"route=1 redirect=2 retry=100 status={letter}", "route=2 redirect=3 status=D", "route=3"))
    for _ in range(3):
        moved = served(server, "ROUTEID=.1")
        assert moved.fields["X-Backend"] == "c" and moved.fields["X-Changed"] == "1"
    assert moved.fields["Set-Cookie"] == "ROUTEID=.3; path=/"


def test_redirects_in_a_circle_end(make):
    server, _ = sticky(make, members=("route=1 redirect=2 status=D", "route=2 redirect=1 status=D", "route=3"))
    assert [who(server, "ROUTEID=.1") for _ in range(2)] == ["c"] * 2


def test_nofailover_answers_503_for_known_sessions_only(make):
    server, backends = sticky(make, "stickysession=ROUTEID nofailover=On", members=("route=1 retry=100", "route=2", "route=3 status=D"))
    server.allow_log()
    backends[0].go_down()
    assert [served(server, "ROUTEID=.1").status for _ in range(3)] == [503] * 3
    assert served(server, "ROUTEID=.3").status == 503
    assert [who(server, c) for c in (None, "ROUTEID=.9", "ROUTEID=.2")] == ["b"] * 3


@pytest.mark.own
def test_sessions_take_nobodys_turn(make):
    """New visitors are spread evenly, however many requests the sessions make."""
    server, _ = sticky(make)
    order = ""
    for _ in range(6):
        order += who(server)
        assert [who(server, "ROUTEID=.1") for _ in range(3)] == ["a"] * 3
    assert order == "abcabc"
