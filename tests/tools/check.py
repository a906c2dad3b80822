#!/usr/bin/python3
"""Runs the stages of `make check`, shows all their output, and adds up their counts.

A stage passes when its command ends with 0, ran something, and reported no failure; a test that was
skipped did not run and counts as failed. Stages go on after a failure, except those which need the
product of a failed one. The last line is `N passed, N failed`.

    check.py BUILD_DIR [stage ...]      (MAKE in the environment names the make to call)
"""
import os
import re
import signal
import subprocess
import sys
import time


class Stage:
    def __init__(self, name, command, needs=(), count=None, env=None, minutes=10):
        self.name = name
        self.command = command
        self.needs = needs
        self.count = count
        self.env = env or {}
        self.minutes = minutes


def count_catch(text):
    """Catch2's closing line: test cases, not assertions."""
    done = re.findall(r"^All tests passed \(\d+ assertions? in (\d+) test cases?\)", text, re.M)
    if done:
        return int(done[-1]), 0
    line = re.findall(r"^test cases:.*$", text, re.M)
    numbers = {word: int(n) for n, word in re.findall(r"(\d+) (passed|failed)", line[-1])} if line else {}
    return numbers.get("passed", 0), numbers.get("failed", 0)


def count_pytest(text):
    """pytest's closing line; whatever is neither passed nor deselected counts as failed."""
    lines = re.findall(r"^(?:=+ )?((?:\d+ [a-z]+(?:, )?)+ in [\d.]+s.*)$", text, re.M)
    passed = failed = 0
    for number, word in re.findall(r"(\d+) ([a-z]+)", lines[-1].split(" in ")[0]) if lines else []:
        if word == "passed":
            passed += int(number)
        elif not word.startswith(("deselected", "warning")):
            failed += int(number)
    return passed, failed


def count_plain(text):
    lines = re.findall(r"^(\d+) passed, (\d+) failed$", text, re.M)
    return (int(lines[-1][0]), int(lines[-1][1])) if lines else (0, 0)


def make(*targets):
    return [os.environ.get("MAKE", "make"), "--no-print-directory", *targets]


def stages(build):
    def so(directory):
        return os.path.join(os.path.abspath(directory), "mod_cxxproxy.so")

    asan = f"{build}/asan"
    return [
        Stage("build", make("all", "O=" + build), minutes=10),
        Stage("build-clang", make("clang", "O=" + build), minutes=15),
        Stage("build-asan", make("asan", "O=" + build), minutes=15),
        Stage("build-tsan", make("tsan", "O=" + build), minutes=15),
        Stage("tools", make("tools-check", "O=" + build), count=count_plain),
        Stage("layers", make("layers", "O=" + build), count=count_plain),
        Stage("symbols", make("symbols", "O=" + build), ["build", "build-clang", "build-asan"], count_plain),
        Stage("tags", make("tags", "O=" + build), count=count_plain),
        Stage("docs", make("docs-check", "O=" + build), count=count_plain),
        Stage("unit", make("unit-plain", "O=" + build), count=count_catch),
        Stage("unit-asan", make("unit-asan", "O=" + build), count=count_catch, minutes=15),
        Stage("unit-tsan", make("tsan-unit", "O=" + build), count=count_catch, minutes=15),
        Stage("fuzz-replay", make("fuzz-replay", "O=" + build), count=count_plain, minutes=15),
        Stage("conf", make("conf", "O=" + build), ["build"], count_plain),
        Stage("conf-asan", make("conf-asan", "O=" + build), ["build-asan"], count_plain),
        Stage("install", make("install-check", "O=" + build), ["build"], count_plain),
        Stage("demo", make("demo-check", "O=" + build), ["build"], count_plain),
        Stage("bench", make("bench-smoke", "O=" + build), ["build"], count_plain),
        Stage("valgrind", make("valgrind", "O=" + build), ["build"], count_pytest),
        # Every test without the event loop and with it; those that a sanitizer's run leaves out have a run of their own.
        Stage("itest", make("itest-plain", "O=" + build, "REACTOR=Off"), ["build"], count_plain, minutes=20),
        Stage("itest-loop", make("itest-plain", "O=" + build, "REACTOR=On", "ARGS=-m plain"), ["build"], count_pytest, minutes=5),
        Stage("itest-tsan", make("itest-tsan", "O=" + build, "REACTOR=On"), ["build-tsan"], count_plain, minutes=10),
        Stage("itest-asan", make("itest-asan", "O=" + build, "REACTOR=On"), ["build-asan"], count_plain, minutes=20),
    ]


def hear_interrupts():
    """A shell that was itself started in the background ignores Ctrl-C, and so would the demo under test."""
    for number in (signal.SIGINT, signal.SIGQUIT):
        signal.signal(number, signal.SIG_DFL)


def run(stage):
    """The stage's return code and text; its whole process group ends with it."""
    env = dict(os.environ, **stage.env)
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "ALL_PROXY", "all_proxy",
                 "MAKEFLAGS", "MFLAGS", "MAKELEVEL", "ARGS", "ROOMS", "REACTOR"):
        env.pop(name, None)
    process = subprocess.Popen(stage.command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT, text=True, errors="replace", env=env,
                               start_new_session=True, preexec_fn=hear_interrupts)

    def too_long(*_):
        raise TimeoutError

    text = []
    signal.signal(signal.SIGALRM, too_long)
    signal.alarm(stage.minutes * 60)
    try:
        for line in process.stdout:
            text.append(line)
            sys.stdout.write(line)
            sys.stdout.flush()
        return process.wait(), "".join(text)
    except TimeoutError:
        print(f"{stage.name}: still running after {stage.minutes} minutes, ended", flush=True)
        return -1, "".join(text)
    finally:
        signal.alarm(0)
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass


def result(stage, code, text):
    passed, failed = stage.count(text) if stage.count else ((1, 0) if code == 0 else (0, 1))
    if code != 0 and failed == 0:
        failed = 1
    if passed + failed == 0:
        print(f"{stage.name}: ran nothing")
        failed = 1
    return passed, failed


def stop(*_):
    raise KeyboardInterrupt


def main():
    build, wanted = sys.argv[1], sys.argv[2:]
    plan = stages(build)
    unknown = set(wanted) - {stage.name for stage in plan}
    if unknown:
        print("no such stage:", *sorted(unknown))
        return 2
    if wanted:
        plan = [stage for stage in plan if stage.name in wanted]
    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGHUP, stop)
    table = []
    broken = set()
    for stage in plan:
        print(f"\n=== {stage.name}", flush=True)
        started = time.monotonic()
        lost = [need for need in stage.needs if need in broken]
        if lost:
            print(f"{stage.name}: not run, needs {' '.join(lost)}")
            passed, failed = 0, 1
        else:
            passed, failed = result(stage, *run(stage))
        if failed:
            broken.add(stage.name)
        table.append((stage.name, passed, failed, time.monotonic() - started))
    print()
    for name, passed, failed, seconds in table:
        print(f"{'ok  ' if not failed else 'FAIL'} {name:12} {passed:6} passed {failed:5} failed {seconds:7.0f} s")
    passed = sum(row[1] for row in table)
    failed = sum(row[2] for row in table)
    print(f"{passed} passed, {failed} failed", flush=True)
    return 0 if failed == 0 and passed else 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(130)
