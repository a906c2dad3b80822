"""What is measured. A scenario with a closed loop is data; the others are functions in crowds.py and growth.py."""
import dataclasses
import random
import statistics
from typing import Callable

import crowds
import growth
from measure import Backend, count_calls, run
from proxies import PROXIES, Setup

ALL = tuple(PROXIES)
PEERS = ("mod_proxy", "nginx", "haproxy", "cxxproxy")
HTTPDS = ("mod_proxy", "cxxproxy")


@dataclasses.dataclass(frozen=True)
class Scale:
    """How long, how often, how many."""
    rounds: int = 5
    seconds: float = 1.5
    crowd: float = 1.0            # part of the crowds' sizes
    requests: int | None = None   # instead of a time, for the smoke run
    calls: str = "names"          # system calls: "names", "number", or "" for none
    load_seconds: float = 0.0     # of the long load, 0: left out

    def many(self, number):
        return max(int(number * self.crowd), 2)


SMOKE = Scale(rounds=1, seconds=0.2, crowd=0.004, requests=100, calls="")


@dataclasses.dataclass(frozen=True)
class Scenario:
    title: str
    proxies: tuple = ALL
    setup: Setup = Setup()
    unit: str = "request"
    options: dict = dataclasses.field(default_factory=dict)   # of bench_load
    mode: str = "load"
    crowd: Callable | None = None     # crowd(proxy, backend, scale) -> sample, instead of a closed loop
    rounds: int | None = None         # of a crowd; they are long
    pair: tuple | None = None         # growth: (title, setup, options) of the small and of the large case
    columns: tuple = ("rate", "cpu_us", "p50_us", "p99_us", "calls", "switches", "memory_mib")

    @property
    def backends(self):
        setups = [self.setup] + [case[1] for case in self.pair or ()]
        return max(1, *(setup.members for setup in setups))

    def units(self, result):
        if self.unit == "MB":
            return result["bytes"] / 1e6
        if self.unit == "event":
            return result["event_delay_us"]["count"]
        return result["answered"]


def loop(title, connections, path="/bytes/100", length=100, setup=Setup(), unit="request", proxies=ALL, columns=None, **options):
    options = {"connections": connections, "path": path, "length": length, **options}
    more = {"columns": columns} if columns else {}
    return Scenario(title, proxies, setup, unit, options, **more)


def crowd(title, function, setup, columns, proxies=PEERS, rounds=1):
    return Scenario(title, proxies, setup, crowd=function, rounds=rounds, columns=columns)


REQUEST_FIELDS = [f"X-Request-Field-{i}: a value of some length" for i in range(30)]
MANY = Setup(processes=1, many=True)
BULK = ("mbps", "cpu_us", "p50_us", "p99_us", "calls", "switches", "memory_mib")
BURST = ("answered", "lost", "p50_us", "p99_us", "seconds", "threads")
GROW = ("cpu_us", "cpu_us_large", "ratio")
TLS_PROXIES = tuple(name for name in ALL if name != "direct")

SCENARIOS = {
    "small-get": loop("small GET, 64 connections", 64),
    "small-get-1": loop("small GET, 1 connection", 1),
    "headers": loop("30 request and 20 response fields, 64 connections", 64, "/headers/20/100", field=REQUEST_FIELDS),
    "balancer-4": loop("balancer of 4, byrequests, 64 connections", 64, setup=Setup(members=4)),
    "balancer-200": loop("balancer of 200, byrequests, 64 connections", 64, setup=Setup(members=200)),
    "body-100k": loop("body of 100 KB, 16 connections", 16, "/bytes/100000", 100_000, columns=("mbps", "rate", *BULK[1:])),
    "body-10m": loop("body of 10 MB, 4 connections", 4, "/bytes/10000000", 10_000_000, unit="MB", columns=BULK),
    "post-1m": loop("POST of 1 MB, 8 connections", 8, post=1_048_576),
    "new-connection": loop("new connection for each request, 16 at a time", 16, fresh=True),
    "tls": loop("TLS client side, small GET, 64 connections", 64, setup=Setup(tls=True), proxies=TLS_PROXIES, tls=True),
    "chunked": loop("chunked answer of 4 x 1 KiB, 64 connections", 64, "/chunked/4/1024", 4096),
    "sse": Scenario("64 streams of 100 events, one each 10 ms", unit="event", mode="burst", setup=Setup(many=True),
                    options={"connections": 64, "path": "/sse/100/10", "events": 100}, columns=("cpu_us", "calls", "switches", "memory_mib")),
    "access-log": loop("access log on, small GET, 64 connections", 64, setup=Setup(access_log=True)),
    "blocking-hook": crowd("others while 4 connections sleep 20 ms in a hook", crowds.blocking_hook, Setup(hook=True),
                           ("rate", "p50_us", "p99_us", "max_us"), HTTPDS, 3),
    "burst-500": crowd("500 requests of 1 s at once, 64 threads", crowds.burst(500), MANY, BURST),
    "burst-2000": crowd("2,000 requests of 1 s at once, 64 threads", crowds.burst(2000), MANY, BURST),
    "parked": crowd("10,000 waiting requests, two children; an unrelated request meanwhile", crowds.parked(10_000),
                    Setup(many=True, workers=2), ("held", "answered", "lost", "other_p50_us", "other_p99_us", "other_max_us", "other_lost", "kib_each", "threads")),
    "tunnels": crowd("5,000 tunnels, 64 threads; GETs meanwhile", crowds.tunnels(5_000), Setup(processes=1, many=True, upgrade=True),
                     ("up", "lost", "kib_each", "threads", "other_rate", "other_lost", "echo_p99_us")),
    "tunnels-10000": crowd("10,000 tunnels, 64 threads; GETs meanwhile", crowds.tunnels(10_000), Setup(threads=32, many=True, upgrade=True, workers=2),
                           ("up", "lost", "kib_each", "threads", "other_rate", "other_lost", "echo_p99_us")),
    "sse-500": crowd("500 streams of 20 events, one each 50 ms, 64 threads", crowds.streams(500, 20), MANY,
                     ("answered", "lost", "events", "delay_p50_us", "delay_p99_us", "seconds")),
    "slow-readers": crowd("300 readers of 12 MB at 1 MB/s; an unrelated request meanwhile", crowds.slow_readers(300), MANY,
                          ("answered", "lost", "seconds", "other_p50_us", "other_p99_us", "other_max_us", "other_lost", "memory_mib")),
    "fair-turns": crowd("40,000 requests over 4 members, 4 processes: worst deviation", crowds.fair_turns(40_000),
                        Setup(members=4, processes=4), ("answered", "lost", "deviation")),
    "park-cost": Scenario("a fast backend with parking on and off, 64 connections", ("cxxproxy",), columns=GROW,
                          pair=(("off", Setup(park=False, reactor=False), {}), ("on", Setup(reactor=False), {}))),
    "reactor": Scenario("small GETs on worker threads and on the event loop, 64 connections", ("cxxproxy",), columns=GROW,
                        pair=(("threads", Setup(reactor=False), {}), ("loop", Setup(), {}))),
    "vhosts": Scenario("1 and 1,000 virtual hosts", HTTPDS, columns=GROW,
                       pair=(("1", Setup(vhosts=1), {"host": "v0.test"}), ("1,000", Setup(vhosts=1000), {"host": "v999.test"}))),
    "rules": Scenario("10 and 10,000 rules", HTTPDS, columns=GROW, pair=(("10", Setup(rules=10), {}), ("10,000", Setup(rules=10_000), {}))),
    "members": Scenario("2 and 200 members", HTTPDS, columns=GROW, pair=(("2", Setup(members=2), {}), ("200", Setup(members=200), {}))),
    "idle-clients": Scenario("10 and 10,000 idle client connections", HTTPDS, columns=(*GROW, "idle_lost_large"),
                             pair=(("10", Setup(many=True), {"idle": 10}), ("10,000", Setup(many=True), {"idle": 10_000}))),
    "long-load": crowd("a long load: its last tenth against the second", growth.long_load, Setup(), (*GROW, "memory_growth_mib", "descriptor_growth"),
                       ("cxxproxy",)),
}

QUICK = ("small-get", "small-get-1", "body-100k", "body-10m", "post-1m", "new-connection", "tls", "balancer-4", "burst-500", "tunnels")


def measure(scenario, names, scale, progress):
    """All rounds of a scenario: {"rounds": [{proxy: sample}], "calls": {proxy: {call: per unit}}}."""
    backend = Backend(scenario.backends)
    started = {}
    try:
        if scenario.pair:
            rounds = growth.rounds_of(scenario, names, scale, backend, progress)
            return {"rounds": rounds, "calls": {}}
        if not scenario.crowd:
            started = {name: PROXIES[name](scenario.setup, backend.ports) for name in names}
        rounds = []
        for number in range(scenario.rounds and min(scenario.rounds, scale.rounds) or scale.rounds):
            rounds.append({})
            for name in sorted(names, key=lambda _: random.random()):  # no proxy always follows the same one
                rounds[-1][name] = one_sample(scenario, name, started, backend, scale)
                progress(number, name, rounds[-1][name])
        calls = {}
        if scale.calls and not scenario.crowd:
            options = options_of(scenario, scale, min(scale.seconds, 1.0))
            calls = {name: count_calls(proxy, scenario.units, scale.calls == "names", scenario.mode, **options) for name, proxy in started.items()}
        return {"rounds": rounds, "calls": calls}
    finally:
        for proxy in started.values():
            proxy.stop()
        backend.stop()


def options_of(scenario, scale, seconds):
    if scenario.mode != "load":
        return scenario.options
    if scale.requests:
        return scenario.options | {"requests": scale.requests if scenario.unit == "request" else scale.requests // 10}
    return scenario.options | {"seconds": seconds}


def one_sample(scenario, name, started, backend, scale):
    if not scenario.crowd:
        if scenario.mode == "load" and not scale.requests:
            run(started[name], scenario.units, "load", **options_of(scenario, scale, 0.2))  # warm
        return run(started[name], scenario.units, scenario.mode, **options_of(scenario, scale, scale.seconds))
    proxy = PROXIES[name](scenario.setup, backend.ports)  # fresh: a crowd leaves traces
    try:
        backend.reset()
        return scenario.crowd(proxy, backend, scale)
    finally:
        proxy.stop()


def summary(rounds, calls):
    """Per proxy: medians, spread (largest minus smallest over the median), and the medians of the ratios to mod_proxy of each round."""
    table = {}
    for name in (name for name in PROXIES if name in rounds[0]):
        samples = [one[name] for one in rounds]
        row = {"errors": {}}
        for sample in samples:
            for kind, count in sample["errors"].items():
                row["errors"][kind] = row["errors"].get(kind, 0) + count
        for key in {key for sample in samples for key, value in sample.items() if isinstance(value, (int, float))}:
            values = [sample[key] for sample in samples if key in sample]
            middle = statistics.median(values)
            row[key] = {"median": middle, "spread": (max(values) - min(values)) / middle if middle else 0.0}
            ratios = [one[name][key] / one["mod_proxy"][key] for one in rounds
                      if one.get("mod_proxy", {}).get(key) and key in one[name]]
            if ratios:
                row[key]["ratio"] = statistics.median(ratios)
        if calls.get(name):
            row["calls"] = {"median": calls[name]["all"], "spread": 0.0}
            if calls.get("mod_proxy"):
                row["calls"]["ratio"] = calls[name]["all"] / calls["mod_proxy"]["all"]
        table[name] = row
    return table
