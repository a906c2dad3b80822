"""A private httpd: its own folder, ports, configuration and logs; nothing of it survives the test.

Configuration text is written once for both name families: `{P}ProxyPass` becomes `CxxProxyPass` or
`ProxyPass`. Other `{words}` are filled from the server (port, tls_port, root, ...) and from keyword
arguments; braces that httpd itself uses (`%{...}e`) are left alone.
"""
import contextlib
import os
import re
import resource
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path

from . import settings
from .waiting import accepts, free_port, until

LIVE = []  # every server that runs now; the log check after each test walks it

MOD_PROXY = ("proxy", "proxy_http", "slotmem_shm", "proxy_balancer", "lbmethod_byrequests")
BASE_MODULES = ("authz_core", "alias", "dir", "mime", "headers", "setenvif", "env")

SEVERE = ("emerg", "alert", "crit", "error", "warn")
CRASH = re.compile(r"AddressSanitizer|ThreadSanitizer|runtime error|exit signal|Segmentation|terminate called")
LEVEL = re.compile(r"^\[[^\]]+\] \[(?P<module>[a-z0-9_-]*):(?P<level>[a-z0-9]+)\] \[pid \d+")
# Warnings of configtest, repeated at a start: tests/conf/ has them, and what must cause none.
LINT = re.compile(r"mod_cxxproxy: .* \(line \d+ of \S+\)$")
# What mod_proxy and we say about a backend that misbehaves; tests that provoke it allow it.
# See wait_for_calm: the event MPM's own, with or without us.
MPM_RACE = re.compile(r"\[mpm_event:error\].* AH0309[23]: ")
# A machine whose OpenSSL is a little older than its httpd; about the machine, whatever is loaded.
OLD_OPENSSL = re.compile(r"\[ssl:warn\].* AH01882: ")
# CXXPROXY_REACTOR=On asks for a loop on servers that cannot have one.
NO_LOOP = re.compile(r"\[cxxproxy:warn\].* CXP0065: ")
PROXY_TROUBLE = r"\[(proxy|proxy_http|proxy_balancer|cxxproxy):(warn|error)\]"

TOOLS = Path(__file__).resolve().parents[2] / "tools"  # what valgrind and ThreadSanitizer need not tell

ACCESS_FORMAT = ('status=%>s|bytes=%B|out=%O|conn=%X|pid=%P|method=%m|path=%U|vhost=%v|'
                 'balancer=%{BALANCER_NAME}e|worker=%{BALANCER_WORKER_NAME}e|'
                 'route=%{BALANCER_WORKER_ROUTE}e')

TEMPLATE = '''\
ServerRoot "{root}"
DefaultRuntimeDir "{root}/run"
PidFile "{root}/run/httpd.pid"
ServerName proxy.test
{user}
{listen}
{load}
{mpm}
Timeout 60
KeepAliveTimeout 5
MaxKeepAliveRequests 0
GracefulShutdownTimeout 20
ErrorLog "{root}/error.log"
LogLevel {log_level}
LogFormat "{access_format}" tests
CustomLog "{root}/access.log" tests
TypesConfig "{root}/mime.types"
DocumentRoot "{root}/htdocs"
<Directory "/">
    Require all denied
</Directory>
<Directory "{root}/htdocs">
    Require all granted
</Directory>
DirectoryIndex index.html
'''

WELCOME = "It works: this is the page of the server itself\n"


def environment(reports):
    """What httpd is started with; sanitizers write into the folder `reports`."""
    variables = {k: v for k, v in os.environ.items() if not k.startswith("APACHE_")}
    if settings.ASAN:
        runtime = [subprocess.check_output(["gcc", f"-print-file-name={lib}"], text=True).strip()
                   for lib in ("libasan.so", "libubsan.so")]
        variables["LD_PRELOAD"] = " ".join(runtime)
        variables["ASAN_OPTIONS"] = ("detect_leaks=0:abort_on_error=1:quarantine_size_mb=8:"
                                     f"log_path={reports}/report")
        variables["UBSAN_OPTIONS"] = f"print_stacktrace=1:log_path={reports}/report"
    if settings.TSAN:
        variables["LD_PRELOAD"] = subprocess.check_output(["gcc", "-print-file-name=libtsan.so"], text=True).strip()
        # Servers fork; what other signal handlers do is httpd's.
        variables["TSAN_OPTIONS"] = ("exitcode=0:die_after_fork=0:report_signal_unsafe=0:history_size=4:atexit_sleep_ms=0:"
                                     f"suppressions={TOOLS}/tsan.supp:log_path={reports}/report")
    return variables


def races_of_the_module(text):
    """The reports of ThreadSanitizer in which one side at least is ours.

    httpd and APR are not instrumented: what is reported without a frame of this module is about their own sockets, which they
    hand over by atomics that ThreadSanitizer does not see. What made the threads comes after the stacks of the two sides.
    Whatever is not a report says that the runtime itself is in trouble, and is kept.
    """
    found = []
    for report in (part.strip() for part in re.split(r"^={10,}$", text, flags=re.M)):
        sides = re.split(r"^  (?:Location|Mutex|Thread) ", report, flags=re.M)[0]
        foreign = report.startswith("WARNING: ThreadSanitizer") and "mod_cxxproxy" not in sides
        if report and not foreign and not report.startswith("ThreadSanitizer: reported"):
            found.append(report)
    return found


def fill(text, words):
    return re.sub(r"(?<!%)\{(\w+)\}", lambda m: str(words.get(m.group(1), m.group(0))), text)


class Httpd:
    """See the module text. `modules` are names without mod_; `proxy` says which proxy is loaded:
    "default" (the one under test), or a list of LoadModule lines."""

    def __init__(self, conf, *, family=None, mpm="event", processes=1, threads=16, modules=(),
                 compat=False, proxy="default", tls=None, ports=1, log_level="info", before="",
                 descriptors=None, **words):
        self.family = family or settings.DEFAULT_FAMILY
        assert self.family in settings.FAMILIES or proxy != "default"
        self.root = Path(tempfile.mkdtemp(prefix="cxxproxy-it-"))
        self.root.chmod(0o755)
        for folder in ("run", "htdocs", "asan"):
            (self.root / folder).mkdir()
        (self.root / "asan").chmod(0o777)
        (self.root / "htdocs" / "index.html").write_text(WELCOME)
        (self.root / "mime.types").write_text("text/html html\ntext/plain txt\n")
        self.mpm, self.processes, self.threads = mpm, processes, threads
        self.ports = [free_port() for _ in range(ports)]
        self.port = self.ports[0]
        self.tls_port = free_port() if tls else None
        self.process = None
        self._expected, self._allowed, self._allowed_before = [], [], []
        self._killed = set()
        self._told_to_end = False
        self._read = 0
        words = dict(words, P="Cxx" if self.family == "cxx" else "", port=self.port,
                     tls_port=self.tls_port, root=self.root, docroot=self.root / "htdocs",
                     **{f"port{i}": p for i, p in enumerate(self.ports)})
        if tls:
            words.update(cert=tls[0], key=tls[1])
            before += "SSLSessionCache \"shmcb:{root}/run/ssl_cache\"\n"
        self.words = words
        self._modules = list(dict.fromkeys(BASE_MODULES + tuple(modules)))
        if tls:
            self._modules += ["socache_shmcb", "ssl"]
        self._proxy_lines = self._proxy(proxy, compat)
        self._log_level, self._before, self._descriptors = log_level, before, descriptors
        self.configure(conf)
        LIVE.append(self)

    # --- configuration ---------------------------------------------------------------------------

    @staticmethod
    def _proxy(proxy, compat):
        if proxy != "default":
            return list(proxy)
        if not settings.OWN:
            return [load_line(name) for name in MOD_PROXY]
        lines = [f"LoadModule cxxproxy_module {settings.SO}"]
        if compat:
            lines.append(f"LoadModule proxy_module {settings.COMPAT_SO}")
        return lines

    def _mpm_text(self):
        n, threads = self.processes, self.threads
        if self.mpm == "prefork":
            return (f"StartServers {n}\nMinSpareServers 1\nMaxSpareServers {n + 1}\n"
                    f"ServerLimit {2 * n + 8}\nMaxRequestWorkers {n}\n")
        return (f"StartServers {n}\nThreadLimit {threads}\nServerLimit {2 * n + 4}\n"
                f"ThreadsPerChild {threads}\nMinSpareThreads 1\nMaxSpareThreads {n * threads}\n"
                f"MaxRequestWorkers {n * threads}\n")

    def configure(self, conf):
        """Writes httpd.conf; a running server sees it at its next (graceful) restart."""
        self.words.update(
            user="User www-data\nGroup www-data" if os.geteuid() == 0 else "",
            listen="\n".join(f"Listen 127.0.0.1:{p}"
                             for p in self.ports + ([self.tls_port] if self.tls_port else [])),
            load="\n".join([load_line(f"mpm_{self.mpm}")] + [load_line(m) for m in self._modules] +
                           self._proxy_lines),
            mpm=self._mpm_text(), log_level=self._log_level, access_format=ACCESS_FORMAT)
        (self.root / "httpd.conf").write_text(
            fill(TEMPLATE, self.words) + self._reactor(conf) + fill(self._before, self.words) + fill(conf, self.words))

    def _reactor(self, conf):
        """What this run of the tests says about the event loop (CXXPROXY_REACTOR). With On a connection is the
        loop's after its first request, unless the test says how long a thread stays with it."""
        ours = any("cxxproxy_module" in line for line in self._proxy_lines)
        said = self._before + conf
        # A server that says nothing about proxies must stay one.
        if not ours or not settings.REACTOR or "ProxyReactor" in said or "Proxy" not in said:
            return ""
        return "CxxProxyReactor Off\n" if settings.REACTOR == "Off" else "CxxProxyReactor On\nCxxProxyKeepAliveStay 0\n"

    def _command(self, *more):
        """Under valgrind each process writes its own report, which is empty without a finding."""
        checker = [] if not settings.VALGRIND else [
            "valgrind", "-q", "--vgdb=no", "--trace-children=yes", "--keep-debuginfo=yes", "--num-callers=30",
            f"--suppressions={TOOLS}/valgrind.supp", f"--log-file={self.root}/asan/valgrind.%p"]
        return [*checker, settings.HTTPD, "-d", str(self.root), "-f", str(self.root / "httpd.conf"), *more]

    def configtest(self):
        """(exit status, everything it said)."""
        done = subprocess.run(self._command("-t"), env=environment(self.root / "asan"), text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=60,
                              check=False)
        return done.returncode, done.stdout

    def dump(self, *more):
        """What configtest with these further arguments prints on stdout."""
        done = subprocess.run(self._command("-t", *more), env=environment(self.root / "asan"), text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=60, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    # --- life ------------------------------------------------------------------------------------

    def start(self):
        before = self._generations()
        with open(self.root / "stderr.txt", "ab") as stderr:
            self.process = subprocess.Popen(
                self._command("-DFOREGROUND"), env=environment(self.root / "asan"), stdin=subprocess.DEVNULL,
                stdout=stderr, stderr=stderr, start_new_session=True, preexec_fn=self._limit)
        try:
            until(lambda: self.process.poll() is not None or self._generations() > before,
                  "httpd resumes normal operations")
            assert self.process.poll() is None, "httpd did not start"
            for port in self.ports + ([self.tls_port] if self.tls_port else []):
                until(lambda p=port: accepts(p), f"httpd accepts on port {port}")
        except AssertionError as error:
            self._kill_group()
            raise AssertionError(f"{error}\n{self.story()}") from None
        return self

    def _limit(self):
        """In the new process: no more descriptors than the test wants."""
        if self._descriptors:
            resource.setrlimit(resource.RLIMIT_NOFILE, (self._descriptors, self._descriptors))

    def _generations(self):
        return self.error_log().count("resuming normal operations")

    def _signal(self, number):
        before = self._generations()
        os.kill(self.process.pid, number)
        until(lambda: self._generations() > before, f"httpd comes back after {number!r}")

    def graceful(self):
        """apachectl graceful; returns when the new generation runs."""
        self._signal(signal.SIGUSR1)

    def restart(self):
        """apachectl restart. The event MPM of httpd may crash when it ends a child that is closing a
        client connection (seen with mod_proxy alone as well), so such connections end first."""
        self.quiesce()
        self._signal(signal.SIGHUP)
        until(lambda: accepts(self.port), "httpd accepts after a restart")
        self.quiesce()

    def children(self):
        """The pids of the server's child processes."""
        return children_of(self.process.pid)

    def kill_child(self, pid):
        """kill -9; the line that httpd writes about it is expected."""
        self._killed.add(pid)
        os.kill(pid, signal.SIGKILL)

    def resident(self):
        """Bytes resident in all children together."""
        total = 0
        for pid in self.children():
            try:
                total += int(Path(f"/proc/{pid}/statm").read_text().split()[1])
            except OSError:
                pass
        return total * os.sysconf("SC_PAGE_SIZE")

    def descriptors(self):
        """Open descriptors of all children together."""
        return sum(len(list(Path(f"/proc/{pid}/fd").iterdir())) for pid in self.children())

    def _kill_group(self):
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait(10)

    def end(self, number):
        """Tells the server to end by itself, now (SIGTERM) or when everybody has been served (SIGWINCH)."""
        self._told_to_end = True
        os.kill(self.process.pid, number)

    def stop(self):
        """Ends the server, checks that nothing of it is left, and reads its log to the end."""
        if self in LIVE:
            LIVE.remove(self)
        trouble = []
        try:
            if self.process is not None:
                if self._told_to_end:
                    trouble += self._wait_for_end()
                elif self.process.poll() is not None:
                    trouble.append(f"httpd had ended by itself: {self.process.returncode}")
                else:
                    trouble += self._terminate()
                trouble += self.check_log()
        finally:
            if not settings.KEEP:
                shutil.rmtree(self.root, ignore_errors=True)
        assert not trouble, "\n".join(trouble)

    def shut_down(self):
        """apachectl stop; start() may follow."""
        trouble = self._terminate()
        assert not trouble, trouble

    def quiesce(self):
        wait_for_calm(self.ports + [self.tls_port or 0], self.children)

    def _terminate(self):
        self.quiesce()
        self.process.terminate()
        return self._wait_for_end()

    def _wait_for_end(self):
        try:
            self.process.wait(settings.PATIENCE)
        except subprocess.TimeoutExpired:
            self._kill_group()
            return ["httpd did not end after SIGTERM"]
        try:
            os.killpg(self.process.pid, 0)
        except ProcessLookupError:
            return []
        self._kill_group()
        return ["httpd left children behind"]

    # --- logs ------------------------------------------------------------------------------------

    def error_log(self):
        path = self.root / "error.log"
        return path.read_text("utf-8", "replace") if path.exists() else ""

    def stderr(self):
        path = self.root / "stderr.txt"
        return path.read_text("utf-8", "replace") if path.exists() else ""

    def story(self):
        """What a failed start left behind."""
        return f"--- stderr\n{self.stderr()}\n--- error log\n{self.error_log()[-6000:]}"

    def allow_log(self, pattern=PROXY_TROUBLE):
        """Lines that this test may cause."""
        self._allowed.append(re.compile(pattern))

    def wait_for_threads(self):
        """The event MPM drops kept client connections while a child is still starting its threads."""
        if self.mpm == "prefork":
            return

        def running():
            return sum(len(os.listdir(f"/proc/{pid}/task")) for pid in self.children())
        until(lambda: running() > self.processes * (self.threads + 1), "all threads run")

    def expect_log(self, pattern, timeout=None):
        """A line that this test must cause; waits for it and returns it."""
        expression = re.compile(pattern)
        self._allowed.append(expression)

        def found():
            return next((line for line in self.error_log()[self._read:].splitlines()
                         if expression.search(line)), None)
        return until(found, f"a log line that matches {pattern}\n{self.error_log()[self._read:]}",
                     timeout)

    def forbid_log(self, pattern):
        assert not re.search(pattern, self.error_log()[self._read:]), pattern

    def check_log(self):
        """Lines since the last check that no test declared: a list of complaints.

        What one test allowed stays allowed during the next, since a line may come after the answer
        that belongs to it.
        """
        text = self.error_log()
        end = text.rfind("\n") + 1
        fresh, self._read = text[self._read:end], end
        allowed = self._allowed + self._allowed_before
        self._allowed, self._allowed_before = [], self._allowed
        complaints = []
        for line in fresh.splitlines():
            if any(f"child pid {pid} exit signal Killed" in line for pid in self._killed):
                continue
            if CRASH.search(line):
                complaints.append(f"error log: {line}")
                continue
            level = LEVEL.match(line)
            if level and level["level"] not in SEVERE or MPM_RACE.search(line) or LINT.search(line) or OLD_OPENSSL.search(line):
                continue
            if settings.REACTOR == "On" and NO_LOOP.search(line):
                continue
            if not any(expression.search(line) for expression in allowed):
                complaints.append(f"error log: {line}")
        if CRASH.search(self.stderr()):
            complaints.append(f"stderr: {self.stderr()}")
        for report in (self.root / "asan").glob("*"):
            text = report.read_text("utf-8", "replace")
            findings = races_of_the_module(text) if settings.TSAN else [text] if text else []
            complaints += [f"{report.name}: {finding[:8000]}" for finding in findings]
            if text:
                report.unlink()
        return complaints

    def access(self, count=None):
        """The access log as dictionaries; waits for `count` lines when given."""
        path = self.root / "access.log"

        def lines():
            return path.read_text().splitlines() if path.exists() else []
        if count is not None:
            until(lambda: len(lines()) >= count, f"{count} access log lines, there are {lines()}")
        return [dict(part.split("=", 1) for part in line.split("|")) for line in lines()]


def load_line(name):
    """LoadModule for one of httpd's own modules."""
    return f"LoadModule {name}_module {settings.MODULES}/mod_{name}.so"


def children_of(parent):
    """The pids of a process's children."""
    pids = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                stat = (entry / "stat").read_text()
            except OSError:
                continue
            if int(stat.rpartition(")")[2].split()[1]) == parent:
                pids.append(int(entry.name))
    return pids


def wait_for_calm(ports, children):
    """Waits (briefly) until no client connection is open and every thread sleeps.

    httpd 2.4's event MPM can fail inside its own pollset, or crash, when SIGTERM meets a worker that is
    just putting a connection away (AH03092, AH03093; seen with stock mod_proxy, and in a core dump
    without a frame of any module). No test is about that, and it would drown crashes that are ours.
    """
    local = {f"0100007F:{p:04X}" for p in ports}
    calm = [0]

    def idle():
        lines = Path("/proc/net/tcp").read_text().splitlines()[1:]
        open_ = any(line.split()[1] in local and line.split()[3] in ("01", "08", "04", "05") for line in lines)
        calm[0] = calm[0] + 1 if not open_ and all_asleep(children()) else 0
        return calm[0] >= 2
    for condition, patience in (idle, 1), (lambda: all_asleep(children()), 4):  # clients may stay, but nothing may be under way
        with contextlib.suppress(AssertionError):
            until(condition, "the server is calm", timeout=patience)
            break


def all_asleep(pids):
    for pid in pids:
        for stat in Path(f"/proc/{pid}/task").glob("*/stat"):
            try:
                if stat.read_text().rpartition(")")[2].split()[0] not in "SI":
                    return False
            except OSError:
                pass
    return True
