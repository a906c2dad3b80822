"""Where the module under test is and how this run differs from a plain one."""
import os
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[3]
MODULES = Path(os.environ.get("CXXPROXY_MODULES", "/usr/lib/apache2/modules"))
HTTPD = os.environ.get("CXXPROXY_HTTPD", "/usr/sbin/apache2")

PEER = os.environ.get("CXXPROXY_PEER", "cxxproxy")
if PEER not in ("cxxproxy", "mod_proxy"):
    raise SystemExit(f"CXXPROXY_PEER={PEER}: must be cxxproxy or mod_proxy")
OWN = PEER == "cxxproxy"

ASAN = os.environ.get("CXXPROXY_ASAN") == "1"
TSAN = os.environ.get("CXXPROXY_TSAN") == "1"
REACTOR = os.environ.get("CXXPROXY_REACTOR", "")  # of every server whose test does not say itself
if REACTOR not in ("", "On", "Off"):
    raise SystemExit(f"CXXPROXY_REACTOR={REACTOR}: must be On or Off")
VALGRIND = os.environ.get("CXXPROXY_VALGRIND") == "1"
CHECKED = ASAN or TSAN or VALGRIND  # time and memory are the tool's
KEEP = os.environ.get("CXXPROXY_KEEP") == "1"

SO = Path(os.environ.get("CXXPROXY_SO", REPOSITORY / "build" / "mod_cxxproxy.so")).resolve()
COMPAT_SO = Path(
    os.environ.get("CXXPROXY_COMPAT_SO", SO.parent / "mod_cxxproxy_compat.so")).resolve()

# A module whose hook sleeps as long as a request says (tests/bench/sleeping_hook.cpp).
HOOK_SO = Path(os.environ.get("CXXPROXY_HOOK_SO", REPOSITORY / "build" / "bench_sleep.so")).resolve()

# Everything waits for a condition and gives up after this many seconds; a sanitizer's build is slower.
PATIENCE = 60.0 if VALGRIND else 30.0 if ASAN or TSAN else 15.0

FAMILIES = ("cxx", "std") if OWN else ("std",)
DEFAULT_FAMILY = FAMILIES[0]
