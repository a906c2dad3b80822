#!/usr/bin/python3
"""Does check.py notice every way in which a stage can fail? Ends with `N passed, N failed`."""
import contextlib
import io
import sys
import tempfile
from pathlib import Path

sys.dont_write_bytecode = True
import check  # noqa: E402
import shards  # noqa: E402

TEXTS = [
    (check.count_catch, "All tests passed (2 assertions in 1 test case)\n", (1, 0)),
    (check.count_catch, "test cases: 5 | 4 passed | 1 failed\nassertions: 9 | 8 passed | 1 failed\n", (4, 1)),
    (check.count_catch, "test cases: 1 | 1 failed\n", (0, 1)),
    (check.count_catch, "No tests ran\n", (0, 0)),
    (check.count_pytest, "==== 3 failed, 10 passed, 2 skipped, 1 warning, 1 error in 3.21s ====\n", (10, 6)),
    (check.count_pytest, "=== 10 passed, 3 deselected in 63.21s (0:01:03) ===\n", (10, 0)),
    (check.count_pytest, "1 passed in 0.01s\n", (1, 0)),
    (check.count_pytest, "==== no tests ran in 0.01s ====\n", (0, 0)),
    (check.count_plain, "1 passed, 0 failed\nlater\n3 passed, 1 failed\n", (3, 1)),
]

COMMANDS = [
    ("exit 0", None, (1, 0)),
    ("exit 3", None, (0, 1)),
    ("exit 0", check.count_plain, (0, 1)),
    ("echo 3 passed, 0 failed; exit 1", check.count_plain, (3, 1)),
    ("echo 3 passed, 2 failed", check.count_plain, (3, 2)),
    ("echo '1 passed in 0.1s'; kill -SEGV $$", check.count_pytest, (1, 1)),
]

# Files of one sharded run, and its sums.
SHARDS = [
    ({"test_a.py": "def test_1(): pass\ndef test_2(): pass\n", "test_b.py": "def test_3(): assert False\n"}, (2, 1)),
    ({"test_a.py": "import nothing_of_this_name\n", "test_b.py": "def test_1(): pass\n"}, (1, 1)),
    ({"test_a.py": "import os\ndef test_1(): os._exit(9)\n", "test_b.py": "def test_1(): pass\n"}, (1, 1)),
    ({"test_a.py": "import os\ndef test_1(): os._exit(0)\n"}, (0, 1)),
    ({"test_a.py": "import pytest\ndef test_1(): pytest.skip()\n"}, (0, 1)),
    ({"test_a.py": "", "test_b.py": "def test_1(): pass\n"}, (1, 0)),
]


def run_shards(files):
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        for name, text in files.items():
            (Path(folder) / name).write_text(text)
        return shards.run_all(shards.files_of([Path(folder)]), 2, ["-p", "no:cacheprovider"])[:2]


def main():
    passed = failed = 0
    results = [(str(text), count(text), expected) for count, text, expected in TEXTS]
    for command, count, expected in COMMANDS:
        stage = check.Stage("self test", ["bash", "-c", command], count=count)
        with contextlib.redirect_stdout(io.StringIO()):
            results.append((command, check.result(stage, *check.run(stage)), expected))
    results += [(str(files), run_shards(files), sums) for files, sums in SHARDS]
    for what, got, expected in results:
        if got == expected:
            passed += 1
        else:
            failed += 1
            print(f"FAILED {what!r}: {got}, expected {expected}")
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


sys.exit(main())
