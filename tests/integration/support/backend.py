"""Backends whose every byte a test decides, and one that tells what it was asked."""
import json
import socket
import threading
from dataclasses import dataclass, field

from .settings import PATIENCE
from .waiting import free_port, until
from .wire import Body, Closed, Fields, Reader, Truncated, answer, collect, split_head


@dataclass
class Request:
    """A request as it arrived at a backend."""
    method: str
    target: str
    version: str
    fields: Fields
    head: bytes
    connection: int
    body: Body = field(default_factory=Body)


class Connection:
    """One accepted connection, in the hands of a script."""

    def __init__(self, backend, sock, number):
        self.backend, self.sock, self.number = backend, sock, number
        self.reader = Reader(sock)
        self.requests = []
        self.over = False

    @property
    def received(self):
        """Every byte that came over this connection so far."""
        return bytes(self.reader.raw)

    def read_head(self):
        raw = self.reader.until(b"\r\n\r\n")
        line, fields = split_head(raw)
        method, target, version = line.split(" ")
        request = Request(method, target, version, fields, raw, self.number)
        self.requests.append(request)
        with self.backend.lock:
            self.backend.requests.append(request)
        return request

    def read_body(self, request, keep=True):
        """The body by the framing of the request; both framings at once is an error."""
        lengths, coding = request.fields.all("Content-Length"), request.fields.get("Transfer-Encoding")
        assert len(lengths) <= 1 and not (lengths and coding), f"framing of {request.head!r}"
        self.reader.keep = keep
        trailers = Fields()
        if coding is not None:
            assert coding == "chunked", request.head
            request.body = collect(self.reader.chunks(trailers), keep)
        elif lengths:
            request.body = collect(self.reader.pieces(int(lengths[0])), keep)
        request.body.trailers = trailers
        self.reader.keep = True
        return request.body

    def read_request(self):
        request = self.read_head()
        self.read_body(request)
        return request

    def send(self, data):
        self.sock.sendall(data)

    def wait(self, event):
        assert event.wait(PATIENCE), "the test never released its backend"

    def wait_close(self):
        """Returns when the proxy has closed (or reset) the connection."""
        try:
            self.reader.to_end()
        except ConnectionResetError:
            pass

    def half_close(self):
        self.sock.shutdown(socket.SHUT_WR)

    def close(self):
        self.over = True
        try:  # wakes a script that reads: close() alone does not
            self.sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.sock.close()

    def reset(self):
        self.over = True
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.sock.close()


class RawBackend:
    """Runs `script(connection)` in a thread for every connection.

    `script` may be a list: one script per connection, the last one for all further ones. A script
    that ends closes its connection. Exceptions that are not about the socket fail the test.
    """

    def __init__(self, script, port=None, name="raw", path=None):
        self.path = path  # of a unix socket, instead of the port
        self.port = None if path else port or free_port()
        self.name = name
        self.lock = threading.Lock()
        self.connections, self.requests, self.errors = [], [], []
        self._listener = None
        self.use(script)
        self.listen()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def use(self, script):
        """The script for connections from now on."""
        with self.lock:
            self._scripts = list(script) if isinstance(script, (list, tuple)) else [script]

    def listen(self):
        assert self._listener is None
        listener = socket.socket(socket.AF_UNIX if self.path else socket.AF_INET)
        if self.path:
            self.path.unlink(missing_ok=True)
            listener.bind(str(self.path))
            self.path.chmod(0o777)
        else:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(("127.0.0.1", self.port))
        listener.listen(512)
        self._listener = listener
        threading.Thread(target=self._accept, args=(listener,), daemon=True).start()

    def refuse(self):
        """From now on connections to the port are refused; existing ones stay."""
        listener, self._listener = self._listener, None
        if listener is not None:
            # A thread blocked in accept() keeps the socket open: shutdown wakes it.
            listener.shutdown(socket.SHUT_RDWR)
            listener.close()

    def go_down(self):
        """As if the process had ended: refuses, and closes what is open."""
        self.refuse()
        for connection in list(self.connections):
            if not connection.over:
                connection.close()

    def _accept(self, listener):
        while True:
            try:
                sock, _ = listener.accept()
            except OSError:
                return
            sock.settimeout(4 * PATIENCE)
            if not self.path:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self.lock:
                connection = Connection(self, sock, len(self.connections))
                self.connections.append(connection)
                script = self._scripts.pop(0) if len(self._scripts) > 1 else self._scripts[0]
            threading.Thread(target=self._run, args=(script, connection), daemon=True).start()

    def _run(self, script, connection):
        try:
            script(connection)
        except (OSError, Closed, Truncated):
            pass
        except Exception as error:  # pylint: disable=broad-except
            self.errors.append(f"{self.name}: {type(error).__name__}: {error}")
        finally:
            if not connection.over:
                connection.close()

    def wait_requests(self, count):
        until(lambda: len(self.requests) >= count,
              f"{count} requests at {self.name}, there are {len(self.requests)}")
        return self.requests

    @property
    def open_connections(self):
        return sum(not c.over for c in self.connections)

    close = go_down


class EchoBackend(RawBackend):
    """Answers every request with JSON about it; `on(path, script)` overrides one path.

    An override gets (connection, request) with the body still unread, and returns True to keep
    the connection.
    """

    def __init__(self, name="echo", port=None, path=None):
        self._routes = {}
        super().__init__(self._serve, port, name, path)

    def on(self, path, script):
        self._routes[path] = script

    def says(self, path, data):
        """Answers `path` with exactly `data` and keeps the connection."""
        def script(connection, request):
            connection.read_body(request)
            connection.send(data)
            return True
        self.on(path, script)

    def _serve(self, connection):
        while True:
            request = connection.read_head()
            route = self._routes.get(request.target.split("?")[0])
            if route is not None:
                if not route(connection, request):
                    return
                continue
            if request.fields.get("Expect", "").lower() == "100-continue":
                connection.send(b"HTTP/1.1 100 Continue\r\n\r\n")
            connection.read_body(request, keep=False)
            connection.send(self.echo(request))
            if request.fields.get("Connection", "").lower() == "close" or request.version == "HTTP/1.0":
                return

    def echo(self, request):
        told = {
            "backend": self.name, "method": request.method, "target": request.target,
            "version": request.version, "fields": list(request.fields),
            "head": request.head.decode("latin-1"), "length": request.body.length,
            "sha256": request.body.sha256, "truncated": request.body.truncated,
            "trailers": list(request.body.trailers), "connection": request.connection,
        }
        body = b"" if request.method == "HEAD" else json.dumps(told).encode()
        return answer(body, fields=[("Content-Type", "application/json"), ("X-Backend", self.name)],
                      length=request.method != "HEAD")


def closed_port():
    """A port that refuses connections."""
    return free_port()
