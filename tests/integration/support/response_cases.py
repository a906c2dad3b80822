"""What a backend may send, byte for byte, and what must come of it: the table of test_response_bytes.py.

A case is the bytes (or several pieces, each sent after the client has read what the one before made) and
the wanted outcome:

- `ok(...)`: this answer reaches the client; `reuse` says whether the backend connection is used again.
- `bad(tag)`: 502, this tag in the log, the backend connection closed.
- `spoilt(tag, body)`: either `bad` or `cut`, which depends on how the bytes arrive.
- `cut(tag, body)`: the answer had begun, then it is visibly cut, this tag in the log.
"""
from dataclasses import dataclass, field

OK = b"HTTP/1.1 200 OK\r\n"
THREE = b"Content-Length: 3\r\n\r\nabc"
CHUNKED = b"Transfer-Encoding: chunked\r\n"
CHUNKS = b"\r\n3\r\nabc\r\n0\r\n\r\n"

STATUS_LINE, FIELD, FIELD_SIZE, HEAD_SIZE, FIELD_COUNT = "CXP0111", "CXP0112", "CXP0113", "CXP0114", "CXP0115"
FRAMING, INTERIM, SWITCH, SHORT, CHUNK, NO_ANSWER, HALF_HEAD = (
    "CXP0116", "CXP0117", "CXP0118", "CXP0119", "CXP0122", "CXP0107", "CXP0110")


@dataclass
class Want:
    kind: str
    tag: str = ""
    body: bytes = b""
    reuse: bool = False
    status: int = 200
    reason: str = "OK"
    fields: dict = field(default_factory=dict)   # name -> list of all its values
    interim: list = field(default_factory=list)  # (status, {name: [values]})


@dataclass
class Case:
    name: str
    pieces: tuple
    want: Want
    method: str = "GET"
    rule: str = "IsError"
    end: str = "keep"      # what the backend does afterwards: keep, close
    version: str = "1.1"   # of the client's request
    place: str = "/c"      # /small has responsefieldsize=1024
    dribble: bool = False  # every byte is sent by itself
    late: bytes = b""      # sent by the backend after the client has read its answer
    asks: tuple = ()       # more fields of the request


def ok(body=b"abc", reuse=True, status=200, reason="OK", interim=(), **fields):
    return Want("ok", body=body, reuse=reuse, status=status, reason=reason, interim=list(interim),
                fields={name.replace("_", "-"): value for name, value in fields.items()})


def bad(tag):
    return Want("bad", tag=tag)


def cut(tag, body=b"", **fields):
    return Want("cut", tag=tag, body=body, fields={name.replace("_", "-"): value for name, value in fields.items()})


def spoilt(tag, body=b""):
    """502 or cut, as the pieces arrive; never complete."""
    return Want("spoilt", tag=tag, body=body)


CASES = []


def case(name, data, want, **more):
    pieces = data if isinstance(data, tuple) else (data,)
    CASES.append(Case(name, pieces, want, **more))


def each(group, rows, **more):
    for name, data, want, *options in rows:
        case(f"{group}: {name}", data, want, **{**more, **(options[0] if options else {})})


# --- before the status line ---------------------------------------------------------------------------

each("before", [
    (name, junk + OK + THREE, bad(STATUS_LINE)) for name, junk in {
        "CRLF": b"\r\n", "two CRLF": b"\r\n\r\n", "LF": b"\n", "CR": b"\r", "space": b" ", "tab": b"\t", "NUL": b"\0",
        "a digit": b"0", "BOM": b"\xef\xbb\xbf", "end of chunks": b"0\r\n\r\n", "rest of a body": b"rest of a body",
        "a field": b"X-A: b\r\n", "another protocol": b"220 mail ESMTP\r\n", "TLS alert": b"\x15\x03\x01\x00\x02\x02\x46",
        "h2 settings": b"\0\0\0\4\0\0\0\0\0"}.items()])

# --- the status line ----------------------------------------------------------------------------------

each("status line", [
    ("version 1.0", b"HTTP/1.0 200 OK\r\n" + THREE, ok(reuse=False)),
    ("version 1.0 kept", b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n" + THREE, ok()),
    ("version 1.2", b"HTTP/1.2 200 OK\r\n" + THREE, ok()),
    ("version 1.9", b"HTTP/1.9 200 OK\r\n" + THREE, ok()),
    ("no reason, space", b"HTTP/1.1 200 \r\n" + THREE, ok(reason="")),
    ("no reason, no space", b"HTTP/1.1 200\r\n" + THREE, ok(reason="")),
    ("other reason", b"HTTP/1.1 200 Fine And Dandy\r\n" + THREE, ok(reason="Fine And Dandy")),
    ("other code", b"HTTP/1.1 299 Hm\r\n" + THREE, ok(status=299, reason="Hm")),
    ("code 404", b"HTTP/1.1 404 Nope\r\n" + THREE, ok(status=404, reason="Nope")),
    ("code 502 of the backend", b"HTTP/1.1 502 Mine\r\n" + THREE, ok(status=502, reason="Mine")),
    ("code 600", b"HTTP/1.1 600 What\r\n" + THREE, ok(status=600, reason="What")),
    ("code 999", b"HTTP/1.1 999 No Bots\r\n" + THREE, ok(status=999, reason="No Bots")),
    ("high bytes in the reason", b"HTTP/1.1 200 Sch\xc3\xb6n\r\n" + THREE, ok(reason="Sch\xc3\xb6n")),
    ("tab in the reason", b"HTTP/1.1 200 a\tb\r\n" + THREE, ok(reason="a\tb")),
    ("colon in the reason", b"HTTP/1.1 200 X-A: b\r\n" + THREE, ok(reason="X-A: b")),
    ("spaces around the reason", b"HTTP/1.1 200   OK  \r\n" + THREE, ok()),
    ("bare LF", b"HTTP/1.1 200 OK\n" + THREE, ok()),
] + [(name, line + b"\r\n" + THREE, bad(STATUS_LINE)) for name, line in {
    "version 0.9": b"HTTP/0.9 200 OK", "version 2": b"HTTP/2 200 OK", "version 2.0": b"HTTP/2.0 200 OK",
    "version 1.10": b"HTTP/1.10 200 OK", "version 1.x": b"HTTP/1.x 200 OK", "version 1.": b"HTTP/1. 200 OK",
    "version 1": b"HTTP/1 200 OK", "version 01.1": b"HTTP/01.1 200 OK", "version +1.1": b"HTTP/+1.1 200 OK",
    "version 3.1": b"HTTP/3.1 200 OK", "no version": b"HTTP 200 OK", "lower case": b"http/1.1 200 OK",
    "mixed case": b"Http/1.1 200 OK", "ICY": b"ICY 200 OK", "HTTPS": b"HTTPS/1.1 200 OK",
    "code 099": b"HTTP/1.1 099 OK", "code 000": b"HTTP/1.1 000 OK", "code 99": b"HTTP/1.1 99 OK",
    "code 20": b"HTTP/1.1 20 OK", "code 2": b"HTTP/1.1 2 OK", "code 1000": b"HTTP/1.1 1000 OK",
    "code 2000": b"HTTP/1.1 2000 OK", "code 2x0": b"HTTP/1.1 2x0 OK", "code 20x": b"HTTP/1.1 20x OK",
    "code +20": b"HTTP/1.1 +20 OK", "code -20": b"HTTP/1.1 -20 OK", "code 0xc8": b"HTTP/1.1 0xc8 OK",
    "no code": b"HTTP/1.1 OK", "nothing": b"HTTP/1.1", "nothing, space": b"HTTP/1.1 ", "code glued": b"HTTP/1.1 200OK",
    "code in other digits": b"HTTP/1.1 \xd9\xa2\xd9\xa0\xd9\xa0 OK",
    "two spaces": b"HTTP/1.1  200 OK", "tab before the code": b"HTTP/1.1\t200 OK", "no space": b"HTTP/1.1200 OK",
    "tab behind the code": b"HTTP/1.1 200\tOK", "dot behind the code": b"HTTP/1.1 200.1 OK",
    "CR in the reason": b"HTTP/1.1 200 O\rK", "CR before the end": b"HTTP/1.1 200 OK\r", "NUL": b"HTTP/1.1 200 O\0K",
    "NUL in the code": b"HTTP/1.1 20\0 OK", "ESC": b"HTTP/1.1 200 \x1b[31m", "DEL": b"HTTP/1.1 200 \x7f",
    "VT behind the code": b"HTTP/1.1 200\x0bOK", "a request line": b"GET / HTTP/1.1"}.items()] + [
    ("very long", b"HTTP/1.1 200 " + b"r" * 20_000 + b"\r\n" + THREE, bad(FIELD_SIZE)),
    ("only a line end", b"\r\n", bad(STATUS_LINE)),
    ("without end", b"HTTP/1.1 200 OK", bad(HALF_HEAD), {"end": "close"}),
    ("without end, long", b"HTTP/1.1 200 " + b"r" * 100_000, bad(FIELD_SIZE)),
])


# --- fields, under each ProxyBadHeader ----------------------------------------------------------------

def field_case(name, lines, want, ignore=None, start_body=None, ends=b"\r\n"):
    """`lines` between two good fields; `ignore` and `start_body` default to what IsError gives."""
    data = OK + b"X-First: 1\r\n" + lines + ends + b"X-Last: 2\r\n" + THREE
    for rule, wanted in (("IsError", want), ("Ignore", ignore or want), ("StartBody", start_body or want)):
        until_close = rule == "StartBody" and start_body is not None
        case(f"field: {name}", data, wanted, rule=rule, end="close" if until_close else "keep")


PLAIN = {"X_First": ["1"], "X_Last": ["2"]}
SKIPPED = ok(reuse=False, **PLAIN)


def body_of(lines):
    return ok(lines + b"\r\nX-Last: 2\r\n" + THREE, reuse=False, X_First=["1"], X_Last=[])


for _name, _lines in {"no colon": b"this line has none", "a status line": b"HTTP/1.1 200 OK", "one word": b"oops",
                      "a chunk size": b"5", "an HTML page": b"<html>", "space line": b"X-A b c"}.items():
    field_case(_name, _lines, bad(FIELD), SKIPPED, body_of(_lines))
for _name, _lines in {
        "empty name": b": value", "empty name and value": b":", "space in the name": b"X A: b",
        "tab in the name": b"X\tA: b", "high byte in the name": b"X-\xe9: b", "quotes": b'"X-A": b', "brackets": b"X(A): b",
        "slash": b"X/A: b", "at": b"X@A: b", "framing with a space": b"Transfer Encoding: chunked",
        "framing with a hidden length": b"Content Length: 9", "comma": b"X,A: b", "equals sign": b"X=A: b"}.items():
    field_case(_name, _lines, bad(FIELD), SKIPPED)
for _name, _lines in {
        "NUL in the name": b"X\0A: b", "NUL in the value": b"X-A: b\0c", "NUL at the end": b"X-A: b\0",
        "CTL in the value": b"X-A: b\x01c", "ESC in the value": b"X-A: \x1b[31m", "DEL in the value": b"X-A: b\x7f",
        "VT in the value": b"X-A: b\x0bc", "FF before the colon": b"X-A\x0c: b", "CTL in the name": b"X\x01A: b",
        "bare CR in the value": b"X-A: b\rX-Evil: 1", "bare CR before the end": b"X-A: b\r", "bare CR in the name": b"X\rA: b",
        "bare CR as a line end": b"X-A: b\rSet-Cookie: evil=1", "CR before the colon": b"X-A\r: b",
        "CTL without colon": b"\x01\x02", "only CR": b"\r"}.items():
    field_case(_name, _lines, bad(FIELD))
for _name, _lines, _more in [
        ("empty value", b"X-A:", {"X_A": [""]}), ("blank value", b"X-A: \t ", {"X_A": [""]}),
        ("no blank behind the colon", b"X-A:b", {"X_A": ["b"]}), ("blanks around", b"X-A: \t b c \t", {"X_A": ["b c"]}),
        ("high bytes in the value", b"X-A: sch\xc3\xb6n", {"X_A": ["sch\xc3\xb6n"]}), ("tab inside", b"X-A: b\tc", {"X_A": ["b\tc"]}),
        ("colon in the value", b"X-A: b: c", {"X_A": ["b: c"]}), ("all token characters", b"!#$%&'*+-.^_`|~09aZ: b", {}),
        ("space before the colon", b"X-A : b", {"X_A": ["b"]}), ("tab before the colon", b"X-A\t: b", {"X_A": ["b"]}),
        ("fold", b"X-A: b\r\n c", {"X_A": ["b c"]}), ("fold by tab", b"X-A: b\r\n\tc", {"X_A": ["b c"]}),
        ("fold of an empty value", b"X-A:\r\n b", {"X_A": ["b"]}), ("blank fold", b"X-A: b\r\n ", {"X_A": ["b"]}),
        ("fold that looks like a field", b"X-A: b\r\n Set-Cookie: evil=1", {"X_A": ["b Set-Cookie: evil=1"], "Set_Cookie": []}),
        ("two folds", b"X-A: b\r\n c\r\n d", {"X_A": ["b c d"]}),
        ("several of one name", b"X-A: 1\r\nx-a: 2\r\nX-A: 1", {"X_A": ["1", "2", "1"]}),
        ("bare LF", b"X-A: b\nX-B: c", {"X_A": ["b"], "X_B": ["c"]}), ("fold by bare LF", b"X-A: b\n c", {"X_A": ["b c"]})]:
    field_case(_name, _lines, ok(**{**PLAIN, **_more}))

each("field", [
    ("first line begins with a space", OK + b" X-A: b\r\n" + THREE, bad(FIELD)),
    ("first line begins with a space", OK + b" X-A: b\r\nX-B: c\r\n" + THREE, ok(reuse=False, X_A=[], X_B=["c"]), {"rule": "Ignore"}),
    ("first line is a blank name", OK + b" : v\r\n" + THREE, bad(FIELD)),
    ("first line is blank", OK + b" \r\n" + THREE, bad(FIELD)),
    ("all line ends bare", (OK + b"X-A: b\r\n" + THREE).replace(b"\r\n", b"\n"), ok(X_A=["b"])),
    ("bare LF ends the head", OK + b"Content-Length: 3\r\n\nabc", ok()),
    ("bare CR ends the head", OK + b"Content-Length: 3\r\n\rabc", bad(HALF_HEAD), {"end": "close"}),
    ("ignored line with folds", OK + b"no colon\r\n folded: 1\r\n\tmore\r\nX-B: c\r\n" + THREE, ok(reuse=False, X_B=["c"]), {"rule": "Ignore"}),
    ("the first begins the body", OK + b"body begins\r\n", ok(b"body begins\r\n", reuse=False), {"rule": "StartBody", "end": "close"}),
    ("a length counts from the line that begins the body", OK + b"Content-Length: 6\r\nbody\r\n", ok(b"body\r\n", reuse=False),
     {"rule": "StartBody", "end": "close"}),
    ("length hidden by a missing colon", OK + b"Content-Length 9\r\n" + THREE, ok(reuse=False), {"rule": "Ignore"}),
    ("no field at all", OK + b"\r\nabc", ok(reuse=False), {"end": "close"}),
])

# --- sizes --------------------------------------------------------------------------------------------


def line_of(size, name=b"X-A"):
    """A field line of `size` bytes with its line end."""
    return name + b": " + b"v" * (size - len(name) - 4) + b"\r\n"


def head_of(size, count=0):
    """An answer head of `size` bytes with the body abc."""
    start, end = OK + b"Content-Length: 3\r\n", b"\r\n"
    left, lines = size - len(start) - len(end), b""
    while left:
        take = left if left <= 8000 else min(8000, left - 100)
        lines += line_of(take)
        left -= take
    return start + lines + end + b"abc"


each("size", [
    ("a field just below responsefieldsize", OK + line_of(1023) + THREE, ok(X_A=["v" * 1016])),
    ("a field of responsefieldsize", OK + line_of(1024) + THREE, ok(X_A=["v" * 1017])),
    ("a field just above responsefieldsize", OK + line_of(1025) + THREE, bad(FIELD_SIZE)),
    ("a name above responsefieldsize", OK + b"N" * 1100 + b": v\r\n" + THREE, bad(FIELD_SIZE)),
    ("a folded field above responsefieldsize", OK + b"X-A: " + b"v" * 600 + b"\r\n " + b"v" * 600 + b"\r\n" + THREE, bad(FIELD_SIZE)),
    ("a bad line above responsefieldsize", OK + b"v" * 1100 + b"\r\n" + THREE, bad(FIELD_SIZE), {"rule": "Ignore"}),
    ("a status line of responsefieldsize", b"HTTP/1.1 200 " + b"r" * 1009 + b"\r\n" + THREE, ok(reason="r" * 1009)),
    ("a status line above responsefieldsize", b"HTTP/1.1 200 " + b"r" * 1010 + b"\r\n" + THREE, bad(FIELD_SIZE)),
], place="/small")
each("size", [
    ("a field of the default", OK + line_of(16384) + THREE, ok(X_A=["v" * 16377])),
    ("a field above the default", OK + line_of(16385) + THREE, bad(FIELD_SIZE)),
    ("a name above the default", OK + b"N" * 16380 + b": v\r\n" + THREE, bad(FIELD_SIZE)),
    ("a long name", OK + b"N" * 8000 + b": v\r\n" + THREE, ok(**{"N" * 8000: ["v"]})),
    ("a head of 64 KiB", head_of(65536), ok()),
    ("a head above 64 KiB", head_of(65537), bad(HEAD_SIZE)),
    ("a head without end", OK + line_of(1000) * 100, bad(HEAD_SIZE)),
    ("512 fields", OK + b"X-A: b\r\n" * 511 + THREE, ok(X_A=["b"] * 511)),
    ("513 fields", OK + b"X-A: b\r\n" * 512 + THREE, bad(FIELD_COUNT)),
    ("endless bad lines", OK + b"no colon here\r\n" * 10_000 + THREE, bad(HEAD_SIZE), {"rule": "Ignore"}),
    ("a head above 64 KiB of interim responses", b"HTTP/1.1 103 E\r\nLink: " + b"l" * 15_000 + b"\r\n\r\n" + OK + line_of(16_000) * 3 + THREE,
     ok(X_A=["v" * 15_993] * 3, interim=[(103, {"Link": ["l" * 15_000]})])),
])

# --- framing ------------------------------------------------------------------------------------------

each("length", [
    ("plain", OK + THREE, ok(Content_Length=["3"])),
    ("zero", OK + b"Content-Length: 0\r\n\r\n", ok(b"", Content_Length=["0"])),
    ("leading zeros", OK + b"Content-Length: 0003\r\n\r\nabc", ok(Content_Length=["3"])),
    ("many leading zeros", OK + b"Content-Length: " + b"0" * 40 + b"3\r\n\r\nabc", ok(Content_Length=["3"])),
    ("equal twice", OK + b"Content-Length: 3\r\n" + THREE, ok(Content_Length=["3"])),
    ("equal list", OK + b"Content-Length: 3, 3\r\n\r\nabc", ok(Content_Length=["3"])),
    ("equal in another writing", OK + b"Content-Length: 03\r\n" + THREE, ok(Content_Length=["3"])),
    ("name in other case", OK + b"cOnTeNt-LeNgTh: 3\r\n\r\nabc", ok(Content_Length=["3"])),
    ("largest", OK + b"Content-Length: 9223372036854775807\r\n\r\nabc", cut(SHORT, b"abc", Content_Length=["9223372036854775807"]), {"end": "close"}),
] + [(name, OK + b"Content-Length: " + value + b"\r\n\r\nabc", bad(FRAMING)) for name, value in {
    "different list": b"3, 4", "list with an empty element": b"3,", "list with an empty first": b",3", "plus": b"+3", "minus": b"-3", "minus zero": b"-0",
    "hex": b"0x3", "hex digits": b"a", "empty": b"", "space inside": b"3 3", "decimal point": b"3.0", "exponent": b"3e0", "semicolon": b"3;",
    "quotes": b'"3"', "word": b"three", "2^63": b"9223372036854775808", "2^64": b"18446744073709551616", "2^64+3": b"18446744073709551619",
    "30 digits": b"9" * 30, "other digits": b"\xd9\xa3", "octal look": b"0o3", "underscore": b"1_0", "chunked": b"chunked"}.items()] + [
    ("different twice", OK + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd", bad(FRAMING)),
    ("different twice, other order", OK + b"Content-Length: 4\r\nContent-Length: 3\r\n\r\nabcd", bad(FRAMING)),
    ("good and bad", OK + b"Content-Length: 3\r\nContent-Length: x\r\n\r\nabc", bad(FRAMING)),
    ("folded list", OK + b"Content-Length: 3,\r\n 4\r\n\r\nabc", bad(FRAMING)),
    ("NUL", OK + b"Content-Length: 3\0\r\n\r\nabc", bad(FIELD)),
    ("space before the colon", OK + b"Content-Length : 3\r\n\r\nabc", ok(Content_Length=["3"])),
    ("cannot be taken away by Connection", OK + b"Connection: Content-Length\r\n" + THREE, ok(Content_Length=["3"])),
])
each("coding", [
    ("chunked", OK + CHUNKED + CHUNKS, ok()),
    ("chunked in other case", OK + b"transfer-encoding: ChUnKeD\r\n" + CHUNKS, ok()),
    ("chunked with empty elements", OK + b"Transfer-Encoding: , chunked,\r\n" + CHUNKS, ok()),
    ("with a length before", OK + b"Content-Length: 3\r\n" + CHUNKED + CHUNKS, ok(reuse=False)),
    ("with a length behind", OK + CHUNKED + b"Content-Length: 3\r\n" + CHUNKS, ok(reuse=False)),
    ("with another length", OK + CHUNKED + b"Content-Length: 13\r\n" + CHUNKS, ok(reuse=False)),
    ("with length zero", OK + CHUNKED + b"Content-Length: 0\r\n" + CHUNKS, ok(reuse=False)),
    ("with a bad length", OK + CHUNKED + b"Content-Length: x\r\n" + CHUNKS, bad(FRAMING)),
    ("with two lengths", OK + CHUNKED + b"Content-Length: 1\r\nContent-Length: 2\r\n" + CHUNKS, bad(FRAMING)),
    ("cannot be taken away by Connection", OK + b"Connection: Transfer-Encoding\r\n" + CHUNKED + CHUNKS, ok()),
    ("in HTTP/1.0", b"HTTP/1.0 200 OK\r\n" + CHUNKED + CHUNKS, bad(FRAMING)),
    ("in HTTP/1.0 with a length", b"HTTP/1.0 200 OK\r\n" + CHUNKED + THREE, bad(FRAMING)),
    ("space before the colon", OK + b"Transfer-Encoding : chunked\r\n" + CHUNKS, ok()),
    ("fold", OK + b"Transfer-Encoding:\r\n chunked\r\n" + CHUNKS, ok()),
] + [(name, OK + b"Transfer-Encoding: " + value + b"\r\n" + CHUNKS, bad(FRAMING)) for name, value in {
    "identity": b"identity", "gzip": b"gzip", "gzip, chunked": b"gzip, chunked", "chunked, gzip": b"chunked, gzip", "chunked twice": b"chunked, chunked",
    "empty": b"", "quotes": b'"chunked"', "parameter": b"chunked;q=1", "unknown": b"cow", "glued": b"chunkedx", "prefixed": b"xchunked",
    "identity, chunked": b"identity, chunked"}.items()] + [
    ("two fields", OK + CHUNKED * 2 + CHUNKS, bad(FRAMING)),
    ("two fields, one identity", OK + CHUNKED + b"Transfer-Encoding: identity\r\n" + CHUNKS, bad(FRAMING)),
    ("identity with a length", OK + b"Transfer-Encoding: identity\r\n" + THREE, bad(FRAMING)),
    ("VT before chunked", OK + b"Transfer-Encoding: \x0bchunked\r\n" + CHUNKS, bad(FIELD)),
    ("underscore is another field", OK + b"Transfer_Encoding: chunked\r\n" + THREE, ok(Transfer_Encoding=[])),
])
each("no body", [
    ("204", b"HTTP/1.1 204 None\r\n\r\n", ok(b"", status=204, reason="None")),
    ("204 with length zero", b"HTTP/1.1 204 None\r\nContent-Length: 0\r\n\r\n", ok(b"", status=204, reason="None", Content_Length=[])),
    ("204 with a length", b"HTTP/1.1 204 None\r\nContent-Length: 3\r\n\r\n", ok(b"", False, 204, "None", Content_Length=[])),
    ("204 with a body", b"HTTP/1.1 204 None\r\n" + THREE, ok(b"", False, 204, "None", Content_Length=[])),
    ("204 with bytes behind", b"HTTP/1.1 204 None\r\n\r\nabc", ok(b"", False, 204, "None")),
    ("204 chunked", b"HTTP/1.1 204 None\r\n" + CHUNKED + CHUNKS, ok(b"", False, 204, "None")),
    ("204 with unknown coding", b"HTTP/1.1 204 None\r\nTransfer-Encoding: gzip\r\n\r\n", bad(FRAMING)),
    ("304", b"HTTP/1.1 304 Same\r\nETag: \"x\"\r\n\r\n", ok(b"", status=304, reason="Same", ETag=['"x"'])),
    ("304 with a length", b"HTTP/1.1 304 Same\r\nContent-Length: 3\r\n\r\n", ok(b"", status=304, reason="Same")),
    ("304 with a body", b"HTTP/1.1 304 Same\r\n" + THREE, ok(b"", False, 304, "Same")),
    ("304 chunked", b"HTTP/1.1 304 Same\r\n" + CHUNKED + b"\r\n", ok(b"", status=304, reason="Same")),
    ("304 chunked with chunks", b"HTTP/1.1 304 Same\r\n" + CHUNKED + CHUNKS, ok(b"", False, 304, "Same")),
    ("304 with both", b"HTTP/1.1 304 Same\r\n" + CHUNKED + b"Content-Length: 3\r\n\r\n", ok(b"", False, 304, "Same", Content_Length=[])),
    ("304 with a bad length", b"HTTP/1.1 304 Same\r\nContent-Length: x\r\n\r\n", bad(FRAMING)),
    ("205 with a length", b"HTTP/1.1 205 Reset\r\nContent-Length: 0\r\n\r\n", ok(b"", status=205, reason="Reset")),
    ("205 with a body", b"HTTP/1.1 205 Reset\r\n" + THREE, ok(status=205, reason="Reset")),
    ("205 until close", b"HTTP/1.1 205 Reset\r\n\r\n", ok(b"", False, 205, "Reset"), {"end": "close"}),
])
each("HEAD", [
    ("with a length", OK + b"Content-Length: 3\r\n\r\n", ok(b"", Content_Length=["3"])),
    ("without a length", OK + b"\r\n", ok(b"", Content_Length=[])),
    ("chunked", OK + CHUNKED + b"\r\n", ok(b"", Content_Length=[])),
    ("with both", OK + CHUNKED + b"Content-Length: 3\r\n\r\n", ok(b"", False, Content_Length=[])),
    ("with equal lengths", OK + b"Content-Length: 3\r\nContent-Length: 3\r\n\r\n", ok(b"", Content_Length=["3"])),
    ("with a list of lengths", OK + b"Content-Length: 3, 3\r\n\r\n", ok(b"", Content_Length=["3"])),
    ("with different lengths", OK + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\n", bad(FRAMING)),
    ("with a body", OK + THREE, ok(b"", False, Content_Length=["3"])),
    ("with a chunked body", OK + CHUNKED + CHUNKS, ok(b"", False)),
    ("with a second answer", OK + b"Content-Length: 3\r\n\r\n" + OK + THREE, ok(b"", False, Content_Length=["3"])),
    ("404", b"HTTP/1.1 404 Nope\r\nContent-Length: 3\r\n\r\n", ok(b"", status=404, reason="Nope", Content_Length=["3"])),
    ("204", b"HTTP/1.1 204 None\r\n\r\n", ok(b"", status=204, reason="None")),
    ("304", b"HTTP/1.1 304 Same\r\n\r\n", ok(b"", status=304, reason="Same")),
    ("closed behind the head", OK + b"Content-Length: 3\r\n\r\n", ok(b"", False, Content_Length=["3"]), {"end": "close"}),
], method="HEAD")
each("until close", [
    ("some bytes", OK + b"\r\nabc", ok(reuse=False), {"end": "close"}),
    ("no bytes", OK + b"\r\n", ok(b"", reuse=False), {"end": "close"}),
    ("what looks like an answer", OK + b"\r\n" + OK + THREE, ok(OK + THREE, reuse=False), {"end": "close"}),
    ("in HTTP/1.0", b"HTTP/1.0 200 OK\r\n\r\nabc", ok(reuse=False), {"end": "close"}),
    ("keep-alive means nothing", OK + b"Connection: keep-alive\r\n\r\nabc", ok(reuse=False), {"end": "close"}),
    ("in pieces", (OK + b"\r\n", b"a", b"bc"), ok(reuse=False), {"end": "close"}),
])


# --- chunked coding -----------------------------------------------------------------------------------

def chunk_case(name, coded, good=None, reuse=True):
    """`coded` arrives with the head; when it is bad, 502, and once more behind a chunk that was passed on."""
    head = OK + CHUNKED + b"\r\n"
    if good is not None:
        case(f"chunks: {name}", head + coded, ok(good, reuse=reuse))
        return
    case(f"chunks: {name}", head + coded, bad(CHUNK) if len(coded) < 16_000 else spoilt(CHUNK, b"abc"))
    case(f"chunks: {name}, late", (head + b"5\r\nfirst\r\n", coded), cut(CHUNK, b"first"))


for _name, _coded in {
        "one": b"3\r\nabc\r\n0\r\n\r\n", "three": b"1\r\na\r\n1\r\nb\r\n1\r\nc\r\n0\r\n\r\n", "leading zeros": b"0003\r\nabc\r\n0000\r\n\r\n",
        "16 digits": b"0000000000000003\r\nabc\r\n0\r\n\r\n",
        "blanks behind the size": b"3  \t\r\nabc\r\n0 \r\n\r\n", "extension": b"3;name=value\r\nabc\r\n0;last\r\n\r\n",
        "quoted extension": b'3;a="b;c \\" d"\r\nabc\r\n0\r\n\r\n', "blanks around the extension": b"3 ; a = b\r\nabc\r\n0\r\n\r\n",
        "extension with high bytes": b"3;\xc3\xb6\r\nabc\r\n0\r\n\r\n", "empty extension": b"3;\r\nabc\r\n0\r\n\r\n",
        "long extension": b"3;" + b"x" * 900 + b"\r\nabc\r\n0\r\n\r\n",
        "trailer": b"3\r\nabc\r\n0\r\nX-Sum: 1\r\n\r\n", "trailers": b"3\r\nabc\r\n0\r\nX-Sum: 1\r\nX-Empty:\r\n\r\n",
        "trailer named as framing": b"3\r\nabc\r\n0\r\nContent-Length: 9\r\nTransfer-Encoding: gzip\r\n\r\n",
        "trailer that would matter": b"3\r\nabc\r\n0\r\nSet-Cookie: evil=1\r\nLocation: /x\r\nConnection: close\r\n\r\n",
        "trailer with high bytes": b"3\r\nabc\r\n0\r\nX-A: \xc3\xb6\r\n\r\n", "trailers just small enough": b"3\r\nabc\r\n0\r\nX: " + b"t" * 16_376 + b"\r\n\r\n",
        }.items():
    chunk_case(_name, _coded, b"abc")
chunk_case("upper case digits", b"A\r\n0123456789\r\na\r\n0123456789\r\n0\r\n\r\n", b"01234567890123456789")
chunk_case("none", b"0\r\n\r\n", b"")
chunk_case("bytes behind", b"3\r\nabc\r\n0\r\n\r\nX", b"abc", reuse=False)
chunk_case("an answer behind", b"3\r\nabc\r\n0\r\n\r\n" + OK + THREE, b"abc", reuse=False)
chunk_case("a line end too many", b"3\r\nabc\r\n0\r\n\r\n\r\n", b"abc", reuse=False)
for _name, _coded in {
        "no digits": b"\r\nabc\r\n0\r\n\r\n", "only an extension": b";a=b\r\nabc\r\n0\r\n\r\n", "not hex": b"xyz\r\nabc\r\n0\r\n\r\n",
        "0x": b"0x3\r\nabc\r\n0\r\n\r\n", "plus": b"+3\r\nabc\r\n0\r\n\r\n", "minus": b"-3\r\nabc\r\n0\r\n\r\n", "blank before": b" 3\r\nabc\r\n0\r\n\r\n",
        "tab before": b"\t3\r\nabc\r\n0\r\n\r\n", "blank inside": b"3 3\r\nabc\r\n0\r\n\r\n", "decimal point": b"3.0\r\nabc\r\n0\r\n\r\n",
        "comma": b"3,3\r\nabc\r\n0\r\n\r\n", "quotes": b'"3"\r\nabc\r\n0\r\n\r\n', "underscore": b"0_3\r\nabc\r\n0\r\n\r\n",
        "17 digits": b"00000000000000003\r\nabc\r\n0\r\n\r\n", "2^63": b"8000000000000000\r\nabc", "2^64-1": b"ffffffffffffffff\r\nabc",
        "2^64+3": b"10000000000000003\r\nabc\r\n0\r\n\r\n", "NUL": b"3\0\r\nabc\r\n0\r\n\r\n", "VT behind": b"3\x0b\r\nabc\r\n0\r\n\r\n",
        "CTL in the extension": b"3;a\x01\r\nabc\r\n0\r\n\r\n", "NUL in the extension": b"3;a\0\r\nabc\r\n0\r\n\r\n",
        "bare LF behind the size": b"3\nabc\r\n0\r\n\r\n", "bare LF in the extension": b"3;a\nabc\r\n0\r\n\r\n", "bare CR behind the size": b"3\rabc\r\n0\r\n\r\n",
        "CR CR LF": b"3\r\r\nabc\r\n0\r\n\r\n", "bare CR in the extension": b"3;a\rb\r\nabc\r\n0\r\n\r\n", "very long extension": b"3;" + b"x" * 2000 + b"\r\nabc\r\n0\r\n\r\n",
        "endless blanks": b"3" + b" " * 2000 + b"\r\nabc\r\n0\r\n\r\n", "other digits": b"\xd9\xa3\r\nabc\r\n0\r\n\r\n",
        "longer than its size": b"3\r\nabcd\r\n0\r\n\r\n", "shorter than its size": b"3\r\nab\r\n0\r\n\r\n", "no line end behind": b"3\r\nabc0\r\n\r\n",
        "bare LF behind data": b"3\r\nabc\n0\r\n\r\n", "bare CR behind data": b"3\r\nabc\r0\r\n\r\n", "two line ends behind data": b"3\r\nabc\r\n\r\n0\r\n\r\n",
        "bare LF behind the last size": b"3\r\nabc\r\n0\n\r\n", "bare LF at the end": b"3\r\nabc\r\n0\r\n\n", "bare CR at the end": b"3\r\nabc\r\n0\r\n\rX",
        "trailer without colon": b"3\r\nabc\r\n0\r\noops\r\n\r\n", "trailer without name": b"3\r\nabc\r\n0\r\n: b\r\n\r\n",
        "trailer with a space before the colon": b"3\r\nabc\r\n0\r\nX-A : b\r\n\r\n", "folded trailer": b"3\r\nabc\r\n0\r\nX-A: b\r\n c\r\n\r\n",
        "trailer with a CTL": b"3\r\nabc\r\n0\r\nX-A: b\x01\r\n\r\n", "trailer with NUL": b"3\r\nabc\r\n0\r\nX-A: b\0\r\n\r\n",
        "trailer with a bare CR": b"3\r\nabc\r\n0\r\nX-A: b\rX-B: c\r\n\r\n", "trailer with a bare LF": b"3\r\nabc\r\n0\r\nX-A: b\nX-B: c\r\n\r\n",
        "trailer name with high bytes": b"3\r\nabc\r\n0\r\nX-\xe9: b\r\n\r\n", "trailers too long": b"3\r\nabc\r\n0\r\nX: " + b"t" * 17_000 + b"\r\n\r\n",
        "trailers without end": b"3\r\nabc\r\n0\r\n" + b"X: y\r\n" * 5000, "an answer instead of trailers": b"3\r\nabc\r\n0\r\n" + OK + THREE}.items():
    chunk_case(_name, _coded)

# --- bytes behind a message ---------------------------------------------------------------------------

each("behind", [
    ("a second answer", OK + THREE + OK + b"Content-Length: 4\r\n\r\nevil", ok(reuse=False)),
    ("a byte", OK + THREE + b"X", ok(reuse=False)),
    ("a line end", OK + THREE + b"\r\n", ok(reuse=False)),
    ("a 100", OK + THREE + b"HTTP/1.1 100 Continue\r\n\r\n", ok(reuse=False)),
    ("a longer body than its length", OK + b"Content-Length: 3\r\n\r\nabcdef", ok(reuse=False)),
    ("a body behind length zero", OK + b"Content-Length: 0\r\n\r\nabc", ok(b"", reuse=False)),
    ("late answer", OK + THREE, ok(reuse=False), {"late": OK + b"Content-Length: 4\r\n\r\nevil"}),
    ("late byte", OK + THREE, ok(reuse=False), {"late": b"X"}),
    ("late line end", OK + THREE, ok(reuse=False), {"late": b"\r\n"}),
    ("late 100", OK + THREE, ok(reuse=False), {"late": b"HTTP/1.1 100 Continue\r\n\r\n"}),
    ("late answer behind 204", b"HTTP/1.1 204 None\r\n\r\n", ok(b"", False, 204, "None"), {"late": OK + THREE}),
    ("late body of a HEAD answer", OK + b"Content-Length: 3\r\n\r\n", ok(b"", False), {"late": b"abc", "method": "HEAD"}),
    ("late answer behind chunks", OK + CHUNKED + CHUNKS, ok(reuse=False), {"late": OK + THREE}),
    ("late 408", OK + THREE, ok(reuse=False), {"late": b"HTTP/1.1 408 Timeout\r\nConnection: close\r\n\r\n"}),
])

# --- interim responses --------------------------------------------------------------------------------

HINTS = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"

each("interim", [
    ("103", HINTS + OK + THREE, ok(interim=[(103, {"Link": ["</a>"]})])),
    ("103 in its own packet", (HINTS, OK + THREE), ok(interim=[(103, {"Link": ["</a>"]})])),
    ("102", b"HTTP/1.1 102 Processing\r\n\r\n" + OK + THREE, ok(interim=[(102, {})])),
    ("199", b"HTTP/1.1 199 Odd\r\nX-A: b\r\n\r\n" + OK + THREE, ok(interim=[(199, {"X-A": ["b"]})])),
    ("100 that nobody waits for", b"HTTP/1.1 100 Continue\r\n\r\n" + OK + THREE, ok()),
    ("ten", HINTS * 10 + OK + THREE, ok(interim=[(103, {"Link": ["</a>"]})] * 10)),
    ("eleven", HINTS * 11 + OK + THREE, bad(INTERIM)),
    ("eleven that nobody waits for", b"HTTP/1.1 100 Continue\r\n\r\n" * 11 + OK + THREE, bad(INTERIM)),
    ("without reason", b"HTTP/1.1 103\r\nLink: x\r\n\r\n" + OK + THREE, ok(interim=[(103, {"Link": ["x"]})])),
    ("its hop-by-hop fields end here", b"HTTP/1.1 103 E\r\nConnection: X-A\r\nX-A: b\r\nKeep-Alive: 5\r\nUpgrade: h2c\r\n\r\n" + OK + THREE,
     ok(interim=[(103, {"X-A": [], "Keep-Alive": [], "Upgrade": []})])),
    ("length zero ends here", b"HTTP/1.1 103 E\r\nContent-Length: 0\r\n\r\n" + OK + THREE, ok(interim=[(103, {"Content-Length": []})])),
    ("its fields do not join the answer", b"HTTP/1.1 103 E\r\nSet-Cookie: a=b\r\n\r\n" + OK + THREE, ok(Set_Cookie=[], interim=[(103, {})])),
    ("with a length", b"HTTP/1.1 103 E\r\nContent-Length: 3\r\n\r\nabc" + OK + THREE, bad(FRAMING)),
    ("chunked", b"HTTP/1.1 103 E\r\n" + CHUNKED + CHUNKS + OK + THREE, bad(FRAMING)),
    ("unknown coding", b"HTTP/1.1 103 E\r\nTransfer-Encoding: gzip\r\n\r\n" + OK + THREE, bad(FRAMING)),
    ("with body bytes", b"HTTP/1.1 103 E\r\n\r\nabc" + OK + THREE, bad(STATUS_LINE)),
    ("101 unasked", b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n", bad(SWITCH)),
    ("101 and an answer", b"HTTP/1.1 101 Switching Protocols\r\n\r\n" + OK + THREE, bad(SWITCH)),
    ("101 with a length", b"HTTP/1.1 101 Switching Protocols\r\nContent-Length: 3\r\n\r\nabc", bad(SWITCH)),
    ("CTL in the reason", b"HTTP/1.1 103 E\x1bvil\r\n\r\n" + OK + THREE, bad(STATUS_LINE)),
    ("CR in the reason", b"HTTP/1.1 103 E\rX-Evil: 1\r\n\r\n" + OK + THREE, bad(STATUS_LINE)),
    ("CTL in a field", b"HTTP/1.1 103 E\r\nLink: \x01\r\n\r\n" + OK + THREE, bad(FIELD)),
    ("bad field", b"HTTP/1.1 103 E\r\nno colon\r\n\r\n" + OK + THREE, bad(FIELD)),
    ("bad field ignored", b"HTTP/1.1 103 E\r\nno colon\r\n\r\n" + OK + THREE, ok(interim=[(103, {})]), {"rule": "Ignore"}),
    ("bad field would begin a body", b"HTTP/1.1 103 E\r\nno colon\r\n\r\n" + OK + THREE, bad(FRAMING), {"rule": "StartBody"}),
    ("nothing behind", HINTS, bad(NO_ANSWER), {"end": "close"}),
    ("half a head behind", HINTS + b"HTTP/1.1 2", bad(HALF_HEAD), {"end": "close"}),
    ("to HTTP/1.0", HINTS + OK + THREE, ok(), {"version": "1.0"}),
    ("before HEAD", HINTS + OK + b"Content-Length: 3\r\n\r\n", ok(b"", interim=[(103, {})]), {"method": "HEAD"}),
    ("from HTTP/1.0", b"HTTP/1.0 103 E\r\nLink: x\r\n\r\n" + OK + THREE, ok(interim=[(103, {"Link": ["x"]})])),
])

# --- fields of an answer ------------------------------------------------------------------------------

each("fields", [
    ("close", OK + b"Connection: close\r\n" + THREE, ok(reuse=False)),
    ("close in other case", OK + b"connection: CLOSE\r\n" + THREE, ok(reuse=False)),
    ("close in a list", OK + b"Connection: x-a, close\r\nX-A: b\r\n" + THREE, ok(reuse=False, X_A=[])),
    ("close beside keep-alive", OK + b"Connection: keep-alive\r\nConnection: close\r\n" + THREE, ok(reuse=False)),
    ("keep-alive", OK + b"Connection: keep-alive\r\nKeep-Alive: timeout=77\r\n" + THREE, ok()),
    ("closed is another word", OK + b"Connection: closed\r\n" + THREE, ok()),
    ("empty Connection", OK + b"Connection:\r\n" + THREE, ok()),
    ("junk in Connection", OK + b"Connection: ,,@@,\"close\",\r\n" + THREE, ok()),
    ("upgrade unasked", OK + b"Connection: upgrade\r\nUpgrade: h2c\r\n" + THREE, ok(Upgrade=[])),
    ("named by Connection", OK + b"Connection: x-one, X-Two\r\nX-One: 1\r\nX-Two: 2\r\nX-Three: 3\r\n" + THREE, ok(X_One=[], X_Two=[], X_Three=["3"])),
    ("many named by Connection", OK + b"Connection: a1, a2, a3, a4, a5, a6, a7, a8, a9, x-b\r\nX-B: 1\r\n" + THREE, ok(X_B=[])),
    ("hop by hop", OK + b"TE: trailers\r\nTrailer: X\r\nProxy-Connection: close\r\nKeep-Alive: 1\r\nHTTP2-Settings: x\r\n" + THREE,
     ok(TE=[], Trailer=[], Proxy_Connection=[], HTTP2_Settings=[])),
    ("no type", OK + THREE, ok(Content_Type=[])),
    ("type", OK + b"Content-Type: text/x-odd; charset=utf-8\r\n" + THREE, ok(Content_Type=["text/x-odd; charset=utf-8"])),
    ("empty type", OK + b"Content-Type:\r\n" + THREE, ok(Content_Type=[""])),
    ("type of blanks and signs", OK + b"Content-Type: ;;;\r\n" + THREE, ok(Content_Type=[";;;"])),
    ("type without slash", OK + b"Content-Type: server-status\r\n" + THREE, ok(Content_Type=["server-status"])),
    ("type of a handler", OK + b"Content-Type: cgi-script\r\n" + THREE, ok(Content_Type=["cgi-script"])),
    ("type of a CGI", OK + b"Content-Type: application/x-httpd-cgi\r\n" + THREE, ok(Content_Type=["application/x-httpd-cgi"])),
    ("type of mod_asis", OK + b"Content-Type: httpd/send-as-is\r\n" + THREE, ok(Content_Type=["httpd/send-as-is"])),
    ("odd charset", OK + b"Content-Type: text/html; charset=\"\xff\xfe%s%n\r\n" + THREE, ok(Content_Type=['text/html; charset="\xff\xfe%s%n'])),
    ("long charset", OK + b"Content-Type: text/html; charset=" + b"x" * 5000 + b"\r\n" + THREE, ok(Content_Type=["text/html; charset=" + "x" * 5000])),
    ("CTL in the type", OK + b"Content-Type: text/html\x01\r\n" + THREE, bad(FIELD)),
    ("CR in the type", OK + b"Content-Type: text/html\rX-Evil: 1\r\n" + THREE, bad(FIELD)),
    ("cookies", OK + b"Set-Cookie: a=1\r\nX-A: b\r\nSet-Cookie: b=2\r\nset-cookie: a=1\r\n" + THREE, ok(Set_Cookie=["a=1", "b=2", "a=1"])),
    ("100 cookies", OK + b"".join(b"Set-Cookie: c%d=1\r\n" % i for i in range(100)) + THREE, ok(Set_Cookie=[f"c{i}=1" for i in range(100)])),
    ("Date and Server", OK + b"Date: Sun, 06 Nov 1994 08:49:37 GMT\r\nServer: mine/1\r\n" + THREE,
     ok(Date=["Sun, 06 Nov 1994 08:49:37 GMT"], Server=["mine/1"])),
    ("local Location", OK + b"Location: /well/inside\r\n" + THREE, ok()),
    ("local Location, 302", b"HTTP/1.1 302 Found\r\nLocation: /well/inside\r\n" + THREE, ok(status=302, reason="Found")),
    ("fields of other servers", OK + b"X-Sendfile: /etc/passwd\r\nX-Accel-Redirect: /well/inside\r\nX-Reproxy-URL: http://127.0.0.1/\r\nStatus: 404\r\n" + THREE,
     ok(X_Sendfile=["/etc/passwd"], Status=["404"])),
    ("authentication", b"HTTP/1.1 401 No\r\nWWW-Authenticate: Basic realm=\"x\"\r\nWWW-Authenticate: Negotiate\r\n" + THREE,
     ok(status=401, reason="No", WWW_Authenticate=['Basic realm="x"', "Negotiate"])),
    ("proxy authentication", b"HTTP/1.1 407 No\r\nProxy-Authenticate: Basic realm=\"x\"\r\n" + THREE, ok(status=407, reason="No", Proxy_Authenticate=[])),
    ("ranges", b"HTTP/1.1 206 Part\r\nContent-Range: bytes 0-2/9\r\n" + THREE, ok(status=206, reason="Part", Content_Range=["bytes 0-2/9"])),
    ("type twice", OK + b"Content-Type: text/a\r\nContent-Type: text/b\r\n" + THREE, ok(Content_Type=["text/a"])),
    ("format directives", OK + b"X-A: %s%n%p {x} $1 \\r\\n\r\n" + THREE, ok(X_A=["%s%n%p {x} $1 \\r\\n"])),
])
each("HTTP/1.0 client", [
    ("length", OK + THREE, ok(Transfer_Encoding=[], Content_Length=["3"])),
    ("chunked", OK + CHUNKED + CHUNKS, ok(Transfer_Encoding=[])),
    ("until close", OK + b"\r\nabc", ok(reuse=False, Transfer_Encoding=[]), {"end": "close"}),
    ("chunked in pieces", (OK + CHUNKED + b"\r\n1\r\na\r\n", b"2\r\nbc\r\n", b"0\r\n\r\n"), ok(Transfer_Encoding=[])),
    ("both", OK + CHUNKED + b"Content-Length: 3\r\n" + CHUNKS, ok(reuse=False, Transfer_Encoding=[])),
    ("bad", b"oops\r\n\r\n", bad(STATUS_LINE)),
    ("chunked, cut", (OK + CHUNKED + b"\r\n3\r\nabc\r\n", b"9\r\nd"), cut(SHORT, b"abc", Transfer_Encoding=[], Content_Length=[]), {"end": "close"}),
    ("chunked, bad", (OK + CHUNKED + b"\r\n3\r\nabc\r\n", b"oops"), cut(CHUNK, b"abc")),
    ("length, cut", (OK + b"Content-Length: 9\r\n\r\nabc", b"d"), cut(SHORT, b"abc", Content_Length=["9"]), {"end": "close"}),
], version="1.0")

# --- the end comes early ------------------------------------------------------------------------------

each("cut", [
    ("no byte", b"", bad(NO_ANSWER)),
    ("behind the head", OK + b"Content-Length: 3\r\n\r\n", spoilt(SHORT)),
    ("in the body", OK + b"Content-Length: 3\r\n\r\nab", cut(SHORT, b"ab", Content_Length=["3"])),
    ("in the body, late", (OK + b"Content-Length: 3\r\n\r\na", b"b"), cut(SHORT, b"ab")),
    ("behind the head, late", (OK + b"Content-Length: 3\r\n\r\n", b""), cut(SHORT, b"")),
    ("in a chunk", OK + CHUNKED + b"\r\n3\r\nab", cut(SHORT, b"ab")),
    ("in a chunk size", OK + CHUNKED + b"\r\n3\r\nabc\r\n0", cut(SHORT, b"abc")),
    ("before the trailers end", OK + CHUNKED + b"\r\n3\r\nabc\r\n0\r\nX: y\r\n", cut(SHORT, b"abc")),
], end="close")
