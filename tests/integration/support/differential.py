"""The same bytes through two proxies and one backend, and what each side saw.

A `Pair` is this module and stock mod_proxy with the same configuration, and one backend whose
behaviour a case chooses. `observe` plays a case on one of the two servers. What a run may differ in by
its nature (the date, the server's own port) is made equal; everything else is compared as bytes, bodies
after their chunks were joined.
"""
import re
import threading
from dataclasses import dataclass, field

from .client import Client
from .httpd import MOD_PROXY, load_line
from .waiting import until
from .wire import Closed, Truncated

CRLF = b"\r\n"


def text(*lines, body=b""):
    """A message: lines, an empty line, a body. Lines may be str (latin-1) or bytes."""
    raw = [line if isinstance(line, bytes) else line.encode("latin-1") for line in lines]
    return CRLF.join(raw) + CRLF + CRLF + body


# --- the backend's side --------------------------------------------------------------------------

def says(*pieces, close=False, read=True):
    """Reads the request (unless told not to), sends the pieces, keeps the connection or closes it."""
    def behave(connection, seen):
        if read:
            seen.take_body(connection)
        for piece in pieces:
            connection.send(piece)
        return not close
    return behave


def continues(*pieces):
    """Sends a 100 for a request that expects one, then reads the body and answers."""
    def behave(connection, seen):
        if seen.request.fields.get("Expect"):
            connection.send(text("HTTP/1.1 100 Continue"))
        return says(*pieces)(connection, seen)
    return behave


def stalls(*pieces):
    """Sends the pieces and then nothing, until the proxy has had enough."""
    def behave(connection, seen):
        says(*pieces)(connection, seen)
        connection.wait_close()
        return False
    return behave


def resets(*pieces):
    def behave(connection, seen):
        says(*pieces)(connection, seen)
        connection.reset()
        return False
    return behave


class Seen:
    """One request as the backend got it."""

    def __init__(self, request):
        self.request = request
        self.body, self.trailers = None, None

    def take_body(self, connection):
        body = connection.read_body(self.request)
        self.body, self.trailers = body.data, list(body.trailers)


# --- a case --------------------------------------------------------------------------------------

@dataclass
class Case:
    """`sends` are the requests of one client connection, one after the other; each is answered
    before the next goes out. `after_100` follows when an interim 100 has come (or the answer not)."""
    name: str
    sends: list
    backend: object
    after_100: bytes = b""
    half_close: bool = False
    methods: list = field(default_factory=list)


def method_of(raw):
    return raw.lstrip().split(b" ", 1)[0].decode("latin-1")


class Pair:
    """Both servers and the backend they share."""

    def __init__(self, house, conf, **options):
        self._lock = threading.Lock()
        self._behave, self._record, self._busy = None, None, 0
        # mod_proxy ignores parameters of a URL that extends another one's, so each set has its own port.
        self.backends = {name: house.backend(self._serve, name=name) for name in ("b", "slow", "once", "small")}
        self.backend = self.backends["b"]
        words = dict(options, bport=self.backend.port, **{name: one.url for name, one in self.backends.items()})
        self.own = house.httpd(conf, family="std", compat=True, **words)
        self.stock = house.httpd(conf, family="std", proxy=[load_line(name) for name in MOD_PROXY], **words)

    def _serve(self, connection):
        keep = True
        while keep:
            request = connection.read_head()
            with self._lock:
                behave, seen = self._behave, Seen(request)
                self._record.append(seen)
                self._busy += 1
            try:
                keep = behave(connection, seen)
            finally:
                if not keep and not connection.over:
                    connection.close()
                with self._lock:
                    self._busy -= 1

    def observe(self, server, case):
        """{"backend": [...], "client": [...]} of one run."""
        with self._lock:
            self._behave, self._record = case.backend, []
        with Client(server.port, timeout=5) as client:
            answers = self._talk(client, case)
        until(lambda: self._busy == 0, f"the backend is done with {case.name}, answers {answers}")
        requests = [(seen.request.head, seen.body, seen.trailers) for seen in self._record]
        return normal({"backend": requests, "client": answers}, server)

    @staticmethod
    def _talk(client, case):
        answers = []
        try:
            for raw in case.sends:
                client.send(raw)
                if case.half_close:
                    client.half_close()
                last = Pair._answer(client, method_of(raw), case.after_100)
                answers.append(last)
            close = any("connection: close" in line.lower() for line in last["head"].decode("latin-1").split("\r\n"))
            if close or last["truncated"] or last["until_close"]:
                answers.append("closed" if client.at_end() else "open")
        except TimeoutError:
            answers.append("nothing for seconds")
        except Closed:
            answers.append("closed")
        except ConnectionResetError:
            answers.append("closed")
        except Truncated as error:
            answers.append(f"half a head {error.args[0]!r}")
        return answers

    @staticmethod
    def _answer(client, method, body):
        interim = []
        while True:
            response = client.read_head()
            if response.status == 100 and body:
                client.send(body)
                body = b""
            if response.status >= 200 or response.status == 101:
                break
            interim.append(response.raw_head)
        response.content.data = b"".join(Pair._pieces(client, response, method))
        named = response.fields
        return {"interim": interim, "head": response.raw_head, "body": response.content.data,
                "trailers": list(response.content.trailers), "truncated": response.content.truncated,
                "until_close": method != "HEAD" and response.status not in (204, 304) and
                "Content-Length" not in named and "Transfer-Encoding" not in named}

    @staticmethod
    def _pieces(client, response, method):
        try:
            yield from client.body_pieces(response, method)
        except (Truncated, ConnectionResetError):
            response.content.truncated = True


DATE = re.compile(rb"(?m)^Date: (?!Sun, 06 Nov 1994)[A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d GMT\r$")
ALLOW = re.compile(rb"(?m)^Allow: ([A-Z,]+)")


def normal(value, server):
    """Dates and the server's own ports and folder made equal in every text of `value`."""
    if isinstance(value, bytes):
        value = DATE.sub(b"Date: DATE\r", value)
        # httpd writes this list in the order of a hash table with a seed.
        value = ALLOW.sub(lambda found: b"Allow: " + b",".join(sorted(found[1].split(b","))), value)
        for port in server.ports + ([server.tls_port] if server.tls_port else []):
            value = value.replace(b":%d" % port, b":PORT").replace(b"Port %d<" % port, b"Port PORT<")
        return value.replace(str(server.root).encode(), b"/ROOT")
    if isinstance(value, dict):
        return {key: normal(part, server) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [normal(part, server) for part in value]
    return value


def without_line(observed, line):
    """`observed` with one field line taken out of every head that the backend saw."""
    requests = [[head.replace(line, b"", 1), body, trailers] for head, body, trailers in observed["backend"]]
    return dict(observed, backend=requests)


def differences(own, stock, where=""):
    """One line for each leaf that differs, texts cut to what can be read."""
    if isinstance(own, dict) and isinstance(stock, dict):
        return [line for key in own for line in differences(own[key], stock[key], f"{where}.{key}")]
    if isinstance(own, list) and isinstance(stock, list) and len(own) == len(stock):
        return [line for i, pair in enumerate(zip(own, stock)) for line in differences(*pair, f"{where}[{i}]")]
    if own == stock:
        return []
    return [f"{where}\n   mod_proxy {str(stock)[:700]}\n   ours      {str(own)[:700]}"]
