"""A client that sends exactly the bytes it is given and says exactly what came back."""
import socket
import ssl
from dataclasses import dataclass, field

from .settings import PATIENCE
from .wire import Body, Closed, Fields, Reader, Truncated, collect, split_head


@dataclass
class Response:
    version: str
    status: int
    reason: str
    fields: Fields
    raw_head: bytes
    content: Body = field(default_factory=Body)
    interim: list = field(default_factory=list)

    @property
    def body(self):
        return self.content.data

    @property
    def text(self):
        return self.body.decode("utf-8", "replace")

    @property
    def truncated(self):
        return self.content.truncated

    def json(self):
        import json
        return json.loads(self.body)


class Client:
    """One connection to 127.0.0.1:port, TLS when `server_name` is given."""

    def __init__(self, port, timeout=PATIENCE, server_name=None, receive_buffer=None):
        self.sock = socket.socket()
        if receive_buffer:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.sock.settimeout(timeout)
        self.sock.connect(("127.0.0.1", port))
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if server_name:
            trust_all = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            trust_all.check_hostname, trust_all.verify_mode = False, ssl.CERT_NONE
            self.sock = trust_all.wrap_socket(self.sock, server_hostname=server_name)
        self.reader = Reader(self.sock)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.sock.close()

    def reset(self):
        """Closes with RST instead of FIN."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.sock.close()

    def half_close(self):
        self.sock.shutdown(socket.SHUT_WR)

    def send(self, data):
        self.sock.sendall(data)
        return self

    def read_head(self):
        """The next response head, interim or final; raises Closed when the server said goodbye."""
        raw = self.reader.until(b"\r\n\r\n")
        line, fields = split_head(raw)
        version, status, reason = (line.split(" ", 2) + [""])[:3]
        return Response(version, int(status), reason, fields, raw)

    def body_pieces(self, response, method="GET"):
        """Yields the body of `response` as it comes, by its framing."""
        fields = response.fields
        assert len(fields.all("Content-Length")) <= 1, response.raw_head
        if method == "HEAD" or response.status in (204, 304):
            return
        coding = fields.get("Transfer-Encoding")
        if coding is not None:
            assert coding.lower() == "chunked" and "Content-Length" not in fields, response.raw_head
            yield from self.reader.chunks(response.content.trailers)
        elif "Content-Length" in fields:
            yield from self.reader.pieces(int(fields.get("Content-Length")))
        else:
            while True:
                if self.reader.buffer:
                    piece, self.reader.buffer = self.reader.buffer, b""
                    yield piece
                elif not self.reader._more():
                    return

    def read(self, method="GET", keep=True):
        """Exactly one final response with its body; interim ones are kept beside it."""
        interim = []
        while True:
            response = self.read_head()
            if response.status >= 200 or response.status == 101:
                break
            interim.append(response)
        response.interim = interim
        trailers = response.content.trailers
        response.content = collect(self.body_pieces(response, method), keep)
        response.content.trailers = trailers
        return response

    def ask(self, method="GET", target="/", fields=(), body=None, host="proxy.test", keep=True):
        """Sends a request (Content-Length for a body) and reads the answer."""
        self.send(request(method, target, fields, body, host))
        return self.read(method, keep)

    def at_end(self):
        """True when the server closes without sending another byte."""
        try:
            return not self.reader.buffer and not self.reader._more()
        except ConnectionResetError:
            return True


def request(method="GET", target="/", fields=(), body=None, host="proxy.test"):
    lines = [f"{method} {target} HTTP/1.1"]
    if host is not None:
        lines.append(f"Host: {host}")
    lines += [f"{n}: {v}" for n, v in fields]
    if body is not None:
        lines.append(f"Content-Length: {len(body)}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + (body or b"")


def fetch(port, target="/", method="GET", fields=(), body=None, host="proxy.test", keep=True,
          server_name=None):
    """One request on a connection of its own."""
    with Client(port, server_name=server_name) as client:
        return client.ask(method, target, list(fields) + [("Connection", "close")], body, host, keep)


__all__ = ["Client", "Response", "fetch", "request", "Closed", "Truncated"]
