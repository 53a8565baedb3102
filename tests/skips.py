"""A skipped test fails where every test is to run, unless tests/skips.toml lists it with a reason.

So it is where `CI` is set, and with `--strict-skips`. Elsewhere pytest's summary says of each
skipped test what to install.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Generator
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path

import pytest

FILE = Path(__file__).with_name("skips.toml")


@cache
def listed() -> dict[str, str]:
    """Names of tests, in which `*` stands for anything, and why each may be skipped."""
    entries = tomllib.loads(FILE.read_text(encoding="utf-8")).get("skip", [])
    return {entry["test"]: entry["reason"] for entry in entries}


def allowed(name: str) -> bool:
    """Whether a test, as `tests/file.py::name`, is on the list."""
    return any(fnmatchcase(name, pattern.replace("[", "[[]")) for pattern in listed())


def strict(config: pytest.Config) -> bool:
    """Whether every test is to run."""
    in_ci = os.environ.get("CI", "").lower() not in ("", "0", "false")
    return in_ci or bool(config.getoption("--strict-skips"))


def judged(report: pytest.TestReport | pytest.CollectReport, config: pytest.Config) -> None:
    """Turn what may not be skipped into a failure that says why it was."""
    if not report.skipped or hasattr(report, "wasxfail") or not strict(config):
        return
    if allowed(report.nodeid):
        return
    why = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    report.outcome = "failed"
    report.longrepr = (
        f"{report.nodeid} may not be skipped here: it is not in tests/{FILE.name}.\n{why}"
    )


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    judged(report, item.config)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(
    collector: pytest.Collector,
) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    judged(report, collector.config)
    return report
