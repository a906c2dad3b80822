#!/usr/bin/python3
"""Log tags: what the code uses, what src/log_tags.txt registers, what docs/log-messages.md explains.

    check_tags.py                  checks the tree
    check_tags.py --self-test      plants one fault of each kind and expects it to be found
    check_tags.py --list           prints a register made from the code, to copy lines from

A tag is CXP and four digits. It stands in the code either literally or as the number of a row of the
failure table in src/base/error.cpp (but for None, which is no failure). The register has one line per tag, `CXP0123 file: meaning`, in
order; a retired tag stays in it with the file `-`, so that its number is not given out again. A tag
has one place in the code, and the administrator finds it in docs/log-messages.md.
"""
import os
import re
import shutil
import sys
import tempfile

REGISTER = "src/log_tags.txt"
GUIDE = "docs/log-messages.md"
ERROR_TABLE = "src/base/error.cpp"


def read(root, path):
    full = os.path.join(root, path)
    return open(full, encoding="utf-8").read() if os.path.exists(full) else None


def code_tags(root):
    """tag -> list of places; comments do not count."""
    places = {}
    files = ["mod_cxxproxy.cpp"]
    for folder, _, names in os.walk(os.path.join(root, "src")):
        files += [os.path.relpath(os.path.join(folder, n), root) for n in names if n.endswith((".h", ".cpp"))]
    for path in sorted(files):
        for number, line in enumerate((read(root, path) or "").splitlines(), 1):
            line = re.sub(r"(?<!:)//.*", "", line)
            for tag in re.findall(r"CXP\d{4}", line):
                places.setdefault(tag, []).append(f"{path}:{number}")
            row = re.match(r"\s*\{E::(?!None,)\w+, (\d+), ", line) if path == ERROR_TABLE else None
            if row:
                places.setdefault(f"CXP{int(row.group(1)):04}", []).append(f"{path}:{number}")
    return places


def registered(text, errors):
    rows = {}
    last = ""
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        row = re.match(r"(CXP\d{4}) (\S+): (\S.*)$", line)
        if not row:
            errors.append(f"{REGISTER}:{number}: not `CXPnnnn file: meaning`")
            continue
        tag = row.group(1)
        if tag in rows:
            errors.append(f"{REGISTER}:{number}: {tag} is registered twice")
        elif tag < last:
            errors.append(f"{REGISTER}:{number}: {tag} is out of order")
        last = max(last, tag)
        rows[tag] = row.group(2)
    return rows


def check(root):
    errors = []
    text, guide = read(root, REGISTER), read(root, GUIDE)
    for path, content in ((REGISTER, text), (GUIDE, guide)):
        if content is None:
            errors.append(f"{path}: missing")
    rows = registered(text or "", errors)
    used = code_tags(root)
    for tag, places in sorted(used.items()):
        if tag not in rows:
            errors.append(f"{places[0]}: {tag} is not in {REGISTER}")
        elif not places[0].startswith(rows[tag] + ":"):
            errors.append(f"{places[0]}: {tag} is registered for {rows[tag]}")
        if len(places) > 1:
            errors.append(f"{places[1]}: {tag} is used a second time")
    for tag, path in rows.items():
        if path != "-" and tag not in used:
            errors.append(f"{REGISTER}: {tag} is used nowhere (retire it with the file -)")
        if path != "-" and tag not in (guide or ""):
            errors.append(f"{GUIDE}: {tag} is not explained")
    for tag in sorted(set(re.findall(r"CXP\d{4}", guide or "")) - set(rows)):
        errors.append(f"{GUIDE}: {tag} does not exist")
    return len(set(rows) | set(used)), errors


def self_test():
    good = {
        "mod_cxxproxy.cpp": "// CXP0777 in a comment\n",
        ERROR_TABLE: "    {E::None, 1, S::Internal, 200, \"\"},\n    {E::Internal, 100, S::Internal, 500, \"failure\"},\n",
        "src/httpd/log.cpp": "log(\"CXP0201: text\");\n",
        REGISTER: "CXP0007 -: retired\nCXP0100 src/base/error.cpp: failure\nCXP0201 src/httpd/log.cpp: text\n",
        GUIDE: "CXP0100 nothing. CXP0201 something.\n",
    }
    faults = [
        ("src/httpd/new.cpp", "\"CXP0300\"\n", "CXP0300 is not in"),
        ("src/httpd/new.cpp", "\"CXP0201\"\n", "used a second time"),
        ("src/httpd/log.cpp", "\n", "CXP0201 is used nowhere"),
        (REGISTER, good[REGISTER] + "CXP0201 src/httpd/log.cpp: again\n", "registered twice"),
        (REGISTER, "\n".join(reversed(good[REGISTER].splitlines())) + "\n", "out of order"),
        (REGISTER, good[REGISTER] + "CXP302 x\n", "not `CXPnnnn"),
        (REGISTER, good[REGISTER].replace("src/httpd/log.cpp", "src/a.cpp"), "is registered for src/a.cpp"),
        (GUIDE, "CXP0100\n", "CXP0201 is not explained"),
        (GUIDE, good[GUIDE] + "CXP0999\n", "CXP0999 does not exist"),
    ]
    passed = failed = 0
    for path, text, expected in [("", "", "")] + faults:
        root = tempfile.mkdtemp()
        try:
            for name, content in {**good, **({path: text} if path else {})}.items():
                os.makedirs(os.path.dirname(os.path.join(root, name)) or root, exist_ok=True)
                with open(os.path.join(root, name), "w", encoding="utf-8") as file:
                    file.write(content)
            errors = check(root)[1]
        finally:
            shutil.rmtree(root)
        fine = any(expected in error for error in errors) if path else not errors
        passed += fine
        failed += not fine
        if not fine:
            print(f"FAILED self test {path or 'clean tree'}: {errors}")
    return passed, failed


def listing(root):
    for tag, places in sorted(code_tags(root).items()):
        path, number = places[0].split(":")
        line = read(root, path).splitlines()[int(number) - 1]
        words = re.search(tag + r":? ?([^\"]*)", line) or re.search(r'"([^"]*)"', line)
        print(f"{tag} {path}: {words.group(1).strip() if words else ''}")


def main():
    if sys.argv[1:] == ["--list"]:
        listing(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
        return 0
    if sys.argv[1:] == ["--self-test"]:
        passed, failed = self_test()
    else:
        count, errors = check(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
        for error in errors:
            print(error)
        failed = len(errors)
        passed = max(count - failed, 0)
    print(f"{passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


sys.exit(main())
