"""No test asserts on a clock: seconds differ from machine to machine, and benchmarks take them.

Work is counted (tests/work.py), imported modules and steps are listed; what waits for a process
gives up at HANG, and hypothesis has no deadline.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

TESTS = Path(__file__).parent
CLOCK = re.compile(
    r"\b(time\.[a-z]\w*|from time import|perf_counter|process_time|thread_time|clock_gettime|timeit"
    r"|getrusage|ru_utime|ru_stime|os\.times|cpu_times|datetime\.now|benchmarks\.timing)\b"
)
EXCEPTIONS = {
    "test_clocks.py": "the names of clocks",
    "language/fuzz.py": "a command that runs for as many seconds as it is told; asserts on none",
    "draw/browser.py": "sleeps between two questions whether the browser's driver answers",
    "plan/test_measure.py": "getrusage for page faults, which are counted",
    "test_layers.py": "gives the demo a clock, one turn each, and looks at its table's shape",
}
"""Files that may name a clock, and why. None may compare what it says with a limit."""

FILES = sorted(path for path in TESTS.rglob("*.py"))


def named(path: Path) -> set[str]:
    """The clocks that a file names, in code and in the texts of programs that it runs."""
    return {found[0] for found in CLOCK.finditer(path.read_text(encoding="utf-8"))}


def timeouts(tree: ast.AST) -> Iterator[ast.expr]:
    """What is given as `timeout=`, by whatever call."""
    for node in ast.walk(tree):
        if isinstance(node, ast.keyword) and node.arg == "timeout":
            yield node.value


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(TESTS).as_posix())
def test_no_test_reads_a_clock(path: Path):
    if path.relative_to(TESTS).as_posix() in EXCEPTIONS:
        assert named(path), "it names no clock any more: take it off the list"
    else:
        assert named(path) == set()


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(TESTS).as_posix())
def test_what_is_waited_for_may_take_long(path: Path):
    """Each `timeout=` is HANG, or a `timedelta` of it."""
    for value in timeouts(ast.parse(path.read_text(encoding="utf-8"))):
        assert ast.unparse(value) in ("HANG", "timedelta(seconds=HANG)"), f"line {value.lineno}"


@pytest.mark.parametrize(
    "line",
    [
        "start = time.perf_counter()",
        "from time import process_time",
        "now = time.monotonic_ns",
        "print(os.times().children_user)",
        "CODE = 'import timeit'",
        "from benchmarks.timing import Clock",
    ],
)
def test_clocks_are_found(line: str, tmp_path: Path):
    path = tmp_path / "test_it.py"
    path.write_text(line, encoding="utf-8")
    assert named(path)


def test_timeouts_are_found():
    found = timeouts(ast.parse("run(a, timeout=60)\nwith open(b, timeout=HANG) as c: pass"))
    assert [ast.unparse(value) for value in found] == ["60", "HANG"]


def test_hypothesis_has_no_deadline():
    """Neither for an example nor for making one."""
    assert settings.default.deadline is None
    assert HealthCheck.too_slow in settings.default.suppress_health_check
