"""Published weaknesses of reverse proxies, each with a test that this one does not have it.

The ids are in the test's id (support/cves.py has the list). Most classes have whole tables elsewhere
(test_request_bytes.py, test_request_framing.py, test_request_h2.py); here is at least one case of each,
by its name. What a backend may do is in test_cves_answers.py.
"""
import gzip
import threading

import pytest
import test_cves_answers

from support import settings
from support.client import Client
from support.cves import COVERED, EVERY, FRONTS, about, ask, each, get, lines, make_desk
from support.h2 import H2
from support.strict import SMUGGLED, head, refused
from support.wire import answer


@pytest.fixture(scope="module")
def desk(house):
    return make_desk(house)


@pytest.fixture(autouse=True)
def nothing_reaches_the_forbidden(desk):
    yield
    assert desk.forbidden.connections == []


def test_every_id_has_a_test():
    assert test_cves_answers.desk and set(EVERY) - COVERED == set()


# --- the request ------------------------------------------------------------------------------------------

@about("CVE-2009-1890")
def test_bytes_behind_the_body_are_not_the_body(desk, weakness):
    got, closed, arrived = ask(desk, head(b"POST /a HTTP/1.1", b"Content-Length: 5") + b"hello" + b"x" * 100_000, answers=3)
    assert [a.status for a in got][0] == 200 and got[-1].status in (400, 414) and closed
    assert [(s.body, s.complete) for s in arrived] == [(b"hello", True)]


@about("CVE-2011-3192")
def test_many_ranges_do_not_multiply_the_answer(desk, weakness):
    body = b"0123456789" * 5000
    desk.backend.says(b"/ranges", lambda c, s: desk.backend.read_body(c, s) or c.send(answer(body)) or True)
    ranges = b"Range: bytes=" + b",".join(b"%d-" % i for i in range(1300))
    got, _, arrived = get(desk, b"/ranges", ranges)
    assert got[0].status in (200, 206) and len(got[0].body) <= 2 * len(body)
    assert ranges in arrived[0].head


@about("CVE-2011-3348")
def test_no_request_takes_a_member_out(desk, weakness):
    if not settings.OWN:
        desk.server.allow_log()
    for method in (b"BREW", b"get", b"M-SEARCH", b"LOCK", b"OPTIONS"):
        assert ask(desk, head(method + b" /balanced HTTP/1.1"))[0][0].status == 200
    ask(desk, head(b"POST /balanced HTTP/1.1", b"Transfer-Encoding: chunked") + b"zz\r\n")
    assert ask(desk, head(b"GET /balanced HTTP/1.1"))[0][0].status == 200
    desk.server.forbid_log("CXP0128|marked as failed|AH00959")


@each("target", ["@127.0.0.1:{f}/", ":{f}/", ":@127.0.0.1:{f}/", "x@127.0.0.1:{f}/", "http:@127.0.0.1:{f}/",
            "http:/127.0.0.1:{f}/", "//127.0.0.1:{f}/", "/@127.0.0.1:{f}/", "/:{f}/", ".127.0.0.1:{f}/",
            "/..@127.0.0.1:{f}/", "%40127.0.0.1:{f}/", "?@127.0.0.1:{f}/", "http://127.0.0.1:{f}/",
            "\\@127.0.0.1:{f}/", "http://@127.0.0.1:{f}/", "http://proxy.test@127.0.0.1:{f}/"])
@FRONTS
@about("CVE-2011-3368", "CVE-2011-3639", "CVE-2011-4317")
def test_no_target_moves_the_authority(desk, weakness, target, port):
    """ProxyPass /, and RewriteRule ^(.*)$ http://backend$1 [P]: the backend of the file, or nobody."""
    desk.server.allow_log(r"\[(core|rewrite|proxy|cxxproxy):")
    got, _, arrived = get(desk, target.format(f=desk.forbidden.port).encode(), port=port)
    assert got and (got[0].status == 200) == (len(arrived) == 1)


@each("target", [b"/unix:/tmp/s%7Chttp://127.0.0.1:9/", b"/a?unix:/tmp/s|http://127.0.0.1:9/",
            b"/a?unix:" + b"A" * 5000 + b"|http://127.0.0.1:9/", b"/unix:" + b"A" * 5000 + b"%7Chttp://127.0.0.1:9/",
            b"/path/unix:/tmp/s%7Chttp://127.0.0.1:9/", b"/here/unix:/tmp/s%7Chttp://127.0.0.1:9/"])
@FRONTS
@about("CVE-2021-40438")
def test_sockets_come_from_the_configuration_only(desk, weakness, target, port):
    desk.server.allow_log(r"\[(core|rewrite|proxy|cxxproxy):")
    got, _, arrived = get(desk, target, port=port)
    assert (got[0].status, len(arrived)) in ((200, 1), (403, 0), (400, 0))
    if port != 3:  # with SetHandler the file's name leaves, without what follows it
        assert all(b"unix:" in line.lower() for line in lines(arrived))


@each("target", ["http://127.0.0.1:{f}/", "http://", "http:///", "https://127.0.0.1:{f}", "ftp://127.0.0.1:{f}/",
            "unix:///tmp/s", "http://[::1]:{f}/", "http://127.0.0.1:{f}/local/x", "balancer://one/",
                 "*", "127.0.0.1:{f}", "/proxy:http://127.0.0.1:{f}/"])
@each("method", ["GET", "OPTIONS", "CONNECT"])
@FRONTS
@about("CVE-2021-44224")
def test_no_open_proxy(desk, weakness, target, method, port):
    desk.server.allow_log(r"\[(core|rewrite|proxy|cxxproxy):")
    got, _, arrived = ask(desk, head(f"{method} {target} HTTP/1.1".format(f=desk.forbidden.port).encode(), b"Connection: close"), port)
    assert got and len(arrived) <= 1


@each("bad", [b"%0d%0aX:%20y", b"%0aX:%20y", b"%20HTTP/1.1%0d%0aHost:%20x%0d%0a%0d%0aGET%20/smuggled", b"%0d", b"%0a",
                                 b"%20", b"%09", b"%7f", b"a%0d%0a%0d%0aGET%20/smuggled%20HTTP/1.1"])
@each("prefix", [b"/here/", b"/path/", b"/", b"/only/abc", b"/ne/", b"/ne-query/"])
@about("CVE-2023-25690", "CVE-2013-4547", "CVE-2019-10098", "CVE-2020-1927")
def test_decoded_control_characters_stay_in_the_target(desk, weakness, bad, prefix):
    """Encoded again, or refused; `$` of a pattern does not match before a line end."""
    desk.server.allow_log(r"\[(rewrite|proxy|proxy_http|cxxproxy):|AH1041[01]|AH10508")
    got, _, arrived = get(desk, prefix + bad, port=1)
    assert (got[0].status, len(arrived)) in ((200, 1), (403, 0), (404, 0))
    if prefix == b"/only/abc":
        assert got[0].status == 403
    for seen in arrived:
        assert b"%" in seen.line and seen.line.endswith(b" HTTP/1.1") and seen.line.count(b" ") == 2


@each("target, port, expected", [
    (b"/admin.php%3Fooo.php", 2, b"/admin.php%3Fooo.php"), (b"/admin.php", 2, None), (b"/other.php", 2, b"/other.php"),
    (b"/other.php?admin.php", 2, b"/other.php?admin.php"), (b"/path/a%3Fb=c", 1, None), (b"/path/a%3Fb", 1, None),
    (b"/a%3Fb", 0, b"/a%3Fb"), (b"/a%2523b", 0, b"/a%2523b"), (b"/private%3Fa", 0, b"/private%3Fa"), (b"/private", 0, None)])
@about("CVE-2024-38473", "CVE-2024-38474", "CVE-2024-38475")
def test_what_was_checked_is_what_is_forwarded(desk, weakness, target, port, expected):
    """An encoded question mark is a part of the name for access rules, and stays one."""
    desk.server.allow_log(r"\[(authz_core|rewrite|core):|AH10508")
    got, _, arrived = get(desk, target, port=port)
    told = [line.split(b" ")[1] for line in lines(arrived)]
    if expected is None:
        assert got[0].status == 403 and told == []
    else:
        assert got[0].status == 200 and [t[t.rindex(b"/"):] for t in told] == [expected]


@each("target, port, expected", [
    (b"//private", 0, None), (b"///private/x", 0, None), (b"/a/..//private", 0, None), (b"/./private", 0, None),
    (b"/%70rivate", 0, None), (b"//a//b", 0, b"/a/b"), (b"/p//a///b", 2, b"/p//a///b")])
@about("CVE-2019-0220", "CVE-2021-30641")
def test_slashes_are_merged_before_the_checks_or_not_at_all(desk, weakness, target, port, expected):
    desk.server.allow_log(r"\[authz_core:")
    got, _, arrived = get(desk, target, port=port)
    assert got[0].status == (200 if expected else 403)
    assert [line.split(b" ")[1] for line in lines(arrived)] == ([expected] if expected else [])


@each("target", [b"/exact/.%2e/%2e%2e/%2e%2e/x", b"/exact/.%%32%65/x", b"/exact/%%32%65%%32%65/x", b"/exact/..%2f..%2fx",
            b"/exact/%252e%252e/x", b"/exact/..;/x", b"/exact/..%5cx", b"/exact/..\\x", b"/exact/%c0%ae%c0%ae/x",
            b"/exact/%2e%2e/private", b"/exact/.%2e/private", b"/exact/../private"])
@about("CVE-2021-41773", "CVE-2021-42013")
def test_no_dots_leave_the_mapping(desk, weakness, target):
    desk.server.allow_log(r"AH10244|\[authz_core:")
    got, _, arrived = get(desk, target)
    assert (got[0].status == 200) == (len(arrived) == 1)
    for line in lines(arrived):
        sent = line.split(b" ")[1]
        assert sent.startswith(b"/exact/") and b"/../" not in sent and b"/.%2" not in sent.replace(b"%25", b"")


@each("target, port, expected", [
    (b"/exact/..%2fprivate", 5, None), (b"/exact%2f..%2fprivate", 5, None), (b"/.%2fprivate", 5, None), (b"/exact/..%2f..%2f..%2fx", 5, b"/x"),
    (b"/exact%2fa", 5, b"/exact/a"), (b"/exact/..%2fx", 6, b"/exact/..%2fx"), (b"/exact/a%2fb%2F", 6, b"/exact/a%2fb%2F"),
    (b"/exact/%2e%2e%2fx", 6, b"/exact/..%2fx"), (b"/exact/a%3Fb%2f%20", 6, b"/exact/a%3Fb%2f%20")])
@about("CVE-2021-41773", "CVE-2021-42013", "CVE-2024-38473")
def test_encoded_slashes_move_nothing(desk, weakness, target, port, expected):
    """AllowEncodedSlashes On: decoded before the checks. NoDecode: they stay encoded."""
    desk.server.allow_log(r"AH10244|\[authz_core:")
    got, _, arrived = get(desk, target, port=port)
    assert [line.split(b" ")[1] for line in lines(arrived)] == ([expected] if expected else [])
    assert got[0].status == (200 if expected else 403)


@each("value", [b"%0d%0aX-B:%20c", b"%0a%0d%0aGET%20/smuggled%20HTTP/1.1%0d%0a", b"%0d", b"%0a", b"%01", b"%7f", b"a%00b"])
@each("path", [b"/query?a", b"/host?a"])
@about("CVE-2023-25690", "CVE-2021-33193")
@pytest.mark.own
def test_fields_of_the_configuration_split_nothing(desk, weakness, path, value):
    """A RequestHeader line that decodes what the client sent: refused when the value is not well-formed
    (mod_proxy sends the line ends)."""
    desk.server.allow_log(r"\[(cxxproxy|proxy|headers|core):")
    got, _, arrived = get(desk, path + value, port=7)
    assert (got[0].status, len(arrived)) in ((400, 0), (403, 0), (500, 0)) or value == b"a%00b"


@about("CVE-2021-36160")
def test_paths_shorter_than_the_rule_are_safe(desk, weakness):
    for target in (b"/exact", b"/exact/", b"/exac", b"/exactly", b"/e", b"/"):
        got, _, arrived = get(desk, target)
        assert got[0].status == 200 and lines(arrived) == [b"GET " + target + b" HTTP/1.1"]


@each("target", ["/sub/proxy:http://127.0.0.1:{f}/", "/sub/cxxproxy:http://127.0.0.1:{f}/", "/sub/proxy:balancer://one/",
            "/sub/http://127.0.0.1:{f}/", "/empty/", "/empty//", "/empty/%3F", "/empty/@", "/empty/127.0.0.1:{f}"])
@about("CVE-2024-39573", "CVE-2024-38477")
def test_only_the_configuration_makes_a_request_proxied(desk, weakness, target):
    """A substitution that begins with proxy:, and URLs without a host."""
    desk.server.allow_log(r"\[(core|rewrite|proxy|cxxproxy|authz_core):")
    got, _, arrived = get(desk, target.format(f=desk.forbidden.port).encode(), port=1)
    assert got[0].status >= 300 and arrived == []


@about("CVE-2024-43204", "CVE-2024-38476")
def test_a_content_type_is_not_a_handler(desk, weakness):
    url = b"proxy:http://127.0.0.1:%d/" % desk.forbidden.port
    (desk.server.root / "htdocs" / "local").mkdir(exist_ok=True)
    (desk.server.root / "htdocs" / "local" / "x.bin").write_bytes(b"file")
    for target in (b"/local/x.bin", b"/ctype/x", b"/a"):
        got, _, _ = get(desk, target, b"X-Type: " + url, b"Content-Type: " + url)
        assert got[0].status == 200
    desk.backend.says(b"/typed", lambda c, s: desk.backend.read_body(c, s) or c.send(answer(b"x", fields=[
        ("Content-Type", url.decode()), ("Location", "/private"), ("Status", "302"), ("X-Sendfile", "/etc/passwd")])) or True)
    got, _, arrived = get(desk, b"/typed")
    assert (got[0].status, got[0].body, len(arrived)) == (200, b"x", 1)


@each("value", [b"X-Forwarded-For", b"x-forwarded-host, X-FORWARDED-SERVER,X-Forwarded-Proto", b"close, X-Forwarded-For",
                                   b",,X-Forwarded-For,,", b"\"X-Forwarded-For", b"\"\\", b"a\\", b"(", b"x (X-Forwarded-For", b",", b"\"\",", b"=",
                                   b"Host, Content-Length, Transfer-Encoding", b"a" * 8000, b",".join([b"X-Forwarded-For"] * 400)])
@about("CVE-2022-31813", "CVE-2014-0117", "CVE-2017-7668")
def test_connection_takes_nothing_from_the_proxy(desk, weakness, value):
    got, _, arrived = ask(desk, head(b"POST /a HTTP/1.1", b"Connection: " + value, b"Content-Length: 5", b"X-Forwarded-For: 6.6.6.6")
                          + b"hello")
    assert got[0].status == 200 and arrived[0].body == b"hello"
    told = arrived[0].head
    assert b"127.0.0.1\r\nX-Forwarded-Host: proxy.test\r\nX-Forwarded-Server: proxy.test\r\n" in told
    assert b"\r\nX-Forwarded-For: " in told and told.count(b"X-Forwarded-For") == 1


@about("CVE-2016-5387")
def test_the_proxy_field_is_only_a_field(desk, weakness):
    evil = b"Proxy: http://127.0.0.1:%d/" % desk.forbidden.port
    _, _, arrived = get(desk, b"/a", evil)
    assert evil in arrived[0].head
    _, _, arrived = get(desk, b"/a", evil, port=1)
    assert b"\r\nProxy:" not in arrived[0].head


@each("value", [b"", b"=", b"a", b"a=", b";", b"; a=b", b"a=b;;", b"=b", b"a==b", b"a=b; a", b" a = b ", b"a=b,c=d", b"\"a\"=\"b",
                                   b"$Version=1; a=b; $Path=/", b"session=%00%0a", b"a" * 8000, b"a=" + b"=" * 5000])
@about("CVE-2012-0021", "CVE-2014-0098")
def test_odd_cookies_crash_no_logger(desk, weakness, value):
    got, _, arrived = get(desk, b"/a", b"Cookie: " + value)
    assert (got[0].status, len(arrived)) == (200, 1)


@each("raw", [
    head(b"GET /a HTTP/1.1", b"Cookie: session=verysecret", b"X : <script>"), head(b"GET /a HTTP/1.1", b"Cookie: session=verysecret" * 400),
    head(b"GET /dead/<script>alert(1)</script> HTTP/1.1", b"Cookie: session=verysecret"),
    head(b"GET /dead/%3Cscript%3E?<script>verysecret HTTP/1.1"), head(b"GET /a HTTP/1.1", host=b"Host: <script>verysecret"),
    head(b"GET /a HTTP/1.1", b"Transfer-Encoding: <script>verysecret"), head(b"POST /a HTTP/1.1", b"Content-Length: <script>verysecret"),
    head(b"OPTIONS /a HTTP/1.1", b"Max-Forwards: <script>verysecret"), head(b"GET /a HTTP/1.1", b"Expect: <script>verysecret"),
    head(b"GET /status?<script>verysecret HTTP/1.1", b"Cookie: session=verysecret"),
    head(b"GET /dead/a HTTP/1.1", b"Referer: http://x/<script>verysecret")])
@about("CVE-2012-0053", "CVE-2019-10092", "CVE-2012-3499", "CVE-2012-4558")
def test_pages_of_our_own_hold_nothing_of_the_request(desk, weakness, raw):
    desk.server.allow_log()
    with Client(desk.server.port) as client:
        page = client.send(raw).read()
    status_page = b"/status" in raw
    assert page.status >= 400 or status_page
    assert b"<script>" not in page.body
    assert status_page or page.status == 417 or b"verysecret" not in page.body  # the core's 417 names the expectation


@each("line, field, body", [
    (b"POST /a HTTP/1.1", b"Transfer-Encoding: chunked", b"5\r\nhelloX\r\n" + SMUGGLED),
    (b"POST /a HTTP/1.1", b"Transfer-Encoding: chunked", b"ffffffffffffffffff\r\n" + SMUGGLED),
    (b"POST /dead/a HTTP/1.1", b"Transfer-Encoding: chunked", b"5\r\nhelloX\r\n" + SMUGGLED),
    (b"POST /private HTTP/1.1", b"Transfer-Encoding: chunked", b"5\r\nhelloX\r\n" + SMUGGLED),
    (b"POST /local/none HTTP/1.1", b"Transfer-Encoding: chunked", b"5\r\nhelloX\r\n" + SMUGGLED),
    (b"POST /private HTTP/1.1", b"Content-Length: %d" % len(SMUGGLED), SMUGGLED),
    (b"POST /dead/a HTTP/1.1", b"Content-Length: %d" % len(SMUGGLED), SMUGGLED),
    (b"POST /local/none HTTP/1.1", b"Content-Length: %d" % len(SMUGGLED), SMUGGLED),
    (b"POST /a%2fb HTTP/1.1", b"Content-Length: %d" % len(SMUGGLED), SMUGGLED)])
@about("CVE-2022-22720", "CVE-2019-20372")
def test_a_body_never_becomes_a_request(desk, weakness, line, field, body):
    desk.server.allow_log()
    desk.server.allow_log(r"\[authz_core:")
    got, closed, arrived = ask(desk, head(line, field) + body + (SMUGGLED if field.startswith(b"T") else b""),
                               answers=3, half_close=True)
    assert [a.status >= 400 for a in got] == [True] and closed and arrived == []


@each("fields, status", [
    ((b"Transfer-Encoding: chunked", b"Content-Length: 3"), 200), ((b"Transfer-Encoding: \x0bchunked",), 400),
    ((b"Transfer-Encoding: identity", b"Content-Length: 15"), 400), ((b"Transfer-Encoding: chunked, identity",), 400),
    ((b"Content-Length:",), 400), ((b": x", b"Content-Length: 15"), 400), ((b"Content-Length0" + b"a" * 254 + b":", b"Content-Length: 15"), 200),
    ((b"Content-Length" + b"\0" * 256 + b": 0",), 400), ((b"Content-Length : 15",), 400), ((b"Content-Length: 15\r\n ,0",), 400)])
@about("CVE-2020-13950", "CVE-2022-26377", "CVE-2022-36760", "CVE-2022-1705", "CVE-2023-40225", "CVE-2023-25725", "CVE-2021-40346",
       "CVE-2023-45539", "CVE-2016-8743", "CVE-2018-8004")
def test_one_framing_leaves(desk, weakness, fields, status):
    got, closed, arrived = ask(desk, head(b"POST /a HTTP/1.1", *fields) + b"5\r\nhello\r\n0\r\n\r\n" + SMUGGLED, answers=1)
    assert got[0].status == status
    if status == 400:
        assert arrived == []
    else:
        assert arrived[0].body in (b"hello", b"5\r\nhello\r\n0\r\n\r\n") and arrived[0].complete


@each("raw", [
    head(b"GET /a#b HTTP/1.1"), head(b"GET /a \0.php HTTP/1.1"), head(b"GET /a  HTTP/1.1"), head(b"GET /a HTTP/1.1", b"X: a\rY: b"),
    head(b"GET /a HTTP/1.1", b" X: y"), b"\0\0\0\0\r\n\r\n", b"GET\r\n\r\n", b" \r\n\r\n", b"GET /a\0\r\n\r\n", b"\x80\x80 /\r\n\r\n", b"A" * 9000 + b"\r\n\r\n",
    head(b"GET / HTTP/1.1", b"\xff\xfe: \xff"), head(b"GET HTTP://HTTP/1.1 HTTP/1.1 HTTP/1.1"), head(b"GET /a HTTP/1.1", b"Host : x")])
@about("CVE-2023-45539", "CVE-2013-4547", "CVE-2016-8743", "CVE-2021-34798", "CVE-2018-8004")
def test_malformed_requests_are_refused_and_closed(desk, weakness, raw):
    got, closed, arrived = ask(desk, raw + SMUGGLED, answers=3)
    assert [a.status for a in got] in ([400], [414]) and closed and arrived == []


@each("coded", [b"5\nhello\r\n0\r\n\r\n", b"5;a\nhello\r\n0\r\n\r\n", b"5;\"a\r\nb\"\r\nhello\r\n0\r\n\r\n", b"+5\r\nhello\r\n0\r\n\r\n",
                                   b"0x5\r\nhello\r\n0\r\n\r\n", b"5\r\nhello0\r\n\r\n", b"5\r\nhello\r\n0\r\n\n", b"5\r\nhello\n0\r\n\r\n"])
@about("CVE-2015-3183", "CVE-2025-22871", "CVE-2024-53868")
def test_chunks_are_read_strictly(desk, weakness, coded):
    desk.run(refused("chunks", head(b"POST /a HTTP/1.1", b"Transfer-Encoding: chunked") + coded))


@about("CVE-2013-5704")
def test_trailers_never_become_fields(desk, weakness):
    """In the request they end here; in the answer they are checked and dropped."""
    trailers = b"X-A: late\r\nContent-Length: 3\r\nHost: evil\r\nSet-Cookie: a=b\r\n"
    coded = b"5\r\nhello\r\n0\r\n" + trailers + b"\r\n"
    desk.backend.says(b"/trailers", lambda c, s: desk.backend.read_body(c, s) or c.send(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + coded) or True)
    got, _, arrived = ask(desk, head(b"POST /trailers HTTP/1.1", b"Transfer-Encoding: chunked", b"Trailer: X-A") + coded)
    assert (got[0].status, got[0].body, arrived[0].body) == (200, b"hello", b"hello")
    for name in ("X-A", "Set-Cookie"):
        assert name not in got[0].fields and name.encode() not in arrived[0].head


@each("body", [b"not gzip at all", gzip.compress(b"x" * 50_000, mtime=0)[:-20], gzip.compress(b"\0" * 3_000_000, mtime=0),
                                  gzip.compress(b"x" * 90_000, mtime=0) + b"garbage", gzip.compress(b"x" * 50_000, mtime=0)[:30] + b"\xff" * 60])
@about("CVE-2014-0118")
def test_a_failing_input_filter_completes_nothing(desk, weakness, body):
    desk.server.allow_log(r"\[(deflate|cxxproxy|proxy|proxy_http):")
    got, closed, arrived = ask(desk, head(b"POST /inflate HTTP/1.1", b"Content-Encoding: gzip", b"Content-Length: %d" % len(body)) + body)
    if got and got[0].status == 200:
        assert arrived[0].body == b"x" * 90_000
    else:
        assert not any(s.complete for s in arrived)


@about("CVE-2021-33193")
def test_no_field_of_http2_splits_the_request(desk, weakness):
    desk.new()
    start = [(b":scheme", b"http"), (b":authority", b"proxy.test")]
    for method, path, more in ((b"GET", b"/p/a HTTP/1.1\r\nX: y", []), (b"GET /p/smuggled HTTP/1.1\r\n\r\nGET", b"/p/a", []),
                               (b"GET", b"/p/a", [(b"x", b"y\r\n\r\nGET /p/smuggled HTTP/1.1\r\n\r\n")]), (b"GET", b"/p/a", [(b"x\r\ny", b"z")])):
        with H2(desk.server.ports[2]) as client:
            assert client.ask([(b":method", method), (b":path", path), *start, *more]) in ("reset", "closed", 400)
    with H2(desk.server.ports[2]) as client:
        assert client.ask([(b":method", b"GET"), (b":path", b"/p/a"), *start]) == 200
    desk.mark()
    assert lines(desk.new()) == [b"GET /p/a HTTP/1.1"]


@about("CVE-2025-49630")
def test_no_host_with_preserved_host(desk, weakness):
    desk.server.allow_log("AH01092")
    got, _, arrived = ask(desk, b"GET /p/a HTTP/1.0\r\n\r\n", port=2)
    assert got[0].status == 200 and b"\r\nHost: proxy.test\r\n" in arrived[0].head


# --- upgrades ---------------------------------------------------------------------------------------------

@each("token", [b"h2c", b"TLS/1.0", b"h2c, x", b"HTTP/2.0", b"odd"])
@about("CVE-2019-17567", "CVE-2025-49812", "h2c-smuggling")
def test_no_tunnel_without_an_upgrade_that_was_asked(desk, weakness, token):
    """The field ends here; a backend that switches all the same gets a 502 and a closed connection."""
    got, _, arrived = ask(desk, head(b"GET /a HTTP/1.1", b"Upgrade: " + token, b"HTTP2-Settings: AAMAAABkAAQAAP__",
            b"Connection: Upgrade, HTTP2-Settings"))
    assert got[0].status == 200 and b"pgrade" not in arrived[0].head
    tunnel = threading.Event()

    def switch(connection, seen):
        desk.backend.read_body(connection, seen)
        connection.send(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: " + token + b"\r\nConnection: Upgrade\r\n\r\n")
        if connection.reader.to_end():
            tunnel.set()
    desk.backend.says(b"/switch", switch)
    desk.server.allow_log()
    got, _, _ = ask(desk, head(b"GET /switch HTTP/1.1", b"Upgrade: " + token, b"Connection: Upgrade"))
    assert got[0].status == 502
    assert not tunnel.is_set()
