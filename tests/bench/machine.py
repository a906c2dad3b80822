"""What the figures were measured on."""
import functools
import os
import platform
import re
from pathlib import Path

from processes import LOAD_CORE, PROXY_CORE
from proxies import versions


@functools.cache
def description():
    info = Path("/proc/cpuinfo").read_text()
    model = re.search(r"^model name\s*: (.*)$", info, re.M)
    system = re.search(r'^PRETTY_NAME="?([^"\n]*)', Path("/etc/os-release").read_text(), re.M)
    total = int(re.search(r"^MemTotal:\s*(\d+)", Path("/proc/meminfo").read_text(), re.M)[1])
    return {"cpu": model[1] if model else platform.processor(), "cores": os.cpu_count(), "virtual": "hypervisor" in info, "kernel": platform.release(),
            "system": system[1] if system else platform.system(), "memory_gib": round(total / 2**20, 1), "proxy_core": PROXY_CORE,
            "load_core": LOAD_CORE, "load_average": os.getloadavg()[0], "versions": versions()}
