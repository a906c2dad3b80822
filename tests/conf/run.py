#!/usr/bin/python3
"""Golden configurations: runs the real `apache2 -t` on each and compares the exact text.

    run.py path/to/mod_cxxproxy.so [--asan] [--update] [name ...]

Each good/*.conf and bad/*.conf is included by a small server configuration with a private
ServerRoot. NAME.expect beside it holds the whole output, with @CONF@ for the path of the
configuration; a good one without .expect must print "Syntax OK" and nothing else. The first lines
may ask for more modules:

    #! before: proxy proxy_http     loaded before mod_cxxproxy
    #! after: proxy                 loaded after it
    #! compat                       the stand-in module beside mod_cxxproxy.so
    #! names                        names of backends are looked up (no other configuration asks a resolver)
    #! listen: 80 443               further Listen lines

--update writes the .expect files from what came out; read the difference before you commit it.
"""
import argparse
import concurrent.futures
import os
import pathlib
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
HTTPD = os.environ.get("HTTPD", "/usr/sbin/apache2")
TIMEOUT = 60


def modules_dir():
    directory = pathlib.Path("/usr/lib/apache2/modules")
    if not directory.is_dir():
        directory = pathlib.Path(subprocess.check_output(["apxs", "-q", "LIBEXECDIR"], text=True).strip())
    return directory


def wishes(conf):
    """What the #! lines of a configuration ask for."""
    found = {"before": [], "after": [], "compat": False, "names": False, "listen": []}
    for line in conf.read_text().splitlines():
        if not line.startswith("#!"):
            break
        key, _, value = line[2:].partition(":")
        key = key.strip()
        if key in ("compat", "names"):
            found[key] = True
        elif key in ("before", "after", "listen"):
            found[key] = value.split()
        else:
            raise ValueError(f"{conf}: unknown request {line!r}")
    return found


def server_conf(conf, root, module):
    want = wishes(conf)
    available = modules_dir()

    def load(names):
        return [f"LoadModule {name}_module {available}/mod_{name}.so" for name in names]

    lines = [f'ServerRoot "{root}"', "ServerName localhost", "Listen 127.0.0.1:8000", f'PidFile "{root}/pid"', f'ErrorLog "{root}/error.log"']
    lines += load(["mpm_event", "authz_core", "authz_host", "access_compat", "alias", "env", "headers"])
    lines += load(want["before"])
    lines.append(f'LoadModule cxxproxy_module "{module}"')
    if want["compat"]:
        lines.append(f'LoadModule proxy_module "{module.parent / "mod_cxxproxy_compat.so"}"')
    lines += load(want["after"])
    lines += [f"Listen {point}" for point in want["listen"]]
    if not want["names"]:
        lines.append("CxxProxyCheckNames Off")
    lines.append(f'Include "{conf}"')
    return "\n".join(lines) + "\n"


def sanitizer_environment():
    runtime = subprocess.check_output(["g++", "-print-file-name=libasan.so"], text=True).strip()
    cxx = subprocess.check_output(["g++", "-print-file-name=libstdc++.so"], text=True).strip()
    return {"LD_PRELOAD": f"{os.path.realpath(runtime)} {os.path.realpath(cxx)}",
            "ASAN_OPTIONS": "detect_leaks=0:abort_on_error=0:exitcode=99", "UBSAN_OPTIONS": "print_stacktrace=1"}


def run_one(conf, module, asan):
    with tempfile.TemporaryDirectory(prefix="cxxproxy-conf-") as root:
        main = pathlib.Path(root, "httpd.conf")
        main.write_text(server_conf(conf, root, module))
        environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C"}
        if asan:
            environment.update(sanitizer_environment())
        done = subprocess.run([HTTPD, "-t", "-d", root, "-f", str(main)], env=environment, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=TIMEOUT, check=False)
        leftovers = sorted(entry.name for entry in pathlib.Path(root).iterdir() if entry.name != "httpd.conf")
        text = done.stdout.replace(str(conf), "@CONF@").replace(root, "@ROOT@")
        return done.returncode, text, leftovers


def problem_of(conf, module, asan, update):
    """None when the configuration gives what is expected, else a text that says what differs."""
    expect_file = conf.with_suffix(".expect")
    try:
        status, text, leftovers = run_one(conf, module, asan)
    except subprocess.TimeoutExpired:
        return f"no end within {TIMEOUT} s"
    good = conf.parent.name == "good"
    if update and not (good and text == "Syntax OK\n"):
        expect_file.write_text(text)
    if (status == 0) != good:
        return f"exit status {status}\n{text}"
    if leftovers:
        return f"configtest left files behind: {' '.join(leftovers)}"
    if not good and not expect_file.exists():
        return f"{expect_file.name} is missing; it printed\n{text}"
    expected = expect_file.read_text() if expect_file.exists() else "Syntax OK\n"
    if text != expected:
        return f"--- expected\n{expected}--- printed\n{text}"
    return None


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("module", type=pathlib.Path)
    arguments.add_argument("names", nargs="*", help="only configurations with one of these in their path")
    arguments.add_argument("--asan", action="store_true")
    arguments.add_argument("--update", action="store_true")
    options = arguments.parse_args()
    module = options.module.resolve()
    if not module.exists():
        sys.exit(f"{module}: no such file")

    confs = sorted(HERE.glob("good/*.conf")) + sorted(HERE.glob("bad/*.conf"))
    if options.names:
        confs = [conf for conf in confs if any(name in f"{conf.parent.name}/{conf.name}" for name in options.names)]
    with concurrent.futures.ThreadPoolExecutor(max_workers=2) as pool:
        results = list(pool.map(lambda conf: problem_of(conf, module, options.asan, options.update), confs))

    orphans = [path for path in sorted(HERE.glob("*/*.expect")) if not path.with_suffix(".conf").exists()]
    for orphan in orphans:
        print(f"FAIL {orphan.parent.name}/{orphan.name}: no such configuration")
    for conf, problem in zip(confs, results):
        if problem is not None:
            print(f"FAIL {conf.parent.name}/{conf.name}: {problem}")
    failed = len(orphans) + sum(problem is not None for problem in results)
    print(f"{len(confs) + len(orphans) - failed} passed, {failed} failed")
    sys.exit(1 if failed or not confs else 0)


if __name__ == "__main__":
    main()
