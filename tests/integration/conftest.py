"""Fixtures: servers and backends that end with the test (or the file), and the log check."""
import subprocess
import tempfile
from contextlib import ExitStack
from pathlib import Path
from shutil import rmtree

import pytest

from support import settings
from support.backend import EchoBackend, RawBackend
from support.flask_app import FlaskBackend
from support.httpd import LIVE, Httpd


def pytest_configure(config):
    config.addinivalue_line("markers", "own: about this module only, not about mod_proxy")
    config.addinivalue_line("markers", "plain: measures what a sanitizer changes, left out of its runs")
    config.addinivalue_line("markers", "slow: takes seconds; part of make check")


def pytest_collection_modifyitems(config, items):
    if settings.OWN:
        if not settings.SO.exists():
            raise pytest.UsageError(f"{settings.SO} is not there: run make, or set CXXPROXY_SO")
        left_out = "plain" if settings.ASAN or settings.TSAN else None
    else:
        left_out = "own"
    out = [item for item in items if left_out and item.get_closest_marker(left_out)]
    config.hook.pytest_deselected(items=out)
    items[:] = [item for item in items if item not in out]


def pytest_report_header(config):
    return f"proxy under test: {settings.SO if settings.OWN else 'mod_proxy'}" + (
        ", with AddressSanitizer" if settings.ASAN else ", with ThreadSanitizer" if settings.TSAN else "") + (
        f", ProxyReactor {settings.REACTOR}" if settings.OWN and settings.REACTOR else "")


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    report = outcome.get_result()
    if report.failed:
        for server in LIVE:
            report.sections.append((f"error log of {server.root}", server.error_log()[-1500:]))


class Workshop:
    """Makes servers and backends, and ends them in reverse order."""

    def __init__(self, stack, certificate):
        self._stack, self._certificate = stack, certificate
        self._scripted = []

    def httpd(self, conf, *, start=True, tls=False, **options):
        server = Httpd(conf, tls=self._certificate() if tls else None, **options)
        self._stack.callback(server.stop)
        return server.start() if start else server

    def backend(self, script, **options):
        return self._scripted_backend(RawBackend(script, **options))

    def echo(self, name="echo", **options):
        return self._scripted_backend(EchoBackend(name, **options))

    def _scripted_backend(self, backend):
        self._scripted.append(backend)
        self._stack.callback(backend.close)
        return backend

    def adopt(self, backend):
        """A backend that the test made itself: complaints and end as for the others."""
        return self._scripted_backend(backend)

    def flask(self, greeting, **options):
        folder = Path(tempfile.mkdtemp(prefix="cxxproxy-flask-"))
        self._stack.callback(rmtree, folder, ignore_errors=True)
        backend = FlaskBackend(folder, greeting, **options)
        self._stack.callback(backend.close)
        return backend

    def complaints(self):
        return [error for backend in self._scripted for error in backend.errors]


def _workshop(certificate):
    with ExitStack() as stack:
        workshop = Workshop(stack, certificate)
        yield workshop
    complaints = workshop.complaints()
    assert not complaints, "\n".join(complaints)


@pytest.fixture(scope="session")
def certificate(tmp_path_factory):
    """Makes a self-signed certificate when first asked for; (certificate, key)."""
    folder = tmp_path_factory.mktemp("tls")
    files = folder / "cert.pem", folder / "key.pem"

    def make():
        if not files[0].exists():
            subprocess.run(
                ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                 "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2", "-subj", "/CN=proxy.test",
                 "-addext", "subjectAltName=DNS:proxy.test,IP:127.0.0.1",
                 "-addext", "basicConstraints=critical,CA:FALSE",
                 "-out", files[0], "-keyout", files[1]], check=True, capture_output=True)
        return files
    return make


@pytest.fixture
def make(certificate):
    """Servers and backends of one test."""
    yield from _workshop(certificate)


@pytest.fixture(scope="module")
def house(certificate):
    """Servers and backends that a whole file shares."""
    yield from _workshop(certificate)


@pytest.fixture(params=settings.FAMILIES)
def family(request):
    """The test runs with the Cxx names and with the standard names (mod_proxy: only these).

    Tests about what happens after a rule was found do not ask for it: the names cannot matter there.
    """
    return request.param


@pytest.fixture(scope="module", params=settings.FAMILIES)
def file_family(request):
    """As `family`, for servers that a file shares."""
    return request.param


@pytest.fixture(autouse=True)
def logs_are_clean():
    """No test may leave an undeclared warning, error or crash in the log of a shared server."""
    yield
    complaints = [line for server in list(LIVE) for line in server.check_log()]
    assert not complaints, "\n".join(complaints)
