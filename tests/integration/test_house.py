"""The house itself: what must fail a test does, and the client sees what is on the wire."""
import pytest

from support.backend import closed_port
from support.client import Client, fetch
from support.httpd import races_of_the_module
from support.waiting import until
from support.wire import answer, chunked

DEAD = "{P}ProxyPass / http://127.0.0.1:{dead}/\n"


def test_an_undeclared_error_line_is_a_complaint(make):
    server = make.httpd(DEAD, dead=closed_port())
    assert fetch(server.port).status == 503
    until(lambda: "error]" in server.error_log(), "the error line")
    assert any("error]" in complaint for complaint in server.check_log())
    assert server.check_log() == []  # each line is complained about once


def test_a_declared_line_is_none_and_a_missing_one_is_noticed(make):
    server = make.httpd(DEAD, dead=closed_port())
    server.allow_log()
    fetch(server.port)
    until(lambda: "error]" in server.error_log(), "the error line")
    assert server.check_log() == []
    with pytest.raises(AssertionError):
        server.expect_log("this never comes", timeout=0.1)


@pytest.mark.parametrize("line", [
    "[Mon Nov 23 04:00:00.1 2026] [core:notice] [pid 1:tid 1] AH00052: child pid 2 exit signal Aborted (6)",
    "==12==ERROR: AddressSanitizer: heap-use-after-free", "src/x.cpp:1:2: runtime error: overflow"])
def test_a_crash_is_a_complaint_even_when_everything_is_allowed(make, line):
    server = make.httpd("")
    server.allow_log(".")
    with open(server.root / "error.log", "a", encoding="utf-8") as log:
        log.write(line + "\n")
    assert server.check_log() == [f"error log: {line}"]


RACE = """==================
WARNING: ThreadSanitizer: data race (pid=1)
  Write of size 8 at 0x7b by thread T2:
    #0 memset <null> (libtsan.so+0x1)
    #1 <null> <null> (%s+0x2)

  Previous read of size 8 at 0x7b by thread T1:
    #0 close <null> (libtsan.so+0x1)
    #1 <null> <null> (%s+0x2)

  Thread T1 (tid=3, running) created by main thread at:
    #0 begin src/x.cpp:1 (mod_cxxproxy.so+0x3)

SUMMARY: ThreadSanitizer: data race
==================
"""
OF_HTTPD, OURS_FIRST, OURS_SECOND = (RACE % sides for sides in (
    ("apache2", "libapr-1.so.0"), ("mod_cxxproxy.so", "apache2"), ("apache2", "mod_cxxproxy.so")))
NO_REPORT = "FATAL: ThreadSanitizer: unexpected memory mapping\n"


@pytest.mark.parametrize("text, count", [
    ("", 0), (OF_HTTPD, 0), (OURS_FIRST, 1), (OURS_SECOND, 1), (OF_HTTPD + OURS_FIRST + OURS_SECOND, 2), (NO_REPORT, 1)],
    ids=["nothing", "httpd's", "ours first", "ours second", "three", "no report"])
def test_a_race_is_a_complaint_when_one_side_is_ours(text, count):
    assert len(races_of_the_module(text + "ThreadSanitizer: reported 3 warnings\n")) == count


def test_a_sanitizer_report_is_a_complaint(make):
    server = make.httpd("")
    (server.root / "asan" / "report.1").write_text("ERROR: AddressSanitizer")
    assert server.check_log() == ["report.1: ERROR: AddressSanitizer"]


@pytest.mark.parametrize("data, truncated", [
    (answer(b"whole"), False), (answer(b"whole")[:-1], True),
    (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked(b"whole"), False),
    (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked(b"whole")[:-2], True),
    (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nwhole\r\n", True)])
def test_the_client_sees_truncation(make, data, truncated):
    backend = make.backend(lambda c: (c.read_request(), c.send(data)))
    with Client(backend.port) as client:
        response = client.ask()
    assert (response.body[:4], response.truncated) == (b"whol", truncated)


def test_a_script_that_fails_is_reported(make):
    def script(connection):
        connection.read_request()
        raise ValueError("broken script")
    backend = make.backend(script)
    with Client(backend.port) as client:
        client.send(b"GET / HTTP/1.1\r\n\r\n")
        assert client.at_end()
    until(lambda: backend.errors, "the error of the script")
    assert backend.errors.pop() == "raw: ValueError: broken script"
