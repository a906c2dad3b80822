#!/usr/bin/python3
"""Golden configurations: runs the real `apache2 -t` on each and compares the exact text.

    run.py path/to/mod_cxxproxy.so [--asan] [--update] [name ...]

Each good/*.conf and bad/*.conf is included by a small server configuration with a private
ServerRoot. NAME.expect beside it holds the whole output, with @CONF@ for the path of the
configuration; a good one without .expect must print "Syntax OK" and nothing else. The first lines
may ask for more:

    #! before: proxy proxy_http     loaded before mod_cxxproxy
    #! after: proxy                 loaded after it
    #! compat                       the stand-in module beside mod_cxxproxy.so
    #! names                        names of backends are looked up (no other configuration asks a resolver)
    #! listen: 80 443               further Listen lines

real/*.conf are virtual hosts of applications, after their manuals. They must say "Syntax OK" and nothing
else, or what their .expect says. An .expect with "is not supported yet" is for a file that the module
cannot serve yet: such a file may also have become good, which is told as a note; remove its .expect then.
In these files @ROOT@ is a folder with cert.pem and key.pem.

--update writes the .expect files from what came out; read the difference before you commit it.
"""
import argparse
import concurrent.futures
import functools
import os
import pathlib
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
HTTPD = os.environ.get("HTTPD", "/usr/sbin/apache2")
TIMEOUT = 60
NOT_YET = "is not supported yet by mod_cxxproxy"
OURS = ("httpd.conf", "real.conf", "cert.pem", "key.pem")


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
    if conf.parent.name == "real":
        lines += load(["authn_core", "authn_file", "authz_user", "auth_basic", "dir", "rewrite", "setenvif", "socache_shmcb", "ssl"])
    lines += load(want["before"])
    lines.append(f'LoadModule cxxproxy_module "{module}"')
    if want["compat"]:
        lines.append(f'LoadModule proxy_module "{module.parent / "mod_cxxproxy_compat.so"}"')
    lines += load(want["after"])
    lines += [f"Listen {point}" for point in want["listen"]]
    if not want["names"]:
        lines.append("CxxProxyCheckNames Off")
    lines.append(f'Include "{shown_conf(conf, root)}"')
    return "\n".join(lines) + "\n"


def shown_conf(conf, root):
    """The file that httpd reads: a copy with paths filled in where the configuration needs files."""
    return pathlib.Path(root, "real.conf") if conf.parent.name == "real" else conf


def add_files(conf, root):
    for name, text in zip(("cert.pem", "key.pem"), certificate()):
        pathlib.Path(root, name).write_text(text)
    shown_conf(conf, root).write_text(conf.read_text().replace("@ROOT@", root))


@functools.lru_cache(maxsize=1)
def certificate():
    with tempfile.TemporaryDirectory(prefix="cxxproxy-cert-") as folder:
        cert, key = (os.path.join(folder, name) for name in ("cert.pem", "key.pem"))
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj", "/CN=localhost", "-out", cert,
                        "-keyout", key], check=True, capture_output=True)
        return pathlib.Path(cert).read_text(), pathlib.Path(key).read_text()


def sanitizer_environment():
    runtime = subprocess.check_output(["g++", "-print-file-name=libasan.so"], text=True).strip()
    cxx = subprocess.check_output(["g++", "-print-file-name=libstdc++.so"], text=True).strip()
    return {"LD_PRELOAD": f"{os.path.realpath(runtime)} {os.path.realpath(cxx)}",
            "ASAN_OPTIONS": "detect_leaks=0:abort_on_error=0:exitcode=99", "UBSAN_OPTIONS": "print_stacktrace=1"}


def run_one(conf, module, asan):
    with tempfile.TemporaryDirectory(prefix="cxxproxy-conf-") as root:
        main = pathlib.Path(root, "httpd.conf")
        main.write_text(server_conf(conf, root, module))
        if conf.parent.name == "real":
            add_files(conf, root)
        environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C"}
        if asan:
            environment.update(sanitizer_environment())
        done = subprocess.run([HTTPD, "-t", "-d", root, "-f", str(main)], env=environment, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=TIMEOUT, check=False)
        leftovers = sorted(entry.name for entry in pathlib.Path(root).iterdir() if entry.name not in OURS)
        text = done.stdout.replace(str(shown_conf(conf, root)), "@CONF@").replace(root, "@ROOT@")
        return done.returncode, text, leftovers


def problem_of_real(expect_file, status, text, update):
    """As problem_of, for virtual hosts that are not served yet: they may become good at any time."""
    expected = expect_file.read_text() if expect_file.exists() else "Syntax OK\n"
    if update and text != "Syntax OK\n":
        expect_file.write_text(text)
        return None
    if text == expected:
        return None
    if NOT_YET in expected and (text == "Syntax OK\n" or NOT_YET in text):
        print(f"NOTE real/{expect_file.name}: now it says {text.strip()}")
        return None
    return f"exit status {status}\n--- expected\n{expected}--- printed\n{text}"


def problem_of(conf, module, asan, update):
    """None when the configuration gives what is expected, else a text that says what differs."""
    expect_file = conf.with_suffix(".expect")
    try:
        status, text, leftovers = run_one(conf, module, asan)
    except subprocess.TimeoutExpired:
        return f"no end within {TIMEOUT} s"
    if conf.parent.name == "real":
        return problem_of_real(expect_file, status, text, update)
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

    confs = sorted(HERE.glob("good/*.conf")) + sorted(HERE.glob("bad/*.conf")) + sorted(HERE.glob("real/*.conf"))
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
