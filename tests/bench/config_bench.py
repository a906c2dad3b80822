#!/usr/bin/python3
"""What many rules cost: finding one, and configtest, start, reload and memory of large configurations, beside mod_proxy.

    config_bench.py [--lookups build/route_bench] [-o FILE] build/mod_cxxproxy.so

Configurations: 10,000 ProxyPass lines in the main server and in one virtual host; 1,000 virtual hosts with ten each; and 1,000
lines in the main server that 1,000 virtual hosts inherit. Starts private servers on loopback. FILE gets the figures as JSON:
{"lookups": [...], "configurations": [...]}, times in seconds, memory in MiB, nanoseconds for a lookup.
"""
import argparse
import json
import os
import signal
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

HTTPD = os.environ.get("HTTPD", "/usr/sbin/apache2")
MODULES = Path("/usr/lib/apache2/modules")
MOD_PROXY = [f"LoadModule {m}_module {MODULES}/mod_{m}.so" for m in ("proxy", "proxy_http")]
PORT = int(os.environ.get("PORT", "18979"))


def main_rules(count):
    return "".join(f"ProxyPass /app{i}/ http://127.0.0.1:{20000 + i % 5000}/app{i}/\n" for i in range(count))


def vhosts(count, rules):
    text = ""
    for v in range(count):
        text += f"<VirtualHost *:{PORT}>\nServerName v{v}.test\n"
        text += "".join(f"ProxyPass /r{i}/ http://127.0.0.1:{20000 + v}/r{i}/\n" for i in range(rules))
        text += "</VirtualHost>\n"
    return text


CONFIGURATIONS = {"10,000 lines in the main server": main_rules(10_000),
                  "10,000 lines in one vhost": f"<VirtualHost *:{PORT}>\nServerName v.test\n{main_rules(10_000)}</VirtualHost>\n",
                  "1,000 vhosts x 10": vhosts(1_000, 10),
                  "1,000 lines + 1,000 vhosts x 1": main_rules(1_000) + vhosts(1_000, 1)}


def write(root, loaded, rules):
    lines = [f'ServerRoot "{root}"', f'DefaultRuntimeDir "{root}"', f'PidFile "{root}/pid"', f'ErrorLog "{root}/log"', "LogLevel error",
             "ServerName proxy.test", f"Listen 127.0.0.1:{PORT}", "StartServers 1", "ServerLimit 4",
             "ThreadsPerChild 25", "MaxRequestWorkers 25", "MinSpareThreads 1", "MaxSpareThreads 26",
             "User www-data\nGroup www-data" if os.geteuid() == 0 else "",
             f"LoadModule mpm_event_module {MODULES}/mod_mpm_event.so", f"LoadModule authz_core_module {MODULES}/mod_authz_core.so"]
    if not loaded:
        rules = "\n".join(line for line in rules.splitlines() if not line.startswith("ProxyPass"))
    (root / "httpd.conf").write_text("\n".join(lines + loaded) + "\n" + rules + "\n")
    return [HTTPD, "-d", str(root), "-f", str(root / "httpd.conf")]


def run(command):
    """Seconds and peak memory in MiB."""
    start = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    errors = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    assert status == 0, errors.decode()
    return time.monotonic() - start, usage.ru_maxrss / 1024


def until(condition, limit=120):
    end = time.monotonic() + limit
    while not condition():
        assert time.monotonic() < end, "too slow"
        time.sleep(0.002)


def resident(parent):
    """MiB of the parent and its one child; None while the child of the former generation is still ending."""
    try:
        children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
        texts = [Path(f"/proc/{pid}/smaps_rollup").read_text() for pid in [parent, *children]]
    except (FileNotFoundError, ProcessLookupError):
        return None
    if len(children) != 1:
        return None
    return sum(int(text.split("Pss:")[1].split()[0]) for text in texts) / 1024


def settled(parent, limit=30):
    """resident() when the last generation is alone; None where that takes too long."""
    end = time.monotonic() + limit
    while time.monotonic() < end:
        if (memory := resident(parent)) is not None:
            return memory
        time.sleep(0.1)
    return None


def reload(parent, log, done):
    """Seconds of a graceful reload after `done` starts."""
    begin = time.monotonic()
    os.kill(parent, signal.SIGUSR1)
    until(lambda: log.read_text().count("resuming normal") == done + 1)
    return time.monotonic() - begin


def starts(root, command):
    """Seconds of start and of a graceful reload (the least of three: the MPM may sleep a second of its own), and memory of parent and child in MiB."""
    log = root / "log"
    log.write_text("")
    log.chmod(0o666)
    command = [*command, "-DFOREGROUND", "-c", "LogLevel notice"]
    begin = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    try:
        until(lambda: log.read_text().count("resuming normal") == 1)
        start = time.monotonic() - begin
        reloads = [reload(process.pid, log, done) for done in (1, 2, 3)]
        time.sleep(1)
        return start, min(reloads), settled(process.pid)
    finally:
        process.terminate()
        process.wait(60)
        try:
            os.killpg(process.pid, signal.SIGKILL)  # a child that is still busy with its start keeps the port
        except ProcessLookupError:
            pass


def lookups(binary):
    """The rows of route_bench, which are printed as well."""
    rows = json.loads(subprocess.check_output([binary], text=True))
    print(f"{'path of':<14}{'10 rules, ns':>14}{'10,000, ns':>14}{'ratio':>8}")
    for row in rows:
        print(f"{row['path']:<14}{row['few']:>14.1f}{row['many']:>14.1f}{row['ratio']:>8.2f}")
    print(flush=True)
    return rows


def configurations(loaded):
    rows = []
    print(f"{'configuration':<34}{'module':<14}{'configtest s':>13}{'peak MiB':>10}{'start s':>9}{'reload s':>10}{'Pss MiB':>9}")
    for name, rules in CONFIGURATIONS.items():
        for module, lines in loaded.items():
            with tempfile.TemporaryDirectory(prefix="cxxproxy-bench-") as folder:
                root = Path(folder)
                root.chmod(0o755)
                command = write(root, lines, rules)
                tests = [run([*command, "-t"]) for _ in range(3)]
                start, again, memory = starts(root, command)
            test = statistics.median(seconds for seconds, _ in tests)
            rows.append({"configuration": name, "module": module, "configtest": test, "peak": tests[0][1], "start": start, "reload": again,
                         "memory": memory})
            shown = "-" if memory is None else f"{memory:.0f}"
            print(f"{name:<34}{module:<14}{test:>13.2f}{tests[0][1]:>10.0f}{start:>9.2f}{again:>10.2f}{shown:>9}", flush=True)
    return rows


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("so", type=Path)
    parser.add_argument("--lookups", type=Path, help="the program route_bench")
    parser.add_argument("-o", dest="output", type=Path)
    said = parser.parse_args()
    loaded = {"mod_cxxproxy": [f"LoadModule cxxproxy_module {said.so.resolve()}"], "mod_proxy": MOD_PROXY, "no proxy": []}
    found = {"lookups": lookups(said.lookups) if said.lookups else [], "configurations": configurations(loaded)}
    if said.output:
        said.output.write_text(json.dumps(found, indent=1) + "\n")


main()
