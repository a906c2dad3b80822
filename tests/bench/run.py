#!/usr/bin/python3
"""The benchmark: run.py [--quick | --smoke] [-s "scenario ..."] [-p "proxy ..."] [-r rounds] [-t seconds] [-o folder] [--hours H]

Writes one JSON file per scenario into the folder (build/bench) and prints a table of each. Ends with 1 when this module did not
answer a request as it should; what happened to the others is shown. tests/bench/README.md says how it measures.
"""
import argparse
import functools
import json
import sys
import time
from pathlib import Path

sys.dont_write_bytecode = True
import machine  # noqa: E402
import syscalls  # noqa: E402
import tables  # noqa: E402
from processes import raise_descriptor_limit  # noqa: E402
from proxies import PROXIES  # noqa: E402
from scenarios import PEERS, QUICK, SCENARIOS, SMOKE, Scale, measure, summary  # noqa: E402
from support import settings  # noqa: E402

OURS = ("cxxproxy", "cxxproxy-worker")


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a selection, in less than three minutes")
    parser.add_argument("--smoke", action="store_true", help="every scenario with a few requests: does the benchmark itself work?")
    parser.add_argument("-s", "--scenarios", default="", metavar="NAMES")
    parser.add_argument("-p", "--proxies", default="", metavar="NAMES")
    parser.add_argument("-r", "--rounds", type=int)
    parser.add_argument("-t", "--seconds", type=float)
    parser.add_argument("-o", "--out", type=Path, default=settings.SO.parent / "bench")
    parser.add_argument("--hours", type=float, default=0.0, help="for the scenario long-load")
    given = parser.parse_args()
    for kind, words, known in (("scenario", given.scenarios, SCENARIOS), ("proxy", given.proxies, PROXIES)):
        for word in words.split():
            if word not in known:
                parser.error(f"no such {kind}: {word}; there are: {' '.join(known)}")
    return given


def scale_of(given):
    if given.smoke:
        return SMOKE
    base = Scale(rounds=3, seconds=0.5, crowd=0.2, calls="number") if given.quick else Scale()
    return Scale(given.rounds or base.rounds, given.seconds or base.seconds, base.crowd, None, base.calls, given.hours * 3600)


def chosen(given):
    if given.scenarios:
        return given.scenarios.split()
    if given.quick:
        return list(QUICK)
    return [name for name in SCENARIOS if name != "long-load" or given.hours or given.smoke]


def proxies_of(scenario, given):
    """Those that the scenario wants, the caller chose and the machine has."""
    wanted = given.proxies.split() or (("direct", "cxxproxy") if given.smoke else PEERS if given.quick else list(PROXIES))
    return [name for name in scenario.proxies if name in wanted and not PROXIES[name].missing()]


def progress(scenario, number, name, sample):
    shown = " ".join(f"{key}={sample[key]:.1f}" for key in scenario.columns if isinstance(sample.get(key), (int, float)))
    problems = " ".join(f"{count} {kind}" for kind, count in sample["errors"].items())
    print(f"  round {number + 1} {name:16} {shown}" + (f"  ERRORS: {problems} ({sample.get('first_error', '')})" if problems else ""), file=sys.stderr, flush=True)


def main():
    given = arguments()
    raise_descriptor_limit()
    scale = scale_of(given)
    given.out.mkdir(parents=True, exist_ok=True)
    notes = [f"{name}: {why}; it is left out" for name, peer in PROXIES.items() if (why := peer.missing())] if not given.smoke else []
    notes += [syscalls.tool()[1]] if scale.calls and syscalls.tool()[1] else []
    for note in notes:
        print(note)
    bad = 0
    for name in chosen(given):
        scenario = SCENARIOS[name]
        names = proxies_of(scenario, given)
        if not names:
            continue
        started = time.time()
        print(f"\n=== {name}: {scenario.title}", flush=True)
        found = measure(scenario, names, scale, (lambda *_: None) if given.smoke else functools.partial(progress, scenario))
        document = {"scenario": name, "title": scenario.title, "unit": scenario.unit, "columns": list(scenario.columns),
                    "pair": [case[0] for case in scenario.pair] if scenario.pair else None,
                    "seconds": scale.seconds, "crowd": scale.crowd, "machine": machine.description(), "notes": notes, "started": started,
                    "took": time.time() - started, "summary": summary(found["rounds"], found["calls"]), **found}
        (given.out / f"{name}.json").write_text(json.dumps(document, indent=1) + "\n")
        print(tables.text(document), flush=True)
        bad += sum(sum(row["errors"].values()) for proxy, row in document["summary"].items() if proxy in OURS)
    print(f"\n{given.out}: JSON of each scenario; `make bench-report` writes docs/performance.md from it")
    if bad:
        print(f"{bad} requests of this module failed")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
