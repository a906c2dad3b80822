#!/usr/bin/python3
"""Does the benchmark work? Every scenario with a few requests, exact counts, and the shape of the JSON; ends with `N passed, N failed`.

Needs neither nginx nor HAProxy, and asserts no timing.
"""
import json
import subprocess
import sys
import tempfile
from pathlib import Path

sys.dont_write_bytecode = True
import report  # noqa: E402
from processes import BENCH  # noqa: E402
from measure import Backend, clients  # noqa: E402
from scenarios import SCENARIOS, SMOKE, options_of  # noqa: E402
from support.backend import closed_port  # noqa: E402

def complaints_of(name, document):
    """What is wrong with a scenario's file."""
    scenario = SCENARIOS[name]
    if document["scenario"] != name or not document["machine"]["cpu"] or not document["machine"]["versions"]:
        yield "the machine is not named"
    for proxy, row in document["summary"].items():
        if row["errors"]:
            yield f"{proxy}: {row['errors']} {document['rounds']}"
        for key in scenario.columns:
            if key not in row and key not in ("calls", "cpu_us", "switches", "memory_mib"):
                yield f"{proxy}: no {key}"
        for sample in (one[proxy] for one in document["rounds"]):
            asked = options_of(scenario, SMOKE, 0).get("requests")
            if asked and not scenario.crowd and not scenario.pair and sample["answered"] != asked:
                yield f"{proxy}: {sample['answered']} answers instead of {asked}"
            if sample.get("lost"):
                yield f"{proxy}: {sample['lost']} lost"
    if "cxxproxy" not in document["summary"]:
        yield "nothing was measured"
    if len(report.markdown_of(document).splitlines()) < len(document["summary"]) + 2:
        yield "no table"


def wrong_answers_are_seen():
    """The load must notice what is not as asked."""
    backend = Backend()
    try:
        port = backend.ports[0]
        for kind, options in {"cut": {"length": 99}, "wrong_status": {"status": 404}, "wrong_bytes": {"path": "/_stats"}, "refused": {}}.items():
            target = closed_port() if kind == "refused" else port
            result = clients("load", target, requests=5, **options)
            seen = {name: n for name, n in result["errors"].items() if n}
            if seen != {kind: 5} or result["answered"] != 0:
                yield f"{kind}: {result}"
        result = clients("burst", port, connections=3, path="/hold", grace=0.2)
        if result["errors"]["unanswered"] != 3:
            yield f"unanswered: {result}"
    finally:
        backend.stop()


def main():
    passed = failed = 0
    with tempfile.TemporaryDirectory(prefix="cxxproxy-bench-") as folder:
        done = subprocess.run([sys.executable, str(BENCH / "run.py"), "--smoke", "-o", folder], capture_output=True, text=True, check=False)
        checks = {"the command": [] if done.returncode == 0 else [done.stdout[-3000:] + done.stderr[-3000:]],
                  "wrong answers are seen": list(wrong_answers_are_seen())}
        for name in SCENARIOS:
            file = Path(folder) / f"{name}.json"
            checks[name] = list(complaints_of(name, json.loads(file.read_text()))) if file.exists() else ["no file"]
    for name, complaints in checks.items():
        passed, failed = passed + (not complaints), failed + bool(complaints)
        for complaint in complaints:
            print(f"{name}: {complaint}")
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
