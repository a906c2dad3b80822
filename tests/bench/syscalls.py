"""Counts system calls of running processes: with perf where it may, else with strace, else not at all."""
import re
import shutil
import signal
import subprocess
from pathlib import Path

from processes import end_of, until

NAMED = ("read", "readv", "recvfrom", "recvmsg", "write", "writev", "sendto", "sendmsg", "sendfile64", "splice", "poll", "epoll_wait",
         "epoll_pwait", "epoll_ctl", "futex", "accept4", "connect", "socket", "close", "shutdown", "setsockopt", "getsockopt", "fcntl",
         "mmap", "munmap", "madvise", "openat", "pread64", "pwrite64")
EVENTS = ["raw_syscalls:sys_enter"] + [f"syscalls:sys_enter_{name}" for name in NAMED]


def tool():
    """"perf", "strace" or None, with a sentence for the last two."""
    if shutil.which("perf"):
        done = subprocess.run(["perf", "stat", "-e", EVENTS[0], "true"], capture_output=True, text=True, check=False)
        if done.returncode == 0 and "not supported" not in done.stderr:
            return "perf", ""
    if shutil.which("strace"):
        done = subprocess.run(["strace", "-c", "-o", "/dev/null", "true"], capture_output=True, check=False)
        if done.returncode == 0:
            return "strace", "perf may not count here: system calls are counted with strace, which slows the proxy and so batches its work"
    return None, "neither perf nor strace can count here: system calls are left out"


def counted(pids, folder, work, by_name=True):
    """(system calls by name with "all", what `work()` returned) or (None, ...) where nothing can count."""
    which, _ = tool()
    if which is None:
        return None, work()
    out = Path(folder) / "syscalls.txt"
    events = EVENTS if by_name else EVENTS[:1]
    if which == "perf":
        command = ["perf", "stat", "-x", ",", "-o", str(out), "-e", ",".join(events), "-p", ",".join(map(str, pids))]
    else:
        command = ["strace", "-c", "-f", "-o", str(out), *(word for pid in pids for word in ("-p", str(pid)))]
    counter = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    try:
        attached(counter, which, pids)
        result = work()
        counter.send_signal(signal.SIGINT)
        counter.wait(30)
    finally:
        end_of(counter)
    text = out.read_text()
    return (parse_perf(text) if which == "perf" else parse_strace(text)), result


def attached(counter, which, pids):
    """Waits until the counter looks at every process."""
    if which == "strace":
        for _ in pids:
            counter.stderr.readline()
        return
    # perf says nothing; it has opened an event for each thread when its descriptors do not grow any more.
    last = [-1, 0]

    def stable():
        now = len(list(Path(f"/proc/{counter.pid}/fd").iterdir()))
        last[1] = last[1] + 1 if now == last[0] and now > 3 else 0
        last[0] = now
        return last[1] > 8
    until(stable, "perf counts")


def parse_perf(text):
    counts = {}
    for line in text.splitlines():
        fields = line.split(",")
        if len(fields) > 2 and fields[0].isdigit():
            name = fields[2].rpartition("sys_enter")[2].lstrip("_") or "all"
            counts[name] = int(fields[0])
    if len(counts) > 1:
        counts["other"] = max(2 * counts["all"] - sum(counts.values()), 0)
    return {name: n for name, n in counts.items() if n or name == "all"}


def parse_strace(text):
    counts = {}
    for line in text.splitlines():
        row = re.match(r"\s*[\d.]+\s+[\d.]+\s+\d+\s+(\d+)(?:\s+\d+)?\s+(\w+)$", line)
        if row:
            counts["all" if row[2] == "total" else row[2]] = int(row[1])
    return counts
