"""The tutorial with Debian's own tools: a copy of /etc/apache2, a2enmod, a2ensite, apachectl."""
import grp
import os
import pwd
import re
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path

import pytest

from support import settings
from support.client import fetch
from support.httpd import MPM_RACE, children_of, environment, wait_for_calm
from support.waiting import accepts, free_port, until
from test_tutorial import BALANCED, PLAIN, with_ports

pytestmark = pytest.mark.own

TREE = Path(os.environ.get("CXXPROXY_APACHE2_TREE", settings.REPOSITORY / "build" / "apache2-tree"))
BASE = ("mpm_event", "authz_core", "authz_host", "alias", "dir", "mime", "env", "setenvif")


class DebianApache:
    """Debian's layout in a private folder; `run` calls one of its tools there."""

    def __init__(self):
        assert (TREE / "usr/sbin/a2enmod").exists(), f"{TREE}: run make apache2-tree"
        self.root = Path(tempfile.mkdtemp(prefix="cxxproxy-debian-"))
        self.root.chmod(0o755)
        self.conf = self.root / "apache2"
        shutil.copytree(TREE / "etc/apache2", self.conf, symlinks=True)
        for folder in ("run", "lock", "log", "state", "asan"):
            (self.root / folder).mkdir()
        (self.root / "asan").chmod(0o777)
        self.port = free_port()
        self._edit("envvars", (r"(?m)^export (APACHE_\w+_DIR)=/var/(\w+)/.*$",
                               lambda m: f"export {m[1]}={self.root}/{m[2]}"),
                   (r"(?m)^export APACHE_PID_FILE=.*$", f"export APACHE_PID_FILE={self.root}/run/apache2.pid"))
        if os.geteuid() != 0:  # apachectl gives its folders to the server's user
            self._edit("envvars", (r"(?m)^export APACHE_RUN_USER=.*$",
                                   f"export APACHE_RUN_USER={pwd.getpwuid(os.geteuid()).pw_name}"),
                       (r"(?m)^export APACHE_RUN_GROUP=.*$",
                        f"export APACHE_RUN_GROUP={grp.getgrgid(os.getegid()).gr_name}"))
        self._edit("ports.conf", (r"(?m)^Listen 80$", f"Listen 127.0.0.1:{self.port}"))
        self._edit("apache2.conf", (r"\Z", "ServerName proxy.test\n"))
        repository = settings.REPOSITORY / "conf"
        for name in ("cxxproxy.load", "cxxproxy_compat.load", "cxxproxy.conf"):
            text = (repository / name).read_text()
            text = re.sub(r"\S+/(mod_cxxproxy(_compat)?\.so)",
                          lambda m: str(settings.COMPAT_SO if m[2] else settings.SO), text)
            (self.conf / "mods-available" / name).write_text(text)
        for folder in ("mods-enabled", "sites-enabled", "conf-enabled"):
            (self.conf / folder).mkdir(exist_ok=True)
        self.tool("a2enmod", *BASE)
        self.tool("a2ensite", "000-default")

    def _edit(self, name, *changes):
        path = self.conf / name
        text = path.read_text()
        for pattern, new in changes:
            text, count = re.subn(pattern, new, text)
            assert count, f"{name}: no {pattern}"
        path.write_text(text)

    def write_site(self, *vhosts):
        text = "".join(vhosts).replace("{port}", str(self.port))
        (self.conf / "sites-available/000-default.conf").write_text(text)

    def tool(self, name, *arguments):
        """(exit status, output) of one of Debian's commands."""
        variables = environment(self.root / "asan") if name == "apachectl" else dict(os.environ)
        variables.update(APACHE_CONFDIR=str(self.conf), APACHE_STATE_DIRECTORY=str(self.root / "state"),
                         APACHE_STARTED_BY_SYSTEMD="1")  # else it would ask systemd where there is one
        # Output goes to a file: a pipe would stay open as long as the daemon lives.
        with open(self.root / "output", "w+", encoding="utf-8") as output:
            status = subprocess.run([TREE / "usr/sbin" / name, *arguments], env=variables, stdout=output,
                                    stderr=output, stdin=subprocess.DEVNULL, timeout=60, check=False)
            output.seek(0)
            return status.returncode, output.read()

    def works(self, name, *arguments):
        status, text = self.tool(name, *arguments)
        assert status == 0, text
        return text

    def pid(self):
        try:
            return int((self.root / "run/apache2.pid").read_text())
        except (OSError, ValueError):
            return None

    def log(self):
        path = self.root / "log/error.log"
        return path.read_text("utf-8", "replace") if path.exists() else ""

    def quiesce(self):
        pid = self.pid()
        if pid is not None:
            wait_for_calm([self.port], lambda: children_of(pid))

    def close(self):
        pid = self.pid()
        if pid is not None and Path(f"/proc/{pid}").exists():
            self.quiesce()
            os.kill(pid, signal.SIGTERM)
            until(lambda: not Path(f"/proc/{pid}").exists(), "apache2 ends")
        reports = [path.read_text("utf-8", "replace") for path in (self.root / "asan").iterdir()]
        severe = [line for line in self.log().splitlines()
                  if re.search(r":(warn|error|crit|alert|emerg)\]|exit signal", line) and not MPM_RACE.search(line)]
        shutil.rmtree(self.root, ignore_errors=True)
        assert not reports, reports[0]
        assert not severe, "\n".join(severe)


@pytest.fixture
def debian():
    apache = DebianApache()
    yield apache
    apache.close()


@pytest.fixture(scope="module")
def flasks(house):
    return house.flask("Hello world!"), house.flask("Howdy world!")


def words(vhost, flasks, family):
    return with_ports(vhost, flasks).replace("{P}", "Cxx" if family == "cxx" else "")


@pytest.mark.parametrize("vhost, answers", [(PLAIN, ["Hello world!"] * 4),
                                            (BALANCED, ["Hello world!", "Howdy world!"] * 2)],
                         ids=["plain", "balanced"])
def test_from_a2enmod_to_the_answer(debian, flasks, family, vhost, answers):
    debian.write_site(words(vhost, flasks, family))
    status, text = debian.tool("apachectl", "configtest")
    assert status != 0 and "Invalid command" in text
    assert "To activate the new configuration" in debian.works("a2enmod", "cxxproxy")
    assert debian.works("apachectl", "configtest").splitlines()[-1] == "Syntax OK"
    debian.works("apachectl", "start")
    until(lambda: accepts(debian.port), f"apache2 accepts\n{debian.log()}")
    assert [fetch(debian.port).text for _ in range(4)] == answers


def test_graceful_and_restart(debian, flasks, family):
    debian.works("a2enmod", "cxxproxy")
    debian.write_site(words(PLAIN, flasks, family))
    debian.works("apachectl", "start")
    until(lambda: accepts(debian.port), "apache2 accepts")
    for number, command in enumerate(("graceful", "restart", "graceful"), start=2):
        debian.quiesce()
        debian.works("apachectl", command)
        until(lambda n=number: debian.log().count("resuming normal operations") == n, command)
        until(lambda: accepts(debian.port), "apache2 accepts again")
        assert fetch(debian.port).text == "Hello world!"
    pid = debian.pid()
    debian.quiesce()
    debian.works("apachectl", "stop")
    until(lambda: not Path(f"/proc/{pid}").exists(), "apache2 has stopped")


def test_graceful_with_a_broken_file_keeps_the_old_one(debian, flasks, family):
    debian.works("a2enmod", "cxxproxy")
    debian.write_site(words(PLAIN, flasks, family))
    debian.works("apachectl", "start")
    until(lambda: accepts(debian.port), "apache2 accepts")
    debian.write_site(words(PLAIN, flasks, family).replace("ProxyPreserveHost On", "ProxyPreserveHost Maybe"))
    status, text = debian.tool("apachectl", "graceful")
    assert status != 0 and "ProxyPreserveHost" in text, text
    assert fetch(debian.port).text == "Hello world!"


def test_a2dismod_leaves_httpds_own_message(debian, flasks, family):
    debian.works("a2enmod", "cxxproxy")
    debian.write_site(words(BALANCED, flasks, family))
    assert debian.works("apachectl", "configtest").splitlines()[-1] == "Syntax OK"
    debian.works("a2dismod", "cxxproxy")
    status, text = debian.tool("apachectl", "configtest")
    assert status != 0
    assert re.search(r"Invalid command '\S+', perhaps misspelled or defined by a module not included", text)


def test_the_stand_in_and_real_mod_proxy_exclude_each_other(debian):
    debian.works("a2enmod", "proxy")
    status, text = debian.tool("a2enmod", "cxxproxy_compat")
    assert status != 0 and "conflict" in text.lower(), text


def test_the_stand_in_brings_the_module_along(debian, flasks):
    # Debian's status.conf says ProxyStatus On where a mod_proxy.c is.
    debian.works("a2enmod", "cxxproxy_compat", "rewrite", "status")
    debian.write_site("<VirtualHost *:{port}>\n<IfModule mod_proxy.c>\n    RewriteEngine On\n"
                      f"    RewriteRule ^/old/(.*) {flasks[0].url}/$1 [P]\n</IfModule>\n</VirtualHost>\n")
    debian.works("apachectl", "start")
    until(lambda: accepts(debian.port), "apache2 accepts")
    assert fetch(debian.port, "/old/").text == "Hello world!"


def test_the_shipped_settings_load_with_every_line_switched_on(debian):
    debian.works("a2enmod", "cxxproxy")
    path = debian.conf / "mods-available/cxxproxy.conf"
    path.write_text(re.sub(r"(?m)^(\s*)#(Cxx)", r"\1\2", path.read_text()))
    assert debian.works("apachectl", "configtest").splitlines()[-1] == "Syntax OK"


def test_a_site_uses_the_shipped_log_format(debian, flasks, family):
    debian.works("a2enmod", "cxxproxy")
    site = words(PLAIN, flasks, family).replace("</VirtualHost>", "    CustomLog ${APACHE_LOG_DIR}/proxy.log cxxproxy\n</VirtualHost>")
    debian.write_site(site)
    debian.works("apachectl", "start")
    until(lambda: accepts(debian.port), f"apache2 accepts\n{debian.log()}")
    fetch(debian.port)
    path = debian.root / "log" / "proxy.log"
    line = until(lambda: path.exists() and path.read_text(), "a line in the log")
    assert re.search(r" 200 .* member=http://127\.0\.0\.1:\d+/? .* attempts=\"http://127\.0\.0\.1:\d+/? ok\" end=ok reused=0 connect=\d+ ", line), line
