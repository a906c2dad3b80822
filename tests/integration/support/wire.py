"""HTTP/1 bytes read strictly and remembered exactly; used by clients and backends alike."""
import hashlib
from dataclasses import dataclass, field


class Closed(Exception):
    """The peer closed the connection before the first byte of a message."""


class Truncated(Exception):
    """The peer closed the connection inside a message."""


class Fields(list):
    """Header fields as (name, value) pairs in wire order."""

    def get(self, name, default=None):
        values = self.all(name)
        return values[0] if values else default

    def all(self, name):
        return [v for n, v in self if n.lower() == name.lower()]

    def names(self):
        return [n for n, _ in self]

    def __contains__(self, name):
        return bool(self.all(name)) if isinstance(name, str) else super().__contains__(name)


def split_head(raw):
    """(start line, fields) of a head that ends with an empty line. Bare LF or CR is an error."""
    lines = raw.decode("latin-1").split("\r\n")
    assert lines[-2:] == ["", ""], f"head without end: {raw!r}"
    assert "\n" not in raw.decode("latin-1").replace("\r\n", ""), f"bare LF in head: {raw!r}"
    fields = Fields()
    for line in lines[1:-2]:
        name, colon, value = line.partition(":")
        assert colon and name and name == name.strip(), f"bad field line {line!r}"
        fields.append((name, value.strip(" \t")))
    return lines[0], fields


class Reader:
    """Buffered reading from a socket; keeps every byte in `raw` unless told to forget."""

    def __init__(self, sock, keep=True):
        self.sock = sock
        self.buffer = b""
        self.raw = bytearray()
        self.keep = keep

    def _more(self):
        data = self.sock.recv(65536)
        if self.keep:
            self.raw += data
        self.buffer += data
        return bool(data)

    def until(self, mark):
        while mark not in self.buffer:
            had = bool(self.buffer)
            if not self._more():
                raise Truncated(self.buffer) if had else Closed()
        end = self.buffer.index(mark) + len(mark)
        found, self.buffer = self.buffer[:end], self.buffer[end:]
        return found

    def pieces(self, count):
        """Yields `count` bytes as they come."""
        while count:
            if not self.buffer and not self._more():
                raise Truncated(f"{count} bytes are missing")
            piece, self.buffer = self.buffer[:count], self.buffer[count:]
            count -= len(piece)
            yield piece

    def exactly(self, count):
        return b"".join(self.pieces(count))

    def to_end(self):
        while self._more():
            pass
        rest, self.buffer = self.buffer, b""
        return rest

    def chunks(self, trailers):
        """Yields the data of each chunk; trailer fields are appended to `trailers`."""
        while True:
            try:
                line = self.until(b"\r\n")
            except Closed:
                raise Truncated("no chunk size") from None
            size = int(line.split(b";")[0].strip(), 16)
            if size == 0:
                break
            yield from self.pieces(size)
            assert self.exactly(2) == b"\r\n", "chunk data without line end"
        while True:
            try:
                line = self.until(b"\r\n")
            except Closed:
                raise Truncated("no end of trailers") from None
            if line == b"\r\n":
                return
            name, _, value = line.decode("latin-1").rstrip("\r\n").partition(":")
            trailers.append((name, value.strip()))


@dataclass
class Body:
    """A message body: the bytes (unless too large to keep), their number and their digest."""
    data: bytes = b""
    length: int = 0
    sha256: str = hashlib.sha256(b"").hexdigest()
    trailers: Fields = field(default_factory=Fields)
    truncated: bool = False


def collect(pieces, keep=True):
    """Reads an iterator of bytes into a Body; a Truncated inside marks it."""
    body, digest, kept = Body(), hashlib.sha256(), []
    try:
        for piece in pieces:
            digest.update(piece)
            body.length += len(piece)
            if keep:
                kept.append(piece)
    except Truncated:
        body.truncated = True
    except ConnectionResetError:
        body.truncated = True
    body.data, body.sha256 = b"".join(kept), digest.hexdigest()
    return body


def chunked(*parts, trailers=b""):
    """The chunked coding of `parts`."""
    coded = b"".join(b"%x\r\n%s\r\n" % (len(p), p) for p in parts if p)
    return coded + b"0\r\n" + trailers + b"\r\n"


def answer(body=b"", status="200 OK", fields=(), length=True):
    """A response with Content-Length (unless told otherwise)."""
    head = [f"HTTP/1.1 {status}"] + [f"{n}: {v}" for n, v in fields]
    if length:
        head.append(f"Content-Length: {len(body)}")
    return ("\r\n".join(head) + "\r\n\r\n").encode("latin-1") + body
