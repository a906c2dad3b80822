"""Backend and clients, and what one run of them costs the proxy between them."""
import http.client
import json
import subprocess

import syscalls
from processes import LOAD_CORE, Server, context_switches, cpu_seconds, end_of, memory, spawn
from support import settings
from support.waiting import accepts, free_port

LOAD = settings.SO.parent / "bench_load"


class Backend(Server):
    """bench_load as a backend on `count` ports."""

    def __init__(self, count=1):
        super().__init__("backend", LOAD_CORE)
        self.ports = [free_port() for _ in range(count)]
        self.launch([LOAD, "backend", *self.ports], lambda: accepts(self.ports[0]))

    def _ask(self, path):
        connection = http.client.HTTPConnection("127.0.0.1", self.ports[0], timeout=30)
        connection.request("GET", path)
        text = connection.getresponse().read()
        connection.close()
        return text

    def stats(self):
        return json.loads(self._ask("/_stats"))

    def reset(self):
        self._ask("/_reset")

    def release(self):
        self._ask("/_release")


class Clients:
    """A running bench_load; `up()` is its first line in the modes that wait in the middle."""

    def __init__(self, mode, port, **options):
        words = [LOAD, mode, port]
        for name, value in options.items():
            if value is True:
                words.append(f"--{name}")
            elif value not in (None, False):
                for one in value if isinstance(value, list) else [value]:
                    words += [f"--{name}", one]
        self.process = spawn(words, LOAD_CORE, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        end_of(self.process)
        self.process.stdin.close()
        self.process.stdout.close()

    def up(self):
        return json.loads(self.process.stdout.readline())

    def go_on(self):
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def result(self):
        return json.loads(self.process.stdout.readline())


def clients(mode, port, **options):
    with Clients(mode, port, **options) as running:
        return running.result()


def errors_of(result):
    return {kind: count for kind, count in result["errors"].items() if count}


def merged(*errors):
    return {kind: sum(e.get(kind, 0) for e in errors) for e in errors for kind in e}


def figures(result):
    """What a client's own report says."""
    seconds = result["seconds"] or float("inf")
    sample = {"rate": result["answered"] / seconds, "mbps": result["bytes"] / seconds / 1e6, "answered": result["answered"],
              "sent": result["sent"], "errors": errors_of(result)}
    if result["answered"]:
        sample |= {"p50_us": result["latency_us"]["p50"], "p99_us": result["latency_us"]["p99"], "max_us": result["latency_us"]["max"]}
    if result["first_error"]:
        sample["first_error"] = result["first_error"]
    return sample


def run(proxy, units, mode, **options):
    """One measured run. `units(result)` says how many requests, events or MB were served, for the costs of one."""
    pids = proxy.pids()
    cpu, switches = cpu_seconds(pids), context_switches(pids)
    result = clients(mode, proxy.port, **options)
    sample = figures(result)
    done = units(result)
    if pids and done:
        after = proxy.pids()
        sample |= {"cpu_us": (cpu_seconds(after) - cpu) * 1e6 / done, "switches": (context_switches(after) - switches) / done,
                   "memory_mib": memory(after) / 2**20}
    return sample


def count_calls(proxy, units, by_name, mode, **options):
    """System calls for one request (or event, or MB), by name; None where nothing can count."""
    pids = proxy.pids()
    if not pids:
        return None
    counts, result = syscalls.counted(pids, proxy.root, lambda: clients(mode, proxy.port, **options), by_name)
    done = units(result)
    if counts is None or not done:
        return None
    return {name: round(n / done, 3) for name, n in sorted(counts.items(), key=lambda item: -item[1]) if n / done >= 0.005}
