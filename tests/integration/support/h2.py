"""An HTTP/2 client that says whatever a test wants: frames by hand, field values without a check.

One stream at a time, prior knowledge (h2c), no flow control beyond the default window.
"""
import struct

from .client import Client
from .settings import PATIENCE
from .wire import Closed, Truncated

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, SETTINGS, GOAWAY = 0, 1, 3, 4, 7
END_STREAM, END_HEADERS = 1, 4
STATIC_STATUS = {8: 200, 9: 204, 10: 206, 11: 304, 12: 400, 13: 404, 14: 500}  # RFC 7541, appendix A


def frame(kind, flags, stream, payload=b""):
    return struct.pack(">I", len(payload))[1:] + bytes((kind, flags)) + struct.pack(">I", stream) + payload


def integer(value, bits=7):
    if value < (1 << bits) - 1:
        return bytes((value,))
    coded, value = bytes(((1 << bits) - 1,)), value - ((1 << bits) - 1)
    while value >= 128:
        coded, value = coded + bytes((value % 128 + 128,)), value // 128
    return coded + bytes((value,))


def literal(name, value):
    """A field that is neither indexed nor Huffman coded."""
    return b"\0" + integer(len(name)) + name + integer(len(value)) + value


def digits(coded):
    """Decimal digits in HPACK's Huffman code (RFC 7541, appendix B)."""
    bits = "".join(f"{byte:08b}" for byte in coded)
    text = ""
    while len(text) < 3:
        if bits[:5] in ("00000", "00001", "00010"):
            text, bits = text + str(int(bits[:5], 2)), bits[5:]
        else:
            text, bits = text + str(int(bits[:6], 2) - 0b011001 + 3), bits[6:]
    return text


def status_of(block):
    """The :status at the start of a header block."""
    while block[0] & 0xe0 == 0x20:  # size updates of the dynamic table
        block = block[1:]
    if block[0] & 0x80:
        return STATIC_STATUS[block[0] & 0x7f]
    assert block[0] & 0x0f == 8 or block[0] & 0x3f in range(8, 15), block
    length, text = block[1] & 0x7f, block[2:2 + (block[1] & 0x7f)]
    return int(digits(text) if block[1] & 0x80 else text[:length])


class H2:
    """with H2(port) as h2: h2.ask([(b":method", b"GET"), ...], body) -> status, "reset" or "closed"."""

    def __init__(self, port):
        self._client = Client(port, timeout=PATIENCE)
        self._stream = -1
        self._client.send(PREFACE + frame(SETTINGS, 0, 0))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._client.close()

    def send(self, data):
        self._client.send(data)

    def ask(self, fields, body=None):
        self._stream += 2
        block = b"".join(literal(name, value) for name, value in fields)
        self.send(frame(HEADERS, END_HEADERS | (END_STREAM if body is None else 0), self._stream, block))
        if body is not None:
            self.send(frame(DATA, END_STREAM, self._stream, body))
        return self._answer()

    def open(self, fields):
        """A stream that stays open both ways, as a WebSocket's: the status of its first answer."""
        self._stream += 2
        self.send(frame(HEADERS, END_HEADERS, self._stream, b"".join(literal(name, value) for name, value in fields)))
        for kind, _, payload in self._frames():
            if kind == HEADERS:
                return status_of(payload)
            if kind == RST_STREAM:
                return "reset"
        return "closed"

    def say(self, data, last=False):
        """DATA on the stream that was opened."""
        self.send(frame(DATA, END_STREAM if last else 0, self._stream, data))

    def hear(self, size=None):
        """So many bytes of DATA of that stream, or all until it ends."""
        heard = b""
        while size is None or len(heard) < size:
            kind, flags, payload = next(self._frames(), (None, END_STREAM, b""))
            if kind == DATA:
                heard += payload
            if kind in (None, RST_STREAM) or flags & END_STREAM:
                break
        return heard

    def _frames(self):
        """The frames of the current stream; settings are acknowledged."""
        while True:
            try:
                head = self._client.reader.exactly(9)
                payload = self._client.reader.exactly(int.from_bytes(head[:3], "big"))
            except (Closed, Truncated, ConnectionResetError, BrokenPipeError):
                return
            kind, flags, stream = head[3], head[4], int.from_bytes(head[5:], "big")
            if kind == SETTINGS and not flags & 1:
                self.send(frame(SETTINGS, 1, 0))
            if kind == GOAWAY:
                return
            if stream == self._stream:
                yield kind, flags, payload

    def _answer(self):
        status = None
        for kind, flags, payload in self._frames():
            if kind == RST_STREAM:
                return status or "reset"
            if kind == HEADERS:
                final = status_of(payload)
                status = final if final >= 200 else None
            if kind in (HEADERS, DATA) and flags & END_STREAM:
                return status
        return status or "closed"
