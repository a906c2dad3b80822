"""What of the path reaches the backend: segments, slashes, encodings, query; mod_proxy's answers."""
import pytest

from support import settings
from support.client import Client, fetch

RULES = [("/seg", "/in"), ("/slash/", "/in/"), ("/less", ""), ("/double", "/in/"),
         ("/deep/er", "/in/x"), ("/", "/root/")]

CONF = "\n".join(f"{{P}}ProxyPass {path} {{b}}{url}" for path, url in RULES)


@pytest.fixture(scope="module")
def backend(house):
    return house.echo("b")


@pytest.fixture(scope="module")
def server(house, backend, file_family):
    return house.httpd(CONF, family=file_family, b=backend.url)


def forwarded(server, target):
    answer = fetch(server.port, target)
    return answer.json()["target"] if "X-Backend" in answer.fields else answer.status


@pytest.mark.parametrize("target, expected", [
    ("/seg", "/in"), ("/seg/", "/in/"), ("/seg/x", "/in/x"), ("/segment", "/root/segment"),
    ("/seg.x", "/root/seg.x"), ("/seg?q", "/in?q"), ("/seg/?q", "/in/?q"),
    ("/slash/", "/in/"), ("/slash/x", "/in/x"), ("/slash", "/root/slash"),
    ("/less", "/"), ("/less/x", "/x"), ("/less/", "/"),
    ("/double/x", "/in//x"), ("/double", "/in/"),
    ("/deep/er", "/in/x"), ("/deep/er/y", "/in/x/y"), ("/deep", "/root/deep"),
    ("/", "/root/"), ("/x", "/root/x"),
])
def test_segments_and_slashes(server, target, expected):
    assert forwarded(server, target) == expected


@pytest.mark.parametrize("target, expected", [
    ("//seg/x", "/in/x"), ("/seg//x", "/in/x"), ("//x", "/root/x"),
    ("/a/./b", "/root/a/b"), ("/a/../seg/x", "/in/x"), ("/seg/../x", "/root/x"),
    ("/seg/%2e%2e/x", "/root/x"), ("/%73eg/x", "/in/x"),
])
def test_the_path_is_matched_after_normalisation(server, target, expected):
    assert forwarded(server, target) == expected


@pytest.mark.parametrize("target, expected", [
    ("/seg/a%20b", "/in/a%20b"), ("/seg/%C3%A4", "/in/%C3%A4"), ("/seg/a%25b", "/in/a%25b"),
    ("/seg/a%3Fb", "/in/a%3Fb"), ("/seg/a%23b", "/in/a%23b"), ("/seg/a;v=1/b", "/in/a;v=1/b"),
    ("/seg/a%41", "/in/aA"), ("/seg/~x", "/in/~x"), ("/seg/a:b@c&d=e+f$g,h", "/in/a:b@c&d=e+f$g,h"),
    ("/seg/%2fx", 404), ("/seg/%00x", 404), ("/seg/%7F", "/in/%7F"),
    ("/seg?a=%2F%20&b=c?d/e", "/in?a=%2F%20&b=c?d/e"), ("/seg?", "/in?"), ("/seg/x?a'b(c)", "/in/x?a'b(c)"),
])
def test_encodings(server, target, expected):
    assert forwarded(server, target) == expected


@pytest.mark.parametrize("target", ["/seg/../../x", "/..", "/seg/..%2f..%2fx", "seg/x", "@127.0.0.1/",
                                    ":80/", "*"])
def test_targets_that_lead_out_are_not_forwarded(server, backend, target):
    server.allow_log("AH10244")  # httpd's own: invalid URI path
    before = len(backend.requests)
    answer = fetch(server.port, target)
    assert 400 <= answer.status < 500
    assert len(backend.requests) == before


def test_absolute_form_is_read_as_its_path(server, backend):
    answer = fetch(server.port, "http://proxy.test/seg/x?y")
    assert answer.json()["target"] == "/in/x?y"


def test_absolute_form_to_elsewhere_makes_no_open_proxy(server, backend, house):
    elsewhere = house.echo("elsewhere")
    answer = fetch(server.port, f"http://127.0.0.1:{elsewhere.port}/seg/x")
    assert elsewhere.connections == []
    assert answer.json()["backend"] == "b"


def test_connect_makes_no_tunnel(server, backend, house):
    """mod_proxy hands CONNECT on with the path /; the answer's framing is then anybody's guess."""
    elsewhere = house.echo("elsewhere")
    answer = fetch(server.port, f"127.0.0.1:{elsewhere.port}", "CONNECT")
    assert elsewhere.connections == []
    if settings.OWN:
        assert 400 <= answer.status < 600
        assert "CONNECT" not in [request.method for request in backend.requests]


def test_a_slash_mismatch_never_reaches_another_host(make, backend, family):
    """`/x/ http://h:80`: mod_proxy glues the rest of the path to the port (500), here a slash is put in between."""
    server = make.httpd("{P}ProxyPass /x/ {b}\n", family=family, b=backend.url)
    server.allow_log(r"\[(proxy|cxxproxy|proxy_http):|AH01144|AH00898|CXP")
    before = len(backend.requests)
    answer = fetch(server.port, "/x/index")
    assert (answer.status, len(backend.requests)) == ((200, before + 1) if settings.OWN else (500, before))


def test_long_targets_pass_whole(server):
    target = "/seg/" + "/".join(["x" * 50] * 140) + "?" + "q" * 800
    assert forwarded(server, target) == "/in" + target[4:]


def test_a_target_without_slash_is_refused_by_the_server(server, backend):
    before = len(backend.requests)
    with Client(server.port) as client:
        client.send(b"GET seg/x HTTP/1.1\r\nHost: proxy.test\r\n\r\n")
        assert client.read().status == 400
    assert len(backend.requests) == before
