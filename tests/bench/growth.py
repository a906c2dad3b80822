"""Costs that must not grow: the same requests with little and with much of something, in turn."""
import random
from pathlib import Path

from measure import Clients, clients, errors_of, merged, run
from processes import memory
from proxies import PROXIES


def scaled(setup, scale):
    """The smoke run has a few dozen where the benchmark has thousands."""
    if scale.crowd >= 1:
        return setup
    return type(setup)(**{name: min(value, 20) if name in ("rules", "vhosts", "members") else value for name, value in vars(setup).items()})


def rounds_of(scenario, names, scale, backend, progress):
    """A list of {proxy: sample}; a sample has the small case's figures, the large one's with _large, and the ratio of both."""
    started = {(name, case): PROXIES[name](scaled(scenario.pair[case][1], scale), backend.ports) for name in names for case in (0, 1)}
    rounds = []
    try:
        for number in range(scale.rounds):
            rounds.append({})
            for name in sorted(names, key=lambda _: random.random()):
                rounds[-1][name] = both(scenario, {case: started[name, case] for case in (0, 1)}, scale)
                progress(number, name, rounds[-1][name])
    finally:
        for proxy in started.values():
            proxy.stop()
    return rounds


def both(scenario, proxies, scale):
    samples = {case: one(proxies[case], scenario.pair[case][2], scale) for case in sorted((0, 1), key=lambda _: random.random())}
    sample = dict(samples[0])
    sample |= {f"{key}_large": value for key, value in samples[1].items() if isinstance(value, (int, float))}
    sample["errors"] = merged(samples[0]["errors"], samples[1]["errors"])
    sample["ratio"] = sample["cpu_us_large"] / sample["cpu_us"] if sample.get("cpu_us") and "cpu_us_large" in sample else 1.0
    return sample


def one(proxy, options, scale):
    options = {"connections": 64, "length": 100} | options
    idle = scale.many(options.pop("idle", 0)) if "idle" in options else 0
    if idle:
        with Clients("hold", proxy.port, connections=idle, length=100) as still:
            still.up()
            sample = measured(proxy, options, scale)
            still.go_on()
            errors = errors_of(still.result())
            # The MPM closes idle connections while all workers of a child are busy; no request is lost by that.
            sample["idle_lost"] = errors.pop("lost_idle", 0)
            sample["errors"] = merged(sample["errors"], errors)
            return sample
    return measured(proxy, options, scale)


def measured(proxy, options, scale):
    if scale.requests:
        return run(proxy, lambda result: result["answered"], "load", requests=scale.requests, **options)
    clients("load", proxy.port, seconds=0.2, **options)
    return run(proxy, lambda result: result["answered"], "load", seconds=scale.seconds, **options)


def descriptors(pids):
    return sum(len(list(Path(f"/proc/{pid}/fd").iterdir())) for pid in pids)


def long_load(proxy, _, scale):
    """CPU per request, memory and descriptors of the last tenth of a long load against its second (the first one opens connections)."""
    samples = []
    for _ in range(10):
        sample = run(proxy, lambda result: result["answered"], "load", connections=64, length=100, seconds=max(scale.load_seconds, scale.seconds) / 10)
        samples.append(sample | {"memory": memory(proxy.pids()), "descriptors": descriptors(proxy.pids())})
    first, last = samples[1], samples[-1]
    cpu = {"cpu_us": first.get("cpu_us", 0), "cpu_us_large": last.get("cpu_us", 0)}
    return cpu | {"ratio": cpu["cpu_us_large"] / cpu["cpu_us"] if cpu["cpu_us"] else 1.0, "answered": sum(sample["answered"] for sample in samples),
                  "memory_growth_mib": (last["memory"] - first["memory"]) / 2**20, "descriptor_growth": last["descriptors"] - first["descriptors"],
                  "errors": merged(*(sample["errors"] for sample in samples))}
