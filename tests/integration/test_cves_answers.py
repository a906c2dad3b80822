"""Published weaknesses of reverse proxies, the half where the backend's answer is what is wrong."""
import threading

import pytest

from support import settings
from support.client import fetch
from support.cves import about, ask, each, make_desk
from support.strict import StrictBackend, head
from support.wire import answer


@pytest.fixture(scope="module")
def desk(house):
    return make_desk(house)


@each("target", [b"/slow", b"/balanced/slow"])
@about("CVE-2010-2068", "CVE-2010-2791", "CVE-2012-3502", "CVE-2012-4557")
def test_the_answer_of_a_timed_out_request_is_nobodys(desk, weakness, target):
    """And a member that was only slow stays in use."""
    release = threading.Event()

    def late(connection, seen):
        desk.backend.read_body(connection, seen)
        connection.wait(release)
        connection.send(answer(b"of the first request"))
        return True
    desk.backend.says(target, late)
    desk.server.allow_log()
    got, _, _ = ask(desk, head(b"GET " + target + b" HTTP/1.1"))
    assert got[0].status == (504 if settings.OWN else 502)
    release.set()
    for _ in range(3):
        got, _, _ = ask(desk, head(b"GET " + target + b"/next HTTP/1.1"))
        assert (got[0].status, got[0].body) == (200, b"GET " + target + b"/next HTTP/1.1")


def says(desk, raw, target=b"/raw"):
    def script(connection, seen):
        desk.backend.read_body(connection, seen)
        connection.send(raw)
        return True
    desk.backend.says(target, script)
    desk.server.allow_log()
    desk.server.allow_log(r"\[(core|http|xml2enc|filter|deflate):")


OK = b"HTTP/1.1 200 OK\r\n"
END = b"Content-Length: 2\r\n\r\nok"


@each("raw", [
    OK + b"X A: b\r\n" + END, OK + b"no colon\r\n" + END, OK + b": x\r\n" + END, OK + b"X: a\0b\r\n" + END,
    OK + b"X: a\rSet-Cookie: b\r\n" + END, OK + b"X: a\x01\r\n" + END, OK + b"X\0: a\r\n" + END, OK + b"Content-Type: a\r\r\n\r\n" + END,
    OK + b"Content-Type: a\rX: y\r\n" + END, b"HTTP/1.1 200 O\rK\r\n" + END, b"HTTP/1.1 200 O\0K\r\n" + END, b"HTTP/1.1 200 \x1b[0m\r\n" + END,
    b"HTTP/1.1 2000 OK\r\n" + END, b"HTTP/1.1  200 OK\r\n" + END, b"HTTP/1.1 +20 OK\r\n" + END, OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n" + END,
    OK + b"Content-Length: 1\r\n" + END, OK + b"Content-Length: 2, 3\r\n\r\nok", OK + b"Content-Length: +2\r\n\r\nok",
    OK + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    b"HTTP/1.1 103 a\rb\r\nX: y\r\n\r\n" + OK + END, b"HTTP/1.1 100 Continue\r\nX: a\0b\r\n\r\n" + OK + END])
@pytest.mark.own
@about("CVE-2022-37436", "CVE-2023-27522", "CVE-2023-38709", "CVE-2024-24795", "CVE-2024-42516", "CVE-2026-33523", "CVE-2026-63718",
       "CVE-2016-8743")
def test_a_malformed_answer_is_502_and_its_bytes_stay_here(desk, weakness, raw):
    says(desk, raw)
    got, _, _ = ask(desk, head(b"GET /raw HTTP/1.1"))
    assert got[0].status == 502 and b"Set-Cookie" not in got[0].raw_head
    assert got[0].fields.get("Content-Type").startswith("text/html")


@about("CVE-2024-42516", "CVE-2026-63718")
def test_framing_fields_are_our_own(desk, weakness):
    says(desk, OK + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n")
    got, _, _ = ask(desk, head(b"GET /raw HTTP/1.1"))
    assert (got[0].status, got[0].body) == (200, b"hello")
    assert len(got[0].fields.all("Content-Length")) + len(got[0].fields.all("Transfer-Encoding")) == 1


@each("kind", [b"", b"Content-Type:\r\n", b"Content-Type: \t\r\n", b"Content-Type: ;\r\n", b"Content-Type: /\r\n",
                                  b"Content-Type: text/html; charset=\r\n", b"Content-Type: text/html; charset=\"\r\n",
                                  b"Content-Type: text/html; charset=;;\r\n", b"Content-Type: text/html; charset=" + b"x" * 5000 + b"\r\n",
                                  b"Content-Type: text/html;charset=no-such-thing\r\n", b"Content-Type: application/xml; charset='\r\n"])
@about("CVE-2013-4352", "CVE-2014-3581", "CVE-2026-63686")
def test_an_odd_content_type_is_harmless(desk, weakness, kind):
    """Also for filters that look at it (mod_xml2enc, mod_deflate)."""
    says(desk, OK + kind + END)
    says(desk, OK + kind + END, b"/filtered/raw")
    for target in (b"/raw", b"/filtered/raw"):
        got, _, _ = ask(desk, head(b"GET " + target + b" HTTP/1.1"))
        assert got[0].status == 200 and got[0].body[-2:] == b"ok"


@about("CVE-2026-34356")
def test_long_fields_are_rewritten_safely(make, weakness):
    """Rewriting that makes a value longer or shorter, of values up to the limit."""
    backend = house_backend = make.adopt(StrictBackend())
    server = make.httpd("{P}ProxyPass /a-long-name-in-front/ {b}/\n{P}ProxyPassReverse /a-long-name-in-front/ {b}/\n", b=backend.url)
    for size in (0, 1, 100, 4000, 7900):
        location = f"{backend.url}/{'x' * size}".encode()

        def script(connection, seen, location=location):
            house_backend.read_body(connection, seen)
            connection.send(b"HTTP/1.1 302 Found\r\nLocation: " + location + b"\r\nContent-Location: " + location
                            + b"\r\nSet-Cookie: a=b; Path=/" + b"y" * size + b"\r\nContent-Length: 0\r\n\r\n")
            return True
        backend.says(b"/r", script)
        found = fetch(server.port, "/a-long-name-in-front/r")
        assert found.status == 302
        assert found.fields.get("Location") == f"http://proxy.test/a-long-name-in-front/{'x' * size}"


@about("response-queue-poisoning")
def test_bytes_behind_an_answer_are_nobodys(desk, weakness):
    says(desk, answer(b"mine") + answer(b"poison"))
    for _ in range(3):
        got, _, _ = ask(desk, head(b"GET /raw HTTP/1.1"))
        assert got[0].body == b"mine"
        got, _, _ = ask(desk, head(b"GET /other HTTP/1.1"))
        assert got[0].body == b"GET /other HTTP/1.1"


@about("keep-alive-race")
def test_a_post_is_never_sent_twice(make, weakness):
    """A kept connection that the backend closes when the next request has come: GET again, POST not."""
    def once(connection):
        connection.read_request()
        connection.send(answer(b"fine"))
        connection.read_request()
    backend = make.backend(once)
    server = make.httpd("{P}ProxyPass / {b}/\n", b=backend.url)
    server.allow_log()
    assert fetch(server.port, "/a").status == 200
    assert fetch(server.port, "/post", "POST", body=b"x").status == 502
    assert [r.target for r in backend.requests].count("/post") == 1
