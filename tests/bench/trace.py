#!/usr/bin/python3
"""The system calls of one request in order: trace.py [scenario] [proxy] (small-get, cxxproxy), as strace sees them.

strace slows the proxy down, so the order is right but how often work comes in batches is not; `make bench` counts without it.
Per thread the calls are cut into requests where the client's request is read; the most frequent orders are shown, a call that is
repeated as `12 x`. What a call works on is told by its socket: client, backend, or whatever else.
"""
import collections
import re
import signal
import subprocess
import sys

sys.dont_write_bytecode = True
from measure import Backend, clients  # noqa: E402
from processes import end_of, raise_descriptor_limit, until  # noqa: E402
from proxies import PROXIES  # noqa: E402
from scenarios import SCENARIOS  # noqa: E402

SOCKET = re.compile(r"<TCP:\[([^\]]*)\]>")
READS = ("read", "recvfrom", "recvmsg", "readv")
SHOWN = 4


def calls_of(text, port, backends):
    """(thread, name, what it works on, result) for each call; one that was interrupted by another thread's line is put together."""
    unfinished = {}
    for line in text.splitlines():
        thread, _, rest = line.partition(" ")
        rest = rest.strip()
        if rest.endswith("<unfinished ...>"):
            unfinished[thread] = rest.removesuffix("<unfinished ...>")
            continue
        resumed = re.match(r"<\.\.\. \w+ resumed>(.*)", rest)
        if resumed:
            rest = unfinished.pop(thread, "") + resumed[1]
        call = re.match(r"(\w+)\((.*)\)\s+= (-?\d+|\?)(?: (\w+))?", rest)
        if call:
            yield thread, call[1], object_of(call[2], port, backends), call[4] or call[3]


def object_of(arguments, port, backends):
    socket = SOCKET.search(arguments)
    if not socket:
        kind = re.search(r"<([a-z_]+:?\[?[a-z]*)", arguments)
        return kind[1].strip("[:") if kind and "anon" not in kind[1] else "event" if "eventfd" in arguments else ""
    ends = re.findall(r":(\d+)", socket[1])
    if str(port) in ends:
        return "client"
    return "backend" if any(str(backend) in ends for backend in backends) else "socket"


def requests_of(calls):
    """The calls of each thread between two readings of a request."""
    current = collections.defaultdict(list)
    answered = collections.defaultdict(bool)
    for thread, name, thing, result in calls:
        if name in READS and thing == "client" and result.isdigit() and int(result) > 0 and answered[thread]:
            yield tuple(current[thread])
            current[thread], answered[thread] = [], False
        current[thread].append((name, thing, "" if name == "futex" or result.lstrip("-").isdigit() else result))
        if thing == "client" and name in ("writev", "sendto", "sendmsg", "write", "sendfile"):
            answered[thread] = True


def shown(request):
    parts = []
    for name, thing, error in request:
        text = name + (f" {thing}" if thing else "") + (f" = {error}" if error else "")
        if parts and parts[-1][0] == text:
            parts[-1][1] += 1
        else:
            parts.append([text, 1])
    parts = folded(parts)
    return ", ".join(text if count == 1 else f"{count} x {text}" for text, count in parts)


def folded(parts):
    """Loops of two to six different calls become one entry."""
    texts = [(text, count) for text, count in parts]
    for size in range(2, 7):
        at = 0
        while at + 2 * size <= len(texts):
            block, times = texts[at:at + size], 1
            while texts[at + times * size:at + (times + 1) * size] == block:
                times += 1
            if times > 1:
                inner = ", ".join(text if count == 1 else f"{count} x {text}" for text, count in block)
                texts[at:at + times * size] = [(f"({inner})", times)]
            at += 1
    return texts


def main():
    scenario = SCENARIOS[sys.argv[1] if len(sys.argv) > 1 else "small-get"]
    name = sys.argv[2] if len(sys.argv) > 2 else "cxxproxy"
    raise_descriptor_limit()
    backend = Backend(scenario.backends)
    proxy = PROXIES[name](scenario.setup, backend.ports)
    out = proxy.root / "trace.txt"
    try:
        clients("load", proxy.port, **(scenario.options | {"seconds": 0.3}))
        command = ["strace", "-f", "-yy", "-s", "0", "-o", str(out), *(word for pid in proxy.pids() for word in ("-p", str(pid)))]
        tracer = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        try:
            for _ in proxy.pids():
                tracer.stderr.readline()
            clients("load", proxy.port, **(scenario.options | {"seconds": 2, "grace": 30}))
            tracer.send_signal(signal.SIGINT)
            until(lambda: tracer.poll() is not None, "strace ends")
        finally:
            end_of(tracer)
        orders = collections.Counter(shown(request) for request in requests_of(calls_of(out.read_text(), proxy.port, backend.ports)))
    finally:
        proxy.stop()
        backend.stop()
    total = sum(orders.values())
    print(f"{scenario.title}, {PROXIES[name].title}: {total} requests seen")
    for order, count in orders.most_common(SHOWN):
        print(f"{count * 100 / total:5.1f} %  {order}")


if __name__ == "__main__":
    main()
