"""The same bytes on one kept connection, served by the event loop and by workers: nobody can tell which.

Client's answers, backend's requests and access log are compared byte for byte, dates aside.
"""
import hashlib
import os
import re
import threading
from dataclasses import dataclass

import pytest

from support.client import Client, request
from support.differential import differences, normal
from support.loop import LOOP, is_read
from support.tls import tls_host
from support.waiting import until
from support.wire import Closed, Truncated, answer, chunked, collect

pytestmark = pytest.mark.own

CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
SWITCH = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"
TEXT = b"all work and no play makes a dull text. " * 40
HTML = [("Content-Type", "text/html")]

CONF = """
<VirtualHost *:{port}>
    Use Site
</VirtualHost>
""" + tls_host("Use Site")
SITE = """
<Macro Site>
    {P}ProxyPass /static !
    {P}ProxyPass /dead/ {dead}/ retry=0
    {P}ProxyPass /slow/ {b}/slow/ timeout=1
    {P}ProxyPass / {b}/
    {P}ProxyPassReverse / {b}/
    {P}ProxyPassReverseCookiePath /in /out
    Alias /static {docroot}
    <Location /over>
        {P}ProxyErrorOverride On
        ErrorDocument 404 /echo/page
        ErrorDocument 500 "plain words"
        ErrorDocument 503 /static/index.html
    </Location>
    <Location /private>
        AuthType Basic
        AuthName here
        AuthUserFile {root}/users
        Require valid-user
    </Location>
    <Location /zip>
        SetOutputFilter DEFLATE
    </Location>
    <Location /ssi>
        Options +Includes
        SetOutputFilter INCLUDES
    </Location>
    <Location /fields>
        Header set X-Added one
        Header append Vary Moon
        RequestHeader set X-Sent two
    </Location>
</Macro>
"""

ANSWERS = {
    "small": answer(b"small", fields=[("X-Answer", "1"), ("x-answer", "2")]),
    "empty": answer(b""),
    "204": answer(b"", "204 No Content", length=False),
    "304": answer(b"", "304 Not Modified", [("ETag", '"x"')], length=False),
    "404": answer(b"not here", "404 Not Found"),
    "500": answer(b"broken", "500 Internal Server Error"),
    "503": answer(b"tired", "503 Service Unavailable"),
    "100k": answer(bytes(range(256)) * 400),
    # Comes with its head in one read: where a read finds nothing, mod_deflate is flushed, and the framing depends on the moment.
    "40k": answer(bytes(range(256)) * 160),
    "3m": answer(bytes(range(256)) * 12_000),
    "chunks": CHUNKED + chunked(b"first", b"second" * 5000, b"third"),
    "trailers": CHUNKED + chunked(b"with trailers", trailers=b"X-Sum: 1\r\n"),
    "hints": b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" + answer(b"after hints"),
    "cookies": answer(b"", "201 Created", [("Set-Cookie", "a=b; Path=/in/x; HttpOnly"), ("Set-Cookie", "c=d; Path=/in")]),
    "text": answer(TEXT, fields=HTML),
    "ssi": answer(b'<p><!--#include virtual="/small" --></p><!--#include virtual="/404" -->' + TEXT, fields=HTML),
    "last": answer(b"last", fields=[("Connection", "close")]),
    "until-close": b"HTTP/1.1 200 OK\r\n\r\n" + TEXT,
    "cut": b"HTTP/1.1 200 OK\r\nContent-Length: 9000\r\n\r\nhalf",
    "cut-chunk": CHUNKED + b"ff\r\nhalf",
    "garbage": b"no HTTP at all\r\n\r\n",
    "half-head": b"HTTP/1.1 200 OK\r\nX-A",
    "two-lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
    "nothing": b"",
}
ENDS = ("last", "until-close", "cut", "cut-chunk", "garbage", "half-head", "two-lengths", "nothing")
WEBSOCKET = [("Connection", "Upgrade"), ("Upgrade", "websocket"), ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="), ("Sec-WebSocket-Version", "13")]
PASSWORD = ("Authorization", "Basic am9lOnNlY3JldA==")  # joe:secret
TEN = request(target="/small") * 10

# Lines of the error log that are about a request, and what differs in them by its nature. Before the first hook of a request
# httpd takes an adopted connection for one of its own to a backend, and says "remote".
TOLD = re.compile(r"\[(core|cxxproxy|auth_basic|include):(error|warn|notice)\].* AH0|\[cxxproxy:(error|warn|notice)\]")
SAID = re.compile(r"^\[[^\]]+\] |\[pid [^\]]+\] |(?<=127\.0\.0\.1):\d+(?=\])|/tmp/cxxproxy-it-\w+")


@dataclass
class Step:
    """Pieces of bytes, each sent when the server has read what came before, and the methods of the answers that follow."""
    pieces: list
    methods: tuple = ("GET",)
    ends: bool = False  # after its bytes the client half-closes


def get(target, fields=(), method="GET"):
    return Step([request(method, target, fields)], (method,))


def post(target, body, fields=(), pieces=1):
    whole = request("POST", target, fields, body)
    size = -(-len(whole) // pieces)
    return Step([whole[i:i + size] for i in range(0, len(whole), size)], ("POST",))


def coded(*parts, fields=()):
    return Step([request("POST", "/echo", [("Transfer-Encoding", "chunked"), *fields]) + chunked(*parts)], ("POST",))


def expecting(body):
    """Head first, the body when a 100 has come (read by talk())."""
    head = request("POST", "/echo", [("Content-Length", str(len(body))), ("Expect", "100-continue")])
    return Step([head, body], ("POST",))


CUT = request(target="/echo/cut", fields=[("X-Some", "thing")])

CASES = {
    **{f"get {name}": [get("/" + name)] for name in ANSWERS if name not in ("ssi", "text")},
    **{f"head {name}": [get("/" + name, method="HEAD")] for name in ("small", "204", "404", "100k")},
    "head of chunks": [get("/chunks-head", method="HEAD")],
    "conditional": [get("/304", [("If-None-Match", '"x"')])],
    "error pages": [get("/over/" + kind) for kind in ("404", "500", "503", "small", "404")],
    "redirect": [get("/redirect"), get("/cookies")],
    "nobody there": [get("/dead/x"), get("/dead/x")],
    "does not answer": [get("/slow/stall")],
    "cookies both ways": [get("/echo", [("Cookie", "a=b; c=d"), ("Cookie", "e=f")])],
    "subrequests": [get("/ssi/ssi"), get("/ssi/ssi"), get("/ssi/small")],
    "static": [get("/static/index.html"), get("/static/none"), get("/static/index.html", [("Range", "bytes=3-9")])],
    "password": [get("/private/echo"), get("/private/echo", [PASSWORD]), get("/private/small", [PASSWORD]),
                 get("/private/echo", [("Authorization", "Basic am9lOndyb25n")])],
    "deflate": [get("/zip/text", [("Accept-Encoding", "gzip")]), get("/zip/text"), get("/zip/40k", [("Accept-Encoding", "gzip")])],
    "fields": [get("/fields/echo"), get("/fields/small")],
    "old and kept": [Step([b"GET /echo HTTP/1.0\r\nHost: proxy.test\r\nConnection: keep-alive\r\n\r\n"])] * 3,
    "old": [Step([b"GET /echo HTTP/1.0\r\nHost: proxy.test\r\n\r\n"])],
    "old, with a body": [Step([b"POST /echo HTTP/1.0\r\nConnection: keep-alive\r\nContent-Length: 3\r\n\r\nabc"], ("POST",))],
    "client closes": [get("/small", [("Connection", "close")])],
    "eight at once": [Step([b"".join(request(target=f"/echo/{n}") for n in range(8))], ("GET",) * 8)] * 2,
    "eight of all kinds": [Step([request(target="/100k") + request("HEAD", "/small") + request("POST", "/echo", body=b"x" * 3000) +
                                 request(target="/chunks") + request(target="/static/index.html") + request(target="/404") +
                                 request("POST", "/echo", [("Transfer-Encoding", "chunked")]) + chunked(b"y" * 100) + request(target="/echo/8")],
                                ("GET", "HEAD", "POST", "GET", "GET", "GET", "POST", "GET"))],
    "forty at once": [Step([TEN * 4], ("GET",) * 40)],
    "several and a half": [Step([request(target="/echo/1") + request(target="/echo/2") + CUT[:20]], ("GET",) * 2), Step([CUT[20:]])],
    "small body": [post("/echo", b"small body"), post("/echo", b""), post("/echo", b"x" * 8000)],
    "small body in pieces": [post("/echo", b"small body", pieces=5), get("/small"), post("/echo", b"z" * 4000, pieces=3)],
    "large body": [post("/echo", b"large body " * 30_000), get("/small"), post("/echo", b"large body " * 10_000, pieces=7)],
    "body with a length of 60 KB": [post("/echo", b"s" * 60_000), get("/small")],
    "a body that nobody reads": [post("/static/index.html", b"b" * 5000), get("/small")],
    "chunked body": [coded(b"one", b"two" * 4000, b"three"), get("/small"), coded()],
    "two lengths": [Step([b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc"], ("POST",))],
    "bad length": [Step([b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 3x\r\n\r\nabc"], ("POST",))],
    "length and chunked": [Step([b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked(b"abc")], ("POST",))],
    "expects 100": [expecting(b"body after 100"), get("/small"), expecting(b"b" * 20_000)],
    "expects the impossible": [get("/echo", [("Expect", "a miracle")])],
    "bytes behind a request": [Step([request(target="/small") + b"rubbish\r\n\r\n"], ("GET", "GET"))],
    "rubbish": [Step([b"rubbish\r\n\r\n"])],
    "only a line end": [Step([b"\r\n" + request(target="/small")]), Step([b"\n\r\n\n" + request(target="/small")])],
    "bad request line": [Step([b"GET  /two  blanks HTTP/1.1\r\nHost: x\r\n\r\n"])],
    "no host": [Step([b"GET /small HTTP/1.1\r\n\r\n"])],
    "two hosts": [Step([b"GET /small HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"])],
    "bad field": [Step([b"GET /small HTTP/1.1\r\nHost: x\r\nBad Field: 1\r\n\r\n"])],
    "no colon": [Step([b"GET /small HTTP/1.1\r\nHost: x\r\nno colon\r\n\r\n"])],
    "folded": [Step([b"GET /small HTTP/1.1\r\nHost: x\r\nX-A: b\r\n c\r\n\r\n"])],
    "NUL": [Step([b"GET /small HTTP/1.1\r\nHost: x\r\nX-A: b\0c\r\n\r\n"])],
    "bare LF": [Step([b"GET /small HTTP/1.1\nHost: x\n\n"])],
    "HTTP/0.9": [Step([b"GET /small\r\n\r\n"])],
    "unknown method": [get("/echo", method="BREW")],
    "trace": [get("/small", method="TRACE")],
    "long line": [get("/echo?" + "q" * 8300)],
    "a field of 9000": [get("/echo", [("X-Long", "l" * 9000)])],
    "16 KB of fields": [get("/echo", [(f"X-{n}", "f" * 2000) for n in range(10)]), get("/small")],
    "101 fields": [get("/echo", [(f"X-{n}", "f") for n in range(101)])],
    "70 KB of fields": [get("/echo", [(f"X-{n}", "f" * 7000) for n in range(10)]), get("/small")],
    "client ends with its request": [Step([request(target="/100k")], ends=True)],
    "client ends inside a head": [Step([CUT[:30]], (), ends=True)],
    "client ends inside a body": [Step([request("POST", "/echo", [("Content-Length", "100")]) + b"part"], ("POST",), ends=True)],
    "switches protocols": [Step([request(target="/ws", fields=WEBSOCKET) + b"early"], ("GET",))],
    "asks for h2c": [get("/echo", [("Connection", "Upgrade, HTTP2-Settings"), ("Upgrade", "h2c"), ("HTTP2-Settings", "AAMAAABkAAQAAP__")])],
    "kinds in turn": [get("/small"), get("/chunks"), get("/static/index.html"), post("/echo", b"1"), get("/404"), coded(b"2"), get("/100k"),
                      get("/204"), get("/private/echo", [PASSWORD]), get("/zip/text", [("Accept-Encoding", "gzip")]), get("/ssi/ssi"), get("/small")],
}


def backend_script(connection):
    while True:
        asked = connection.read_head()
        kind = asked.target.split("?")[0].rsplit("/", 1)[-1]
        if kind == "ws":
            connection.send(SWITCH)
            while data := connection.sock.recv(65536):
                connection.send(data.upper())
            return
        if asked.fields.get("Expect"):
            connection.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        body = connection.read_body(asked)
        if kind == "stall":
            connection.wait_close()
            return
        if kind == "redirect":
            connection.send(answer(b"there", "302 Found", [("Location", f"{connection.backend.url}/in/there")]))
        elif kind == "chunks-head":
            connection.send(CHUNKED)
        elif kind in ANSWERS:
            data = ANSWERS[kind]
            connection.send(data[:data.index(b"\r\n\r\n") + 4] if asked.method == "HEAD" else data)
        else:
            connection.send(answer(hashlib.sha256(asked.head + body.data).hexdigest().encode()))
        if kind in ENDS:
            return


class Both:
    """Two servers that differ in one word, and the backend they share."""

    def __init__(self, house):
        self.backend = house.backend(backend_script)
        self.servers = {}
        for word in ("On", "Off"):
            server = house.httpd(LOOP.replace("Reactor On", "Reactor " + word) + "LogLevel info cxxproxy:notice\n" + SITE + CONF, tls=True, b=self.backend.url, dead="http://127.0.0.1:9",
                                 modules=("macro", "authn_core", "authn_file", "authz_user", "auth_basic", "deflate", "filter", "include"))
            (server.root / "users").write_text("joe:{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=\n")
            (server.root / "users").chmod(0o644)
            os.utime(server.root / "htdocs" / "index.html", (1e9, 1e9))  # its ETag
            self.servers[word] = server
        self.logged = {word: 0 for word in self.servers}
        self.said = {word: 0 for word in self.servers}

    def observe(self, word, steps, tls):
        """What client, backend and access log saw. The connection was the loop's before, and is asked once more afterwards."""
        server = self.servers[word]
        server.allow_log()
        server.allow_log("AH01617|AH01629|AH01374|AH02031")
        asked = len(self.backend.requests)
        with Client(server.tls_port if tls else server.port, server_name="proxy.test" if tls else None, timeout=10) as client:
            answers = [talk(client, step) for step in [get("/small"), get("/small"), *steps]]
            if answers[-1][-1:] != ["closed"] and "tunnel" not in answers[-1]:
                answers.append(talk(client, get("/echo/afterwards")))
        lines = sum(isinstance(one, dict) for step in answers for one in step) + sum(1 for step in steps if not step.methods)
        return answers, asked, lines

    def saw(self, word, steps, tls):
        answers, asked, count = self.observe(word, steps, tls)
        server, before = self.servers[word], self.logged[word]
        lines = server.access(before + count)[before:]
        self.logged[word] = before + len(lines)
        # Answers to pipelined requests may leave in one write, which mod_logio counts for the first of them; the
        # bytes of a handshake differ anyway.
        out = sum(int(line.pop("out")) for line in lines)
        pipelined = any(len(step.methods) > 1 for step in steps)
        for line in lines:
            del line["pid"]
            if pipelined and line["conn"] != "X":  # httpd logs when the answer has left, and looks at the connection then
                line["conn"] = "+"
        # The error log: what is said, and of whom, without time, thread and port.
        text = server.error_log()
        said, self.said[word] = [SAID.sub("", line) for line in text[self.said[word]:].splitlines() if TOLD.search(line)], len(text)
        heads = [(one.head, one.body.sha256, one.body.length) for one in self.backend.requests[asked:]]
        return normal({"client": answers, "backend": heads, "log": lines, "out": 0 if tls else out, "said": said}, server)


def talk(client, step):
    found = []
    try:
        for number, piece in enumerate(step.pieces):
            if number:
                until(lambda: is_read(client), "the server has read the first part")
            if number and b"100-continue" in step.pieces[0]:
                found.append(client.read_head().raw_head)
            client.send(piece)
        if step.ends:
            client.half_close()
        found += [read(client, method) for method in step.methods]
        if step.ends or found and isinstance(found[-1], dict) and found[-1]["closes"]:
            found.append("closed" if client.at_end() else "open")
        elif found and b" 101 " in found[-1]["head"]:
            client.send(b"late")
            found.append(b"".join(client.reader.pieces(9)))
            found.append("tunnel")
    except TimeoutError:
        found.append("nothing for seconds")
    except (Closed, ConnectionError):
        found.append("closed")
    except Truncated as error:
        found += [f"half a head {error.args[0]!r}", "closed"]
    return found


def read(client, method):
    response = client.read_head()
    interim = []
    while response.status < 200 and response.status != 101:
        interim.append(response.raw_head)
        response = client.read_head()
    if response.status == 101:
        return {"head": response.raw_head, "closes": False}
    trailers = response.content.trailers
    body = collect(client.body_pieces(response, method))
    framed = method == "HEAD" or response.status in (204, 304) or "Content-Length" in response.fields or "Transfer-Encoding" in response.fields
    return {"interim": interim, "head": response.raw_head, "body": body.data, "length": body.length, "trailers": list(trailers),
            "truncated": body.truncated, "closes": response.fields.get("Connection", "").lower() == "close" or body.truncated or not framed}


@pytest.fixture(scope="module")
def both(house):
    return Both(house)


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize("name", CASES)
def test_same(both, name, tls):
    steps = CASES[name]
    if tls and any(step.ends for step in steps):
        steps = [Step(step.pieces, step.methods) for step in steps if step.methods and "inside" not in name]
    assert differences(both.saw("On", steps, tls), both.saw("Off", steps, tls)) == []


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
def test_a_head_cut_at_every_place(both, tls):
    """In between a whole request, so that each cut meets a connection that is the loop's."""
    steps = [step for at in range(1, len(CUT)) for step in (Step([CUT[:at], CUT[at:]]), get("/small"))]
    assert differences(both.saw("On", steps, tls), both.saw("Off", steps, tls)) == []


def test_many_connections_at_once_get_the_same(both):
    """The cases that end no connection, in another order on each."""
    mixed = [step for name in ("get 100k", "get chunks", "eight of all kinds", "small body", "large body", "subrequests", "deflate", "password", "fields")
             for step in CASES[name]]
    expected = [normal(one, both.servers["Off"]) for one in both.observe("Off", mixed, False)[0]]
    server = both.servers["On"]
    wrong = []

    def work(start):
        turned = mixed[start:] + mixed[:start]
        with Client(server.port) as client:
            got = [talk(client, step) for step in turned]
        wanted = expected[2:-1][start:] + expected[2:-1][:start]
        wrong.extend(differences(normal(got, server), wanted))
    threads = [threading.Thread(target=work, args=(number,)) for number in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert wrong == []
    for word, one in both.servers.items():
        both.logged[word] = len(one.access())
