"""Waiting is always for a condition and always bounded."""
import collections
import random
import socket
import threading
import time

from .settings import PATIENCE

_pause = threading.Event()
_handed_out = set()
_claims = collections.deque(maxlen=256)
_lock = threading.Lock()


def until(condition, what, timeout=None):
    """Polls `condition` until it is true and returns its value; fails with `what` otherwise."""
    deadline = time.monotonic() + (PATIENCE if timeout is None else timeout)
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"waited in vain: {what}")
        _pause.wait(0.01)


def stays(condition, what, duration):
    """Fails when `condition` stops being true within `duration` seconds."""
    deadline = time.monotonic() + duration
    while time.monotonic() < deadline:
        if not condition():
            raise AssertionError(f"did not stay: {what}")
        _pause.wait(0.01)


def free_port():
    """A loopback port nobody listens on, outside the range that clients get their ports from.

    It may stay unused for long (a backend that is down), so the UDP port of the same number is held as
    a claim that other test runs on this machine see.
    """
    with _lock:
        for _ in range(500):
            port = random.randrange(12000, 30000)
            if port in _handed_out:
                continue
            with socket.socket() as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    probe.bind(("127.0.0.1", port))
                except OSError:
                    continue
            claim = socket.socket(type=socket.SOCK_DGRAM)
            try:
                claim.bind(("127.0.0.1", port))
            except OSError:
                claim.close()
                continue
            if len(_claims) == _claims.maxlen:
                _claims[0].close()
            _claims.append(claim)
            _handed_out.add(port)
            return port
    raise AssertionError("no free port found")


def accepts(port):
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
        return True
    except OSError:
        return False
