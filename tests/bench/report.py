#!/usr/bin/python3
"""Writes the measured tables and plots into docs/: report.py build/bench docs

A table goes between `<!-- bench:NAME -->` and `<!-- /bench -->` in docs/performance.md; `bench:machine` and `bench:targets` are made of all
files. A marker whose scenario was not measured keeps what it has.
"""
import json
import re
import sys
from pathlib import Path

sys.dont_write_bytecode = True
import plots  # noqa: E402
import tables  # noqa: E402

MARKER = re.compile(r"(<!-- bench:([a-z0-9-]+) -->\n)(.*?)(<!-- /bench -->)", re.S)

# What the project wants: scenario, figure, words, must, goal (ratios to mod_proxy, or figures where a sentence says so).
TARGETS = [
    ("small-get", "rate", "small GET, 64 connections, rate", 2.0, 2.8), ("small-get", "cpu_us", "CPU per small GET", 0.50, 0.36),
    ("small-get-1", "p50_us", "small GET, 1 connection, p50", 0.95, 0.85), ("headers", "cpu_us", "30 + 20 header fields, CPU", 0.55, 0.38),
    ("balancer-4", "cpu_us", "balancer of 4 byrequests, CPU", 0.50, 0.36), ("body-100k", "mbps", "100 KB body, MB/s", 2.8, 4.0),
    ("body-10m", "mbps", "10 MB body, MB/s", 2.2, 2.6), ("body-10m", "cpu_us", "10 MB body, CPU per MB", 0.45, 0.33),
    ("post-1m", "rate", "POST 1 MB, rate", 1.8, 2.3), ("post-1m", "cpu_us", "POST 1 MB, CPU", 0.60, 0.42),
    ("new-connection", "cpu_us", "new connection per request, CPU", 0.85, 0.70), ("tls", "cpu_us", "TLS client side, CPU", 0.60, 0.42),
    ("blocking-hook", "p99_us", "others' p99 beside a blocking hook", 1.5, 1.0),
]


def figure(row, key, kind):
    return row.get(key, {}).get(kind)


def verdict(value, must, goal):
    more = goal > must
    if (value >= goal) if more else (value <= goal):
        return "goal"
    return "must" if ((value >= must) if more else (value <= must)) else "no"


def targets_of(documents):
    """Ratios to mod_proxy against what was to be reached."""
    lines = ["| figure, against mod_proxy | mod_cxxproxy | nginx | HAProxy | must | goal | reached |", "|---|---|---|---|---|---|---|"]
    for name, key, words, must, goal in TARGETS:
        if name not in documents:
            continue
        table = documents[name]["summary"]
        values = [figure(table.get(proxy, {}), key, "ratio") for proxy in ("cxxproxy", "nginx", "haproxy")]
        shown = ["-" if value is None else f"{value:.2f}" for value in values]
        reached = "-" if values[0] is None else verdict(values[0], must, goal)
        lines.append(f"| {words} | {' | '.join(shown)} | {must:.2f} | {goal:.2f} | {reached} |")
    calls = documents.get("small-get", {}).get("summary", {})
    for key, words, must, goal in (("calls", "system calls per small GET", 6.0, 4.5), ("switches", "context switches per small GET", 1.0, 0.1)):
        values = [figure(calls.get(proxy, {}), key, "median") for proxy in ("cxxproxy", "nginx", "haproxy")]
        if values[0] is not None:
            shown = ["-" if value is None else f"{value:.2f}" for value in values]
            lines.append(f"| {words} (count) | {' | '.join(shown)} | {must:.2f} | {goal:.2f} | {verdict(values[0], must, goal)} |")
    return "\n".join(lines)


def calls_of(document):
    """System calls of one request by name, for each proxy."""
    counts = {name: calls for name, calls in document["calls"].items() if calls}
    names = sorted({call for calls in counts.values() for call in calls} - {"all"},
                   key=lambda call: -max(calls.get(call, 0) for calls in counts.values()))
    lines = ["| | " + " | ".join(tables.PROXIES[name].title for name in counts) + " |", "|---|" + "---|" * len(counts)]
    for call in ["all", *names]:
        lines.append(f"| {call} | " + " | ".join(f"{calls.get(call, 0):.2f}" for calls in counts.values()) + " |")
    return "\n".join(lines)


def markdown_of(document):
    return tables.markdown(document) + noise_of(document)


def noise_of(document):
    rounds = len(document["rounds"])
    text = f"\n\n{rounds} round{'s' if rounds > 1 else ''}"
    ratios = not document["pair"] and any(key in tables.RATIOS for key in document["columns"])
    return text + ("; in brackets the ratio to mod_proxy in the same round." if ratios else ".")


def machine_of(documents):
    seen = list(documents.values())[-1]
    m = seen["machine"]
    rounds = sorted({len(d["rounds"]) for d in documents.values()})
    loads = [d["machine"]["load_average"] for d in documents.values()]
    spreads = [row[d["columns"][0]]["spread"] for d in documents.values() if len(d["rounds"]) > 1 and not d["pair"]
               for row in d["summary"].values() if d["columns"][0] in row]
    noise = f"Over all scenarios the first figure of a row spread by {sorted(spreads)[len(spreads) // 2] * 100:.0f} % in the median and " \
            f"{max(spreads) * 100:.0f} % at most (largest minus smallest of the rounds over their median)." if spreads else ""
    pinned = f"The proxy had core {m['proxy_core']} for itself, load and backend shared core {m['load_core']}." if m["proxy_core"] is not None else \
        "One core for everything."
    versions = ", ".join(f"{name} {text}" for name, text in m["versions"].items())
    return (f"{m['cpu']}{' (virtual)' if m['virtual'] else ''}, {m['cores']} cores, {m['memory_gib']} GiB, Linux {m['kernel']}, {m['system']}; {versions}. "
            f"Load average of the machine when the runs began: {min(loads):.1f} to {max(loads):.1f}. "
            f"{pinned} Loopback only. Rounds of {seen['seconds']:g} s, {rounds[0]} to {rounds[-1]} of them, the proxies in random order in each. {noise}"
            + "".join(f" {note}." for note in seen["notes"]))


def fill(text, documents):
    def replaced(match):
        name = match[2]
        if name == "machine":
            body = machine_of(documents)
        elif name == "targets":
            body = targets_of(documents)
        elif name.endswith("-calls") and name[:-6] in documents:
            body = calls_of(documents[name[:-6]])
        elif name in documents:
            body = markdown_of(documents[name])
        elif match[3].strip():
            return match[0]
        else:
            body = f"Not measured yet: `make bench S={name.removesuffix('-calls')}{' HOURS=1' if name == 'long-load' else ''}`."
        return f"{match[1]}{body}\n{match[4]}"
    return MARKER.sub(replaced, text)


def main():
    source, docs = Path(sys.argv[1]), Path(sys.argv[2])
    documents = {file.stem: json.loads(file.read_text()) for file in sorted(source.glob("*.json"))}
    if not documents:
        raise SystemExit(f"{source}: nothing measured yet; run make bench")
    page = docs / "performance.md"
    page.write_text(fill(page.read_text(), documents))
    for name, picture in plots.pictures(documents).items():
        (docs / f"performance-{name}.svg").write_text(picture)
        print(docs / f"performance-{name}.svg")
    print(page)


if __name__ == "__main__":
    main()
