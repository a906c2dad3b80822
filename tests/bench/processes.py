"""Processes of the benchmark: pinned to a core, started in private folders, measured through /proc."""
import ctypes
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

BENCH = Path(__file__).resolve().parent
sys.path.insert(0, str(BENCH.parent / "integration"))
from support.waiting import until  # noqa: E402

# The proxy has a core for itself; load and backend share the other one.
PROXY_CORE, LOAD_CORE = (0, 1) if (os.cpu_count() or 1) > 1 else (None, None)
TICK = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")
DESCRIPTORS = 65536
_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None)


def raise_descriptor_limit():
    """10,000 tunnels are 20,000 descriptors and more; the hard limit may be raised by a privileged user only."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(hard, DESCRIPTORS), max(hard, DESCRIPTORS)))
    except ValueError:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def descriptor_limit():
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def private_folder(name):
    root = Path(tempfile.mkdtemp(prefix=f"cxxproxy-bench-{name}-"))
    root.chmod(0o755)
    return root


def spawn(command, core, **streams):
    """A process on this core (and whatever it starts); it ends when this program does."""
    def prepare():
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if core is not None:
            os.sched_setaffinity(0, {core})
    return subprocess.Popen([str(word) for word in command], preexec_fn=prepare, start_new_session=True, **streams)


class Server:
    """A process that listens on `port`. A subclass says how to write its configuration and what to run."""

    def __init__(self, name, core):
        self.root = private_folder(name)
        self.core = core
        self.process = None
        self.story = ""

    def launch(self, command, ready):
        with open(self.root / "output.txt", "ab") as output:
            self.process = spawn(command, self.core, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
        try:
            until(lambda: self.process.poll() is not None or ready(), f"{command[0]} is up", timeout=60)
            assert self.process.poll() is None, f"{command[0]} did not start"
        except AssertionError as error:
            self.stop()
            raise AssertionError(f"{error}\n{self.story}") from None

    def stop(self):
        self.story = "".join(f"--- {file.name}\n{file.read_text(errors='replace')[-4000:]}\n"
                             for name in ("output.txt", "error.log") if (file := self.root / name).exists())
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait(10)
        shutil.rmtree(self.root, ignore_errors=True)

    def pids(self):
        return [self.process.pid, *descendants(self.process.pid)]


def descendants(pid):
    found = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            children = [int(word) for word in task.read_text().split()]
        except OSError:
            continue
        found += [one for child in children for one in (child, *descendants(child))]
    return found


def cpu_seconds(pids):
    """utime + stime of these processes and of their children that have ended."""
    ticks = 0
    for pid in pids:
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        ticks += sum(int(field) for field in fields[11:15])
    return ticks / TICK


def context_switches(pids):
    total = 0
    for pid in pids:
        for status in Path(f"/proc/{pid}/task").glob("*/status"):
            try:
                text = status.read_text()
            except OSError:
                continue
            total += sum(int(line.split()[1]) for line in text.splitlines() if "ctxt_switches" in line)
    return total


def memory(pids):
    """Bytes: proportional set size, so that what the processes share counts once."""
    total = 0
    for pid in pids:
        try:
            total += int(Path(f"/proc/{pid}/smaps_rollup").read_text().split("Pss:")[1].split()[0]) * 1024
        except (OSError, IndexError):
            pass
    return total


def thread_count(pids):
    return sum(len(list(Path(f"/proc/{pid}/task").glob("*"))) for pid in pids)


def end_of(process, patience=10):
    """Ends a helper process that may not have ended by itself."""
    if process.poll() is None:
        process.kill()
    process.wait(patience)
