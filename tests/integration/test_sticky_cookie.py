"""stickycookie: a cookie that the proxy signs and reads itself, without a recipe."""
import re
import threading
from collections import Counter

import pytest

from support.balancers import pool
from support.client import fetch
from support.waiting import until
from support.wire import answer

pytestmark = pytest.mark.own  # mod_proxy has no such parameter

VALUE = "[0-9a-f]{32}"


def sticky(make, said="stickycookie=PROXYID", members=("", "", ""), more="", **options):
    backends = [make.echo(name) for name in "abcd"[:len(members)]]
    return make.httpd(more + balancer(backends, said, members), **options), backends


def balancer(backends, said="stickycookie=PROXYID", members=("", "", "")):
    return pool(*[f"{b.url} {m}" for b, m in zip(backends, members)], balancer=said)


def ask(server, cookie=None, target="/", **options):
    answered = fetch(options.pop("port", server.port), target, fields=[("Cookie", cookie)] if cookie is not None else [], **options)
    assert answered.status == 200
    return answered


def cookie_of(answered):
    found = [value for name, value in answered.fields if name == "Set-Cookie"]
    return found[0].partition(";")[0] if found else None


def who(*arguments, **options):
    return dict(ask(*arguments, **options).fields)["X-Backend"]


def visitors(server, count):
    """The cookies of new clients, each with the name of its member."""
    found = {}
    for _ in range(count):
        answered = ask(server)
        found[cookie_of(answered)] = dict(answered.fields)["X-Backend"]
    return found


@pytest.fixture(scope="module")
def shared(house):
    return sticky(house, members=("", "", "route=third"), processes=2)


def test_one_cookie_for_each_member_and_its_exact_attributes(shared):
    server, backends = shared
    first = [value for name, value in ask(server).fields if name == "Set-Cookie"]
    assert len(first) == 1 and re.fullmatch(f"PROXYID={VALUE}; Path=/; HttpOnly; SameSite=Lax", first[0])
    cookies = visitors(server, 12)
    assert sorted(cookies.values()) == ["a", "b", "c"]
    for cookie, name in cookies.items():
        assert not any(str(port) in cookie for port in (b.port for b in backends))
        again = ask(server, f"lang=en; {cookie}; x=y")
        fields = dict(again.fields)
        assert fields["X-Backend"] == name and "Set-Cookie" not in fields and "Cache-Control" not in fields


def test_200_clients_stay_over_four_processes(make):
    """Each client keeps its member, wherever its connections end up; the members get equal shares of the clients."""
    server, _ = sticky(make, processes=4)
    wrong, members, lock = [], Counter(), threading.Lock()

    def client(number):
        answered = ask(server)
        cookie, name = cookie_of(answered), dict(answered.fields)["X-Backend"]
        with lock:
            members[name] += 1
        for _ in range(5):
            again = dict(ask(server, cookie).fields)
            if again["X-Backend"] != name or "Set-Cookie" in again:
                wrong.append(number)

    def clients(part):
        for number in range(part * 25, part * 25 + 25):
            client(number)
    threads = [threading.Thread(target=clients, args=(part,)) for part in range(8)]
    [t.start() for t in threads]
    [t.join(120) for t in threads]
    assert not wrong and sum(members.values()) == 200
    assert max(members.values()) - min(members.values()) <= 1


def forgeries(cookie):
    name, _, value = cookie.partition("=")
    for at in range(len(value)):
        yield f"{name}={value[:at]}{'0' if value[at] != '0' else '1'}{value[at + 1:]}"
    for odd in (value[:-1], value[1:], value + "0", value * 2, value * 200, "", value.upper() + "x", "a", "../../etc/passwd", "%00", "\xff" * 32,
                "0" * 32, "f" * 32, value[:16] + "0" * 16, value[:16], " ".join(value), "http://127.0.0.1:1/", "1", "." + value):
        yield f"{name}={odd}"
    yield f"{name.lower()}={value}"
    yield f"X{name}={value}"
    yield name
    yield f"{value}={name}"


def test_forged_and_odd_cookies_are_new_visitors(shared):
    server, _ = shared
    known = visitors(server, 6)
    served = Counter()
    for cookie in known:
        for forged in forgeries(cookie):
            answered = ask(server, forged)
            assert cookie_of(answered) in known, forged[:60]
            served[dict(answered.fields)["X-Backend"]] += 1
    assert max(served.values()) - min(served.values()) <= 1, "forged cookies are balanced like new visitors"


def test_a_forged_cookie_is_logged_at_debug_only(make):
    server, _ = sticky(make)
    ask(server, "PROXYID=" + "0" * 32)
    loud, _ = sticky(make, log_level="info cxxproxy:debug")
    ask(loud, "PROXYID=" + "0" * 32)
    loud.expect_log("CXP0028: balancer://pool: the cookie PROXYID is not one of ours")
    loud.forbid_log("0" * 32)
    server.forbid_log("CXP0028")


def test_of_several_cookies_the_first_good_one_counts(shared):
    """A stale one of another path must not make the client wander."""
    server, _ = shared
    cookies = {name: cookie for cookie, name in visitors(server, 6).items()}
    stale = "PROXYID=" + "0" * 32
    for text, name in ((f"{stale}; {cookies['b']}", "b"), (f"{cookies['a']}; {cookies['b']}", "a"), (f'PROXYID="{cookies["c"][8:]}"', "c")):
        assert [who(server, text) for _ in range(3)] == [name] * 3


def test_survives_graceful_and_restart(make):
    server, _ = sticky(make)
    cookies = visitors(server, 6)
    for again in ("graceful", "restart"):
        server.graceful() if again == "graceful" else server.restart()
        for cookie, name in cookies.items():
            answered = ask(server, cookie)
            assert dict(answered.fields)["X-Backend"] == name and cookie_of(answered) is None, again


def test_another_start_has_another_key(make):
    """Of the same configuration."""
    backends = [make.echo(name) for name in "abc"]
    one, two = (make.httpd(balancer(backends)) for _ in range(2))
    assert not set(visitors(one, 6)) & set(visitors(two, 6))


KEY = "0123456789abcdef0123456789abcdef"


def with_key(make, backends, key, mode=0o600):
    """A server whose key file is named as seen from its root."""
    server = make.httpd(balancer(backends, "stickycookie=PROXYID stickycookiekey=sticky.key"), start=False)
    path = server.root / "sticky.key"
    path.write_bytes(key)
    path.chmod(mode)
    return server


def test_servers_with_one_key_file_know_each_others_cookies(make):
    """A line end behind the key does not matter."""
    backends = [make.echo(name) for name in "abc"]
    one, two, strange = (with_key(make, backends, key).start() for key in (KEY.encode(), KEY.encode() + b"\n", b"x" * 32))
    cookies = visitors(one, 6)
    assert cookies == visitors(two, 6)
    assert [who(two, cookie) for cookie in cookies] == list(cookies.values())
    assert all(cookie_of(ask(strange, cookie)) not in (None, *cookies) for cookie in cookies)


@pytest.mark.parametrize("key, mode, problem", [
    (b"x" * 31 + b"\n", 0o600, "has not between 32 and 4096 bytes"),
    (b"x" * 4097, 0o600, "has not between 32 and 4096 bytes"),
    (b"", 0o600, "has not between 32 and 4096 bytes"),
    (b"x" * 32, 0o644, r"is open to others; chmod 600 \(or 640\) it"),
    (b"x" * 32, 0o660, r"is open to others; chmod 600 \(or 640\) it"),
    (None, 0, "cannot be read: No such file or directory"),
])
def test_configtest_looks_at_the_key(make, key, mode, problem):
    server = with_key(make, [make.echo("a")], key or b"", mode)
    if key is None:
        (server.root / "sticky.key").unlink()
    status, said = server.configtest()
    assert status != 0 and re.search(f"mod_cxxproxy: balancer://pool: stickycookiekey=sticky.key {problem} \\(line \\d+ of ", said), said
    assert "xxx" not in said


def test_a_group_may_read_the_key(make):
    assert cookie_of(ask(with_key(make, [make.echo("a")], b"x" * 4096, 0o640).start()))


@pytest.mark.parametrize("said, attributes", [
    ("stickycookiepath=/app stickycookiesamesite=strict", "Path=/app; HttpOnly; SameSite=Strict"),
    ("stickycookiesecure=on stickycookiesamesite=none stickycookiehttponly=Off", "Path=/; SameSite=None; Secure"),
    ("stickycookiesamesite=off", "Path=/; HttpOnly"),
])
def test_attributes(make, said, attributes):
    server, _ = sticky(make, f"stickycookie=id {said}", members=("",))
    value = dict(ask(server).fields)["Set-Cookie"]
    assert re.fullmatch(f"id={VALUE}; {attributes}", value)


def test_secure_for_clients_that_speak_tls(make):
    backend = make.echo("a")
    shell = pool(backend.url, balancer="stickycookie=PROXYID")
    off = pool(backend.url, balancer="stickycookie=OTHER stickycookiesecure=off", name="other").replace("ProxyPass / ", "ProxyPass /other ")
    server = make.httpd("<VirtualHost *:{tls_port}>\nServerName proxy.test\nSSLEngine On\nSSLCertificateFile {cert}\n"
                        f"SSLCertificateKeyFile {{key}}\n{off}{shell}</VirtualHost>\n", tls=True)
    tls = {"port": server.tls_port, "server_name": "proxy.test"}
    assert re.fullmatch(f"PROXYID={VALUE}; Path=/; HttpOnly; SameSite=Lax; Secure", dict(ask(server, **tls).fields)["Set-Cookie"])
    assert re.fullmatch(f"OTHER={VALUE}; Path=/; HttpOnly; SameSite=Lax", dict(ask(server, None, "/other", **tls).fields)["Set-Cookie"])


def test_two_balancers_on_one_host(make):
    """Each reads its own cookie; the value of one is nothing to the other."""
    backends = {name: make.echo(name) for name in "abcd"}
    text = (pool(backends["a"].url, backends["b"].url, name="one", balancer="stickycookie=ONE").replace("ProxyPass / ", "ProxyPass /one/ ")
            + pool(backends["c"].url, backends["d"].url, name="two", balancer="stickycookie=TWO").replace("ProxyPass / ", "ProxyPass /two/ "))
    server = make.httpd(text)
    first, second = ask(server, None, "/one/"), ask(server, None, "/two/")
    both = f"{cookie_of(first)}; {cookie_of(second)}"
    for target, answered in (("/one/", first), ("/two/", second)):
        for _ in range(4):
            again = ask(server, both, target)
            assert dict(again.fields)["X-Backend"] == dict(answered.fields)["X-Backend"] and cookie_of(again) is None
    swapped = cookie_of(first).replace("ONE", "TWO")
    assert cookie_of(ask(server, swapped, "/two/")) is not None


def test_a_removed_member_loses_its_sessions_only(make):
    server, backends = sticky(make)
    cookies = {name: cookie for cookie, name in visitors(server, 6).items()}
    server.configure(balancer(backends[1:]))
    server.graceful()

    def moved():  # a child of before may take the first connections
        got = ask(server, cookies["a"])
        return got if dict(got.fields)["X-Backend"] != "a" else None
    got = until(moved, "a new child answers")
    assert dict(got.fields)["X-Backend"] in "bc" and cookie_of(got) in (cookies["b"], cookies["c"])
    assert [who(server, cookies[name]) for name in "bc"] == ["b", "c"]


def test_a_failed_member_hands_over_with_a_new_cookie(make):
    server, backends = sticky(make, members=("retry=100", "", ""), more='Header always set X-Changed "%{BALANCER_ROUTE_CHANGED}e" env=BALANCER_ROUTE_CHANGED\n')
    server.allow_log()
    cookies = {name: cookie for cookie, name in visitors(server, 6).items()}
    assert "X-Changed" not in dict(ask(server, cookies["a"]).fields)
    backends[0].go_down()
    moved = ask(server, cookies["a"])
    heir = dict(moved.fields)["X-Backend"]
    assert heir in "bc" and cookie_of(moved) == cookies[heir] and dict(moved.fields)["X-Changed"] == "1"
    assert [who(server, cookie_of(moved)) for _ in range(4)] == [heir] * 4


def test_nofailover_and_redirect(make):
    server, backends = sticky(make, "stickycookie=PROXYID nofailover=On", members=("retry=100", "", ""))
    server.allow_log()
    cookies = {name: cookie for cookie, name in visitors(server, 6).items()}
    backends[0].go_down()
    assert [fetch(server.port, "/", fields=[("Cookie", cookies["a"])]).status for _ in range(2)] == [503] * 2
    assert who(server, "PROXYID=forged") in "bc"
    server, backends = sticky(make, members=("retry=100 redirect=heir", "route=heir", ""))
    server.allow_log()
    cookies = {name: cookie for cookie, name in visitors(server, 6).items()}
    backends[0].go_down()
    assert [who(server, cookies["a"]) for _ in range(3)] == ["b"] * 3


def test_a_draining_member_keeps_its_sessions(make):
    server, backends = sticky(make)
    cookies = {name: cookie for cookie, name in visitors(server, 6).items()}
    server.configure(balancer(backends, members=("status=+N", "", "")))
    server.graceful()
    assert [who(server, cookies["a"]) for _ in range(3)] == ["a"] * 3
    assert "a" not in visitors(server, 6).values()


def test_other_cookies_and_cache_control_of_the_answer_stay(make):
    def script(connection):
        while connection.read_request():
            connection.send(answer(b"x", "200 OK", [("Set-Cookie", "app=1"), ("Cache-Control", "max-age=60")]))
    backend = make.backend(script)
    server = make.httpd(pool(backend.url, balancer="stickycookie=PROXYID"))
    fields = ask(server).fields
    cookies = [value for name, value in fields if name == "Set-Cookie"]
    assert cookies[0] == "app=1" and cookies[1].startswith("PROXYID=") and len(cookies) == 2
    assert [value for name, value in fields if name == "Cache-Control"] == ['max-age=60, no-cache="Set-Cookie"']


def test_a_cache_keeps_the_answer_and_not_the_cookie(make):
    """What mod_cache has stored sends nobody to the member of somebody else."""
    def script(connection):
        while connection.read_request():
            connection.send(answer(b"x", "200 OK", [("Cache-Control", "max-age=60")]))
    backend = make.backend(script)
    server = make.httpd("CacheEnable disk /\nCacheRoot {root}/cache\nCacheQuickHandler on\n" + pool(backend.url, balancer="stickycookie=PROXYID"),
                        modules=["cache", "cache_disk"], start=False)
    (server.root / "cache").mkdir()
    (server.root / "cache").chmod(0o777)
    server.start()
    assert cookie_of(ask(server))
    second = ask(server)
    assert "Age" in dict(second.fields) and cookie_of(second) is None
