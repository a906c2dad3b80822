"""What the tests of published weaknesses share: the ids, the server, the way to ask."""
import pytest

from .backend import closed_port
from .client import Client
from .strict import Desk, StrictBackend, head, read_answers

# Weaknesses of httpd's proxy modules and of the core in front of them, then those of other proxies.
EVERY = """
CVE-2009-1890 CVE-2010-2068 CVE-2010-2791 CVE-2011-3192 CVE-2011-3348 CVE-2011-3368 CVE-2011-3639 CVE-2011-4317
CVE-2012-0021 CVE-2014-0098 CVE-2012-0053 CVE-2012-3499 CVE-2012-4558 CVE-2012-3502 CVE-2012-4557 CVE-2013-4352
CVE-2014-3581 CVE-2013-5704 CVE-2014-0117 CVE-2014-0118 CVE-2015-3183 CVE-2016-5387 CVE-2016-8743 CVE-2017-7668
CVE-2019-0220 CVE-2019-10092 CVE-2019-10098 CVE-2020-1927 CVE-2019-17567 CVE-2020-13950 CVE-2021-30641
CVE-2021-33193 CVE-2021-34798 CVE-2021-36160 CVE-2021-40438 CVE-2021-41773 CVE-2021-42013 CVE-2021-44224
CVE-2022-22720 CVE-2022-26377 CVE-2022-36760 CVE-2022-31813 CVE-2022-37436 CVE-2023-25690 CVE-2023-27522
CVE-2023-38709 CVE-2024-24795 CVE-2024-42516 CVE-2024-38473 CVE-2024-38474 CVE-2024-38475 CVE-2024-38476
CVE-2024-38477 CVE-2024-39573 CVE-2024-43204 CVE-2025-49630 CVE-2025-49812 CVE-2026-33523 CVE-2026-34356
CVE-2026-63686 CVE-2026-63718
CVE-2013-4547 CVE-2019-20372 CVE-2021-40346 CVE-2022-1705 CVE-2023-25725 CVE-2023-40225 CVE-2023-45539
CVE-2018-8004 CVE-2024-53868 CVE-2025-22871 response-queue-poisoning h2c-smuggling keep-alive-race
""".split()
COVERED = set()


def about(*ids):
    """The ids that a test is about; they become a part of its name."""
    assert set(ids) <= set(EVERY), ids
    COVERED.update(ids)
    return pytest.mark.parametrize("weakness", ["+".join(ids)])


def each(names, values):
    """parametrize with short ids; the values may be thousands of bytes."""
    def text(value):
        shown = value.decode("latin-1") if isinstance(value, bytes) else str(value)
        return repr(shown)[1:-1][:40]
    return pytest.mark.parametrize(names, values, ids=text)


CONF = """
LogFormat "%{a}C|%{}C|%{session}C|%{X-A}i" cookies
CustomLog "{root}/cookies.log" cookies
<VirtualHost *:{port0}>
    ServerName proxy.test
    ProxyStatus On
    <Location /private>
        Require all denied
    </Location>
    <Location /status>
        SetHandler server-status
    </Location>
    <Location /inflate>
        SetInputFilter DEFLATE
        DeflateInflateLimitRequestBody 100000
    </Location>
    <Location /filtered>
        SetOutputFilter xml2enc;DEFLATE
    </Location>
    <Location /ctype>
        Header set Content-Type "expr=%{req:X-Type}"
        RequestHeader set Content-Type "expr=%{req:X-Type}"
    </Location>
    <{P}Proxy balancer://one>
        {P}BalancerMember {b} timeout=1 retry=60
    </{P}Proxy>
    {P}ProxyPass /status !
    {P}ProxyPass /local !
    {P}ProxyPass /balanced balancer://one/balanced
    {P}ProxyPass /slow {b}/slow timeout=1
    {P}ProxyPass /dead http://127.0.0.1:{dead}/dead
    {P}ProxyPass /exact {b}/exact
    {P}ProxyPass / {b}/
</VirtualHost>
<VirtualHost *:{port1}>
    ServerName proxy.test
    RequestHeader unset Proxy early
    RewriteEngine On
    RewriteRule ^/here/(.*)$ {b}/elsewhere?$1 [P]
    RewriteRule ^/path/(.*)$ {b}/to/$1 [P]
    RewriteRule ^/ne/(.*)$ {b}/ne/$1 [P,NE]
    RewriteRule ^/ne-query/(.*)$ {b}/ne?$1 [P,NE]
    RewriteRule ^/only/([a-z]+)$ {b}/only/$1 [P]
    RewriteRule ^/only/ - [F]
    RewriteRule ^/sub/(.*)$ $1 [L]
    RewriteRule ^/type/(.*)$ /index.html [L,H=$1]
    RewriteRule ^/empty/(.*)$ http:$1 [P]
    RewriteRule ^(.*)$ {b}$1 [P]
</VirtualHost>
<VirtualHost *:{port2}>
    ServerName proxy.test
    MergeSlashes Off
    {P}ProxyPreserveHost On
    <FilesMatch "\\.php$">
        SetHandler "proxy:{b}"
    </FilesMatch>
    <Files "admin.php">
        Require all denied
    </Files>
    Protocols h2c http/1.1
    H2Direct On
    {P}ProxyPass /p {b}/p
</VirtualHost>
<VirtualHost *:{port3}>
    ServerName proxy.test
    <Location />
        SetHandler "proxy:{b}"
    </Location>
</VirtualHost>
<VirtualHost *:{port4}>
    ServerName proxy.test
    <Location />
        {P}ProxyPass {b}/
    </Location>
</VirtualHost>
<VirtualHost *:{port5}>
    ServerName proxy.test
    AllowEncodedSlashes On
    <Location /private>
        Require all denied
    </Location>
    {P}ProxyPass / {b}/
</VirtualHost>
<VirtualHost *:{port6}>
    ServerName proxy.test
    AllowEncodedSlashes NoDecode
    {P}ProxyPass /exact {b}/exact
</VirtualHost>
<VirtualHost *:{port7}>
    ServerName proxy.test
    RequestHeader set X-Query "expr=%{unescape:%{QUERY_STRING}}" env=want_query
    RequestHeader set Host "expr=%{unescape:%{QUERY_STRING}}" env=want_host
    SetEnvIf Request_URI ^/query want_query
    SetEnvIf Request_URI ^/host want_host
    {P}ProxyPreserveHost On
    {P}ProxyPass / {b}/
</VirtualHost>
"""
FRONTS = pytest.mark.parametrize("port", [0, 1, 3, 4], ids=["ProxyPass", "RewriteRule", "SetHandler", "Location"])


def make_desk(house):
    backend, forbidden = house.adopt(StrictBackend()), house.adopt(StrictBackend("forbidden"))
    backend.hosts |= {b"proxy.test", b"other.test"}
    server = house.httpd(CONF, b=backend.url, dead=closed_port(), ports=8, compat=True,
                         modules=("rewrite", "status", "deflate", "filter", "xml2enc", "http2"))
    return Desk(server, backend, forbidden)


def ask(desk, raw, port=0, answers=1, half_close=False):
    """(statuses, whether the connection closed, what arrived) of raw bytes."""
    desk.new()
    with Client(desk.server.ports[port]) as client:
        client.send(raw)
        if half_close:
            client.half_close()
        got, closed = read_answers(client, answers)
    desk.mark()
    return got, closed, desk.new()


def get(desk, target, *fields, port=0):
    return ask(desk, head(b"GET " + target + b" HTTP/1.1", *fields, b"Connection: close"), port, 2)


def lines(arrived):
    return [seen.line for seen in arrived]
