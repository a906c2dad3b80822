"""The same bytes through stock mod_proxy and through this module: what backend and client see.

Every case must come out equal, byte for byte, or be listed in DIFFERENT with the row of
docs/differences.md that explains it (its first cell begins with the words given here). A listed case
that comes out equal fails as well, so the table cannot grow stale.
"""
import pytest

from support import settings
from support.backend import closed_port
from support.differential import CRLF, Case, Pair, continues, differences, resets, says, stalls, text, without_line
from support.wire import answer, chunked

pytestmark = pytest.mark.own

CONF = """
<IfModule !mod_proxy.c>
    Error "neither mod_proxy nor its stand-in"
</IfModule>
AllowEncodedSlashes NoDecode
SetEnvIf Request_URI ^/sendcl/ proxy-sendcl
SetEnvIf Request_URI ^/chunks/ proxy-sendchunked
SetEnvIf Request_URI ^/force10/ force-proxy-request-1.0
SetEnvIf Request_URI ^/nokeep/ proxy-nokeepalive
SetEnvIf Request_URI ^/initial/ proxy-initial-not-pooled
SetEnvIf Request_URI ^/plain/no-proxy no-proxy
SetEnvIf Request_URI ^/interim-rfc/ proxy-interim-response=RFC
SetEnvIf Request_URI ^/interim-none/ proxy-interim-response=Suppress
SetEnvIf Request_URI ^/downgrade/ downgrade-1.0 force-response-1.0
SetEnvIf Request_URI ^/nokeepalive/ nokeepalive
ProxyPass /excluded/inner !
ProxyPass /excluded/ {b}/
ProxyPass /dead/ http://127.0.0.1:{dead}/
ProxyPass /nowhere/ http://nowhere.invalid/
ProxyPass /slow/ {slow}/ timeout=1
ProxyPass /noreuse/ {once}/ disablereuse=on
ProxyPass /deep/x {b}/base/y
ProxyPass /deepslash/ {b}/base/y/
ProxyPass /exact {b}/exact
ProxyPass /query {b}/query?fixed=1
ProxyPass /balanced/ balancer://both/
ProxyPass /halfdead/ balancer://halfdead/
ProxyPass /alldead/ balancer://alldead/
ProxyPass /small/ {small}/ responsefieldsize=512
<Proxy balancer://both>
    BalancerMember {b}/m1
    BalancerMember {b}/m2
</Proxy>
<Proxy balancer://halfdead>
    BalancerMember http://127.0.0.1:{dead}
    BalancerMember {b}
</Proxy>
<Proxy balancer://alldead>
    BalancerMember http://127.0.0.1:{dead}
</Proxy>
ProxyPassReverse /balanced/ balancer://both/
<Location /plain/>
    ProxyPass {b}/
    ProxyPassReverse {b}/
</Location>
ProxyPassReverse /deep/x {b}/base/y
ProxyPassReverse /abs/ http://elsewhere.test/app/
<Location /abs/>
    ProxyPass {b}/
</Location>
<Location /preserve/>
    ProxyPass {b}/
    ProxyPreserveHost On
    ProxyPassReverse {b}/
</Location>
<Location /noadd/>
    ProxyPass {b}/
    ProxyAddHeaders Off
</Location>
<Location /answer100/>
    ProxyPass {b}/
    Proxy100Continue Off
</Location>
<Location /plain/nested/>
    ProxyPass {b}/nested/
</Location>
<Location /plain/local/>
    ProxyPass !
</Location>
<LocationMatch "^/(sendcl|chunks|force10|nokeep|initial|interim-rfc|interim-none|downgrade|nokeepalive)/">
    Require all granted
</LocationMatch>
ProxyPass /sendcl/ {b}/
ProxyPass /chunks/ {b}/
ProxyPass /force10/ {b}/
ProxyPass /nokeep/ {b}/
ProxyPass /initial/ {b}/
ProxyPass /interim-rfc/ {b}/
ProxyPass /interim-none/ {b}/
ProxyPass /downgrade/ {b}/
ProxyPass /nokeepalive/ {b}/
<Location /edited/>
    ProxyPass {b}/
    RequestHeader set X-Set from-proxy
    RequestHeader unset X-Unset
    RequestHeader append X-Append more
    RequestHeader edit X-Edit ^a b
    RequestHeader set Host chosen.test
    Header set X-Answer set
    Header unset X-Secret
    Header append X-Append-Answer more
</Location>
<Location /refused/>
    ProxyPass {b}/
    Require all denied
</Location>
<Location /handler/>
    SetHandler "proxy:{b}"
</Location>
ErrorDocument 503 "sorry, later\\n"
RewriteEngine On
RewriteRule ^/rewritten/(.*)$ {b}/to/$1 [P]
RewriteRule ^/rewritten-query/(.*)$ {b}/to/$1?added=1 [P,QSA]
RewriteRule ^/moved/(.*)$ /plain/$1 [PT]
<VirtualHost *:{port1}>
    ServerName tolerant.test
    ProxyBadHeader Ignore
    AllowEncodedSlashes On
    ProxyPreserveHost On
    ProxyPass / {b}/
    ProxyPassReverse / {b}/
</VirtualHost>
<VirtualHost *:{port2}>
    ServerName body.test
    ProxyBadHeader StartBody
    UseCanonicalName On
    ProxyTimeout 1
    ProxyPass / {b}/
    ProxyPassReverse / {b}/
</VirtualHost>
"""

HOST = "Host: proxy.test"
OK = answer(b"hello", fields=[("Content-Type", "text/plain")])
ok = says(OK)


def get(target, *fields, version="HTTP/1.1", method="GET", host=HOST):
    return text(f"{method} {target} {version}", *([host] if host else []), *fields)


def post(target, body=b"body", *fields, method="POST", length=True):
    return text(f"{method} {target} HTTP/1.1", HOST, *fields,
                *([f"Content-Length: {len(body)}"] if length else []), body=body)


CASES = []


def case(name, sends, backend=ok, **options):
    CASES.append(Case(name, list(sends) if isinstance(sends, (list, tuple)) else [sends], backend, **options))


# --- methods -------------------------------------------------------------------------------------

for method in ("GET", "HEAD", "OPTIONS", "DELETE", "PROPFIND", "PURGE", "get", "M-SEARCH"):
    case(f"method {method}", get("/plain/a", method=method), says(answer() if method == "HEAD" else OK))
for method in ("POST", "PUT", "PATCH", "DELETE", "GET", "REPORT"):
    case(f"method {method} with a body", post("/plain/a", method=method))
case("method TRACE", get("/plain/a", method="TRACE"))
case("method CONNECT", text("CONNECT proxy.test:443 HTTP/1.1", HOST))
case("method OPTIONS *", get("*", method="OPTIONS"))
case("Max-Forwards 0 on OPTIONS", get("/plain/a", "Max-Forwards: 0", method="OPTIONS"))
case("Max-Forwards 0 on GET", get("/plain/a", "Max-Forwards: 0"))
case("Max-Forwards 5", get("/plain/a", "Max-Forwards: 5"))
case("Max-Forwards odd", get("/plain/a", "Max-Forwards: five"))

# --- targets -------------------------------------------------------------------------------------

TARGETS = [
    "/plain/", "/plain/a/b/c", "/plain/a%20b", "/plain/%41%7e", "/plain/a%2Fb", "/plain/a%252Fb", "/plain/a%3Fb", "/plain/a%23b",
    "/plain/a%25", "/plain/a;b=c", "/plain/a;b/c", "/plain/~user", "/plain/a%C3%A9", "/plain/a'b(c)!*", "/plain/a,b:c@d&e=f+g$h",
    "/plain/a%22b", "/plain/a%3Cb%3E", "/plain/a%5Cb", "/plain/a|b", "/plain/[x]", "/plain/{x}", "/plain/a%5Eb%60", "/plain//double",
    "//plain//a", "/plain/a/../b", "/plain/./a", "/plain/%2e%2e/plain/a", "/plain/a/%2e%2e%2fb", "/plain/..;/a", "/plain/a?",
    "/plain/a?q=1", "/plain/a?q=1&r=%20%2F", "/plain/a?q=a?b", "/plain/?", "/plain/a?q=%00", "/plain/a%00b", "/plain/a%0d%0ab",
    "/plain/a?x=\xe9", "/plain/a\xe9", "/plain/a%09b", "/plain/a%7F", "/plain/a?q='\"<>", "/plain/a?a=b#frag", "/plain/%zz", "/plain/%",
    "/deep/x", "/deep/x/z", "/deep/xy", "/deepslash/z", "/exact", "/exact/more", "/exactly", "/query", "/query?more=2", "/query/x",
    "/excluded/a", "/excluded/inner", "/excluded/inner/a", "/excluded/innermost", "/excluded", "/plain", "/plain/nested/a",
    "/plain/local/a", "/plain/no-proxy/a", "/unknown", "/refused/a", "/handler/a", "/handler/a%20b?q=1",
    "/rewritten/a", "/rewritten/a%20b", "/rewritten/a%2Fb?q=1", "/rewritten-query/a?q=1", "/moved/a%20b?x", "/PLAIN/a",
    "http://proxy.test/plain/a?q", "http://other.test/plain/a", "plain/a", "/plain/" + "a" * 4000, "/plain/a?" + "q" * 7000,
    "/plain/" + "a" * 9000,
]
for target in TARGETS:
    case(f"target {target[:60]}" + (f" ({len(target)})" if len(target) > 60 else ""), get(target))
for target in ("/a%2Fb", "/a%2fb%20c", "/a%2F..%2Fb", "/%2e%2e%2f"):
    case(f"decoded slashes {target}", get(target, host="Host: tolerant.test"))

# --- request fields ------------------------------------------------------------------------------

FIELDS = [
    ("order and case", "x-B: 1", "X-a: 2", "accept: */*", "User-Agent: me"),
    ("repeated", "X-Many: 1", "X-Many: 2", "x-many: 3"),
    ("cookies", "Cookie: a=1", "Cookie: b=2"),
    ("empty", "X-Empty:", "X-Blank:   "),
    ("blanks around", "X-Blanks:  \t a b \t "),
    ("bytes above 127", "X-Latin: \xe9\xff"),
    ("forwarded given", "X-Forwarded-For: 10.0.0.1", "X-Forwarded-Host: front.test", "X-Forwarded-Server: front"),
    ("forwarded repeated", "X-Forwarded-For: 10.0.0.1", "X-Forwarded-For: 10.0.0.2"),
    ("forwarded proto given", "X-Forwarded-Proto: https"),
    ("forwarded empty", "X-Forwarded-For:"),
    ("forwarded RFC 7239", "Forwarded: for=10.0.0.1;proto=https"),
    ("connection close", "Connection: close"),
    ("connection keep-alive", "Connection: keep-alive", "Keep-Alive: 300"),
    ("connection names a field", "Connection: X-Drop, close", "X-Drop: 1", "X-Keep: 2"),
    ("connection names X-Forwarded-For", "Connection: X-Forwarded-For", "X-Forwarded-For: 10.0.0.1"),
    ("connection names Host", "Connection: Host"),
    ("connection empty", "Connection:"),
    ("hop by hop", "TE: trailers", "Trailer: X", "Keep-Alive: 5"),
    ("TE with connection", "Connection: TE", "TE: trailers, deflate"),
    ("upgrade", "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Key: x"),
    ("upgrade h2c", "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAAA"),
    ("proxy authorization", "Proxy-Authorization: Basic eA=="),
    ("proxy connection", "Proxy-Connection: keep-alive"),
    ("proxy own field", "Proxy-Custom: 1"),
    ("proxy field httpoxy", "Proxy: http://evil.test"),
    ("authorization", "Authorization: Basic dXNlcjpwYXNz"),
    ("conditional", "If-None-Match: \"x\"", "If-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT", "If-Match: *"),
    ("range", "Range: bytes=0-1", "If-Range: \"x\""),
    ("via given", "Via: 1.1 front"),
    ("accept encoding", "Accept-Encoding: gzip, br"),
    ("referer and origin", "Referer: http://proxy.test/plain/x", "Origin: http://proxy.test"),
    ("expect other", "Expect: something"),
    ("content type without body", "Content-Type: text/plain"),
    ("content length zero", "Content-Length: 0"),
    ("many", *[f"X-{i}: {i}" for i in range(60)]),
    ("large", "X-Large: " + "v" * 8000),
    ("too large", "X-Large: " + "v" * 9000),
    ("underscore", "X_Under_Score: 1"),
    ("token characters", "!#$%&'*+-.^_`|~: 1"),
    ("fold", "X-Fold: a", b" b"),
    ("space before colon", "X-Space : a"),
    ("no colon", "NoColon"),
    ("control in value", b"X-Ctl: a\x01b"),
    ("two lengths", "Content-Length: 0", "Content-Length: 0"),
    ("odd length", "Content-Length: +0"),
    ("unknown coding", "Transfer-Encoding: gzip"),
    ("coding list", "Transfer-Encoding: gzip, chunked"),
    ("identity coding", "Transfer-Encoding: identity"),
]
for name, *lines in FIELDS:
    case(f"fields {name}", get("/plain/a", *lines))
case("edited fields", get("/edited/a", "X-Unset: 1", "X-Append: 1", "X-Edit: abc"),
     says(answer(b"x", fields=[("X-Secret", "1"), ("X-Append-Answer", "1"), ("X-Answer", "old")])))
case("no forwarded fields", get("/noadd/a", "X-Forwarded-For: 10.0.0.1"))
case("preserved host", get("/preserve/a"))
case("preserved host with port", get("/preserve/a", host="Host: proxy.test:8080"))
case("preserved host in upper case", get("/preserve/a", host="Host: PROXY.Test"))
case("host with a port", get("/plain/a", host="Host: proxy.test:8080"))
case("host IPv6", get("/plain/a", host="Host: [::1]:80"))
case("host missing", get("/plain/a", host=None))
case("host twice", get("/plain/a", HOST))
case("host empty", get("/plain/a", host="Host:"))
case("host bad", get("/plain/a", host="Host: a/b"))

# --- request bodies ------------------------------------------------------------------------------

BODIES = [("empty", b""), ("small", b"abc"), ("16 KiB", b"k" * 16384), ("16 KiB and one", b"k" * 16385), ("200 KB", b"z" * 200_000)]
for area in ("plain", "sendcl", "chunks", "force10"):
    for name, body in BODIES:
        case(f"body {name} by length to {area}", post(f"/{area}/a", body))
        case(f"body {name} in chunks to {area}",
             post(f"/{area}/a", chunked(body), "Transfer-Encoding: chunked", length=False))
case("chunks with extension", post("/plain/a", b"3;x=y\r\nabc\r\n0\r\n\r\n", "Transfer-Encoding: chunked", length=False))
case("chunks with trailers", post("/plain/a", chunked(b"abc", trailers=b"X-Trailer: 1\r\n"), "Transfer-Encoding: chunked",
                                  "Trailer: X-Trailer", length=False))
case("chunks, coding in upper case", post("/plain/a", chunked(b"abc"), "Transfer-Encoding: CHUNKED", length=False))
case("length and chunks", post("/plain/a", chunked(b"abc"), "Transfer-Encoding: chunked"))
case("length and chunks, other order", text("POST /plain/a HTTP/1.1", HOST, "Content-Length: 3", "Transfer-Encoding: chunked", body=chunked(b"abc")))
case("chunk size odd", post("/plain/a", b"+3\r\nabc\r\n0\r\n\r\n", "Transfer-Encoding: chunked", length=False))
case("body on GET in chunks", post("/plain/a", chunked(b"abc"), "Transfer-Encoding: chunked", method="GET", length=False))
case("body type and encoding kept", post("/plain/a", b"abc", "Content-Type: text/x", "Content-Encoding: gzip", "Content-Language: en",
                                         "Content-MD5: x"))
case("body cut by the client", text("POST /plain/a HTTP/1.1", HOST, "Content-Length: 10", body=b"abc"), half_close=True)
case("body refused by the backend", post("/plain/a", b"abc"), says(answer(b"no", "403 Forbidden")))

# --- Expect --------------------------------------------------------------------------------------

def expecting(target, version="HTTP/1.1"):
    return text(f"POST {target} {version}", HOST, "Expect: 100-continue", "Content-Length: 4")


case("expect, backend continues", expecting("/plain/a"), continues(OK), after_100=b"body")
case("expect, backend refuses", expecting("/plain/a"), says(answer(b"", "417 Expectation Failed"), read=False, close=True))
case("expect, backend refuses with 413", expecting("/plain/a"),
     says(answer(b"big", "413 Too Large", [("Connection", "close")]), read=False, close=True))
case("expect, answered by the proxy", expecting("/answer100/a"), says(OK), after_100=b"body")
case("expect of HTTP/1.0", text("POST /plain/a HTTP/1.0", HOST, "Expect: 100-continue", "Content-Length: 4", body=b"body"), continues(OK))
case("expect with the body at once", text("POST /plain/a HTTP/1.1", HOST, "Expect: 100-continue", "Content-Length: 4", body=b"body"),
     continues(OK))
case("expect in upper case", text("POST /plain/a HTTP/1.1", HOST, "Expect: 100-CONTINUE", "Content-Length: 4"), continues(OK),
     after_100=b"body")
case("expect without body", get("/plain/a", "Expect: 100-continue"))
case("expect to force10", text("POST /force10/a HTTP/1.1", HOST, "Expect: 100-continue", "Content-Length: 4"), says(OK),
     after_100=b"body")

# --- answers -------------------------------------------------------------------------------------

for status in ("200 OK", "200 Fine", "200", "201 Created", "202 Accepted", "203 Non-Authoritative Information", "206 Partial Content",
               "226 IM Used", "299 Own", "300 Multiple Choices", "400 Bad", "401 Unauthorized", "402 Pay", "403 Forbidden",
               "404 Not Found", "405 Method Not Allowed", "407 Proxy Authentication Required", "408 Request Timeout", "409 Conflict",
               "410 Gone", "412 Precondition Failed", "416 Range", "418 I'm a teapot", "429 Slow", "451 Legal", "499 Own",
               "500 Internal Server Error", "501 Not Implemented", "502 Bad Gateway", "503 Service Unavailable", "504 Gateway Timeout",
               "505 Version", "507 Full", "599 Own", "600 Own", "999 Own"):
    case(f"answer {status}", get("/plain/a"), says(answer(b"body of it", status)))
for status in ("204 No Content", "205 Reset Content", "304 Not Modified"):
    case(f"answer {status}", get("/plain/a"), says(text(f"HTTP/1.1 {status}", "ETag: \"x\"", *(
        ["Content-Length: 0"] if status[:3] == "205" else []))))
case("answer 204 with a length", get("/plain/a"), says(text("HTTP/1.1 204 No Content", "Content-Length: 0")))
case("answer 304 with a length", get("/plain/a"), says(text("HTTP/1.1 304 Not Modified", "Content-Length: 10")))
case("answer 304 with many fields", get("/plain/a", "If-None-Match: \"x\""), says(text(
    "HTTP/1.1 304 Not Modified", "ETag: \"x\"", "Content-Type: text/plain", "Set-Cookie: a=b", "Cache-Control: no-cache", "X-Own: 1",
    "Last-Modified: Sun, 06 Nov 1994 08:49:37 GMT", "Vary: Accept")))
case("answer 401 with challenge", get("/plain/a"), says(answer(b"x", "401 Unauthorized", [("WWW-Authenticate", 'Basic realm="x"')])))

ANSWER_FIELDS = [
    ("order and case", ("x-B", "1"), ("X-a", "2"), ("ETag", '"x"'), ("content-type", "text/plain")),
    ("repeated", ("Set-Cookie", "a=1"), ("Set-Cookie", "b=2"), ("X-Many", "1"), ("X-Many", "2")),
    ("warning and via", ("Via", "1.1 back"), ("Warning", '199 - "x"')),
    ("warnings and cookies", ("Set-Cookie", "a"), ("Warning", '199 - "x"'), ("X-Own", "1")),
    ("server and date", ("Server", "backend/1"), ("Date", "Sun, 06 Nov 1994 08:49:37 GMT")),
    ("date odd", ("Date", "yesterday")),
    ("dates", ("Last-Modified", "Sun, 06 Nov 1994 08:49:37 GMT"), ("Expires", "0")),
    ("expires odd", ("Expires", "-1"), ("Last-Modified", "whenever")),
    ("connection names a field", ("Connection", "X-Drop"), ("X-Drop", "1"), ("X-Keep", "2")),
    ("connection close", ("Connection", "close")),
    ("keep alive", ("Connection", "Keep-Alive"), ("Keep-Alive", "timeout=5, max=100")),
    ("hop by hop", ("TE", "x"), ("Trailer", "X"), ("Upgrade", "h2c")),
    ("proxy fields", ("Proxy-Authenticate", 'Basic realm="x"'), ("Proxy-Connection", "close"), ("Proxy-Custom", "1")),
    ("empty value", ("X-Empty", "")),
    ("content fields", ("Content-Type", "text/html; charset=x"), ("Content-Encoding", "gzip"), ("Content-Language", "en"),
     ("Content-Location", "/x"), ("Content-Disposition", "inline"), ("Content-MD5", "x")),
    ("no content type", ("X-Own", "1")),
    ("cache fields", ("Cache-Control", "no-store"), ("Pragma", "no-cache"), ("Age", "5"), ("Vary", "Accept"), ("Vary", "Cookie")),
    ("accept ranges", ("Accept-Ranges", "bytes"), ("Content-Range", "bytes 0-4/9")),
    ("security fields", ("Strict-Transport-Security", "max-age=1"), ("X-Frame-Options", "DENY"), ("Access-Control-Allow-Origin", "*")),
    ("latin bytes", ("X-Latin", "\xe9\xff")),
    ("allow", ("Allow", "GET, POST")),
    ("link and refresh", ("Link", "</x>; rel=next"), ("Refresh", "5; url=http://127.0.0.1/")),
]
for name, *fields in ANSWER_FIELDS:
    case(f"answer fields {name}", get("/plain/a"), says(answer(b"hello", fields=fields)))
case("answer to HEAD with length", get("/plain/a", method="HEAD"), says(text("HTTP/1.1 200 OK", "Content-Length: 1234", "ETag: \"x\"")))
case("answer to HEAD without length", get("/plain/a", method="HEAD"), says(text("HTTP/1.1 200 OK", "Content-Type: text/plain")))
case("answer to HEAD chunked", get("/plain/a", method="HEAD"), says(text("HTTP/1.1 200 OK", "Transfer-Encoding: chunked")))
case("answer to HEAD 404", get("/plain/a", method="HEAD"), says(text("HTTP/1.1 404 Not Found", "Content-Length: 9")))

LARGE = b"0123456789abcdef" * 20_000
case("answer empty", get("/plain/a"), says(answer()))
case("answer of 320 KB", get("/plain/a"), says(answer(LARGE)))
case("answer chunked", get("/plain/a"), says(text("HTTP/1.1 200 OK", "Transfer-Encoding: chunked", body=chunked(b"abc", b"defg"))))
case("answer chunked, empty", get("/plain/a"), says(text("HTTP/1.1 200 OK", "Transfer-Encoding: chunked", body=chunked())))
case("answer chunked, large", get("/plain/a"), says(text("HTTP/1.1 200 OK", "Transfer-Encoding: chunked", body=chunked(LARGE))))
case("answer chunked with trailers", get("/plain/a"), says(text(
    "HTTP/1.1 200 OK", "Transfer-Encoding: chunked", "Trailer: X-T", body=chunked(b"abc", trailers=b"X-T: 1\r\n"))))
case("answer chunked to HTTP/1.0", get("/plain/a", version="HTTP/1.0"), says(text(
    "HTTP/1.1 200 OK", "Transfer-Encoding: chunked", body=chunked(b"abc"))))
case("answer until close", get("/plain/a"), says(text("HTTP/1.1 200 OK", body=b"until the end"), close=True))
case("answer until close to HTTP/1.0", get("/plain/a", version="HTTP/1.0"), says(text("HTTP/1.1 200 OK", body=b"the end"), close=True))
case("answer of HTTP/1.0", get("/plain/a"), says(text("HTTP/1.0 200 OK", "Content-Length: 3", body=b"abc"), close=True))
case("answer of HTTP/1.0 keep-alive", get("/plain/a"), says(text("HTTP/1.0 200 OK", "Connection: keep-alive", "Content-Length: 3", body=b"abc")))
case("answer of HTTP/1.0 until close", get("/plain/a"), says(text("HTTP/1.0 200 OK", body=b"abc"), close=True))
case("answer in single bytes", get("/plain/a"), says(*[OK[i:i + 1] for i in range(len(OK))]))
case("answer with bare LF", get("/plain/a"), says(OK.replace(CRLF, b"\n")))
case("answer with a space before the colon", get("/plain/a"), says(b"HTTP/1.1 200 OK\r\nX-Space : a\r\nContent-Length: 0\r\n\r\n"))
case("answer without reason and space", get("/plain/a"), says(b"HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n"))
case("answer HTTP/1.2", get("/plain/a"), says(b"HTTP/1.2 200 OK\r\nContent-Length: 0\r\n\r\n"))
case("answer with equal lengths", get("/plain/a"), says(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nok"))
case("answer with length and chunks", get("/plain/a"), says(text(
    "HTTP/1.1 200 OK", "Content-Length: 3", "Transfer-Encoding: chunked", body=chunked(b"abc")), close=True))

# --- interim -------------------------------------------------------------------------------------

HINTS = text("HTTP/1.1 103 Early Hints", "Link: </x>")
for area in ("plain", "interim-rfc", "interim-none"):
    case(f"interim 103 to {area}", get(f"/{area}/a"), says(HINTS, OK))
    case(f"interim 100 not asked for to {area}", get(f"/{area}/a"), says(text("HTTP/1.1 100 Continue"), OK))
case("interim 102 and 103", get("/plain/a"), says(text("HTTP/1.1 102 Processing") + HINTS + OK))
case("interim 103 to HTTP/1.0", get("/plain/a", version="HTTP/1.0"), says(HINTS, OK))
case("interim 101 not asked for", get("/plain/a"), says(text("HTTP/1.1 101 Switching", "Upgrade: x", "Connection: Upgrade"), close=True))

# --- failures ------------------------------------------------------------------------------------

case("refused", get("/dead/a"))
case("refused, POST", post("/dead/a"))
case("refused, HEAD", get("/dead/a", method="HEAD"))
case("unknown name", get("/nowhere/a"))
case("all members dead", get("/alldead/a"))
case("no answer in time", get("/slow/a"), stalls())
case("half a head in time", get("/slow/a"), stalls(b"HTTP/1.1 200 OK\r\nX-A"))
case("half a body in time", get("/slow/a"), stalls(text("HTTP/1.1 200 OK", "Content-Length: 9", body=b"half")))
case("closed without an answer", get("/noreuse/a"), says(close=True))
case("closed without an answer, POST", post("/noreuse/a"), says(close=True))
case("reset without an answer", get("/noreuse/a"), resets())
case("closed inside the head", get("/noreuse/a"), says(b"HTTP/1.1 200 OK\r\nX-A: b", close=True))
case("closed inside the body", get("/plain/a"), says(text("HTTP/1.1 200 OK", "Content-Length: 9", body=b"half"), close=True))
case("closed inside a chunk", get("/plain/a"), says(text("HTTP/1.1 200 OK", "Transfer-Encoding: chunked", body=b"9\r\nhalf"), close=True))
case("closed before the last chunk", get("/plain/a"), says(text("HTTP/1.1 200 OK", "Transfer-Encoding: chunked", body=b"4\r\nhalf\r\n"),
                                                        close=True))
case("bad chunk size", get("/plain/a"), says(text("HTTP/1.1 200 OK", "Transfer-Encoding: chunked", body=b"xyz\r\nhalf\r\n"), close=True))
BAD_HEADS = [
    ("no status line", b"no HTTP at all\r\n\r\n"), ("status of two digits", b"HTTP/1.1 20 OK\r\n\r\n"),
    ("status with letters", b"HTTP/1.1 2x0 OK\r\n\r\n"), ("HTTP/2.0", b"HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n"),
    ("lower case", b"http/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"), ("empty line first", b"\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
    ("NUL in value", b"HTTP/1.1 200 OK\r\nX-A: a\0b\r\nContent-Length: 0\r\n\r\n"),
    ("control in value", b"HTTP/1.1 200 OK\r\nX-A: a\x01b\r\nContent-Length: 0\r\n\r\n"),
    ("CR in value", b"HTTP/1.1 200 OK\r\nX-A: a\rb\r\nContent-Length: 0\r\n\r\n"),
    ("no colon", b"HTTP/1.1 200 OK\r\nNoColon\r\nContent-Length: 0\r\n\r\n"),
    ("name with a space", b"HTTP/1.1 200 OK\r\nBad Name: x\r\nContent-Length: 0\r\n\r\n"),
    ("different lengths", b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nabc"),
    ("odd length", b"HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\nab"),
    ("negative length", b"HTTP/1.1 200 OK\r\nContent-Length: -2\r\n\r\nab"),
    ("unknown coding", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nab"),
    ("gzip and chunked", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n"),
    ("chunks of HTTP/1.0", b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n"),
    ("204 with a body", b"HTTP/1.1 204 No Content\r\nContent-Length: 2\r\n\r\nab"),
    ("field of 20000 bytes", b"HTTP/1.1 200 OK\r\nX-A: " + b"a" * 20_000 + b"\r\nContent-Length: 0\r\n\r\n"),
    ("field of 10000 bytes", b"HTTP/1.1 200 OK\r\nX-A: " + b"a" * 10_000 + b"\r\nContent-Length: 0\r\n\r\n"),
    ("field of 7000 bytes", b"HTTP/1.1 200 OK\r\nX-A: " + b"a" * 7_000 + b"\r\nContent-Length: 0\r\n\r\n"),
    ("150 fields", b"HTTP/1.1 200 OK\r\n" + b"".join(b"X-%d: 1\r\n" % i for i in range(150)) + b"Content-Length: 0\r\n\r\n"),
    ("extra bytes", OK + b"EXTRA"),
]
for name, raw in BAD_HEADS:
    case(f"bad head: {name}", get("/noreuse/a"), says(raw, close=True))
case("small field limit", get("/small/a"), says(answer(b"x", fields=[("X-A", "a" * 600)]), close=True))
for name, raw in BAD_HEADS[9:11]:
    case(f"ignored: {name}", get("/a", host="Host: tolerant.test"), says(raw, close=True))
case("starts the body: no colon", get("/a", host="Host: body.test"), says(b"HTTP/1.1 200 OK\r\nX-A: 1\r\nNoColon\r\nrest", close=True))

# --- redirects -----------------------------------------------------------------------------------

LOCATIONS = ["/x", "{b}/x", "{b}", "{b}/", "{b}/x?q=http://127.0.0.1/", "HTTP://127.0.0.1:{bport}/x", "http://127.0.0.1:{bport}1/x",
             "http://elsewhere.test/x", "//127.0.0.1:{bport}/x", "x/y", "?q", "", "{b}/x#frag", "https://127.0.0.1:{bport}/x"]
for location in LOCATIONS:
    case(f"redirect {location}", get("/plain/a"), ("redirect", "302 Found", location))
for status in ("201 Created", "301 Moved", "303 See", "307 Temp", "308 Perm", "200 OK"):
    case(f"redirect with {status}", get("/plain/a"), ("redirect", status, "{b}/x"))
case("redirect, client with a port", get("/plain/a", host="Host: proxy.test:8080"), ("redirect", "302 Found", "{b}/x"))
case("redirect, deeper rule", get("/deep/x/q"), ("redirect", "302 Found", "{b}/base/y/z"))
case("redirect, no segment boundary", get("/deep/x/q"), ("redirect", "302 Found", "{b}/base/yes"))
case("redirect, other site", get("/abs/a"), ("redirect", "302 Found", "http://elsewhere.test/app/x"))
case("redirect, preserved host", get("/preserve/a"), ("redirect", "302 Found", "{b}/x"))
case("redirect, host as sent", get("/preserve/a"), ("redirect", "302 Found", "http://proxy.test/x"))
case("redirect, balancer", get("/balanced/a"), ("redirect", "302 Found", "{b}/m1/x"))
case("redirect, HTTP/1.0 without host", get("/plain/a", version="HTTP/1.0", host=None), ("redirect", "302 Found", "{b}/x"))
case("redirect, canonical name", get("/a", host="Host: body.test"), ("redirect", "302 Found", "{b}/x"))
case("content location", get("/plain/a"), ("field", "Content-Location", "{b}/x"))
case("URI and Destination", get("/plain/a"), ("field", "URI", "{b}/x"))

# --- connections ---------------------------------------------------------------------------------

case("two requests on one connection", [get("/plain/a"), get("/plain/b")])
case("three, the last closes", [get("/plain/a"), post("/plain/b"), get("/plain/c", "Connection: close")])
case("kept after a refusal", [get("/dead/a"), get("/plain/a")])
case("kept after 404 of the backend", [get("/plain/a"), get("/plain/b")], says(answer(b"x", "404 Not Found")))
case("kept after 500 of the backend", [get("/plain/a"), get("/plain/b")], says(answer(b"x", "500 Oops")))
case("HTTP/1.0", get("/plain/a", version="HTTP/1.0"))
case("HTTP/1.0 without host", get("/plain/a", version="HTTP/1.0", host=None))
case("HTTP/1.0 without host, preserved", get("/preserve/a", version="HTTP/1.0", host=None))
case("HTTP/1.0 keep-alive", [get("/plain/a", "Connection: keep-alive", version="HTTP/1.0"),
                             get("/plain/b", "Connection: keep-alive", version="HTTP/1.0")])
case("HTTP/1.0 POST", text("POST /plain/a HTTP/1.0", HOST, "Content-Length: 3", body=b"abc"))
case("HTTP/1.0 chunks", text("POST /plain/a HTTP/1.0", HOST, "Transfer-Encoding: chunked", body=chunked(b"abc")))
case("HTTP/0.9", b"GET /plain/a\r\n")
case("HTTP/1.9", get("/plain/a", version="HTTP/1.9"))
case("HTTP/2.0 in words", get("/plain/a", version="HTTP/2.0"))
case("half close after the request", get("/plain/a"), half_close=True)
for area in ("noreuse", "nokeep", "initial", "force10", "downgrade", "nokeepalive"):
    case(f"two requests to {area}", [get(f"/{area}/a"), get(f"/{area}/b")])
case("balancer order", [get("/balanced/a"), get("/balanced/b"), get("/balanced/c")])
case("balancer with a dead member", [get("/halfdead/a"), get("/halfdead/b"), post("/halfdead/c")])


# --- what is different, and why ------------------------------------------------------------------

# Case name: how the row of docs/differences.md begins. Where only the page differs, the rest is compared.
PAGE = "the page of a failure"
DIFFERENT = {
    "Max-Forwards 0 on GET": PAGE,
    "Max-Forwards odd": PAGE,
    "fields forwarded empty": "an empty `X-Forwarded-For`",
    "fields upgrade": "WebSocket is off until",
    "fields proxy authorization": "some `Proxy-*` fields pass",
    "fields coding list": "a request whose transfer codings",
    "expect, backend refuses": "417 from a backend",
    "expect without body": "`Expect: 100-continue` without a body",
    "answer with a space before the colon": "blanks between a field name",
    "interim 100 not asked for to interim-rfc": "`proxy-interim-response RFC`",
    "interim 101 not asked for": PAGE,
    "unknown name": "a name that does not resolve: 500",
    "no answer in time": "no answer in time: 502",
    "half a head in time": "no answer in time: 502",
    "closed without an answer": PAGE,
    "closed without an answer, POST": PAGE,
    "reset without an answer": PAGE,
    "closed inside the head": PAGE,
    "bad chunk size": "odd or several Content-Length values",
    "small field limit": PAGE,
    "redirect {b}": "ProxyPassReverse and cookie paths compare text",
    "redirect //127.0.0.1:{bport}/x": "ProxyPassReverse leaves `Refresh` and values",
    "redirect, no segment boundary": "ProxyPassReverse and cookie paths compare text",
    "redirect, balancer": "a redirect to a member of a balancer",
    "bad head: no status line": "an answer without a status line",
    "bad head: status of two digits": "an answer without a status line",
    "bad head: status with letters": "an answer without a status line",
    "bad head: HTTP/2.0": PAGE,
    "bad head: lower case": "an answer without a status line",
    "bad head: empty line first": "empty lines before",
    "bad head: NUL in value": PAGE,
    "bad head: control in value": "a field of an answer with a control character",
    "bad head: CR in value": "a field of an answer with a control character",
    "bad head: no colon": PAGE,
    "bad head: name with a space": "a field of an answer with a control character",
    "bad head: different lengths": "odd or several Content-Length values",
    "bad head: odd length": "odd or several Content-Length values",
    "bad head: negative length": "odd or several Content-Length values",
    "bad head: unknown coding": "odd or several Content-Length values",
    "bad head: gzip and chunked": "odd or several Content-Length values",
    "bad head: chunks of HTTP/1.0": "odd or several Content-Length values",
    "bad head: field of 20000 bytes": PAGE,
    "bad head: field of 10000 bytes": "`responsefieldsize` is 8192",
}


@pytest.fixture(scope="module")
def pair(house):
    return Pair(house, CONF, ports=3, modules=("rewrite",), dead=closed_port())


def rows():
    table = (settings.REPOSITORY / "docs" / "differences.md").read_text("utf-8")
    return [line[2:] for line in table.splitlines() if line.startswith("| ")]


def prepared(one, pair):
    """Backends that send a redirect know the backend's URL only now."""
    if not isinstance(one.backend, tuple):
        return one
    kind, what, location = one.backend
    location = location.replace("{bport}", str(pair.backend.port)).replace("{b}", pair.backend.url)
    data = (answer(b"moved", what, [("Location", location)]) if kind == "redirect" else
            answer(b"moved", fields=[(what, location), ("Destination", location)]))
    return Case(one.name, one.sends, says(data))


def codes(observed):
    """The numbers of the answers."""
    return [each["head"][9:12] if isinstance(each, dict) else each for each in observed["client"]]


@pytest.mark.parametrize("one", CASES, ids=lambda one: one.name)
def test_as_mod_proxy(pair, one):
    for server in (pair.own, pair.stock):
        server.allow_log(r"\[\w+:(warn|error)\]")
    one = prepared(one, pair)
    stock, own = pair.observe(pair.stock, one), pair.observe(pair.own, one)
    if not any(b"X-Forwarded-Proto" in raw for raw in one.sends):  # its own test below
        own = without_line(own, b"X-Forwarded-Proto: http\r\n")
    row = DIFFERENT.get(one.name)
    if row is None:
        assert own == stock, "\n".join(["", *differences(own, stock)])
    else:
        assert own != stock, f"no difference any more: {row}"
        if row == PAGE:
            assert [own["backend"], codes(own)] == [stock["backend"], codes(stock)], "\n".join(differences(own, stock))
        assert any(line.startswith(row) for line in rows()), f"no such row in docs/differences.md: {row}"


def test_forwarded_proto_is_the_one_field_that_is_added(pair):
    one = Case("proto", [get("/plain/a")], ok)
    stock, own = pair.observe(pair.stock, one), pair.observe(pair.own, one)
    assert own != stock and without_line(own, b"X-Forwarded-Proto: http\r\n") == stock
    assert any(line.startswith("no X-Forwarded-Proto") for line in rows())


def test_the_table_has_no_stale_names():
    names = [one.name for one in CASES]
    assert len(names) == len(set(names)) and not set(DIFFERENT) - set(names)
