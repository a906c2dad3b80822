"""What the access log knows of the way to the backend, for each ending; and one line for each change of a member's state."""
import re
import threading

import pytest

from support.balancers import pool
from support.client import Client, fetch
from support.h2 import H2
from support.settings import REPOSITORY
from support.waiting import until
from support.wire import answer

pytestmark = pytest.mark.own  # mod_proxy has two of these facts, and no words for the rest

NAMES = ("MEMBER", "ADDRESS", "ATTEMPTS", "END", "REUSED", "CONNECT_TIME", "FIRST_BYTE_TIME", "TOTAL_TIME", "BYTES_SENT", "BYTES_RECEIVED")
FORMAT = ('LogFormat "%>s|' + "|".join(f"%{{CXXPROXY_{n}}}n" for n in NAMES) + "|" + "|".join(f"%{{CXXPROXY_{n}}}e" for n in NAMES)
          + '|%{proxy-source-port}n|%{proxy_timedout}n" facts\nCustomLog "{root}/facts.log" facts\n')


def facts(server, count):
    """The last of `count` lines as a dictionary; a field that is not set is None. Variables and notes are the same."""
    path = server.root / "facts.log"
    lines = until(lambda: (found := path.read_text().splitlines() if path.exists() else []) and len(found) >= count and found, f"{count} lines")
    status, *fields, port, timed_out = [None if f == "-" else f for f in lines[-1].split("|")]
    notes, variables = fields[:len(NAMES)], fields[len(NAMES):]
    assert notes == variables
    return dict(zip(NAMES, notes), STATUS=status, PORT=port, TIMED_OUT=timed_out, COUNT=len(lines))


def serve(make, conf, **options):
    server = make.httpd(FORMAT + conf, **options)
    server.allow_log()
    return server


def one(make, backend, parameters="", **options):
    return serve(make, f"{{P}}ProxyPass / {backend.url}/ {parameters}\n", **options)


def name(backend):
    return f"{backend.url}/"


def test_ok_on_a_new_and_on_a_kept_connection(make):
    backend = make.echo()
    server = one(make, backend)
    for count in (1, 2):
        fetch(server.port, "/x", "POST", body=b"12345")
        log = facts(server, count)
        assert (log["STATUS"], log["MEMBER"], log["ADDRESS"], log["END"]) == ("200", name(backend), f"127.0.0.1:{backend.port}", "ok")
        assert log["ATTEMPTS"] == f"{name(backend)} ok" and log["REUSED"] == str(count - 1)
        assert (log["CONNECT_TIME"] is None) == (count == 2)
        assert int(log["CONNECT_TIME"] or 0) <= int(log["FIRST_BYTE_TIME"]) <= int(log["TOTAL_TIME"]) < 60_000_000
        connection = backend.connections[0]
        assert int(log["PORT"]) > 1023 and log["TIMED_OUT"] is None
    received = len(connection.received)
    first = (server.root / "facts.log").read_text().splitlines()[0].split("|")
    assert int(first[9]) + int(log["BYTES_SENT"]) == received
    assert int(log["BYTES_RECEIVED"]) > 100


def test_the_first_byte_is_timed(make):
    def script(connection):
        connection.read_request()
        connection.wait(go)
        connection.send(answer(b"x"))
    go = threading.Event()
    backend = make.backend(script)
    server = one(make, backend)
    threading.Timer(0.3, go.set).start()
    fetch(server.port)
    log = facts(server, 1)
    assert int(log["CONNECT_TIME"]) < 250_000 < int(log["FIRST_BYTE_TIME"]) <= int(log["TOTAL_TIME"])


def test_failover_and_refused(make):
    dead, living = make.echo("a"), make.echo("b")
    server = serve(make, pool(f"{dead.url} retry=0", f"{living.url} status=H"))
    dead.go_down()
    fetch(server.port)
    log = facts(server, 1)
    assert log["ATTEMPTS"] == f"{dead.url} connect-refused, {living.url} ok"
    assert (log["MEMBER"], log["END"], log["STATUS"]) == (living.url, "ok", "200")
    living.go_down()
    fetch(server.port)
    log = facts(server, 2)
    assert log["STATUS"] == "503" and log["END"] == "connect-refused" and log["ATTEMPTS"].count("connect-refused") >= 1
    assert log["ADDRESS"] is None and log["REUSED"] is None and log["FIRST_BYTE_TIME"] is None and log["BYTES_SENT"] == "0"


def test_a_replay_is_an_attempt(make):
    def dies(connection):
        connection.read_request()
        connection.send(answer(b"x"))
        connection.read_request()
        connection.close()
    backend = make.backend([dies, lambda c: (c.read_request(), c.send(answer(b"y")))])
    server = one(make, backend)
    fetch(server.port)
    fetch(server.port)
    log = facts(server, 2)
    assert log["ATTEMPTS"] == f"{name(backend)} closed-before-head, {name(backend)} ok" and log["REUSED"] == "0"


@pytest.mark.parametrize("script, status, end", [
    (lambda c: (c.read_request(), c.close()), "502", "closed-before-head"),
    (lambda c: (c.read_request(), c.reset()), "502", "reset-before-head"),
    (lambda c: (c.read_request(), c.send(b"SSH-2.0-x\r\n\r\n")), "502", "bad-status-line"),
    (lambda c: (c.read_request(), c.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1, 2\r\n\r\n")), "502", "bad-framing"),
    (lambda c: (c.read_request(), c.send(b"HTTP/1.1 200 OK\r\n")), "502", "head-incomplete"),
    (lambda c: (c.read_request(), c.send(b"HTTP/1.1 200 OK\r\nContent-Length: 99999\r\n\r\n" + b"x" * 20000), c.close()), "200", "body-truncated"),
])
def test_what_a_backend_does_wrong(make, script, status, end):
    backend = make.backend(script)
    server = one(make, backend)
    with Client(server.port) as client:
        try:
            client.ask()
        except Exception:  # a cut answer; the log is what is looked at
            pass
    log = facts(server, 1)
    assert (log["STATUS"], log["END"], log["ATTEMPTS"]) == (status, end, f"{name(backend)} {end}")
    assert log["TIMED_OUT"] is None


def test_timeouts(make):
    backend = make.backend(lambda c: (c.read_request(), c.wait_close()))
    server = one(make, backend, "timeout=200ms")
    assert fetch(server.port).status == 504
    log = facts(server, 1)
    assert (log["STATUS"], log["END"], log["TIMED_OUT"]) == ("504", "head-timeout", "1")
    assert int(log["TOTAL_TIME"]) >= 200_000


def test_parked_requests_have_the_same_facts(make):
    backend = make.backend(lambda c: (c.read_request(), c.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nx"), c.wait_close()))
    server = one(make, backend, "timeout=300ms", before="CxxProxyParkAfter 1ms\n")
    assert fetch(server.port).truncated
    log = facts(server, 1)
    assert (log["STATUS"], log["END"], log["ATTEMPTS"]) == ("200", "body-timeout", f"{name(backend)} body-timeout")


@pytest.mark.parametrize("begun", [False, True])
def test_the_client_goes(make, begun):
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx" if begun else b""
    backend = make.backend(lambda c: (c.read_request(), c.send(head), c.wait_close()))
    server = one(make, backend)
    client = Client(server.port)
    client.send(b"GET / HTTP/1.1\r\nHost: proxy.test\r\n\r\n")
    client.read_head() if begun else until(lambda: backend.connections, "the backend is asked")
    client.reset()
    log = facts(server, 1)
    assert (log["STATUS"], log["END"], log["ATTEMPTS"]) == ("200" if begun else "499", "client-gone", f"{name(backend)} client-gone")


def test_tunnels(make):
    def script(connection):
        connection.read_head()
        connection.send(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nhello")
        connection.close()
    backend = make.backend(script)
    server = one(make, backend)
    with Client(server.port) as client:
        client.send(b"GET / HTTP/1.1\r\nHost: proxy.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
        assert client.read_head().status == 101
    log = facts(server, 1)
    assert (log["STATUS"], log["MEMBER"]) == ("101", name(backend)) and log["END"] in ("tunnel-closed", "tunnel-client-gone")
    assert int(log["BYTES_RECEIVED"]) > 5


def test_nobody_is_asked(make):
    backend = make.echo()
    server = serve(make, "{P}ProxyPass /none balancer://nobody/\n" + pool(f"{backend.url} status=D"))
    fetch(server.port)
    log = facts(server, 1)
    assert (log["STATUS"], log["END"], log["MEMBER"], log["ATTEMPTS"]) == ("503", "no-usable-member", None, None)
    fetch(server.port, "/none")
    log = facts(server, 2)
    assert (log["STATUS"], log["END"], log["TOTAL_TIME"]) == ("503", "no-such-balancer", None)


def test_a_request_of_the_server_itself_has_no_facts(make):
    server = serve(make, "")
    fetch(server.port)
    log = facts(server, 1)
    assert log["STATUS"] == "200" and all(log[n] is None for n in NAMES)


def test_an_error_document_tells_of_the_request(make):
    """Not of the page, also where that comes from a backend (whose status is the answer's then)."""
    dead, pages = make.echo("dead"), make.echo("pages")
    server = serve(make, f"ErrorDocument 503 /pages/sorry\n{{P}}ProxyPass /pages/ {pages.url}/\n{{P}}ProxyPass / {dead.url}/\n")
    dead.go_down()
    assert fetch(server.port).fields.get("X-Backend") == "pages"
    log = facts(server, 1)
    assert (log["STATUS"], log["MEMBER"], log["END"]) == ("200", name(dead), "connect-refused")
    assert log["ATTEMPTS"] == f"{name(dead)} connect-refused"
    server.configure(FORMAT + f"ErrorDocument 503 /page.html\n{{P}}ProxyPass /page.html !\n{{P}}ProxyPass / {dead.url}/\n")
    (server.root / "htdocs" / "page.html").write_text("sorry")
    server.graceful()
    assert fetch(server.port).text == "sorry"
    log = facts(server, 2)
    assert (log["STATUS"], log["MEMBER"], log["END"]) == ("503", name(dead), "connect-refused")


def test_an_overridden_answer(make):
    backend = make.backend(lambda c: (c.read_request(), c.send(answer(b"x", "500 Oops"))))
    server = serve(make, f"{{P}}ProxyErrorOverride On\n{{P}}ProxyPass / {backend.url}/\n")
    fetch(server.port)
    log = facts(server, 1)
    assert (log["STATUS"], log["END"], log["ATTEMPTS"]) == ("500", "overridden", f"{name(backend)} overridden")


def test_a_backend_that_only_a_handler_names(make):
    backend = make.echo()
    server = serve(make, f'<Location /app>\nSetHandler "proxy:{backend.url}/"\n</Location>\n')
    assert fetch(server.port, "/app").status == 200
    log = facts(server, 1)
    assert log["MEMBER"].startswith(backend.url) and log["END"] == "ok" and log["REUSED"] == "0"


def test_an_included_document_tells_nothing_of_the_page(make):
    backend = make.echo()
    server = serve(make, f"{{P}}ProxyPass /part {backend.url}/\n<Directory {{docroot}}>\nOptions +Includes\nSetOutputFilter INCLUDES\n</Directory>\n",
                   modules=["include"])
    (server.root / "htdocs" / "page.html").write_text('<!--#include virtual="/part" -->')
    assert fetch(server.port, "/page.html").status == 200
    assert facts(server, 1)["MEMBER"] is None


def test_http2_streams(make):
    """Many, since mod_http2 tells of the end of a stream while its request is still at work. A connection for each: httpd's own now and
    then overlooks a second request that follows the first one at once (mod_proxy and plain files as well)."""
    backend = make.echo()
    server = one(make, backend, modules=["http2"], before="Protocols h2c http/1.1\nH2Direct On\n")
    server.wait_for_threads()
    for count in range(1, 21):
        with H2(server.port) as h2:
            assert h2.ask([(b":method", b"GET"), (b":scheme", b"http"), (b":authority", b"proxy.test"), (b":path", b"/x")]) == 200
            log = facts(server, count)
        assert (log["STATUS"], log["MEMBER"], log["END"]) == ("200", name(backend), "ok") and int(log["TOTAL_TIME"]) > 0
    server.forbid_log("CXP0123")


def test_the_member_is_known_to_mod_headers(make):
    backend = make.echo()
    server = serve(make, f'Header always set X-Member "%{{CXXPROXY_MEMBER}}e"\n{{P}}ProxyPass / {backend.url}/\n')
    assert fetch(server.port).fields.get("X-Member") == name(backend)


def test_the_shipped_format(make):
    """conf/cxxproxy.conf as it is installed."""
    backend = make.echo()
    conf = (REPOSITORY / "conf" / "cxxproxy.conf").read_text()
    server = make.httpd(conf + f'CustomLog "{{root}}/own.log" cxxproxy\n{{P}}ProxyPass / {backend.url}/\n')
    fetch(server.port, "/x")
    line = until(lambda: (server.root / "own.log").read_text(), "a line")
    assert re.search(rf'"GET /x HTTP/1.1" 200 \d+ "-" "-" member={name(backend)} address=127.0.0.1:{backend.port} attempts="{name(backend)} ok" '
                     r"end=ok reused=0 connect=\d+ first_byte=\d+ total=\d+ sent=\d+ received=\d+\n$", line), line


# --- one line for each change of a member's state ---------------------------------------------------------------

def test_one_line_over_all_processes_and_threads(make):
    """failed, rest over; with many clients at a time."""
    dead, living = make.echo("a"), make.echo("b")
    server = serve(make, pool(f"{dead.url} retry=2", living.url), processes=3)

    def crowd():
        threads = [threading.Thread(target=lambda: [fetch(server.port) for _ in range(6)]) for _ in range(8)]
        [t.start() for t in threads]
        [t.join(60) for t in threads]
    dead.go_down()
    crowd()
    assert server.error_log().count("; the member rests for 2 s") == 1
    dead.listen()
    until(lambda: fetch(server.port).fields.get("X-Backend") == "a", "the member is back")
    crowd()
    assert server.error_log().count("its rest is over, it is offered again") == 1
    assert server.error_log().count("; the member rests for 2 s") == 1


def test_all_failed_and_recovered(make):
    backend = make.echo("a")
    server = serve(make, pool(f"{backend.url} retry=100"))
    backend.go_down()
    [fetch(server.port) for _ in range(3)]
    backend.listen()
    [fetch(server.port) for _ in range(3)]
    log = server.error_log()
    assert [log.count(tag) for tag in ("; the member rests for 100 s", "CXP0021", "CXP0023")] == [1, 1, 1]


def test_a_rest_says_why(make):
    good = make.echo("a")
    slow = make.backend(lambda c: (c.read_request(), c.wait_close()))
    server = serve(make, pool(good.url, f"{slow.url} timeout=100ms", balancer="failontimeout=On"))
    [fetch(server.port) for _ in range(4)]
    assert server.error_log().count("; the member (failontimeout) rests for 60 s") == 1
    broken = make.backend(lambda c: (c.read_request(), c.send(b"nonsense\r\n\r\n")))
    server = serve(make, pool(good.url, broken.url, balancer="ejectfailures=2 ejecttime=60"))
    [fetch(server.port) for _ in range(8)]
    assert server.error_log().count("; the member (ejected, too many failures in a row) rests for 60 s") == 1


def test_panic_begins_and_ends(make):
    """One that is ejected leaves too few; when all are back, and answer well, it is over: a line for each."""
    broken = threading.Event()
    broken.set()

    def script(connection):
        while connection.read_request():
            connection.send(answer(b"x", "500 Oops" if broken.is_set() else "200 OK"))
    one_, two = make.backend(script), make.backend(script)
    server = serve(make, pool(one_.url, two.url, balancer="ejectfailures=1 ejecttime=1 ejectmax=100 ejectpanic=60"))

    def lines():
        return re.findall("CXP002[56]", server.error_log())
    until(lambda: fetch(server.port) and lines(), "the panic begins")
    # While they fail one may be ejected anew as soon as it is back, before the other is.
    broken.clear()
    until(lambda: fetch(server.port).status == 200 and lines()[-1] == "CXP0026", "the panic is over")
    assert lines() == ["CXP0025", "CXP0026"] * (len(lines()) // 2)
    log = server.error_log()
    assert "too few members are left" in log and "enough members are left again" in log


def test_a_full_queue(make):
    """Nobody is asked: the word is all there is."""
    backend = make.backend(lambda c: (c.read_request(), c.wait(go), c.send(answer(b"x"))))
    go = threading.Event()
    server = serve(make, pool(f"{backend.url} max=1", balancer="queue=0"))
    holder = threading.Thread(target=fetch, args=(server.port,))
    holder.start()
    until(lambda: backend.connections, "the member is full")
    assert fetch(server.port).status == 503
    log = facts(server, 1)
    go.set()
    holder.join(20)
    assert (log["STATUS"], log["END"], log["ATTEMPTS"], log["BYTES_SENT"]) == ("503", "queue-full", None, "0")


ENDS = '"%{CXXPROXY_END}e %{proxy-source-port}n"'


@pytest.mark.parametrize("conf", [
    f'CustomLog "{{root}}/ends.log" {ENDS}\n',
    f'LogFormat {ENDS} ends\n<VirtualHost *:{{port}}>\nCustomLog "{{root}}/ends.log" ends\n{{P}}ProxyPass / {{b}}/\n</VirtualHost>\n',
    f'LogFormat {ENDS}\nTransferLog "{{root}}/ends.log"\n',
    f'<Macro Ends $name>\nCustomLog "{{root}}/ends.log" "%{{CXX$name}}e %{{proxy-source-port}}n"\n</Macro>\nUse Ends PROXY_END\n',
    'CustomLog "{root}/ends.log" "%{END}e"\nLuaHookLog {root}/tell.lua tell\n',
], ids=["custom", "nickname", "default", "macro", "lua"])
def test_whoever_reads_them_is_told(make, conf):
    """Without a reader nothing is written down for one."""
    modules = ("macro",) if "<Macro" in conf else ("lua",) if "Lua" in conf else ()
    rule = "" if "<VirtualHost" in conf else "{P}ProxyPass / {b}/\n"
    server = make.httpd(conf + rule, b=make.echo("b").url, modules=modules, start=False)
    (server.root / "tell.lua").write_text("function tell(r)\n r.subprocess_env['END'] = r.subprocess_env['CXXPROXY_END'] .. ' ' .. r.notes['proxy-source-port']\n"
                                          " return apache2.DECLINED\nend\n")
    server.start()
    assert fetch(server.port).status == 200
    path = server.root / "ends.log"
    text = until(lambda: path.exists() and path.read_text(), "a line in the log")
    assert re.fullmatch(r"ok \d+\n", text)


def test_letters_that_the_file_changes(make):
    backend, other = make.echo("a"), make.echo("b")
    server = serve(make, pool(backend.url, other.url))
    server.configure(FORMAT + pool(f"{backend.url} status=+N", other.url))
    server.graceful()
    server.expect_log(f"CXP0027: balancer://pool {backend.url}/?: status none -> N, changed in the file")
    server.graceful()
    assert server.error_log().count("CXP0027") == 1


def test_every_word_is_documented():
    """The words of src/base/error.cpp and of tunnels, in docs/log-messages.md."""
    words = re.findall(r'\{E::\w+, \d+, S::\w+, \d+, "([a-z-]+)"', (REPOSITORY / "src/base/error.cpp").read_text())
    words += re.findall(r'TunnelEnd k\w+\{"([a-z-]+)"', (REPOSITORY / "src/exchange/downstream.h").read_text())
    documented = re.findall(r"^\| `([a-z-]+)` \|", (REPOSITORY / "docs/log-messages.md").read_text(), re.M)
    assert len(words) > 40 and set(words) <= set(documented)
    assert len(documented) == len(set(documented))
