"""A skipped test is a failure where every test is to run."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests import skips

ROOT = Path(__file__).parents[1]
PLUGIN = """
import pytest
from tests import skips
from tests.skips import pytest_make_collect_report, pytest_runtest_makereport

skips.FILE = __import__("pathlib").Path(__file__).with_name("skips.toml")

def pytest_addoption(parser):
    parser.addoption("--strict-skips", action="store_true")
"""
LIST = """
[[skip]]
test = "test_some.py::test_listed[*"
reason = "an example"
"""
SOME = """
import pytest

def test_that_runs(): pass

@pytest.mark.skipif(True, reason="no tool: apt install tool")
def test_marked(): pass

def test_within(): pytest.importorskip("no_such_module", reason="pip install such")

@pytest.mark.xfail(run=False)
def test_that_is_expected_to_fail(): pass

@pytest.mark.parametrize("n", [1, 2])
def test_listed(n): pytest.skip("cannot be had")
"""
MODULE = "import pytest\npytest.importorskip('no_such_module', reason='pip install such')\n"


def run(folder: Path, *arguments: str, ci: str | None = None) -> str:
    """The summary of pytest on the examples, in a process of its own."""
    (folder / "conftest.py").write_text(PLUGIN)
    (folder / "skips.toml").write_text(LIST)
    (folder / "test_some.py").write_text(SOME)
    (folder / "test_module.py").write_text(MODULE)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    environment.pop("CI", None)
    if ci is not None:
        environment["CI"] = ci
    command = [sys.executable, "-m", "pytest", "-rsfE", "-p", "no:cacheprovider", *arguments]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    return done.stdout


@pytest.mark.parametrize(
    ("arguments", "ci"), [(["--strict-skips"], None), (["-n", "1"], "true")], ids=["asked", "CI"]
)
def test_what_is_not_listed_fails(arguments: list[str], ci: str | None, tmp_path: Path) -> None:
    shown = run(tmp_path, *arguments, "--continue-on-collection-errors", ci=ci)
    failed = re.findall(r"^(?:FAILED|ERROR) (\S+)", shown, re.MULTILINE)
    assert sorted({*failed}) == [
        "test_module.py",
        "test_some.py::test_marked",
        "test_some.py::test_within",
    ]
    assert "test_some.py::test_marked may not be skipped here" in shown
    assert "no tool: apt install tool" in shown
    assert "pip install such" in shown
    assert "1 failed, 1 passed, 2 skipped, 1 xfailed, 2 errors" in shown


@pytest.mark.parametrize("ci", [None, "false"])
def test_elsewhere_a_skip_says_what_to_install(ci: str | None, tmp_path: Path) -> None:
    shown = run(tmp_path, ci=ci)
    assert "1 passed, 5 skipped, 1 xfailed" in shown
    assert "no tool: apt install tool" in shown


def test_the_list_is_short_and_reasoned() -> None:
    """Each entry names a test that there is, and says why."""
    assert len(skips.listed()) <= 10
    for name, reason in skips.listed().items():
        path, _, function = name.partition("::")
        assert len(reason.split()) >= 4, name
        plain = function.split("::")[-1].split("[")[0].split("*")[0]
        assert plain in (ROOT / path).read_text(encoding="utf-8"), f"there is no {name}"
