"""Virtual hosts of applications (tests/conf/real) with their backends on this machine.

A `RealVhost` is one file: its names, the paths that it speaks of, and its text with every port, address and
socket of a backend replaced by one of a scripted backend. `Backends` makes these, and says what each one saw.
"""
import base64
import hashlib
import re
from dataclasses import dataclass, field
from pathlib import Path

from .wire import Closed

FOLDER = Path(__file__).resolve().parents[2] / "conf" / "real"
MODULES = ("access_compat", "authz_host", "authn_core", "authn_file", "authz_user", "auth_basic", "rewrite", "proxy_html", "xml2enc", "substitute", "filter")
NOT_YET = "is not supported yet"

BACKEND = re.compile(r"\b(?P<scheme>https?|wss?)://(?P<host>localhost|[0-9.]+|\[::1\])(?P<port>:\d+)?(?=[/\"\s%>$]|$)", re.M)
SOCKET = re.compile(r"unix:(?P<path>/[^|]+)\|")
WORDS = re.compile(r"(?mi)^\s*(?:ServerName|ServerAlias)\s+(.+)$")
PATHS = re.compile(r"(?mi)^\s*(?:ProxyPass|ProxyPassReverse|<Location)\s+\"?(/[^\s\">]*)")


@dataclass
class RealVhost:
    path: Path
    text: str = ""
    names: list = field(default_factory=list)
    paths: list = field(default_factory=list)
    tls: bool = False

    def __post_init__(self):
        self.text = self.path.read_text()
        names = [name for line in WORDS.findall(self.text) for name in line.split() if "*" not in name]
        self.names = list(dict.fromkeys(names))
        self.paths = list(dict.fromkeys(["/", *PATHS.findall(self.text)]))
        self.tls = "SSLEngine" in self.text

    def is_served(self):
        """Not one of those that configtest refuses until their protocol is there."""
        expect = self.path.with_suffix(".expect")
        return not (expect.exists() and NOT_YET in expect.read_text())

    def at(self, backends):
        """The text for a server whose backends are these; {port}, {tls_port} and {root} are the server's."""
        def moved(found):
            host = "127.0.0.1" if found["host"][0].isdigit() else found["host"].replace("[::1]", "127.0.0.1")
            default = ":443" if found["scheme"] in ("https", "wss") else ":80"
            return f"{found['scheme']}://{host}:{backends.port(found['host'] + (found['port'] or default))}"
        text = SOCKET.sub(lambda found: f"unix:{backends.socket(found['path'])}|", self.text)
        text = BACKEND.sub(moved, text)
        text = re.sub(r"(<VirtualHost\s+)[^:>]+:(\d+)", lambda found: found[1] + "*:" + self._listen(found[2]), text)
        text = text.replace("@ROOT@/htpasswd", str(backends.passwords))
        text = text.replace("@ROOT@/cert.pem", "{cert}").replace("@ROOT@/key.pem", "{key}").replace("@ROOT@", "{root}")
        return re.sub(r"(?mi)^\s*(Listen|CustomLog|ErrorLog|LogLevel)\s.*$", "", text)

    def _listen(self, port):
        return "{tls_port}" if self.tls and port.endswith("443") else "{port}"


def vhosts():
    return [vhost for vhost in map(RealVhost, sorted(FOLDER.glob("*.conf"))) if vhost.is_served()]


class Backends:
    """One scripted backend for each place that a configuration names."""

    def __init__(self, make, folder):
        self._make, self._folder, self._places = make, folder, {}
        self.seen = []
        self.passwords = folder / "htpasswd"
        self.passwords.write_text("user:{SHA}" + base64.b64encode(hashlib.sha1(b"secret").digest()).decode() + "\n")

    def port(self, place):
        return self._at(place, lambda: self._make.backend(self._serve)).port

    def socket(self, path):
        return self._at(path, lambda: self._make.backend(self._serve, path=self._folder / f"{len(self._places)}.sock")).path

    def _at(self, place, made):
        if place not in self._places:
            self._places[place] = made()
        return self._places[place]

    def _serve(self, connection):
        while True:
            try:
                request = connection.read_head()
            except Closed:
                return
            connection.read_body(request)
            self.seen.append((connection.backend.port or connection.backend.path.name, request.head, request.body.data))
            if "Upgrade" in request.fields:
                connection.send(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")
                connection.send(b"echo " + connection.reader.exactly(5))
                return
            connection.send(answer_to(request))


def answer_to(request):
    """All that rules for answers may change, about the request's own path."""
    path, host = request.target.partition("?")[0], request.fields.get("Host")
    body = f"{request.method} {request.target}".encode("latin-1")
    lines = ["HTTP/1.1 302 Found", "Date: Sun, 06 Nov 1994 08:49:37 GMT", "Server: app", f"Location: http://{host}{path.rstrip('/')}/next",
             f"Content-Location: {path}", f"Set-Cookie: sid=1; Path={path}; HttpOnly",
             "Set-Cookie: lang=en; Domain=localhost; Path=/", "Content-Type: text/plain", f"Content-Length: {len(body)}"]
    head = "\r\n".join(lines + ["", ""]).encode("latin-1")
    return head if request.method == "HEAD" else head + body
