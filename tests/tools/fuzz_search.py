#!/usr/bin/python3
"""Searches with fuzz targets one after the other, each for a number of CPU seconds, and says what came of it.

    fuzz_search.py FUZZ_DIR CPU_SECONDS NAME ...

New inputs go to FUZZ_DIR/found/NAME/, what a target trapped on to FUZZ_DIR/crashes/NAME/. CPU seconds,
not seconds, because a search usually runs beside something more urgent. One line for each target; ends
with 1 when there was a finding.
"""
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path


def cpu_seconds(pid):
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def search(folder, seconds, name):
    found, crashes = folder / "found" / name, folder / "crashes" / name
    for path in (found, crashes):
        path.mkdir(parents=True, exist_ok=True)
    log = folder / f"{name}.log"
    with open(log, "wb") as output:
        process = subprocess.Popen(
            [str(folder / f"fuzz_{name}"), f"-artifact_prefix={crashes}/", "-print_final_stats=1", "-timeout=20",
             "-rss_limit_mb=2048", "-use_value_profile=1", str(found), f"tests/fuzz/corpus/{name}"],
            stdin=subprocess.DEVNULL, stdout=output, stderr=output)
        used = 0.0
        while process.poll() is None:
            used = max(used, cpu_seconds(process.pid))
            if used >= seconds:
                process.send_signal(signal.SIGINT)
                process.wait()
                break
            time.sleep(0.5)
    text = log.read_text("utf-8", "replace")
    runs = re.findall(r"stat::number_of_executed_units: +(\d+)", text)
    states = re.findall(r"^#\d+.*cov: (\d+) ft: (\d+) corp: (\d+)", text, re.M)
    traps = sorted(file.name for file in crashes.iterdir())
    coverage = "edges {} features {} corpus {}".format(*states[-1]) if states else "no state"
    print(f"{name}: {runs[-1] if runs else '?'} executions in {used:.0f} CPU s, {coverage}, "
          f"{len(traps)} findings {' '.join(traps)}", flush=True)
    return not traps


def main():
    folder, seconds, names = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]
    return 0 if all([search(folder, seconds, name) for name in names]) else 1


if __name__ == "__main__":
    sys.exit(main())
