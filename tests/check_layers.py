#!/usr/bin/python3
"""Which room may include which: the table in docs/ARCHITECTURE.md against the includes under src/.

    check_layers.py                  checks the tree
    check_layers.py --self-test      plants one violation of each kind and expects it to be found

Rules: a room includes itself and what its row names; kind P includes neither APR nor httpd, kind A no
httpd; httpd's headers come in through httpd/httpd_api.h only (the stand-in, which has no code, is
excepted); includes are written from src/; every header has `#pragma once`; every folder has a row;
the table itself has no cycle.
"""
import os
import re
import shutil
import sys
import tempfile

SYSTEM_APR = re.compile(r"^(apr|apu)[a-z_]*\.h$")
SYSTEM_HTTPD = re.compile(
    r"^(httpd|http_[a-z]+|ap_[a-z_]+|util_[a-z_]+|mod_[a-z_]+|mpm_common|scoreboard|unixd)\.h$")
STAND_IN = "src/httpd/compat/"
GATE = "src/httpd/httpd_api.h"


def read_table(path):
    rooms = {}
    for line in open(path, encoding="utf-8"):
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if len(cells) >= 4 and cells[1] in ("P", "A", "H"):
            rooms[cells[0]] = (cells[1], set() if cells[2] == "-" else set(cells[2].split()))
    return rooms


def table_errors(rooms):
    for room, (kind, allowed) in rooms.items():
        for other in sorted(allowed):
            if other not in rooms:
                yield f"room table: {room} may include {other}, which has no row"
            elif "PAH".index(rooms[other][0]) > "PAH".index(kind):
                yield f"room table: {room} (kind {kind}) may not include {other} (kind {rooms[other][0]})"

    def reaches(start, goal, seen):
        for other in rooms.get(start, ("P", set()))[1] - seen:
            seen.add(other)
            if other == goal or reaches(other, goal, seen):
                return True
        return False

    for room in rooms:
        if reaches(room, room, set()):
            yield f"room table: {room} includes itself in a circle"


def sources(root):
    for folder, _, files in os.walk(os.path.join(root, "src")):
        for name in sorted(files):
            if name.endswith((".h", ".cpp")):
                yield os.path.relpath(os.path.join(folder, name), root)


def include_errors(path, room, kind, allowed, text, root):
    for number, line in enumerate(text.splitlines(), 1):
        found = re.match(r'\s*#\s*include\s*(?:"([^"]+)"|<([^>]+)>)', line)
        if not found:
            continue
        own, system = found.groups()
        where = f"{path}:{number}: "
        if own:
            target = own.split("/")[0]
            if "/" not in own or own.startswith(".") or not os.path.exists(os.path.join(root, "src", own)):
                yield where + f'"{own}" is not a path from src/'
            elif target != room and target not in allowed:
                yield where + f"room {room} may not include {target}"
        elif SYSTEM_HTTPD.match(system):
            if kind != "H":
                yield where + f"room {room} (kind {kind}) may not include httpd's <{system}>"
            elif path != GATE and not path.startswith(STAND_IN):
                yield where + f"<{system}> comes in through httpd/httpd_api.h only"
        elif SYSTEM_APR.match(system) and kind == "P":
            yield where + f"room {room} (kind P) may not include APR's <{system}>"


def check(root):
    rooms = read_table(os.path.join(root, "docs/ARCHITECTURE.md"))
    errors = list(table_errors(rooms))
    if not rooms:
        errors.append("docs/ARCHITECTURE.md: no room table")
    count = 0
    for path in list(sources(root)) + ["mod_cxxproxy.cpp"]:
        full = os.path.join(root, path)
        if not os.path.exists(full):
            errors.append(f"{path}: missing")
            continue
        text = open(full, encoding="utf-8").read()
        count += 1
        parts = path.split(os.sep)
        room = parts[1] if len(parts) > 2 else "httpd"
        if len(parts) == 2 or room not in rooms:
            errors.append(f"{path}: is in no room of docs/ARCHITECTURE.md")
            continue
        kind, allowed = rooms[room]
        errors += include_errors(path, room, kind, allowed, text, root)
        if path.endswith(".h") and "#pragma once" not in text:
            errors.append(f"{path}: no #pragma once")
    return count, errors


def plant(root):
    def write(path, text):
        full = os.path.join(root, path)
        os.makedirs(os.path.dirname(full), exist_ok=True)
        with open(full, "w", encoding="utf-8") as file:
            file.write(text)

    write("docs/ARCHITECTURE.md", "| room | kind | may include | holds |\n|---|---|---|---|\n"
          "| low | P | - | x |\n| mid | P | low | x |\n| net | A | low | x |\n| httpd | H | low mid net | x |\n")
    write("mod_cxxproxy.cpp", '#include "httpd/httpd_api.h"\n')
    write("src/httpd/httpd_api.h", "#pragma once\n#include <httpd.h>\n#include <apr_pools.h>\n")
    write("src/low/low.h", "#pragma once\n#include <string>\n")
    write("src/mid/mid.h", '#pragma once\n#include "low/low.h"\n')
    write("src/net/net.h", '#pragma once\n#include <apr_network_io.h>\n#include "low/low.h"\n')
    return write


def self_test():
    violations = [
        ("src/low/up.h", '#pragma once\n#include "mid/mid.h"\n', "may not include mid"),
        ("src/low/apr.h", "#pragma once\n#include <apr_pools.h>\n", "may not include APR's"),
        ("src/net/web.h", "#pragma once\n#include <http_log.h>\n", "may not include httpd's"),
        ("src/net/side.h", '#pragma once\n#include "mid/mid.h"\n', "may not include mid"),
        ("src/httpd/direct.cpp", "#include <http_core.h>\n", "httpd/httpd_api.h only"),
        ("src/mid/relative.h", '#pragma once\n#include "../low/low.h"\n', "not a path from src/"),
        ("src/low/twice.h", "#include <string>\n", "no #pragma once"),
        ("src/attic/old.h", "#pragma once\n", "in no room"),
        ("src/stray.h", "#pragma once\n", "in no room"),
    ]
    passed = failed = 0
    root = tempfile.mkdtemp()
    try:
        write = plant(root)
        clean = check(root)[1]
        for path, text, expected in [("", "", "")] + violations:
            if path:
                write(path, text)
                errors = check(root)[1]
                os.remove(os.path.join(root, path))
                good = len(errors) == 1 and expected in errors[0] and path in errors[0]
            else:
                errors, good = clean, not clean
            passed += good
            failed += not good
            if not good:
                print(f"FAILED self test {path or 'clean tree'}: {errors}")
    finally:
        shutil.rmtree(root)
    return passed, failed


def main():
    if sys.argv[1:] == ["--self-test"]:
        passed, failed = self_test()
    else:
        count, errors = check(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
        for error in errors:
            print(error)
        failed = len(errors)
        passed = count - len({error.split(":")[0] for error in errors})
    print(f"{passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


sys.exit(main())
