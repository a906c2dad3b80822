"""The peers of the benchmark, each with the same task: how it is configured and started."""
import dataclasses
import os
import re
import shutil
import subprocess
from pathlib import Path

from processes import BENCH, PROXY_CORE, Server, descriptor_limit, until
from support import settings
from support.httpd import load_line
from support.waiting import accepts, free_port

USER = "User www-data\nGroup www-data" if os.geteuid() == 0 else ""
BUILD = settings.SO.parent


@dataclasses.dataclass(frozen=True)
class Setup:
    """What a scenario asks of a proxy."""
    members: int = 0          # of a balancer; 0: one backend
    tls: bool = False
    access_log: bool = False
    processes: int = 2
    threads: int = 64
    rules: int = 0            # for other paths, before the one that matters
    vhosts: int = 0           # besides the default one
    upgrade: bool = False
    hook: bool = False        # a hook that sleeps when a request asks for it
    many: bool = False        # thousands of connections at a time
    park: bool = True
    reactor: bool = True
    workers: int = 1          # of nginx, which has one thread in each


class Httpd(Server):
    """httpd with mod_proxy or with this module."""
    mpm, more, upgrade = "event", "", "upgrade=websocket"
    modules = ("proxy", "proxy_http", "proxy_balancer", "lbmethod_byrequests", "slotmem_shm")

    @staticmethod
    def missing():
        return None if os.access(settings.HTTPD, os.X_OK) else "httpd is not installed"

    def __init__(self, setup, backends):
        super().__init__("httpd", PROXY_CORE)
        self.port = free_port()
        self.setup = setup
        self.log = self.root / "error.log"
        config = self.root / "httpd.conf"
        config.write_text("\n".join([*self.frame(), *self.proxying(backends)]) + "\n")
        self.launch([settings.HTTPD, "-d", self.root, "-f", config, "-DFOREGROUND"],
                    lambda: self.log.exists() and "resuming normal operations" in self.log.read_text(errors="replace"))
        until(lambda: accepts(self.port), "httpd accepts")

    def frame(self):
        s, root = self.setup, self.root
        modules = [f"mpm_{self.mpm}", "authz_core", *self.modules, *(["socache_shmcb", "ssl"] if s.tls else [])]
        lines = [f'ServerRoot "{root}"', f'DefaultRuntimeDir "{root}"', f'PidFile "{root}/pid"', f'ErrorLog "{self.log}"', "LogLevel notice",
                 "ServerName proxy.test", USER, f"Listen 127.0.0.1:{self.port}", "ListenBacklog 4096", *map(load_line, modules), *self.own(),
                 f"StartServers {s.processes}", f"ServerLimit {s.processes}", f"ThreadLimit {s.threads}", f"ThreadsPerChild {s.threads}",
                 f"MaxRequestWorkers {s.processes * s.threads}", "MinSpareThreads 1", f"MaxSpareThreads {s.processes * s.threads}",
                 "Timeout 60", "KeepAlive On", "KeepAliveTimeout 30", "MaxKeepAliveRequests 0", *self.more.splitlines()]
        if s.many and self.mpm == "event":
            lines.append("AsyncRequestWorkerFactor 400")
        if s.access_log:
            lines += ['LogFormat "%h %l %u %t \\"%r\\" %>s %O \\"%{Referer}i\\" \\"%{User-Agent}i\\"" combined', f'CustomLog "{root}/access.log" combined']
        if s.hook:
            lines.append(f"LoadModule bench_sleep_module {BUILD}/bench_sleep.so")
        if s.tls:
            cert, key = certificate(root)
            lines += ["SSLEngine On", f'SSLCertificateFile "{cert}"', f'SSLCertificateKeyFile "{key}"', "SSLSessionCache none"]
        return lines

    def own(self):
        return []

    def proxying(self, backends):
        s = self.setup
        target = f"http://127.0.0.1:{backends[0]}/"
        rule = f"ProxyPass / {target}" + (f" {self.upgrade}" if s.upgrade else "")
        lines = [f"ProxyPass /app{i}/ {target}" for i in range(s.rules)]
        if s.members:
            lines += ["<Proxy balancer://all>", *(f"BalancerMember http://127.0.0.1:{port}" for port in backends[:s.members]),
                      "</Proxy>", "ProxyPass / balancer://all/"]
        else:
            lines.append(rule)
        for i in range(s.vhosts):
            lines += [f"<VirtualHost 127.0.0.1:{self.port}>", f"ServerName v{i}.test", rule, "</VirtualHost>"]
        return lines


class ModProxy(Httpd):
    title = "mod_proxy"


class ModProxy64k(Httpd):
    title = "mod_proxy, ProxyIOBufferSize 65536"
    more = "ProxyIOBufferSize 65536"


class CxxProxy(Httpd):
    title = "mod_cxxproxy"
    modules = ()

    def own(self):
        return ([f"LoadModule cxxproxy_module {settings.SO}"] + ([] if self.setup.park else ["CxxProxyPark Off"])
                + ([] if self.setup.reactor else ["CxxProxyReactor Off"]))


class CxxProxyWorker(CxxProxy):
    title = "mod_cxxproxy, worker MPM"
    mpm = "worker"


class Nginx(Server):
    title = "nginx"

    @staticmethod
    def missing():
        return None if shutil.which("nginx", path=PATH) else "nginx is not installed (tests/tools/need.sh bench installs it)"

    def __init__(self, setup, backends):
        super().__init__("nginx", PROXY_CORE)
        self.port = free_port()
        self.setup = setup
        config = self.root / "nginx.conf"
        config.write_text(self.text(backends))
        self.launch([shutil.which("nginx", path=PATH), "-p", self.root, "-c", config, "-e", self.root / "error.log"], lambda: accepts(self.port))

    def text(self, backends):
        s, root = self.setup, self.root
        tls, hidden = "", ""
        if s.tls:
            tls = " ssl"
            hidden = "ssl_certificate {0}; ssl_certificate_key {1};".format(*certificate(root))
        user = "user www-data;" if os.geteuid() == 0 else ""
        temporary = "\n".join(f"  {name}_temp_path {root}/{name};" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
        upgrade = ("proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection $upgrade;" if s.upgrade
                   else 'proxy_set_header Connection "";')
        servers = " ".join(f"server 127.0.0.1:{port};" for port in backends[:s.members or 1])
        log = f"{root}/access.log" if s.access_log else "off"
        return f"""
daemon off; worker_processes {s.workers}; pid {root}/pid; error_log {root}/error.log; {user}
events {{ worker_connections {descriptor_limit() - 100}; }}
http {{
{temporary}
  access_log {log}; keepalive_requests 1000000000; keepalive_timeout 60s; client_max_body_size 0;
  map $http_upgrade $upgrade {{ default upgrade; '' ''; }}
  upstream all {{ {servers} keepalive 256; keepalive_requests 1000000000; }}
  server {{
    listen 127.0.0.1:{self.port}{tls} backlog=4096; {hidden}
    location / {{
      proxy_pass http://all; proxy_http_version 1.1; {upgrade} proxy_read_timeout 300s;
      proxy_request_buffering off;
      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for; proxy_set_header Host $host;
    }}
  }}
}}
"""


class HAProxy(Server):
    title = "HAProxy"

    @staticmethod
    def missing():
        return None if shutil.which("haproxy", path=PATH) else "HAProxy is not installed (tests/tools/need.sh bench installs it)"

    def __init__(self, setup, backends):
        super().__init__("haproxy", PROXY_CORE)
        self.port = free_port()
        tls, log = "", ""
        if setup.tls:
            cert, key = certificate(self.root)
            (self.root / "both.pem").write_text(cert.read_text() + key.read_text())
            tls = f" ssl crt {self.root}/both.pem"
        if setup.access_log:
            log = "  log stdout format raw local0\n  option httplog\n"
        servers = "\n".join(f"  server s{i} 127.0.0.1:{port}" for i, port in enumerate(backends[:setup.members or 1]))
        config = self.root / "haproxy.cfg"
        config.write_text(f"""
global
  nbthread 1
  maxconn {min(25000, descriptor_limit() // 2 - 100)}
defaults
  mode http
{log}  option forwardfor
  http-reuse always
  timeout connect 10s
  timeout client 300s
  timeout server 300s
  timeout tunnel 1h
  timeout http-keep-alive 60s
frontend clients
  bind 127.0.0.1:{self.port} backlog 4096{tls}
  default_backend all
backend all
  balance roundrobin
{servers}
""")
        self.launch([shutil.which("haproxy", path=PATH), "-db", "-f", config], lambda: accepts(self.port))


class Direct:
    """No proxy: what load and backend can do by themselves."""
    title = "no proxy"
    root = Path("/nonexistent")

    @staticmethod
    def missing():
        return None

    def __init__(self, _, backends):
        self.port = backends[0]

    def pids(self):
        return []

    def stop(self):
        pass


PATH = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
PROXIES = {"direct": Direct, "mod_proxy": ModProxy, "mod_proxy-64k": ModProxy64k, "nginx": Nginx, "haproxy": HAProxy,
           "cxxproxy": CxxProxy, "cxxproxy-worker": CxxProxyWorker}


def certificate(root):
    cert, key = root / "cert.pem", root / "key.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
                    "-subj", "/CN=proxy.test", "-keyout", str(key), "-out", str(cert)], check=True, capture_output=True)
    return cert, key


def versions():
    """What was measured, in the peers' own words."""
    def number(*command):
        try:
            done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, env=dict(os.environ, PATH=PATH))
        except FileNotFoundError:
            return None
        found = re.search(r"\d+\.\d+\.\d+", done.stdout)
        return found and found[0]
    commit = subprocess.run(["git", "-C", str(BENCH), "describe", "--always", "--dirty"], capture_output=True, text=True, check=False)
    found = {"httpd": number(settings.HTTPD, "-v"), "nginx": number("nginx", "-v"), "HAProxy": number("haproxy", "-v"),
             "mod_cxxproxy": commit.stdout.strip()}
    return {name: text for name, text in found.items() if text}
