#!/usr/bin/python3
"""Runs the integration tests file by file, several files at a time, and adds up their counts.

Most of these tests wait for sockets and processes, so two pytests side by side keep two processors
busier than one does. Files take turns in a queue: those that are known to take long go first, so that
none of them is left alone at the end. A file's output is shown in one piece when it is done. A file with
a failure is run once more when nothing else runs, because some failures are about a machine that was busy
for seconds; both outcomes are shown and the second one counts, but a crash or a sanitizer's report counts
at once. The last line is `N passed, N failed`.

    shards.py FOLDER_OR_FILE ... [-j N] [pytest argument ...]

An argument that the files do not agree on (`-k`) may leave a file without tests; all files together
must have run something.
"""
import itertools
import os
import queue
import re
import subprocess
import sys
import threading
import time
from pathlib import Path

sys.dont_write_bytecode = True
from check import count_pytest  # noqa: E402

# The files that take longest, longest first (the last line but two of a run says what each took).
LONG = ("test_citizen.py", "test_balancer.py", "test_failures.py", "test_graceful.py", "test_debian_layout.py",
        "test_differential.py", "test_soak.py", "test_reactor_life.py", "test_streaming.py", "test_switches.py", "test_methods_bodies.py", "test_pool.py", "test_many.py",
        "test_tutorial.py", "test_mpms.py")

# What no busy machine brings about: such a file gets no second chance.
NEVER_CHANCE = re.compile(r"ERROR: AddressSanitizer|WARNING: ThreadSanitizer|runtime error:|exit signal|Segmentation|terminate called")

NO_TESTS = 5  # pytest's exit status when everything was deselected


def files_of(paths):
    files = sorted(file for path in paths for file in (path.glob("test_*.py") if path.is_dir() else [path]))
    return sorted(files, key=lambda file: LONG.index(file.name) if file.name in LONG else len(LONG))


def run_file(file, arguments):
    """(passed, failed, output) of one file."""
    done = subprocess.run([sys.executable, "-m", "pytest", *arguments, str(file)], text=True, errors="replace",
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    passed, failed = count_pytest(done.stdout)
    if done.returncode not in (0, NO_TESTS) and not failed:
        failed = 1
    if done.returncode == 0 and passed + failed == 0:
        failed = 1
    return passed, failed, done.stdout


def run_all(files, jobs, arguments):
    """(passed, failed, [(seconds, file name)])."""
    waiting, lock = queue.SimpleQueue(), threading.Lock()
    for file in files:
        waiting.put(file)
    sums, times, again = [0, 0], [], []

    def add(passed, failed, output):
        sums[0] += passed
        sums[1] += failed
        sys.stdout.write(output)
        sys.stdout.flush()

    def work():
        while True:
            try:
                file = waiting.get_nowait()
            except queue.Empty:
                return
            started = time.monotonic()
            passed, failed, output = run_file(file, arguments)
            with lock:
                times.append((time.monotonic() - started, file.name))
                if failed and not NEVER_CHANCE.search(output):
                    again.append((file, failed, output))
                else:
                    add(passed, failed, output)

    threads = [threading.Thread(target=work) for _ in range(jobs)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for file, failed, output in again:
        print(f"{output}\n=== {file.name}: {failed} failed beside other files; once more, alone, and that counts", flush=True)
        add(*run_file(file, arguments))
    return sums[0], sums[1], times


def main(*arguments):
    paths = [Path(argument) for argument in itertools.takewhile(os.path.exists, arguments)]
    arguments = arguments[len(paths):]
    jobs = max(2, len(os.sched_getaffinity(0)) * 3 // 2)  # most of a test's time is waiting
    if arguments[:1] == ("-j",):
        jobs, arguments = int(arguments[1]), arguments[2:]
    started = time.monotonic()
    passed, failed, times = run_all(files_of(paths), jobs, arguments)
    print("\nseconds by file:", ", ".join(f"{name} {seconds:.0f}" for seconds, name in sorted(times, reverse=True)))
    if passed + failed == 0:
        print("no test ran")
        failed = 1
    print(f"{time.monotonic() - started:.0f} s with {jobs} at a time")
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
