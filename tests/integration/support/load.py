"""Clients that keep asking until told to stop, and count what they got."""
import threading
import time

from .client import Client, request
from .waiting import until
from .wire import Closed, Truncated


IDLE = 2  # seconds; less than any KeepAliveTimeout that a test sets


class Load:
    """`clients` threads ask for `target` over kept-alive connections, or with keep_alive=False each time over a
    new one.

    A client that meets a closed connection before the first byte of an answer repeats a GET on a
    fresh one when the connection had been used before, as browsers do: httpd may close an idle
    connection at any time. `reconnects` counts these; `expired` those among them whose connection had
    been idle so long, on a busy machine, that httpd was right to close it. A connection that ends
    after the first byte of an answer is never one of them. Everything else is a failure: a text, or
    (status, truncated, body).
    """

    def __init__(self, port, clients=8, target="/", method="GET", body=None, host="proxy.test",
                 keep_alive=True):
        self._port, self._method, self._clients = port, method, clients
        self._request = request(method, target, [] if keep_alive else [("Connection", "close")], body, host)
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._limit = None
        self._started = 0
        self.bodies, self.failures, self.reconnects, self.expired = [], [], 0, 0
        self._threads = []

    def __enter__(self):
        for _ in range(self._clients):
            thread = threading.Thread(target=self._run, daemon=True)
            thread.start()
            self._threads.append(thread)
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        self._stop.set()
        for thread in self._threads:
            thread.join(60)
            assert not thread.is_alive(), "a client hangs"

    @property
    def done(self):
        return len(self.bodies)

    def wait_more(self, count):
        """Waits until `count` more answers have come."""
        goal = self.done + count
        until(lambda: self.done + len(self.failures) >= goal, f"{goal} answers, have {self.done}")

    def wait_done(self, count):
        """Waits for `count` answers in all, then stops."""
        until(lambda: self.done + len(self.failures) >= count, f"{count} answers, have {self.done}",
              timeout=120)
        self.stop()

    def _run(self):
        client, used = None, False
        before = idle = last = 0
        while not self._stop.is_set():
            try:
                if client is None:
                    client, used, last = Client(self._port), False, time.monotonic()
                before, idle = len(client.reader.raw), time.monotonic() - last
                client.send(self._request)
                answer = client.read(self._method)
            except (Closed, OSError, Truncated) as error:
                if client is not None:
                    untouched = len(client.reader.raw) == before and not isinstance(error, TimeoutError)
                    client.close()
                    client = None
                    if used and untouched:
                        with self._lock:
                            self.reconnects += 1
                            self.expired += idle > IDLE
                        continue
                with self._lock:
                    self.failures.append(repr(error))
                continue
            with self._lock:
                if answer.status == 200 and not answer.truncated:
                    self.bodies.append(answer.body)
                else:
                    self.failures.append((answer.status, answer.truncated, answer.body))
            used, last = True, time.monotonic()
            if answer.fields.get("Connection", "").lower() == "close":
                client.close()
                client = None
        if client is not None:
            client.close()
