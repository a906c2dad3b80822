"""An address that never answers a connection request, on loopback."""
import socket

from .waiting import free_port


class Blackhole:
    """A listener whose queue is full: the kernel drops further connection requests silently."""

    def __init__(self):
        self.port = free_port()
        self._sockets = [socket.socket()]
        listener = self._sockets[0]
        listener.bind(("127.0.0.1", self.port))
        listener.listen(0)
        for _ in range(8):
            filler = socket.socket()
            self._sockets.append(filler)
            filler.settimeout(0.2)
            try:
                filler.connect(("127.0.0.1", self.port))
            except OSError:
                return
        raise AssertionError("the queue never fills")

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def close(self):
        for each in self._sockets:
            each.close()
