"""Scenarios with many clients at once: waiting requests, tunnels, streams, slow readers."""
import threading

from measure import Clients, clients, errors_of, figures, merged
from processes import memory, thread_count, until

MIB = 2**20
PATIENCE = 20  # seconds for what a proxy may not manage at all


def crowd_figures(result):
    sample = figures(result)
    sample["lost"] = result["sent"] - result["answered"]
    sample["seconds"] = result["seconds"]
    return sample


def others(port, seconds, connections=1, **options):
    """An unrelated client meanwhile."""
    result = clients("load", port, connections=connections, seconds=seconds, grace=5, length=options.pop("length", 100), **options)
    sample = {"other_rate": result["answered"] / (result["seconds"] or float("inf")), "other_lost": result["sent"] - result["answered"],
              "errors": errors_of(result)}
    if result["answered"]:
        sample |= {f"other_{part}_us": result["latency_us"][part] for part in ("p50", "p99", "max")}
    return sample


def burst(number):
    def run(proxy, _, scale):
        count = scale.many(number)
        with Clients("burst", proxy.port, connections=count, path="/delay/1000/10", length=10, grace=60) as running:
            sample = crowd_figures(running.result())
        return sample | {"threads": thread_count(proxy.pids())}
    return run


def steady(value, goal, patience=3.0):
    """Waits until `value()` reaches the goal or has not grown for a while; returns it."""
    seen = {"most": -1, "quiet": 0}

    def enough():
        now = value()
        seen["quiet"] = 0 if now > seen["most"] else seen["quiet"] + 1
        seen["most"] = max(now, seen["most"])
        return now >= goal or seen["quiet"] > patience / 0.01
    until(enough, "the crowd has come", timeout=120)
    return value()


def parked(number):
    def run(proxy, backend, scale):
        count = scale.many(number)
        warm = clients("load", proxy.port, connections=1, requests=20, length=100)
        before = memory(proxy.pids())
        with Clients("burst", proxy.port, connections=count, path="/hold", length=0, grace=60) as waiting:
            held = steady(lambda: backend.stats()["held"], count)
            each = (memory(proxy.pids()) - before) / held / 1024
            threads = thread_count(proxy.pids())
            sample = others(proxy.port, 2 * scale.seconds)
            # What a proxy could not hold at once is still to come.
            done = threading.Event()
            releasing = threading.Thread(target=release_until, args=(backend, done))
            releasing.start()
            result = waiting.result()
            done.set()
            releasing.join()
        return sample | {"held": held, "kib_each": each, "threads": threads, "answered": result["answered"],
                         "lost": result["sent"] - result["answered"], "errors": merged(sample["errors"], errors_of(result), errors_of(warm))}
    return run


def release_until(backend, done):
    while not done.wait(0.05):
        backend.release()


def tunnels(number):
    def run(proxy, _, scale):
        count = scale.many(number)
        warm = clients("load", proxy.port, connections=1, requests=20, length=100)
        before = memory(proxy.pids())
        with Clients("tunnel", proxy.port, connections=count, path="/tunnel", grace=max(PATIENCE * scale.crowd, 4)) as open_:
            up = open_.up()["up"]
            each = (memory(proxy.pids()) - before) / max(up, 1) / 1024
            threads = thread_count(proxy.pids())
            sample = others(proxy.port, scale.seconds, 8)
            open_.go_on()
            result = open_.result()
        return sample | {"up": up, "lost": count - result["answered"], "kib_each": each, "threads": threads,
                         "echo_p99_us": result["echo_us"]["p99"], "errors": merged(sample["errors"], errors_of(result), errors_of(warm))}
    return run


def streams(number, events):
    def run(proxy, _, scale):
        result = clients("burst", proxy.port, connections=scale.many(number), path=f"/sse/{events}/50", events=events, grace=60)
        sample = crowd_figures(result) | {"events": result["event_delay_us"]["count"]}
        return sample | {f"delay_{part}_us": result["event_delay_us"][part] for part in ("p50", "p99")}
    return run


def slow_readers(number):
    def run(proxy, _, scale):
        size = 12_000_000 if scale.crowd >= 1 else 1_200_000
        count = scale.many(number)
        with Clients("burst", proxy.port, connections=count, path=f"/bytes/{size}", length=size, pace=1_000_000, grace=90) as readers:
            sample = others(proxy.port, 3 * scale.seconds)
            sample["memory_mib"] = memory(proxy.pids()) / MIB
            result = readers.result()
        whole = crowd_figures(result)
        return sample | {"answered": whole["answered"], "lost": whole["lost"], "seconds": whole["seconds"],
                         "errors": merged(sample["errors"], whole["errors"])}
    return run


def fair_turns(number):
    def run(proxy, backend, scale):
        count = scale.many(number)
        result = clients("load", proxy.port, connections=32, requests=count, length=100)
        served = backend.stats()["served"]
        fair = sum(served) / len(served)
        return crowd_figures(result) | {"deviation": max(abs(n - fair) for n in served)}
    return run


def blocking_hook(proxy, _, scale):
    """The hook of sleeping_hook.cpp sleeps for as many milliseconds as the field says."""
    seconds = scale.seconds if not scale.requests else 0.2
    with Clients("load", proxy.port, connections=4, seconds=seconds + 0.4, length=100, field=["X-Bench-Sleep: 20"]) as blockers:
        sample = figures(clients("load", proxy.port, connections=32, seconds=seconds, length=100))
        slow = blockers.result()
    sample["errors"] = merged(sample["errors"], errors_of(slow))
    return sample | {"blockers_p50_us": slow["latency_us"]["p50"]}
